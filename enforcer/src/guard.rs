//! Whether an action may be taken. Pure: history and time are arguments.
//!
//! The guards are in one order, the strongest reason first, so that a receipt names the reason a person would.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lictor_cluster::PROTECTED_NAMESPACES;
use lictor_wire::policy::{EnforcementAction, Policy};
use lictor_wire::{Cause, Decision, Entity, Refusal};

use crate::history::History;
use crate::plan::Intent;

/// The limits of the guards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Namespaces that are judged and never acted on, by exact name.
    pub(crate) protected_namespaces: BTreeSet<String>,
    /// Actions per namespace within [`Limits::window`]; above it violations are only reported.
    pub(crate) blast_radius: usize,
    /// The window of the blast radius.
    pub(crate) window: Duration,
    /// Events older than this are not acted on: they no longer describe the cluster, and replaying a log must not kill
    /// pods.
    pub(crate) stale_after: Duration,
    /// Nothing is executed; receipts say what would have been.
    pub(crate) dry_run: bool,
}

/// Decides about one intent.
///
/// `policy` is the policy as it is in force now; `None` when it was deleted. `beside` actions were decided for the
/// same entity just now and have no receipt yet.
pub(crate) fn decide(
    intent: &Intent<'_>,
    limits: &Limits,
    history: &History,
    beside: usize,
    policy: Option<&Policy>,
    now: Timestamp,
) -> Decision {
    let refuse = |refusal, reason: String| Decision::Refuse { refusal, reason };
    let verdict = intent.verdict;
    if matches!(verdict.cause, Cause::Replay | Cause::Draft) {
        return refuse(Refusal::NotLive, "the verdict is of a replay or a draft".to_owned());
    }
    if !applies(intent.action, &verdict.entity) {
        let name = verdict.entity.display_name();
        return refuse(Refusal::NotApplicable, format!("{} does not apply to {name}", intent.action));
    }
    if let Some(reason) = policy_changed(intent, policy) {
        return refuse(Refusal::PolicyChanged, reason);
    }
    let namespace = verdict.entity.namespace();
    if limits.protected_namespaces.contains(namespace) {
        return refuse(
            Refusal::ProtectedNamespace,
            format!("namespace `{namespace}` is excluded from enforcement"),
        );
    }
    let age = now.duration_since(verdict.event.time);
    if age > SignedDuration::try_from(limits.stale_after).unwrap_or(SignedDuration::MAX) {
        let (age, limit) = (age.as_secs(), limits.stale_after.as_secs());
        return refuse(Refusal::StaleEvent, format!("the event is {age} s old, the limit is {limit} s"));
    }
    let acted = beside + history.acted_within(&verdict.entity, limits.window, now);
    if acted >= limits.blast_radius {
        let window = limits.window.as_secs();
        return refuse(
            Refusal::BlastRadius,
            format!("{acted} actions in namespace `{namespace}` within {window} s reach the limit"),
        );
    }
    if limits.dry_run { Decision::DryRun } else { Decision::Act }
}

/// Whether the action is possible for the entity.
fn applies(action: EnforcementAction, entity: &Entity) -> bool {
    match entity {
        Entity::Deployment { kind, pod, .. } => match action {
            EnforcementAction::KillPod => pod.is_some(),
            // A DaemonSet has no scale, as in StackRox; a bare pod or a job has none either.
            EnforcementAction::ScaleToZero => !matches!(&**kind, "DaemonSet" | "Pod" | "Job"),
            EnforcementAction::UnsatisfiableNodeConstraint => !matches!(&**kind, "Pod" | "Job"),
            _ => false,
        },
        Entity::ContainerImage { .. } | Entity::Resource { .. } | Entity::Node { .. } => false,
    }
}

/// Why the policy in force no longer has the action.
fn policy_changed(intent: &Intent<'_>, policy: Option<&Policy>) -> Option<String> {
    let name = &intent.violation.policy.name;
    match policy {
        None => Some(format!("policy `{name}` was deleted")),
        Some(policy) if policy.disabled => Some(format!("policy `{name}` was disabled")),
        Some(policy) if !policy.enforcement_actions.contains(&intent.action) => {
            Some(format!("policy `{name}` no longer has the action {}", intent.action))
        }
        Some(_) => None,
    }
}

