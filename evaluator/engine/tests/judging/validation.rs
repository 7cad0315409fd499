//! What policies may say.

use lictor_engine::{Options, PolicyRevision, PolicySet, ProblemCode, validate};
use lictor_wire::policy::{
    EnforcementAction, EvaluationFilter, EventSource, ExcludedDeployment, ExcludedImage, Exclusion,
    FilteredContainerType, Group, LifecycleStage, Policy, Scope, ScopeLabel, Severity,
};

use crate::fixture::{all, any, build_policy, deploy_policy, group, not, runtime_policy, section};

fn codes(policy: &Policy) -> Vec<ProblemCode> {
    match validate(policy) {
        Ok(()) => Vec::new(),
        Err(problems) => problems.into_iter().map(|problem| problem.code).collect(),
    }
}

fn deploy() -> Policy {
    deploy_policy([section([group("Image Tag", "latest")])])
}

fn bash() -> Policy {
    runtime_policy([section([group("Process Name", "bash")])])
}

#[test]
fn sound_policies_pass() {
    assert_eq!(validate(&deploy()), Ok(()));
    assert_eq!(validate(&bash()), Ok(()));
    assert_eq!(validate(&build_policy([section([group("CVSS", ">= 7.1")])])), Ok(()));
}

#[test]
fn fields() {
    let cases = [
        (Policy { name: "abcd".to_owned(), ..deploy() }, ProblemCode::Name),
        (Policy { name: " abcd ".to_owned(), ..deploy() }, ProblemCode::Name),
        (Policy { name: "a".repeat(129), ..deploy() }, ProblemCode::Name),
        (Policy { name: "abc$de".to_owned(), ..deploy() }, ProblemCode::Name),
        (Policy { description: "x".repeat(801), ..deploy() }, ProblemCode::Description),
        (Policy { severity: Severity::Unset, ..deploy() }, ProblemCode::Severity),
        (Policy { categories: vec![], ..deploy() }, ProblemCode::Categories),
        (Policy { categories: vec!["a".to_owned(); 2], ..deploy() }, ProblemCode::Categories),
        (Policy { policy_version: "1".to_owned(), ..deploy() }, ProblemCode::Version),
        (Policy { lifecycle_stages: vec![], ..deploy() }, ProblemCode::Stages),
        (Policy { policy_sections: vec![], ..deploy() }, ProblemCode::Section),
        (deploy_policy([section([])]), ProblemCode::Section),
    ];
    for (policy, code) in cases {
        assert_eq!(codes(&policy), [code], "{policy:?}");
    }
}

#[test]
fn groups() {
    let repeated = section([group("Image Tag", "a"), group("Image Tag", "b")]);
    assert_eq!(codes(&deploy_policy([repeated])), [ProblemCode::Group]);
    let cases = [
        (any("Image Tag", &[]), ProblemCode::Group),
        (group("image tag", "a"), ProblemCode::UnknownCriterion),
        (not(group("CVSS", "7")), ProblemCode::Negation),
        (any("Image Age", &["1", "2"]), ProblemCode::Operator),
        (
            all(
                "Image Signature Verified By",
                &["io.stackrox.signatureintegration.00000000-0000-0000-0000-000000000000"],
            ),
            ProblemCode::Operator,
        ),
    ];
    for (group, code) in cases {
        assert_eq!(codes(&deploy_policy([section([group.clone()])])), [code], "{group:?}");
    }
}

#[test]
fn a_misspelt_criterion_is_told_its_name() {
    let problems = validate(&deploy_policy([section([group("image tag", "a")])])).unwrap_err();
    assert_eq!(problems[0].path, "policySections[0].policyGroups[0].fieldName");
    assert_eq!(problems[0].hint, "did you mean `Image Tag`?");
}

