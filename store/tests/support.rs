//! Verdicts and receipts by builder.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lictor_store::{AlertFilter, Entry, Ledger, Log, Record};
use lictor_wire::policy::{EnforcementAction, LifecycleStage, Severity};
use lictor_wire::{
    ActionKey, Cause, ClusterId, DeploymentId, Entity, EventId, EventRef, Evidence, Kind, PodId, PodRef,
    PolicyId, PolicyRef, Receipt, ReceiptStep, Revisions, SectionMatch, Verdict, Violation, ViolationId,
};

/// `minute` minutes after a beginning of time.
pub(crate) fn minute(minute: i64) -> Timestamp {
    Timestamp::from_second(1_750_000_000 + minute * 60).unwrap()
}

pub(crate) fn workload(name: &str) -> Entity {
    Entity::Deployment {
        id: DeploymentId::new(format!("uid-{name}")),
        name: name.to_owned(),
        kind: "Deployment".to_owned(),
        namespace: "shop".to_owned(),
        cluster: ClusterId::new("c1"),
        pod: None,
        annotations: BTreeMap::new(),
    }
}

pub(crate) fn in_pod(name: &str, pod: &str) -> Entity {
    let mut entity = workload(name);
    if let Entity::Deployment { pod: inside, .. } = &mut entity {
        *inside = Some(PodRef {
            namespace: "shop".to_owned(),
            name: pod.to_owned(),
            uid: PodId::new(format!("uid-{pod}")),
            ..PodRef::default()
        });
    }
    entity
}

pub(crate) fn policy(name: &str, revision: u64) -> PolicyRef {
    PolicyRef {
        id: PolicyId::new(format!("id-{name}")),
        name: name.to_owned(),
        revision,
        severity: if revision.is_multiple_of(2) { Severity::High } else { Severity::Low },
        categories: vec!["Test".to_owned()],
    }
}

/// A verdict without violations.
pub(crate) fn clean(stage: LifecycleStage, entity: Entity, event: &str, at: i64, read: [u64; 3]) -> Verdict {
    let kind = if stage == LifecycleStage::Deploy { Kind::Deployment } else { Kind::Process };
    let [deployment, images, policies] = read;
    let revisions = Revisions { deployment, images, policies };
    let event = EventId::new(event);
    Verdict {
        id: Verdict::id_of(&event, &entity, Cause::Observed, revisions),
        event: EventRef { id: event, kind, time: minute(at), stream: String::new(), sequence: 0 },
        cause: Cause::Observed,
        stage,
        entity,
        revisions,
        judged_at: minute(at + 1),
        violations: Vec::new(),
        undecided: Vec::new(),
        failures: Vec::new(),
        gone: false,
        admission: None,
        traceparent: None,
    }
}

pub(crate) fn deploy(name: &str, event: &str, at: i64, read: [u64; 3]) -> Verdict {
    clean(LifecycleStage::Deploy, workload(name), event, at, read)
}

pub(crate) fn runtime(name: &str, event: &str, at: i64) -> Verdict {
    clean(LifecycleStage::Runtime, in_pod(name, "pod-1"), event, at, [1, 1, 9])
}

/// The verdict with one violation more.
pub(crate) fn with(mut verdict: Verdict, policy: PolicyRef, found: &str) -> Verdict {
    let id = ViolationId::of(&verdict.event.id, &verdict.entity.key(), &policy.id);
    let evidence = Evidence {
        criterion: "Process Name".to_owned(),
        wanted: "x".to_owned(),
        found: found.to_owned(),
        at: String::new(),
    };
    let sections = vec![SectionMatch {
        section: 0,
        name: String::new(),
        evidence: vec![evidence],
        messages: Vec::new(),
    }];
    verdict.violations.push(Violation { id, policy, sections, enforcement: Vec::new() });
    verdict
}

/// The verdict with this enforcement action on each of its violations.
pub(crate) fn with_action(mut verdict: Verdict, action: EnforcementAction) -> Verdict {
    for violation in &mut verdict.violations {
        violation.enforcement.push(action);
    }
    verdict
}

/// A receipt about a verdict's first violation.
pub(crate) fn receipt(verdict: &Verdict, action: EnforcementAction, step: ReceiptStep, at: i64) -> Receipt {
    let violation = verdict.violations.first().unwrap();
    let action_key = ActionKey::of(&violation.id, action);
    Receipt {
        id: Receipt::id_of(&action_key, &step),
        action_key,
        violation: violation.id.clone(),
        verdict: verdict.id.clone(),
        policy: violation.policy.clone(),
        entity: verdict.entity.clone(),
        action,
        step,
        at: minute(at),
        enforcer: "e1".to_owned(),
    }
}

pub(crate) fn entry(sequence: u64, record: Record) -> Entry {
    Entry { sequence, time: minute(0), records: vec![record] }
}

pub(crate) fn memory() -> Ledger {
    Ledger::open_on(redb::backends::InMemoryBackend::new()).unwrap()
}

/// Applies verdicts as one batch, numbered from 1.
pub(crate) fn apply(ledger: &Ledger, verdicts: impl IntoIterator<Item = Verdict>) {
    let from = ledger.checkpoint(Log::Verdicts).unwrap() + 1;
    let entries: Vec<Entry> =
        verdicts.into_iter().zip(from..).map(|(v, n)| entry(n, Record::Verdict(Box::new(v)))).collect();
    ledger.apply(Log::Verdicts, &entries).unwrap();
}

pub(crate) fn apply_receipt(ledger: &Ledger, receipt: Receipt) {
    let next = ledger.checkpoint(Log::Receipts).unwrap() + 1;
    ledger.apply(Log::Receipts, &[entry(next, Record::Receipt(Box::new(receipt)))]).unwrap();
}

/// Every alert with its violations, as the API would show it, by id.
pub(crate) fn shown(ledger: &Ledger) -> BTreeMap<String, serde_json::Value> {
    let page = ledger.alerts(&AlertFilter::default(), None, usize::MAX).unwrap();
    let ids = page.items.into_iter().map(|alert| alert.id);
    ids.map(|id| {
        let alert = ledger.alert(&id).unwrap().unwrap();
        (id.as_str().to_owned(), serde_json::to_value(alert).unwrap())
    })
    .collect()
}
