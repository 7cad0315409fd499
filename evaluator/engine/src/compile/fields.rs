//! The fields that people fill in.

use std::collections::BTreeSet;

use lictor_wire::policy::{LifecycleStage, POLICY_VERSION, Policy, Scope, Severity};

use crate::criterion::Criterion;
use crate::problem::{ProblemCode, Problems};

/// Checks everything that judging itself does not need.
pub(super) fn check(policy: &Policy, problems: &mut Problems) {
    check_texts(policy, problems);
    if policy.severity == Severity::Unset {
        problems.add(ProblemCode::Severity, "severity", "a policy needs a severity", "such as HIGH_SEVERITY");
    }
    if policy.categories.is_empty() {
        problems.add(ProblemCode::Categories, "categories", "a policy needs at least one category", "");
    }
    let mut seen = BTreeSet::new();
    for (i, category) in policy.categories.iter().enumerate() {
        if !seen.insert(category) {
            let message = format!("`{category}` appears twice");
            problems.add(ProblemCode::Categories, format!("categories[{i}]"), message, "remove one");
        }
    }
    if !matches!(policy.policy_version.as_str(), "" | POLICY_VERSION) {
        problems.add(
            ProblemCode::Version,
            "policyVersion",
            format!("version `{}` is not supported", policy.policy_version),
            format!("write the policy in version {POLICY_VERSION}"),
        );
    }
    for (i, scope) in policy.scope.iter().enumerate() {
        check_scope(scope, &format!("scope[{i}]"), ProblemCode::Scope, problems);
        let audit = policy.event_source == lictor_wire::policy::EventSource::AuditLogEvent;
        if audit && scope.label.is_some() {
            problems.add(
                ProblemCode::Scope,
                format!("scope[{i}].label"),
                "objects of the audit log have no workload labels",
                "use cluster or namespace",
            );
        }
    }
    check_exclusions(policy, problems);
    check_exclusive_values(policy, problems);
}

fn check_texts(policy: &Policy, problems: &mut Problems) {
    let name = policy.name.trim();
    let length = name.chars().count();
    if !(5..=128).contains(&length) {
        problems.add(
            ProblemCode::Name,
            "name",
            format!("the name has {length} characters"),
            "5 to 128 characters",
        );
    }
    if name.contains(['\n', '\r', '$']) {
        problems.add(ProblemCode::Name, "name", "the name holds a line break or `$`", "remove it");
    }
    let length = policy.description.chars().count();
    if length > 800 {
        problems.add(
            ProblemCode::Description,
            "description",
            format!("the description has {length} characters"),
            "at most 800",
        );
    }
    if policy.description.contains('$') {
        problems.add(ProblemCode::Description, "description", "the description holds `$`", "remove it");
    }
}

fn check_scope(scope: &Scope, path: &str, code: ProblemCode, problems: &mut Problems) {
    let Scope { cluster, namespace, label, cluster_label, namespace_label } = scope;
    let labels = label.is_some() || cluster_label.is_some() || namespace_label.is_some();
    if cluster.is_empty() && namespace.is_empty() && !labels {
        problems.add(
            code,
            path,
            "a scope needs at least one part",
            "remove it: no scope at all means everything",
        );
    }
    if !cluster.is_empty() && cluster_label.is_some() {
        problems.add(
            code,
            path,
            "`cluster` and `clusterLabel` exclude each other",
            "keep one, or use two entries",
        );
    }
    if !namespace.is_empty() && namespace_label.is_some() {
        problems.add(
            code,
            path,
            "`namespace` and `namespaceLabel` exclude each other",
            "keep one, or use two entries",
        );
    }
}

fn check_exclusions(policy: &Policy, problems: &mut Problems) {
    let has = |stage| policy.lifecycle_stages.contains(&stage);
    let audit = policy.event_source == lictor_wire::policy::EventSource::AuditLogEvent;
    for (i, exclusion) in policy.exclusions.iter().enumerate() {
        let path = format!("exclusions[{i}]");
        let mut add = |part: &str, message: &str, hint: &str| {
            problems.add(ProblemCode::Exclusion, format!("{path}{part}"), message, hint);
        };
        if exclusion.deployment.is_none() && exclusion.image.is_none() {
            add("", "an exclusion needs a deployment or an image", "remove it or fill it in");
        }
        if let Some(image) = &exclusion.image {
            if !has(LifecycleStage::Build) {
                add(".image", "images are excluded at BUILD only", "exclude deployments instead");
            }
            if image.name.is_empty() {
                add(".image.name", "the image has no name", "the beginning of its full name");
            }
        }
        let Some(deployment) = &exclusion.deployment else { continue };
        if !has(LifecycleStage::Deploy) && !has(LifecycleStage::Runtime) {
            add(
                ".deployment",
                "deployments are excluded at DEPLOY and RUNTIME only",
                "exclude images instead",
            );
        }
        if deployment.name.is_empty() && deployment.scope.is_none() {
            add(".deployment", "it needs a name or a scope", "fill in one of them");
        }
        if audit && !deployment.name.is_empty() {
            add(".deployment.name", "objects of the audit log belong to no deployment", "use the scope");
        }
        let Some(scope) = &deployment.scope else { continue };
        if scope.cluster_label.is_some() || scope.namespace_label.is_some() {
            add(
                ".deployment.scope",
                "exclusions know no labels of clusters and namespaces",
                "use cluster, namespace or label",
            );
        }
        if audit && scope.label.is_some() {
            add(
                ".deployment.scope.label",
                "objects of the audit log have no workload labels",
                "use cluster or namespace",
            );
        }
        check_scope(scope, &format!("{path}.deployment.scope"), ProblemCode::Exclusion, problems);
    }
}

/// The same capability cannot be wrong both when it is added and when it is not dropped.
fn check_exclusive_values(policy: &Policy, problems: &mut Problems) {
    let groups = || policy.policy_sections.iter().flat_map(|section| &section.policy_groups);
    let values = |name: &'static str| {
        let groups = groups().filter(move |group| group.field_name == name);
        groups.flat_map(|group| &group.values).map(|value| value.value.as_str())
    };
    for criterion in Criterion::all() {
        let (name, Some(other)) = (criterion.name, criterion.extra.excludes) else { continue };
        let others: BTreeSet<&str> = values(other).collect();
        for value in values(name).filter(|value| others.contains(value)) {
            problems.add(
                ProblemCode::Capabilities,
                "policySections",
                format!("`{value}` is under both `{name}` and `{other}`"),
                "remove it from one of them",
            );
        }
    }
}
