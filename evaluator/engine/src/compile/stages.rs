//! Which stages, event sources, criteria and actions go together.

use lictor_wire::policy::{EnforcementAction, EventSource, LifecycleStage, Policy, Section};

use crate::criterion::reference::policy_of;
use crate::criterion::{Criterion, Extra, Family};
use crate::policy::Target;
use crate::problem::{ProblemCode, Problems};

/// Checks a whole policy.
pub(super) fn check(policy: &Policy, problems: &mut Problems) {
    check_source(policy, problems);
    for (i, section) in policy.policy_sections.iter().enumerate() {
        let path = format!("policySections[{i}]");
        for (j, group) in section.policy_groups.iter().enumerate() {
            let Some(criterion) = Criterion::named(&group.field_name) else { continue };
            for stage in &policy.lifecycle_stages {
                if let Some((message, hint)) = misplaced(criterion, *stage, policy.event_source) {
                    let path = format!("{path}.policyGroups[{j}].fieldName");
                    problems.add(ProblemCode::MisplacedCriterion, path, message, hint);
                }
            }
        }
        check_companions(policy, section, &path, problems);
    }
    if policy.lifecycle_stages.contains(&LifecycleStage::Runtime) {
        check_runtime_kinds(policy, problems);
    }
    check_actions(policy, problems);
}

fn check_source(policy: &Policy, problems: &mut Problems) {
    let runtime = policy.lifecycle_stages.contains(&LifecycleStage::Runtime);
    let others = policy.lifecycle_stages.iter().any(|stage| *stage != LifecycleStage::Runtime);
    let source = policy.event_source;
    if policy.lifecycle_stages.is_empty() {
        problems.add(
            ProblemCode::Stages,
            "lifecycleStages",
            "a policy needs at least one lifecycle stage",
            "BUILD, DEPLOY or RUNTIME",
        );
    } else if runtime && others {
        problems.add(
            ProblemCode::Stages,
            "lifecycleStages",
            "RUNTIME cannot be combined with BUILD or DEPLOY",
            "make two policies",
        );
    } else if runtime && source == EventSource::NotApplicable {
        problems.add(
            ProblemCode::EventSource,
            "eventSource",
            "a runtime policy needs an event source",
            "DEPLOYMENT_EVENT, AUDIT_LOG_EVENT or NODE_EVENT",
        );
    } else if !runtime && source != EventSource::NotApplicable {
        problems.add(
            ProblemCode::EventSource,
            "eventSource",
            format!("{source} is for runtime policies"),
            "leave it out, or set NOT_APPLICABLE",
        );
    }
}

/// Why a criterion cannot be used at a stage.
fn misplaced(
    criterion: &Criterion,
    stage: LifecycleStage,
    source: EventSource,
) -> Option<(String, &'static str)> {
    let name = criterion.name;
    let family = criterion.family;
    if family.is_usable(stage, source) {
        return None;
    }
    let hint = match family {
        Family::Image => "it can be used at BUILD and DEPLOY, and at RUNTIME with DEPLOYMENT_EVENT",
        Family::Workload => "it can be used at DEPLOY, and at RUNTIME with DEPLOYMENT_EVENT",
        Family::Process | Family::File => "it can be used at RUNTIME with DEPLOYMENT_EVENT or NODE_EVENT",
        Family::ProcessBaseline | Family::NetworkBaseline => {
            "it can be used at RUNTIME with DEPLOYMENT_EVENT"
        }
        Family::KubeRequest => "it can be used at RUNTIME with DEPLOYMENT_EVENT or AUDIT_LOG_EVENT",
        Family::Audit => "it can be used at RUNTIME with AUDIT_LOG_EVENT",
    };
    let place = match stage {
        LifecycleStage::Runtime => format!("at RUNTIME with {source}"),
        _ => format!("at {stage}"),
    };
    Some((format!("`{name}` cannot be used {place}"), hint))
}

/// Criteria that need another one in their section.
fn check_companions(policy: &Policy, section: &Section, path: &str, problems: &mut Problems) {
    let has = |name: &str| section.policy_groups.iter().any(|group| group.field_name == name);
    let mut need = |name: &str, because: &str| {
        if !has(name) {
            problems.add(
                ProblemCode::MissingCriterion,
                path,
                format!("{because} `{name}` in the same section"),
                format!("add `{name}`"),
            );
        }
    };
    if !policy.lifecycle_stages.contains(&LifecycleStage::Runtime) || section.policy_groups.is_empty() {
        return;
    }
    for criterion in Criterion::all() {
        let Extra { required_by, needs, .. } = criterion.extra;
        if required_by == Some(policy.event_source) {
            need(criterion.name, &format!("{} needs", policy_of(policy.event_source)));
        }
        // The other event sources require what is needed of every section.
        if let (EventSource::DeploymentEvent, Some(needed)) = (policy.event_source, needs)
            && has(criterion.name)
        {
            need(needed, &format!("`{}` needs", criterion.name));
        }
    }
}

