//! What must hold of any bytes from outside. Each function takes bytes and panics where something does not hold.
//!
//! `tests/seeded.rs` tries them on mutations of real files in every run of the tests; `make fuzz` builds each with
//! coverage and looks for new ways, for as long as you like.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "to panic is how these functions say that something does not hold"
)]

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use lictor_detection::{ClusterState, Judge, JudgeContext, Target};
use lictor_engine::{Options, PolicyRevision, PolicySet};
use lictor_normalize::manifest::{self, Text};
use lictor_normalize::{Batch, Format, Origin};
use lictor_policies::{Set, to_custom_resource};
use lictor_wire::{Cause, ClusterId, Event, Policy};

/// A policy file in JSON: whatever is read can be asked in both modes, and comes back from an export as it was.
pub fn policy_json(bytes: &[u8]) {
    policies(bytes, |policy| policy.to_export().expect("a policy that was read can be written").to_string());
}

/// A policy file in YAML, custom resources included.
pub fn policy_yaml(bytes: &[u8]) {
    policies(bytes, |policy| policy.to_export().expect("a policy that was read can be written").to_string());
    policies(bytes, |policy| to_custom_resource(policy).expect("a policy that was read can be written"));
}

fn policies(bytes: &[u8], write: impl Fn(&Policy) -> String) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for file in lictor_policies::read("fuzz", text).policies {
        for parity in [false, true] {
            let revision = PolicyRevision { policy: Arc::new(file.policy.clone()), revision: 1 };
            let compiled = PolicySet::compile([revision], Options { parity });
            assert!(compiled.refused.is_empty(), "what is valid can be asked: {:?}", compiled.refused);
        }
        let written = write(&file.policy);
        let again = lictor_policies::read("again", &written);
        assert_eq!(again.findings, [], "{written}");
        let again = again.policies.into_iter().next().expect("what was written is read");
        assert_eq!(write(&again.policy), written);
    }
}

/// An audit log's line or a webhook's body: the same bytes give the same events, which travel and are judged.
pub fn audit(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    events(&read(Format::Audit, text), &read(Format::Audit, text));
}

/// A line of a sensor's export.
pub fn tetragon(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    events(&read(Format::Tetragon, text), &read(Format::Tetragon, text));
}

fn read(format: Format, text: &str) -> Vec<Event> {
    let mut batch = Batch::default();
    // What a text is said to hold is for the reader to confirm.
    let _ = Format::detect(text);
    let _ = format.read(text, &origin(), &mut batch);
    batch.events
}

fn events(once: &[Event], again: &[Event]) {
    assert_eq!(once, again, "the same bytes give the same events");
    for event in once {
        let written = event.to_line().expect("an event that was read can be written");
        assert_eq!(written.lines().count(), 1, "an event is one line");
        let read = Event::parse(&written).expect("an event that was written is read");
        assert_eq!(read.to_line().expect("again"), written);
        judge(event, &ClusterState::default());
    }
}

/// Manifests: the same text gives the same workloads, which travel and are judged.
pub fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = || manifest::read([Text { name: "fuzz", text }], &cluster());
    let found = read();
    assert_eq!(found.deployments.len(), found.places.len());
    assert_eq!(found.deployments, read().deployments, "the same text gives the same workloads");
    for deployment in found.deployments {
        let body = lictor_wire::DeploymentEvent { deployment, ..lictor_wire::DeploymentEvent::default() };
        let event = Event {
            id: lictor_wire::EventId::new("e"),
            source: "/fuzz".to_owned(),
            time: now(),
            cluster: cluster(),
            traceparent: None,
            extensions: std::collections::BTreeMap::new(),
            data: lictor_wire::EventData::Deployment(Box::new(body)),
        };
        let written = event.to_line().expect("a workload that was read can be written");
        assert_eq!(Event::parse(&written).expect("what was written is read"), event);
        judge(&event, &ClusterState::default());
    }
}

/// Judges with everything that ships, in both modes.
fn judge(event: &Event, state: &ClusterState) {
    static SETS: LazyLock<[PolicySet; 2]> = LazyLock::new(|| {
        [false, true].map(|parity| {
            let read = lictor_policies::read_all(Set::ALL.into_iter().flat_map(Set::files));
            let revisions = read.policies.into_iter().map(|file| PolicyRevision {
                policy: Arc::new(Policy { disabled: false, ..file.policy }),
                revision: 1,
            });
            PolicySet::compile(revisions, Options { parity }).set
        })
    });
    for policies in &*SETS {
        let context = JudgeContext {
            stream: "",
            sequence: 0,
            cause: Cause::Observed,
            may_wait: false,
            now: now(),
            traceparent: None,
        };
        let judge = Judge { state, policies, policies_revision: 1 };
        let _judgement = judge.event(event, context);
        let Some(target) = Target::of(&event.data) else { continue };
        state.join(&event.cluster, target, &mut |subject, _| {
            let fast = policies.evaluate(subject, now());
            assert_eq!(fast, policies.evaluate_unfiltered(subject, now()), "fast and naive agree");
        });
    }
}

fn origin() -> Origin {
    Origin { cluster: cluster(), source: "/fuzz".to_owned(), received: now() }
}

fn cluster() -> ClusterId {
    ClusterId::new("c1")
}

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().expect("a time")
}
