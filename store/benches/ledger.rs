//! How many verdicts a second the ledger takes, fsyncs included: ten thousand, in batches of 512.

#![expect(clippy::expect_used, reason = "a benchmark that cannot run has nothing to say")]

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use lictor_store::{Entry, Ledger, Log, Record};
use lictor_wire::policy::{LifecycleStage, Severity};
use lictor_wire::{
    Cause, ClusterId, DeploymentId, Entity, EventId, EventRef, Evidence, Kind, PolicyId, PolicyRef,
    Revisions, SectionMatch, Verdict, Violation, ViolationId,
};

const VERDICTS: u64 = 10_000;
const BATCH: usize = 512;

fn verdict(number: u64, workloads: u64) -> Verdict {
    let name = format!("web-{}", number % workloads);
    let entity = Entity::Deployment {
        id: DeploymentId::new(format!("8c2cb7a4-0000-4000-8000-{:012}", number % workloads)),
        name,
        kind: "Deployment".to_owned(),
        namespace: "shop".to_owned(),
        cluster: ClusterId::new("3f0b7a55-1111-4000-8000-000000000000"),
        pod: None,
        annotations: BTreeMap::new(),
    };
    let event = EventId::new(format!("event-{number}"));
    let policy = PolicyRef {
        id: PolicyId::new("d63564bd-c184-40bc-9f30-39711e010b82"),
        name: "Alpine Linux Package Manager Execution".to_owned(),
        revision: 12,
        severity: Severity::Low,
        categories: vec!["Package Management".to_owned()],
    };
    let evidence = Evidence {
        criterion: "Process Name".to_owned(),
        wanted: "apk".to_owned(),
        found: "apk".to_owned(),
        at: "container web".to_owned(),
    };
    let revisions = Revisions { deployment: 7, images: 9, policies: 12 };
    let time = Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(1_750_000_000 + number);
    Verdict {
        id: Verdict::id_of(&event, &entity, Cause::Observed, revisions),
        cause: Cause::Observed,
        stage: LifecycleStage::Runtime,
        revisions,
        judged_at: time,
        violations: vec![Violation {
            id: ViolationId::of(&event, &entity.key(), &policy.id),
            policy,
            sections: vec![SectionMatch {
                section: 0,
                name: String::new(),
                evidence: vec![evidence],
                messages: Vec::new(),
            }],
            enforcement: Vec::new(),
        }],
        event: EventRef { id: event, kind: Kind::Process, time, stream: String::new(), sequence: number },
        entity,
        undecided: Vec::new(),
        failures: Vec::new(),
        gone: false,
        admission: None,
        traceparent: None,
    }
}

fn entries(workloads: u64) -> Vec<Entry> {
    (1..=VERDICTS)
        .map(|number| {
            let verdict = verdict(number, workloads);
            Entry {
                sequence: number,
                time: verdict.judged_at,
                records: vec![Record::Verdict(Box::new(verdict))],
            }
        })
        .collect()
}

fn apply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply 10,000 verdicts");
    group.throughput(Throughput::Elements(VERDICTS)).sample_size(10);
    for workloads in [10, 2_000] {
        let entries = entries(workloads);
        let fresh = || {
            let directory = tempfile::tempdir().expect("a directory for the file");
            let ledger = Ledger::open(&directory.path().join("ledger.redb")).expect("an empty file opens");
            (directory, ledger)
        };
        group.bench_function(format!("about {workloads} workloads"), |bencher| {
            bencher.iter_batched_ref(
                fresh,
                |(_, ledger)| {
                    for batch in entries.chunks(BATCH) {
                        black_box(ledger.apply(Log::Verdicts, batch).expect("the batch is applied"));
                    }
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, apply);
criterion_main!(benches);