impl Limits {
    /// The usual limits for a lictor that runs in `own_namespace`.
    pub(crate) fn usual(own_namespace: &str) -> Self {
        let protected = PROTECTED_NAMESPACES.into_iter().chain([own_namespace]);
        Self {
            protected_namespaces: protected.filter(|name| !name.is_empty()).map(ToOwned::to_owned).collect(),
            blast_radius: 10,
            window: Duration::from_secs(600),
            stale_after: Duration::from_secs(600),
            dry_run: true,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use lictor_wire::policy::{LifecycleStage, Severity};
    use lictor_wire::{
        ActionKey, EventId, EventRef, Kind, PodRef, PolicyId, PolicyRef, Receipt, ReceiptStep, Revisions,
        Verdict, VerdictId, Violation, ViolationId,
    };

    use super::*;
    use crate::history::Progress;
    use crate::plan::plan;

    fn now() -> Timestamp {
        "2026-01-01T00:10:00Z".parse().unwrap()
    }

    fn verdict(namespace: &str, kind: &str, actions: &[EnforcementAction]) -> Verdict {
        let policy = PolicyRef {
            id: PolicyId::new("p"),
            name: "No miners".to_owned(),
            revision: 3,
            severity: Severity::High,
            categories: Vec::new(),
        };
        Verdict {
            id: VerdictId::new("v"),
            event: EventRef {
                id: EventId::new("e"),
                kind: Kind::Process,
                time: "2026-01-01T00:09:30Z".parse().unwrap(),
                stream: String::new(),
                sequence: 0,
            },
            cause: Cause::Observed,
            stage: LifecycleStage::Runtime,
            entity: Entity::Deployment {
                id: lictor_wire::DeploymentId::new("d"),
                name: "web".to_owned(),
                kind: kind.to_owned(),
                namespace: namespace.to_owned(),
                cluster: lictor_wire::ClusterId::new("c"),
                pod: Some(PodRef::default()),
                annotations: std::collections::BTreeMap::new(),
            },
            revisions: Revisions::default(),
            judged_at: now(),
            violations: vec![Violation {
                id: ViolationId::new("x"),
                policy,
                sections: Vec::new(),
                enforcement: actions.to_vec(),
            }],
            undecided: Vec::new(),
            failures: Vec::new(),
            gone: false,
            admission: None,
            traceparent: None,
        }
    }

    fn policy(actions: &[EnforcementAction]) -> Policy {
        Policy { enforcement_actions: actions.to_vec(), ..Policy::default() }
    }

    fn refusal(
        verdict: &Verdict,
        limits: &Limits,
        history: &History,
        policy: Option<&Policy>,
    ) -> Option<Refusal> {
        let intent = plan(verdict).next().unwrap();
        match decide(&intent, limits, history, 0, policy, now()) {
            Decision::Refuse { refusal, .. } => Some(refusal),
            Decision::Act | Decision::DryRun => None,
        }
    }

    pub(crate) fn receipt(number: usize, at: &str) -> Receipt {
        let verdict = verdict("shop", "Deployment", &[EnforcementAction::KillPod]);
        let violation = &verdict.violations[0];
        Receipt {
            id: lictor_wire::ReceiptId::new(format!("r{number}")),
            action_key: ActionKey::new(format!("a{number}")),
            violation: violation.id.clone(),
            verdict: verdict.id.clone(),
            policy: violation.policy.clone(),
            entity: verdict.entity.clone(),
            action: EnforcementAction::KillPod,
            step: ReceiptStep::Decision(Decision::DryRun),
            at: at.parse().unwrap(),
            enforcer: "e".to_owned(),
        }
    }

    const KILL: &[EnforcementAction] = &[EnforcementAction::KillPod];

    #[test]
    fn protected_names_are_exact() {
        let limits = Limits::usual("lictor");
        for namespace in ["stackrox", "kube-system", "cpaas-system", "istio-system", "lictor"] {
            let verdict = verdict(namespace, "Deployment", KILL);
            let refused = refusal(&verdict, &limits, &History::default(), Some(&policy(KILL)));
            assert_eq!(refused, Some(Refusal::ProtectedNamespace), "{namespace}");
        }
        for namespace in ["kube-evil", "kubeflow", "openshift-x", "kube-system2", "Kube-System", "shop"] {
            let verdict = verdict(namespace, "Deployment", KILL);
            assert_eq!(
                refusal(&verdict, &limits, &History::default(), Some(&policy(KILL))),
                None,
                "{namespace}"
            );
        }
    }

    #[test]
    fn the_policy_in_force_has_the_last_word() {
        let verdict = verdict("shop", "Deployment", KILL);
        let limits = Limits::usual("");
        let refused = |policy: Option<&Policy>| refusal(&verdict, &limits, &History::default(), policy);
        assert_eq!(refused(Some(&policy(KILL))), None);
        assert_eq!(refused(None), Some(Refusal::PolicyChanged));
        assert_eq!(refused(Some(&policy(&[]))), Some(Refusal::PolicyChanged));
        let disabled = Policy { disabled: true, ..policy(KILL) };
        assert_eq!(refused(Some(&disabled)), Some(Refusal::PolicyChanged));
    }

    #[test]
    fn the_past_is_left_alone() {
        let mut verdict = verdict("shop", "Deployment", KILL);
        verdict.event.time = "2025-12-31T23:59:59Z".parse().unwrap();
        let refused = refusal(&verdict, &Limits::usual(""), &History::default(), Some(&policy(KILL)));
        assert_eq!(refused, Some(Refusal::StaleEvent));
        verdict.cause = Cause::Replay;
        let refused = refusal(&verdict, &Limits::usual(""), &History::default(), Some(&policy(KILL)));
        assert_eq!(refused, Some(Refusal::NotLive));
    }

    #[test]
    fn the_blast_radius_is_counted_over_all_receipts_of_the_window() {
        let verdict = verdict("shop", "Deployment", KILL);
        let limits = Limits { blast_radius: 2, ..Limits::usual("") };
        let mut history = History::default();
        history.add(&receipt(1, "2026-01-01T00:05:00Z"));
        history.add(&receipt(1, "2026-01-01T00:05:00Z"));
        history.add(&receipt(2, "2025-12-31T23:00:00Z"));
        assert_eq!(refusal(&verdict, &limits, &history, Some(&policy(KILL))), None);
        history.add(&receipt(3, "2026-01-01T00:06:00Z"));
        assert_eq!(refusal(&verdict, &limits, &history, Some(&policy(KILL))), Some(Refusal::BlastRadius));
        assert_eq!(history.progress(&ActionKey::new("a2")), Some(Progress::Decided));
    }

    #[test]
    fn actions_fit_the_kind() {
        use EnforcementAction::{ScaleToZero, UnsatisfiableNodeConstraint};
        let limits = Limits::usual("");
        for (kind, action, fits) in [
            ("DaemonSet", ScaleToZero, false),
            ("DaemonSet", UnsatisfiableNodeConstraint, true),
            ("StatefulSet", ScaleToZero, true),
            ("Pod", ScaleToZero, false),
        ] {
            let verdict = verdict("shop", kind, &[action]);
            let refused = refusal(&verdict, &limits, &History::default(), Some(&policy(&[action])));
            assert_eq!(refused.is_none(), fits, "{kind} {action}");
        }
    }

    #[test]
    fn only_our_actions_are_planned() {
        use EnforcementAction::{FailBuild, FailKubeRequest, KillPod, ScaleToZero};
        let verdict = verdict("shop", "Deployment", &[FailBuild, FailKubeRequest, KillPod, ScaleToZero]);
        let planned: Vec<_> = plan(&verdict).map(|intent| intent.action).collect();
        assert_eq!(planned, [KillPod]);
    }
}
