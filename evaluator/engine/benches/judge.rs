//! What judging one event costs with few and with many policies, and what it would cost to evaluate each of them.
//!
//! A policy is mostly about a name or a text of its own, as real ones are; one event in fifty has one of them. The
//! reported time is for one event.

#![expect(clippy::expect_used, reason = "a benchmark that cannot run has nothing to say")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use lictor_engine::{Input, Occurrence, Options, PolicyRevision, PolicySet};
use lictor_wire::policy::{EventSource, Group, LifecycleStage, Policy, PolicyValue, Section};
use lictor_wire::{
    Ancestor, AuditEvent, AuditStage, ClusterId, Container, ContainerRef, Deployment, ObjectReference,
    PodRef, PolicyId, ProcessEvent, UserInfo,
};

const POLICIES: [usize; 4] = [10, 100, 1_000, 10_000];
const EVENTS: usize = 250;
/// One event in so many is about some policy.
const MATCHING: usize = 50;

// === policies ===

fn group(field: &str, value: &str) -> Group {
    let values = value.split('\n').map(|value| PolicyValue { value: value.to_owned() }).collect();
    Group { field_name: field.to_owned(), values, ..Group::default() }
}

fn set(policies: usize, source: EventSource, groups: impl Fn(usize) -> Vec<Group>) -> PolicySet {
    let revisions = (0..policies).map(|number| {
        let policy = Policy {
            id: PolicyId::new(format!("{number:05}")),
            name: format!("policy {number}"),
            lifecycle_stages: vec![LifecycleStage::Runtime],
            event_source: source,
            policy_sections: vec![Section { section_name: String::new(), policy_groups: groups(number) }],
            policy_version: "1.1".to_owned(),
            ..Policy::default()
        };
        PolicyRevision { policy: Arc::new(policy), revision: 1 }
    });
    let compiled = PolicySet::compile(revisions, Options::default());
    assert!(compiled.refused.is_empty(), "{:?}", compiled.refused);
    compiled.set
}

fn process_groups(number: usize) -> Vec<Group> {
    match number % 20 {
        0..12 => vec![group("Process Name", &format!("tool{number}|tool{number}-static"))],
        12..15 => {
            let arguments = format!(r"--(host|url)[ =]\S*c2-{number}\.example");
            vec![group("Process Name", "curl|wget"), group("Process Arguments", &arguments)]
        }
        15..18 => vec![group("Process Arguments", &format!("/srv/secret-{number}/.*"))],
        18 => vec![group("Process Ancestor", &format!("/opt/app{number}/.*")), group("Process UID", "0")],
        // Some few shapes without a literal.
        _ => vec![group("Process Name", &format!("[a-z]{{{}}}[0-9]+", 20 + number % 7))],
    }
}

fn audit_groups(number: usize) -> Vec<Group> {
    let kinds =
        [group("Kubernetes Resource", "SECRETS\nCONFIGMAPS"), group("Kubernetes API Verb", "GET\nUPDATE")];
    let more = match number % 20 {
        0..10 => {
            group("Kubernetes User Name", &format!("system:serviceaccount:team-{number}:deployer-{number}"))
        }
        10..13 => group("Kubernetes User Name", &format!("developer-{number}")),
        13..18 => group("Kubernetes Resource Name", &format!("r/db-credentials-{number}(-v[0-9]+)?")),
        18 => group("User Agent", &format!("r/.*agent-{number}/.*")),
        _ => {
            return vec![
                group("Kubernetes Resource", "CLUSTER_ROLES"),
                group("Kubernetes API Verb", "DELETE"),
            ];
        }
    };
    kinds.into_iter().chain([more]).collect()
}

// === events ===

fn process_events(policies: usize) -> Vec<ProcessEvent> {
    let names = ["nginx", "java", "python3", "sh", "bash", "curl", "sleep", "cat", "pg_isready", "node"];
    let ancestors = ["/usr/bin/containerd-shim-runc-v2", "/usr/bin/tini"];
    (0..EVENTS)
        .map(|event| {
            let matches = event % MATCHING == 0;
            let name = match names.get(event % names.len()) {
                Some(name) if !matches => (*name).to_owned(),
                _ => format!("tool{}", event * 7 % policies / 20 * 20),
            };
            ProcessEvent {
                exec_file_path: format!("/usr/bin/{name}"),
                name,
                args: format!("--config /etc/app/config-{event}.yaml --log-level=info --url=http://svc-{event}.shop:8080/x"),
                uid: Some(1000),
                ancestors: ancestors
                    .map(|path| Ancestor { exec_file_path: path.to_owned(), ..Ancestor::default() })
                    .into(),
                pod: Some(PodRef { namespace: "shop".to_owned(), name: "web-1".to_owned(), ..PodRef::default() }),
                container: Some(ContainerRef { name: "main".to_owned(), ..ContainerRef::default() }),
                ..ProcessEvent::default()
            }
        })
        .collect()
}

