//! The rules by which verdicts become alerts, one by one.

use lictor_store::{Alert, AlertFilter, AlertState, Ledger, Log, VIOLATIONS_SHOWN};
use lictor_wire::policy::{EnforcementAction, LifecycleStage, Severity};
use lictor_wire::{
    Cause, Decision, InstallationId, Kind, Outcome, PolicyFailure, ReceiptStep, Undecided, Verdict,
};

use crate::support::{
    apply, apply_receipt, clean, deploy, in_pod, memory, minute, policy, receipt, runtime, shown, with,
    with_action, workload,
};

fn alerts(ledger: &Ledger) -> Vec<Alert> {
    let page = ledger.alerts(&AlertFilter::default(), None, 100).unwrap();
    page.items.iter().map(|alert| ledger.alert(&alert.id).unwrap().unwrap()).collect()
}

fn only(ledger: &Ledger) -> Alert {
    let mut all = alerts(ledger);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

fn found(alert: &Alert) -> Vec<&str> {
    alert.violations.iter().map(|v| v.sections[0].evidence[0].found.as_str()).collect()
}

/// Sequences and revisions of a lost installation say nothing about those of the one that takes its place.
#[test]
fn a_ledger_that_follows_a_replacement_reads_its_logs_from_the_beginning() {
    let ledger = memory();
    assert_eq!(ledger.installation().unwrap(), None);
    let adopt = |id: &str| ledger.adopt(&InstallationId::new(id)).unwrap();
    adopt("a");
    apply(&ledger, [with(deploy("web", "e1", 7, [7, 7, 7]), policy("p", 5), "old")]);
    let read = ledger.checkpoint(Log::Verdicts).unwrap();
    adopt("a");
    assert_eq!(ledger.checkpoint(Log::Verdicts).unwrap(), read);
    adopt("b");
    assert_eq!(ledger.installation().unwrap(), Some(InstallationId::new("b")));
    assert_eq!(ledger.checkpoint(Log::Verdicts).unwrap(), 0);
    assert_eq!(only(&ledger).summary.state, AlertState::Active);
    // Its first verdict is not taken for an old one.
    apply(&ledger, [deploy("web", "e2", 8, [1, 1, 1])]);
    assert_eq!(only(&ledger).summary.state, AlertState::Resolved);
}

#[test]
fn a_deploy_alert_opens_changes_and_resolves() {
    let ledger = memory();
    apply(&ledger, [with(deploy("web", "e1", 1, [1, 1, 5]), policy("p", 5), "old")]);
    let opened = only(&ledger);
    assert_eq!(opened.summary.state, AlertState::Active);
    assert_eq!((opened.summary.first_occurred, opened.summary.time), (minute(1), minute(1)));

    // The same found again: not even the time moves.
    apply(&ledger, [with(deploy("web", "e2", 2, [2, 1, 5]), policy("p", 5), "old")]);
    assert_eq!(only(&ledger), opened);

    apply(&ledger, [with(deploy("web", "e3", 3, [3, 1, 5]), policy("p", 5), "new")]);
    let merged = only(&ledger);
    assert_eq!(merged.summary.id, opened.summary.id);
    assert_eq!((merged.summary.first_occurred, merged.summary.time), (minute(1), minute(3)));
    assert_eq!((found(&merged), merged.summary.count), (vec!["new"], 1));

    apply(&ledger, [deploy("web", "e4", 4, [4, 1, 5])]);
    let resolved = only(&ledger);
    assert_eq!(resolved.summary.state, AlertState::Resolved);
    assert_eq!(resolved.summary.resolved_at, Some(minute(5)));

    // What comes back is a new alert.
    apply(&ledger, [with(deploy("web", "e5", 5, [5, 1, 5]), policy("p", 5), "new")]);
    assert_eq!(alerts(&ledger).len(), 2);
}

#[test]
fn a_deploy_verdict_that_read_nothing_newer_changes_nothing() {
    let ledger = memory();
    apply(&ledger, [with(deploy("web", "e1", 1, [3, 3, 5]), policy("p", 5), "a")]);
    let before = shown(&ledger);
    apply(
        &ledger,
        [
            deploy("web", "e0", 0, [2, 3, 5]),
            deploy("web", "e1", 1, [3, 3, 5]),
            with(deploy("web", "e0", 0, [1, 1, 5]), policy("q", 5), "b"),
        ],
    );
    assert_eq!(shown(&ledger), before);
    // All the same the violation was seen.
    assert_eq!(ledger.violation_ids().unwrap().len(), 2);
}

#[test]
fn unknown_is_not_false() {
    let ledger = memory();
    apply(&ledger, [with(deploy("web", "e1", 1, [1, 1, 5]), policy("p", 5), "a")]);
    let mut unsure = deploy("web", "e2", 2, [2, 1, 5]);
    unsure.undecided.push(Undecided { policy: policy("p", 5), missing: vec!["scan".to_owned()] });
    apply(&ledger, [unsure]);
    let open = only(&ledger);
    assert_eq!(open.summary.state, AlertState::Active);
    assert_eq!(open.summary.undecided.unwrap().missing, ["scan"]);

    let mut failed = deploy("web", "e3", 3, [3, 1, 5]);
    failed.failures.push(PolicyFailure { policy: policy("p", 5), message: "too deep".to_owned() });
    apply(&ledger, [failed]);
    assert_eq!(only(&ledger).summary.undecided.unwrap().failure.as_deref(), Some("too deep"));

    apply(&ledger, [with(deploy("web", "e4", 4, [4, 1, 5]), policy("p", 5), "a")]);
    assert_eq!(only(&ledger).summary.undecided, None);
}

#[test]
fn who_has_not_read_the_policy_does_not_resolve_it() {
    let ledger = memory();
    apply(&ledger, [with(deploy("web", "e1", 1, [1, 1, 9]), policy("p", 9), "a")]);
    apply(&ledger, [deploy("web", "e2", 2, [2, 1, 8])]);
    assert_eq!(only(&ledger).summary.state, AlertState::Active);
}

#[test]
fn an_edited_policy_shows_its_new_severity_and_keeps_the_time() {
    let ledger = memory();
    apply(&ledger, [with(deploy("web", "e1", 1, [1, 1, 5]), policy("p", 5), "a")]);
    assert_eq!(only(&ledger).summary.policy.severity, Severity::Low);
    apply(&ledger, [with(deploy("web", "e1", 1, [1, 1, 6]), policy("p", 6), "a")]);
    let edited = only(&ledger);
    assert_eq!(edited.summary.policy.severity, Severity::High);
    assert_eq!((edited.summary.time, edited.violations[0].policy_revision), (minute(1), 6));
}

#[test]
fn a_runtime_alert_counts_everything_and_shows_the_newest() {
    let ledger = memory();
    let all = VIOLATIONS_SHOWN as i64 + 20;
    let event = |at: i64| with(runtime("web", &format!("e{at}"), at), policy("p", 5), &at.to_string());
    apply(&ledger, (0..all).map(event));
    apply(&ledger, (0..all).map(event));
    let alert = only(&ledger);
    assert_eq!((alert.summary.count, alert.violations.len()), (all.unsigned_abs(), VIOLATIONS_SHOWN));
    assert_eq!((alert.summary.first_occurred, alert.summary.time), (minute(0), minute(all - 1)));
    assert_eq!(found(&alert)[..2], ["59", "58"]);
    assert_eq!(alert.violations[0].pod.as_ref().unwrap().name, "pod-1");

    // Late and old: counted, not shown.
    apply(&ledger, [with(runtime("web", "late", -5), policy("p", 5), "late")]);
    let later = only(&ledger);
    assert_eq!((later.summary.count, later.summary.first_occurred), (all.unsigned_abs() + 1, minute(-5)));
    assert_eq!(later.violations, alert.violations);
}

#[test]
fn the_same_runtime_event_counts_once_and_the_newer_policy_speaks() {
    let ledger = memory();
    apply(&ledger, [with(runtime("web", "e1", 1), policy("p", 5), "a")]);
    apply(&ledger, [with(runtime("web", "e1", 1), policy("p", 6), "b")]);
    apply(&ledger, [with(runtime("web", "e1", 1), policy("p", 4), "c")]);
    apply(&ledger, [with(runtime("web", "e1", 1), policy("p", 6), "d")]);
    let alert = only(&ledger);
    assert_eq!((found(&alert), alert.summary.count), (vec!["b"], 1));
    assert_eq!(alert.summary.policy, policy("p", 6));
}

#[test]
fn a_clean_runtime_verdict_resolves_nothing() {
    let ledger = memory();
    apply(&ledger, [with(runtime("web", "e1", 1), policy("p", 5), "a"), runtime("web", "e2", 2)]);
    assert_eq!(only(&ledger).summary.state, AlertState::Active);
}

#[test]
fn gone_resolves_what_is_and_keeps_what_happened() {
    let ledger = memory();
    apply(&ledger, [with(deploy("web", "e1", 1, [1, 1, 5]), policy("p", 5), "a")]);
    apply(&ledger, [with(runtime("web", "e2", 2), policy("q", 5), "a")]);
    apply(&ledger, [Verdict { gone: true, ..deploy("web", "e3", 3, [2, 1, 5]) }]);
    let by = |stage| {
        alerts(&ledger).into_iter().find(|alert| alert.summary.lifecycle_stage == stage).unwrap().summary
    };
    assert_eq!(by(LifecycleStage::Deploy).state, AlertState::Resolved);
    let runtime_alert = by(LifecycleStage::Runtime);
    assert_eq!((runtime_alert.state, runtime_alert.inactive), (AlertState::Active, true));
    // What the dead pod did last arrives late.
    apply(&ledger, [with(runtime("web", "e4", 2), policy("r", 5), "a")]);
    assert!(alerts(&ledger).iter().all(|alert| alert.summary.inactive));
}

#[test]
fn replays_and_drafts_touch_nothing() {
    let ledger = memory();
    for cause in [Cause::Replay, Cause::Draft] {
        apply(&ledger, [Verdict { cause, ..with(runtime("web", "e1", 1), policy("p", 9), "a") }]);
        apply(&ledger, [Verdict { cause, ..with(deploy("web", "e2", 1, [9, 9, 9]), policy("p", 9), "a") }]);
    }
    assert!(alerts(&ledger).is_empty());
    assert!(ledger.violation_ids().unwrap().is_empty());
}

#[test]
fn a_denied_request_is_an_attempt_and_resolves_nothing() {
    let ledger = memory();
    apply(&ledger, [with(deploy("web", "e1", 1, [1, 1, 5]), policy("other", 5), "a")]);
    let request = |event: &str, at| {
        let mut verdict = with(deploy("web", event, at, [0, 1, 5]), policy("p", 5), "a");
        verdict.event.kind = Kind::Request;
        verdict
    };
    // A warning is not an attempt: the watch will tell of the workload.
    apply(&ledger, [request("r0", 2)]);
    assert_eq!(alerts(&ledger).len(), 1);
    for (event, at) in [("r1", 3), ("r2", 4), ("r2", 4)] {
        apply(&ledger, [with_action(request(event, at), EnforcementAction::ScaleToZero)]);
    }
    let all = alerts(&ledger);
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].summary.state, all[0].summary.count), (AlertState::Attempted, 2));
    assert_eq!(all[1].summary.state, AlertState::Active);

    let exec = clean(LifecycleStage::Runtime, in_pod("web", "pod-1"), "x1", 5, [1, 1, 5]);
    let mut exec = with_action(with(exec, policy("exec", 5), "a"), EnforcementAction::FailKubeRequest);
    exec.event.kind = Kind::Request;
    apply(&ledger, [exec]);
    assert_eq!(alerts(&ledger)[0].summary.state, AlertState::Attempted);
}

