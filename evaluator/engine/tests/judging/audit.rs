//! The audit log.

use lictor_engine::Occurrence;
use lictor_wire::policy::{EventSource, Group, Policy, Scope};
use lictor_wire::{AuditEvent, AuditStage, ObjectReference, UserInfo};

use crate::fixture::{Outcome, Scene, any, group, not, outcome, runtime_policy, section, set};

fn policy(more: impl IntoIterator<Item = Group>) -> Policy {
    let both = [
        any("Kubernetes Resource", &["SECRETS", "CLUSTER_ROLES", "NETWORK_POLICIES"]),
        any("Kubernetes API Verb", &["GET", "CREATE"]),
    ];
    let sections = [section(both.into_iter().chain(more))];
    Policy { event_source: EventSource::AuditLogEvent, ..runtime_policy(sections) }
}

fn event(verb: &str, resource: &str) -> AuditEvent {
    AuditEvent {
        stage: AuditStage::ResponseComplete,
        verb: verb.to_owned(),
        user: UserInfo {
            username: "system:admin".to_owned(),
            groups: vec!["system:masters".to_owned(), "dev".to_owned()],
            ..UserInfo::default()
        },
        source_ips: vec!["10.1.1.10".to_owned()],
        user_agent: "kubectl/1.30".to_owned(),
        object_ref: Some(ObjectReference {
            resource: resource.to_owned(),
            namespace: "shop".to_owned(),
            name: "tls-key".to_owned(),
            ..ObjectReference::default()
        }),
        ..AuditEvent::default()
    }
}

fn judge(policy: Policy, event: &AuditEvent) -> Outcome {
    outcome(&Scene::unknown().judge_event(&set(policy), Occurrence::Audit(event)))
}

#[test]
fn which_events_are_judged() {
    let cases = [
        ("get", "secrets", AuditStage::ResponseComplete, true),
        ("get", "secrets", AuditStage::Panic, true),
        ("get", "secrets", AuditStage::RequestReceived, false),
        ("get", "secrets", AuditStage::ResponseStarted, false),
        ("create", "secrets", AuditStage::ResponseComplete, true),
        ("delete", "secrets", AuditStage::ResponseComplete, false),
        ("list", "secrets", AuditStage::ResponseComplete, false),
        ("watch", "secrets", AuditStage::ResponseComplete, false),
        ("create", "clusterroles", AuditStage::ResponseComplete, true),
        ("create", "networkpolicies", AuditStage::ResponseComplete, true),
        // Reading counts for secrets and config maps only.
        ("get", "clusterroles", AuditStage::ResponseComplete, false),
        ("create", "configmaps", AuditStage::ResponseComplete, false),
        ("create", "pods", AuditStage::ResponseComplete, false),
    ];
    for (verb, resource, stage, violated) in cases {
        let event = AuditEvent { stage: stage.clone(), ..event(verb, resource) };
        let wanted = if violated { Outcome::Violated } else { Outcome::Clean };
        assert_eq!(judge(policy([]), &event), wanted, "{verb} {resource} {stage:?}");
    }
}

#[test]
fn criteria() {
    let cases = [
        (group("Kubernetes User Name", "SYSTEM:ad"), true),
        (group("Kubernetes User Name", "admin"), false),
        (not(group("Kubernetes User Name", "system:admin")), false),
        (group("Kubernetes User Groups", "dev"), true),
        (group("Kubernetes User Groups", "ops"), false),
        // No group is one of these.
        (not(group("Kubernetes User Groups", "dev")), false),
        (not(group("Kubernetes User Groups", "ops")), true),
        (group("Kubernetes Resource Name", "tls"), true),
        (group("User Agent", "kubectl"), true),
        (group("Source IP Address", "10.1.1.1"), true),
        (group("Source IP Address", "10.1.1.2"), false),
        (group("Is Impersonated User", "false"), true),
        (group("Is Impersonated User", "true"), false),
    ];
    for (criterion, violated) in cases {
        let wanted = if violated { Outcome::Violated } else { Outcome::Clean };
        assert_eq!(judge(policy([criterion.clone()]), &event("get", "secrets")), wanted, "{criterion:?}");
    }
}

#[test]
fn the_impersonated_user_is_not_looked_at() {
    let mut event = event("get", "secrets");
    event.impersonated_user = Some(UserInfo { username: "bob".to_owned(), ..UserInfo::default() });
    assert_eq!(judge(policy([group("Kubernetes User Name", "bob")]), &event), Outcome::Clean);
    assert_eq!(judge(policy([group("Is Impersonated User", "true")]), &event), Outcome::Violated);
}

#[test]
fn empty_lists_match_what_is_negated() {
    let mut event = event("get", "secrets");
    event.user.groups.clear();
    assert_eq!(judge(policy([not(group("Kubernetes User Groups", "dev"))]), &event), Outcome::Violated);
    assert_eq!(judge(policy([group("Kubernetes User Groups", "dev")]), &event), Outcome::Clean);
}

#[test]
fn objects_of_the_whole_cluster_are_in_every_namespace_scope() {
    let scoped = |namespace: &str| {
        let scope = Scope { namespace: namespace.to_owned(), ..Scope::default() };
        Policy { scope: vec![scope], ..policy([]) }
    };
    let mut event = event("create", "clusterroles");
    assert_eq!(judge(scoped("shop"), &event), Outcome::Violated);
    assert_eq!(judge(scoped("other"), &event), Outcome::Clean);
    event.object_ref.as_mut().unwrap().namespace.clear();
    assert_eq!(judge(scoped("other"), &event), Outcome::Violated);
}