fn audit_events(policies: usize) -> Vec<AuditEvent> {
    (0..EVENTS)
        .map(|event| {
            let user = if event % MATCHING == 0 {
                let number = event * 7 % policies / 20 * 20;
                format!("system:serviceaccount:team-{number}:deployer-{number}")
            } else {
                format!("system:serviceaccount:kube-system:controller-{event}")
            };
            AuditEvent {
                stage: AuditStage::ResponseComplete,
                verb: if event % 3 == 0 { "get" } else { "update" }.to_owned(),
                user: UserInfo {
                    username: user,
                    groups: vec!["system:serviceaccounts".to_owned(), "system:authenticated".to_owned()],
                    ..UserInfo::default()
                },
                source_ips: vec!["10.128.0.17".to_owned()],
                user_agent: "kube-controller-manager/v1.34.1 (linux/amd64) kubernetes/93248f9".to_owned(),
                object_ref: Some(ObjectReference {
                    resource: if event % 2 == 0 { "secrets" } else { "configmaps" }.to_owned(),
                    namespace: "shop".to_owned(),
                    name: format!("web-config-{event}"),
                    ..ObjectReference::default()
                }),
                ..AuditEvent::default()
            }
        })
        .collect()
}

fn deployment() -> Deployment {
    Deployment {
        name: "web".to_owned(),
        namespace: "shop".to_owned(),
        containers: vec![Container { name: "main".to_owned(), ..Container::default() }],
        ..Deployment::default()
    }
}

// === measuring ===

fn measure<E>(
    bench: &mut Criterion,
    name: &str,
    make_set: impl Fn(usize) -> PolicySet,
    make_events: impl Fn(usize) -> Vec<E>,
    occurrence: impl Fn(&E) -> Occurrence<'_>,
    deployment: Option<&Deployment>,
) {
    let now: Timestamp = "2026-06-01T00:00:00Z".parse().expect("a time");
    let cluster = ClusterId::new("c1");
    let mut group = bench.benchmark_group(name);
    for policies in POLICIES {
        let set = make_set(policies);
        let events = make_events(policies);
        let inputs: Vec<Input<'_>> = events
            .iter()
            .map(|event| Input {
                cluster: &cluster,
                occurrence: occurrence(event),
                deployment,
                images: &[],
                cluster_labels: None,
                namespace_labels: None,
                deviates: None,
            })
            .collect();
        let matched = inputs.iter().filter(|input| !set.evaluate(input, now).violations.is_empty()).count();
        assert_eq!(matched, EVENTS / MATCHING, "one event in {MATCHING} matches");
        let mut next = inputs.iter().cycle();
        group.bench_function(BenchmarkId::new("fast", policies), |bench| {
            bench.iter(|| next.next().map(|input| set.evaluate(black_box(input), now)));
        });
        let mut next = inputs.iter().cycle();
        group.bench_function(BenchmarkId::new("naive", policies), |bench| {
            bench.iter(|| next.next().map(|input| set.evaluate_unfiltered(black_box(input), now)));
        });
    }
    group.finish();
}

fn process(bench: &mut Criterion) {
    let set = |policies| set(policies, EventSource::DeploymentEvent, process_groups);
    let deployment = deployment();
    measure(bench, "process", set, process_events, |event| Occurrence::Process(event), Some(&deployment));
}

fn audit(bench: &mut Criterion) {
    let set = |policies| set(policies, EventSource::AuditLogEvent, audit_groups);
    measure(bench, "audit", set, audit_events, |event| Occurrence::Audit(event), None);
}

/// What filing adds to compiling.
fn compile(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("compile");
    group.sample_size(10);
    group.bench_function(BenchmarkId::new("process", 1_000), |bench| {
        bench.iter(|| set(1_000, EventSource::DeploymentEvent, process_groups));
    });
    group.finish();
}

criterion_group!(benches, process, audit, compile);
criterion_main!(benches);
