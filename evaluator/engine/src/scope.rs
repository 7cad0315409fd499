//! Where a policy applies: scope and exclusions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lictor_wire::policy::{Exclusion, Policy, Scope, ScopeLabel};

use crate::go_regex::{self, Pattern};
use crate::input::Occurrence;
use crate::truth::{Fact, Truth};
use crate::view::{ContainerView, Root};

/// Scope and exclusions of a policy, ready to be evaluated.
#[derive(Debug)]
pub(crate) struct Applicability {
    scopes: Vec<CompiledScope>,
    exclusions: Vec<CompiledExclusion>,
}

#[derive(Debug)]
struct CompiledScope {
    cluster: Option<String>,
    namespace: Option<Pattern>,
    label: Option<LabelPattern>,
    cluster_label: Option<LabelPattern>,
    namespace_label: Option<LabelPattern>,
}

#[derive(Debug)]
struct LabelPattern {
    key: Option<Pattern>,
    value: Option<Pattern>,
}

#[derive(Debug)]
struct CompiledExclusion {
    deployment: Option<ExcludedDeployment>,
    image_prefix: Option<String>,
    expiration: Option<Timestamp>,
}

#[derive(Debug)]
struct ExcludedDeployment {
    name: NamePattern,
    scope: Option<CompiledScope>,
}

#[derive(Debug)]
enum NamePattern {
    Any,
    Like(Pattern),
    /// The pattern does not compile; StackRox lets such an exclusion never match.
    Never,
}

/// How an input is matched with scopes: which parts of them it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntityKind {
    /// A workload has all.
    Workload,
    /// An object of the API server has a cluster and perhaps a namespace.
    Resource,
    /// A node has a cluster only.
    Node,
}

// === compiling ===

/// A part of a scope that does not compile: the path below the scope, and why.
pub(crate) type ScopeProblem = (String, String);

impl Applicability {
    /// Compiles; what does not compile is added to `problems` with its path.
    pub(crate) fn compile(policy: &Policy, problems: &mut Vec<ScopeProblem>) -> Self {
        let mut scopes = Vec::new();
        for (i, scope) in policy.scope.iter().enumerate() {
            scopes.push(CompiledScope::compile(scope, &format!("scope[{i}]"), problems));
        }
        let mut exclusions = Vec::new();
        for (i, exclusion) in policy.exclusions.iter().enumerate() {
            exclusions.push(CompiledExclusion::compile(exclusion, &format!("exclusions[{i}]"), problems));
        }
        Self { scopes, exclusions }
    }
}

impl CompiledScope {
    fn compile(scope: &Scope, path: &str, problems: &mut Vec<ScopeProblem>) -> Self {
        let label = |label: &Option<ScopeLabel>, name: &str, problems: &mut Vec<ScopeProblem>| {
            label.as_ref().map(|label| LabelPattern {
                key: pattern(&label.key, &format!("{path}.{name}.key"), problems),
                value: pattern(&label.value, &format!("{path}.{name}.value"), problems),
            })
        };
        Self {
            cluster: (!scope.cluster.is_empty()).then(|| scope.cluster.clone()),
            namespace: pattern(&scope.namespace, &format!("{path}.namespace"), problems),
            label: label(&scope.label, "label", problems),
            cluster_label: label(&scope.cluster_label, "clusterLabel", problems),
            namespace_label: label(&scope.namespace_label, "namespaceLabel", problems),
        }
    }
}

impl CompiledExclusion {
    fn compile(exclusion: &Exclusion, path: &str, problems: &mut Vec<ScopeProblem>) -> Self {
        let deployment = exclusion.deployment.as_ref().map(|deployment| ExcludedDeployment {
            name: match deployment.name.as_str() {
                "" => NamePattern::Any,
                name => go_regex::whole(name).map_or(NamePattern::Never, NamePattern::Like),
            },
            scope: deployment
                .scope
                .as_ref()
                .map(|scope| CompiledScope::compile(scope, &format!("{path}.deployment.scope"), problems)),
        });
        Self {
            deployment,
            image_prefix: exclusion.image.as_ref().map(|image| image.name.clone()),
            expiration: exclusion.expiration,
        }
    }

    fn is_in_force(&self, now: Timestamp) -> bool {
        self.expiration.is_none_or(|end| end > now)
    }

    /// Whether it takes something out of what the policy is about.
    fn takes_out<'a>(&self, root: &Root<'a>, entity: EntityKind, parity: bool) -> Truth<'a> {
        match &self.deployment {
            Some(deployment) => deployment.holds(root, entity),
            // StackRox takes the missing part for "every deployment".
            None => Truth::from(parity && self.image_prefix.is_some()),
        }
    }
}

fn pattern(text: &str, path: &str, problems: &mut Vec<ScopeProblem>) -> Option<Pattern> {
    if text.is_empty() {
        return None;
    }
    match go_regex::whole(text) {
        Ok(regex) => Some(regex),
        Err(error) => {
            problems.push((path.to_owned(), error.to_string()));
            None
        }
    }
}

// === evaluating ===