#[test]
fn receipts_find_their_alert_whichever_log_is_read_first() {
    let verdict = with_action(with(runtime("web", "e1", 1), policy("p", 5), "a"), EnforcementAction::KillPod);
    let decided = receipt(&verdict, EnforcementAction::KillPod, ReceiptStep::Decision(Decision::Act), 2);
    let change = "deleted pod".to_owned();
    let done = ReceiptStep::Outcome(Outcome::Succeeded { change });
    let ended = receipt(&verdict, EnforcementAction::KillPod, done, 3);

    let (first, second) = (memory(), memory());
    apply(&first, [verdict.clone()]);
    for receipt in [&decided, &ended, &decided] {
        apply_receipt(&first, receipt.clone());
        apply_receipt(&second, receipt.clone());
    }
    apply(&second, [verdict]);
    assert_eq!(shown(&first), shown(&second));
    let alert = only(&first);
    assert_eq!(alert.summary.enforcement[0].counts["act"], 1);
    assert_eq!(alert.summary.enforcement[0].last.message, "deleted pod");
}

#[test]
fn alerts_of_images_in_builds_are_not_kept() {
    let ledger = memory();
    let build = clean(LifecycleStage::Build, workload("web"), "b1", 1, [1, 1, 5]);
    apply(&ledger, [with(build, policy("p", 5), "a")]);
    assert!(alerts(&ledger).is_empty());
    assert_eq!(ledger.violation_ids().unwrap().len(), 1);
}