#[test]
fn values() {
    let accepted = [
        group("CVSS", "7"),
        group("CVSS", ">= 7.5"),
        group("CVSS", "<.5"),
        group("Image Age", "30"),
        group("Required Label", "a=b=c"),
        group("Environment Variable", "secret_key=K="),
        group("Dockerfile Line", "user=root"),
        group("Severity", ">= important"),
        group("Minimum RBAC Permissions", "cluster_admin"),
        group("Image Tag", "r/x"),
        group("Image Tag", "(?i)x"),
        group("Drop Capabilities", "all"),
    ];
    for group in accepted {
        assert_eq!(codes(&deploy_policy([section([group.clone()])])), [], "{group:?}");
    }
    let refused = [
        group("CVSS", "= 7"),
        group("CVSS", "7."),
        group("Image Age", "30d"),
        group("Image Age", ">30"),
        group("Required Label", "a"),
        group("Required Label", "=b"),
        group("Environment Variable", "K=V"),
        group("Environment Variable", "BAD=K=V"),
        group("Dockerfile Line", "RUN"),
        group("Dockerfile Line", "FOO=x"),
        group("Severity", "MEDIUM"),
        group("Minimum RBAC Permissions", "NONE"),
        group("Image Tag", "("),
        group("Image Tag", "(?=x)"),
        group("Image Tag", " "),
        group("Exposed Port", "80.5"),
        group("Privileged Container", "yes"),
        group("Fixable", "tRue"),
        group("Add Capabilities", "ALL"),
        group("Image Signature Verified By", "00000000-0000-0000-0000-000000000000"),
    ];
    for group in refused {
        assert_eq!(codes(&deploy_policy([section([group.clone()])])), [ProblemCode::Value], "{group:?}");
    }
}

#[test]
fn resources_go_with_the_event_source() {
    let exec = |name: &str| runtime_policy([section([group("Kubernetes Resource", name)])]);
    assert_eq!(codes(&exec("PODS_EXEC")), []);
    assert_eq!(codes(&exec("SECRETS")), [ProblemCode::Value]);
    let audit = |name: &str| Policy {
        event_source: EventSource::AuditLogEvent,
        ..runtime_policy([section([group("Kubernetes Resource", name), group("Kubernetes API Verb", "GET")])])
    };
    assert_eq!(codes(&audit("SECRETS")), []);
    assert_eq!(codes(&audit("PODS_EXEC")), [ProblemCode::Value]);
}

#[test]
fn stages_and_sources() {
    let both = vec![LifecycleStage::Deploy, LifecycleStage::Runtime];
    assert!(codes(&Policy { lifecycle_stages: both, ..bash() }).contains(&ProblemCode::Stages));
    let none = Policy { event_source: EventSource::NotApplicable, ..bash() };
    assert_eq!(codes(&none), [ProblemCode::EventSource]);
    let some = Policy { event_source: EventSource::NodeEvent, ..deploy() };
    assert_eq!(codes(&some), [ProblemCode::EventSource]);
}

#[test]
fn criteria_have_their_stage() {
    let misplaced = [
        build_policy([section([group("Privileged Container", "true")])]),
        deploy_policy([section([group("Process Name", "bash")])]),
        runtime_policy([section([group("Process Name", "bash"), group("User Agent", "x")])]),
        Policy {
            event_source: EventSource::NodeEvent,
            ..runtime_policy([section([group("File Path", "/a"), group("Image Tag", "1")])])
        },
        runtime_policy([
            section([group("Process Name", "bash")]),
            section([group("Kubernetes Resource", "PODS_EXEC")]),
        ]),
        runtime_policy([section([group("Process Name", "bash")]), section([group("File Path", "/a")])]),
    ];
    for policy in misplaced {
        assert_eq!(codes(&policy), [ProblemCode::MisplacedCriterion], "{policy:?}");
    }
    let source =
        |event_source, groups: Vec<Group>| Policy { event_source, ..runtime_policy([section(groups)]) };
    let incomplete = [
        source(EventSource::DeploymentEvent, vec![group("Image Tag", "1")]),
        source(EventSource::DeploymentEvent, vec![group("Kubernetes User Name", "bob")]),
        source(EventSource::DeploymentEvent, vec![group("File Operation", "OPEN")]),
        source(EventSource::AuditLogEvent, vec![group("Kubernetes API Verb", "GET")]),
        source(EventSource::NodeEvent, vec![group("Process Name", "vi")]),
    ];
    for policy in incomplete {
        assert_eq!(codes(&policy), [ProblemCode::MissingCriterion], "{policy:?}");
    }
}