/// The families of a section's criteria.
fn families(section: &Section) -> impl Iterator<Item = Family> {
    section.policy_groups.iter().filter_map(|group| Criterion::named(&group.field_name)).map(|row| row.family)
}

/// A runtime policy about workloads is about one kind of event.
fn check_runtime_kinds(policy: &Policy, problems: &mut Problems) {
    if policy.event_source != EventSource::DeploymentEvent {
        return;
    }
    let has = |wanted: &[Family]| {
        policy.policy_sections.iter().any(|section| families(section).any(|family| wanted.contains(&family)))
    };
    let process = has(&[Family::Process, Family::ProcessBaseline]);
    let file = has(&[Family::File]);
    let request = has(&[Family::KubeRequest]);
    let network = has(&[Family::NetworkBaseline]);
    let kinds = [process || file, request, network].into_iter().filter(|present| *present).count();
    // A misspelt criterion may be the one that is missed, and is reported by itself.
    let all_known = policy
        .policy_sections
        .iter()
        .flat_map(|section| &section.policy_groups)
        .all(|group| Criterion::named(&group.field_name).is_some());
    if kinds == 0 && all_known {
        problems.add(
            ProblemCode::MissingCriterion,
            "policySections",
            "a runtime policy needs at least one criterion about processes, files, connections or user commands",
            "without one it belongs at DEPLOY",
        );
    }
    if kinds > 1 {
        problems.add(
            ProblemCode::MisplacedCriterion,
            "policySections",
            "a runtime policy is about one kind of event: processes and files, user commands, or connections",
            "make one policy for each",
        );
    }
    if !file {
        return;
    }
    for (i, section) in policy.policy_sections.iter().enumerate() {
        let about_file = families(section).any(|family| family == Family::File);
        let about_process = families(section).any(|family| family == Family::Process);
        let about_baseline = families(section).any(|family| family == Family::ProcessBaseline);
        if (about_process && !about_file) || (about_baseline && about_file) {
            problems.add(
                ProblemCode::MisplacedCriterion,
                format!("policySections[{i}]"),
                "in a policy about files, process criteria go with `File Path`",
                "add `File Path` to this section, or make two policies",
            );
        }
    }
}

/// The target of a runtime policy about workloads.
pub(super) fn runtime_target(policy: &Policy) -> Option<Target> {
    let mut target = None;
    for family in policy.policy_sections.iter().flat_map(families) {
        match family {
            Family::File => return Some(Target::File),
            Family::Process | Family::ProcessBaseline => target = Some(Target::Process),
            Family::NetworkBaseline => target = Some(Target::Network),
            Family::KubeRequest => target = Some(Target::PodCommand),
            Family::Image | Family::Workload | Family::Audit => {}
        }
    }
    target
}

/// Actions and filters that the policy can never use. Actions of stages it does not have are not a problem: they are
/// taken away when it is stored.
fn check_actions(policy: &Policy, problems: &mut Problems) {
    let stage_of = |action: &EnforcementAction| match action {
        EnforcementAction::FailBuild => LifecycleStage::Build,
        EnforcementAction::KillPod | EnforcementAction::FailKubeRequest => LifecycleStage::Runtime,
        EnforcementAction::Unset
        | EnforcementAction::ScaleToZero
        | EnforcementAction::UnsatisfiableNodeConstraint
        | EnforcementAction::FailDeploymentCreate
        | EnforcementAction::FailDeploymentUpdate => LifecycleStage::Deploy,
    };
    let mut actions = policy.enforcement_actions.iter();
    let acts = actions.any(|action| policy.lifecycle_stages.contains(&stage_of(action)));
    if acts && policy.event_source == EventSource::AuditLogEvent {
        problems.add(
            ProblemCode::Enforcement,
            "enforcementActions",
            "an audit policy cannot have enforcement actions: what the log holds has happened",
            "remove the actions",
        );
    }
    for (i, section) in policy.policy_sections.iter().enumerate() {
        let only_reports = section.policy_groups.iter().find(|group| {
            Criterion::named(&group.field_name).is_some_and(|criterion| criterion.extra.never_enforced)
        });
        if let (true, Some(group)) = (acts, only_reports) {
            problems.add(
                ProblemCode::Enforcement,
                format!("policySections[{i}]"),
                format!("a policy with criterion `{}` cannot have enforcement actions", group.field_name),
                "remove the actions",
            );
        }
    }
    let filters =
        policy.evaluation_filter.as_ref().is_some_and(|filter| !filter.skip_container_types.is_empty());
    let build_only = policy.lifecycle_stages.iter().all(|stage| *stage == LifecycleStage::Build);
    let containers =
        !build_only && !matches!(policy.event_source, EventSource::AuditLogEvent | EventSource::NodeEvent);
    if filters && !containers {
        problems.add(
            ProblemCode::EvaluationFilter,
            "evaluationFilter",
            "this policy looks at no containers of workloads",
            "remove the filter",
        );
    }
}