impl Applicability {
    /// Whether the policy applies to a workload, an object or a node.
    pub(crate) fn applies<'a>(
        &self,
        root: &Root<'a>,
        entity: EntityKind,
        parity: bool,
        now: Timestamp,
    ) -> Truth<'a> {
        if parity && entity == EntityKind::Node {
            return Truth::True;
        }
        let in_scope = if self.scopes.is_empty() {
            Truth::True
        } else {
            Truth::any(self.scopes.iter().map(|scope| scope.holds(root, entity)))
        };
        if in_scope.is_false() {
            return Truth::False;
        }
        let in_force = self.exclusions.iter().filter(|exclusion| exclusion.is_in_force(now));
        let excluded = Truth::any(in_force.map(|exclusion| exclusion.takes_out(root, entity, parity)));
        in_scope.and(excluded.not())
    }

    /// Why the policy does not apply, where it certainly does not.
    pub(crate) fn why_not(
        &self,
        root: &Root<'_>,
        entity: EntityKind,
        parity: bool,
        now: Timestamp,
    ) -> String {
        let exclusion = self.exclusions.iter().position(|exclusion| {
            exclusion.is_in_force(now) && exclusion.takes_out(root, entity, parity).is_true()
        });
        match exclusion {
            Some(index) => format!("it is excluded by exclusion {} (exclusions[{index}])", index + 1),
            None => format!("none of the {} scope entries of the policy matches (scope)", self.scopes.len()),
        }
    }

    /// Whether an image is exempt under this name.
    pub(crate) fn excludes_image(&self, container: &ContainerView<'_>, now: Timestamp) -> bool {
        let name = container.image_name.map_or("", |name| name.full_name.as_str());
        let mut in_force = self.exclusions.iter().filter(|exclusion| exclusion.is_in_force(now));
        in_force.any(|exclusion| {
            let prefix = exclusion.image_prefix.as_deref();
            prefix.is_some_and(|prefix| !prefix.is_empty() && name.starts_with(prefix))
        })
    }
}

impl ExcludedDeployment {
    fn holds<'a>(&self, root: &Root<'a>, entity: EntityKind) -> Truth<'a> {
        let name = match (&self.name, entity, root.deployment) {
            (NamePattern::Any, ..) => Truth::True,
            (NamePattern::Like(regex), EntityKind::Workload, Some(deployment)) => {
                Truth::from(regex.is_match(&deployment.name))
            }
            (NamePattern::Like(_), EntityKind::Workload, None) => Truth::unknown(Fact::Deployment),
            (NamePattern::Never, ..) | (NamePattern::Like(_), ..) => Truth::False,
        };
        if name.is_false() {
            return Truth::False;
        }
        let Some(scope) = &self.scope else { return name };
        // A node is in no namespace and has no workload's labels, so an exclusion by them is not about it.
        let foreign = entity == EntityKind::Node
            && (scope.namespace.is_some() || scope.label.is_some() || scope.namespace_label.is_some());
        if foreign { Truth::False } else { name.and(scope.holds(root, entity)) }
    }
}

impl CompiledScope {
    fn holds<'a>(&self, root: &Root<'a>, entity: EntityKind) -> Truth<'a> {
        let input = &root.input;
        let cluster = self.cluster.as_deref().is_none_or(|id| id == input.cluster.as_str());
        if !cluster {
            return Truth::False;
        }
        let cluster_label = label_truth(&self.cluster_label, input.cluster_labels, Fact::ClusterLabels);
        let namespaced = match entity {
            EntityKind::Workload => true,
            // An object of the whole cluster is in no namespace; StackRox does not look at it then.
            EntityKind::Resource => input.namespace().is_some_and(|namespace| !namespace.is_empty()),
            EntityKind::Node => false,
        };
        if !namespaced {
            return cluster_label;
        }
        let namespace = match (&self.namespace, input.namespace()) {
            (None, _) => Truth::True,
            (Some(regex), Some(namespace)) => Truth::from(regex.is_match(namespace)),
            (Some(_), None) => Truth::unknown(Fact::Deployment),
        };
        if namespace.is_false() {
            return Truth::False;
        }
        let label = match entity {
            EntityKind::Workload => {
                let labels = root.deployment.map(|deployment| &deployment.labels);
                label_truth(&self.label, labels, Fact::Deployment)
            }
            EntityKind::Resource | EntityKind::Node => Truth::True,
        };
        let namespace_label =
            label_truth(&self.namespace_label, input.namespace_labels, Fact::NamespaceLabels);
        cluster_label.and(namespace).and(label).and(namespace_label)
    }
}

fn label_truth<'a>(
    pattern: &Option<LabelPattern>,
    labels: Option<&BTreeMap<String, String>>,
    missing: Fact<'a>,
) -> Truth<'a> {
    let Some(pattern) = pattern else { return Truth::True };
    let Some(labels) = labels else { return Truth::unknown(missing) };
    let matches =
        |pattern: &Option<Pattern>, text: &str| pattern.as_ref().is_none_or(|regex| regex.is_match(text));
    let mut labels = labels.iter();
    Truth::from(labels.any(|(key, value)| matches(&pattern.key, key) && matches(&pattern.value, value)))
}

impl EntityKind {
    /// The kind of entity that something happened to.
    pub(crate) fn of(root: &Root<'_>) -> Self {
        match root.input.occurrence {
            Occurrence::Audit(_) => Self::Resource,
            Occurrence::File(event) if event.pod.is_none() && root.deployment.is_none() => Self::Node,
            _ => Self::Workload,
        }
    }
}