#[test]
fn scopes_and_exclusions() {
    let label = Some(ScopeLabel { key: "a".to_owned(), value: String::new() });
    let scopes = [
        Scope::default(),
        Scope { cluster: "c".to_owned(), cluster_label: label.clone(), ..Scope::default() },
        Scope { namespace: "n".to_owned(), namespace_label: label.clone(), ..Scope::default() },
        Scope { namespace: "(".to_owned(), ..Scope::default() },
    ];
    for scope in scopes {
        assert_eq!(
            codes(&Policy { scope: vec![scope.clone()], ..deploy() }),
            [ProblemCode::Scope],
            "{scope:?}"
        );
    }
    let deployment = |name: &str, scope| Exclusion {
        deployment: Some(ExcludedDeployment { name: name.to_owned(), scope }),
        ..Exclusion::default()
    };
    let image = |name: &str| Exclusion {
        image: Some(ExcludedImage { name: name.to_owned() }),
        ..Exclusion::default()
    };
    let labelled = Scope { namespace_label: label, ..Scope::default() };
    let cases = [
        (deploy(), Exclusion::default()),
        (deploy(), deployment("", None)),
        (deploy(), image("x")),
        (deploy(), deployment("a", Some(labelled))),
        (build_policy([section([group("Image Tag", "1")])]), deployment("a", None)),
        (build_policy([section([group("Image Tag", "1")])]), image("")),
    ];
    for (policy, exclusion) in cases {
        let policy = Policy { exclusions: vec![exclusion.clone()], ..policy };
        assert_eq!(codes(&policy), [ProblemCode::Exclusion], "{exclusion:?}");
    }
}

#[test]
fn actions_and_filters() {
    let audit = Policy {
        event_source: EventSource::AuditLogEvent,
        enforcement_actions: vec![EnforcementAction::KillPod],
        ..runtime_policy([section([
            group("Kubernetes Resource", "SECRETS"),
            group("Kubernetes API Verb", "GET"),
        ])])
    };
    assert_eq!(codes(&audit), [ProblemCode::Enforcement]);
    let network = Policy {
        enforcement_actions: vec![EnforcementAction::ScaleToZero],
        ..deploy_policy([section([group("Has Ingress Network Policy", "false")])])
    };
    assert_eq!(codes(&network), [ProblemCode::Enforcement]);
    // An action of a stage the policy does not have is taken away, not refused.
    let strange = Policy { enforcement_actions: vec![EnforcementAction::KillPod], ..deploy() };
    assert_eq!(codes(&strange), []);
    let filter = EvaluationFilter { skip_container_types: vec![FilteredContainerType::Init] };
    let build = build_policy([section([group("Image Tag", "1")])]);
    assert_eq!(codes(&Policy { evaluation_filter: Some(filter), ..build }), [ProblemCode::EvaluationFilter]);
    let both = section([group("Add Capabilities", "KILL"), group("Drop Capabilities", "KILL")]);
    assert_eq!(codes(&deploy_policy([both])), [ProblemCode::Capabilities]);
}

#[test]
fn everything_wrong_is_said_at_once() {
    let policy = Policy {
        name: String::new(),
        severity: Severity::Unset,
        ..deploy_policy([section([group("Nonsense", "a"), group("CVSS", "x")])])
    };
    let codes = codes(&policy);
    for code in [ProblemCode::Name, ProblemCode::Severity, ProblemCode::UnknownCriterion, ProblemCode::Value]
    {
        assert!(codes.contains(&code), "{code}");
    }
}

#[test]
fn a_refused_policy_does_not_touch_the_others() {
    let revision = |policy| PolicyRevision { policy: std::sync::Arc::new(policy), revision: 3 };
    let bad = Policy { disabled: true, ..deploy_policy([section([group("Nonsense", "a")])]) };
    let compiled = PolicySet::compile([revision(bad), revision(bash())], Options::default());
    assert_eq!(compiled.set.len(), 1);
    assert_eq!(compiled.refused.len(), 1);
    assert_eq!(compiled.refused[0].revision, 3);
}
