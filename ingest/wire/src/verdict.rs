//! Verdicts: everything one evaluation concluded about one entity.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::json::null_as_default;
use crate::policy::{EnforcementAction, LifecycleStage, Severity};
use crate::{
    Admission, ClusterId, DeploymentId, EventId, Fingerprint, Kind, PodRef, PolicyId, VerdictId, ViolationId,
};

/// Everything one evaluation concluded about one entity. It may hold no violation: that is how an alert resolves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Fingerprint of event, entity, cause and revisions: the same judgement has the same id.
    pub id: VerdictId,
    /// The event judged.
    pub event: EventRef,
    /// Why it was judged.
    pub cause: Cause,
    /// The stage whose policies were evaluated.
    pub stage: LifecycleStage,
    /// What was judged.
    pub entity: Entity,
    /// The revisions of everything that was read.
    pub revisions: Revisions,
    /// When the evaluator judged, by its clock.
    pub judged_at: Timestamp,
    /// The policies that matched.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub violations: Vec<Violation>,
    /// The policies that could not be decided because facts are missing. They did not match.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub undecided: Vec<Undecided>,
    /// The policies whose evaluation failed. They did not match, and did not affect the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub failures: Vec<PolicyFailure>,
    /// The entity was deleted: its open alerts at this stage end.
    #[serde(default, skip_serializing_if = "crate::json::is_default")]
    pub gone: bool,
    /// How the request was answered; present when admission judged it. Its JSON key was formerly `asked`.
    #[serde(default, alias = "asked", skip_serializing_if = "Option::is_none")]
    pub admission: Option<Admission>,
    /// W3C trace context of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// The event a verdict is about, and its place in a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventRef {
    /// Its id.
    pub id: EventId,
    /// Its kind.
    pub kind: Kind,
    /// When it happened.
    pub time: Timestamp,
    /// The stream that holds its message; empty when admission judged it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stream: String,
    /// The message's sequence in that stream; 0 when admission judged it.
    #[serde(default, skip_serializing_if = "crate::json::is_default")]
    pub sequence: u64,
}

/// Why something was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// It happened.
    Observed,
    /// Reassess All: everything is judged again.
    Reassess,
    /// Facts about an image it uses arrived.
    Facts,
    /// A policy changed.
    Policy,
    /// It had waited for a fact.
    Parked,
    /// Past events were judged again, separately from the live alerts.
    Replay,
    /// A policy that is not in force was tried.
    Draft,
}

/// What was judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub enum Entity {
    /// A workload.
    Deployment {
        /// Id.
        id: DeploymentId,
        /// Name.
        name: String,
        /// Kubernetes kind.
        kind: String,
        /// Namespace.
        namespace: String,
        /// Cluster.
        cluster: ClusterId,
        /// The pod the event happened in, for runtime events.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pod: Option<PodRef>,
        /// Annotations lictor itself reads, such as break-glass; others are left out.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        annotations: BTreeMap<String, String>,
    },
    /// An image.
    ContainerImage {
        /// Digest; empty while unknown.
        digest: String,
        /// Whole reference.
        name: String,
    },
    /// An object of a request to the API server.
    Resource {
        /// Plural resource name, such as `secrets`.
        resource: String,
        /// Name; empty for a request without one.
        name: String,
        /// Namespace; empty for cluster-scoped objects.
        namespace: String,
        /// Cluster.
        cluster: ClusterId,
    },
    /// A node.
    Node {
        /// Name.
        name: String,
        /// Cluster.
        cluster: ClusterId,
    },
}

/// The revisions a judgement read. A verdict that is newer in none of them than one already applied changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Revisions {
    /// The workload's revision in `lictor-deployments`; 0 when none was read.
    pub deployment: u64,
    /// The highest revision in `lictor-images` among its images' facts; 0 when none was read.
    pub images: u64,
    /// The last sequence of the policy log that was loaded.
    pub policies: u64,
}

/// A policy matched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// Fingerprint of the triggering event, the entity and the policy; see [`ViolationId::of`].
    pub id: ViolationId,
    /// The policy.
    pub policy: PolicyRef,
    /// The sections that matched, with their evidence.
    pub sections: Vec<SectionMatch>,
    /// What the policy asks to be done at this stage, in its own order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub enforcement: Vec<EnforcementAction>,
}

/// The policy as it was when it was evaluated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRef {
    /// Id.
    pub id: PolicyId,
    /// Name.
    pub name: String,
    /// The sequence of its document in the policy log: its revision. 0 for one that is in no log.
    pub revision: u64,
    /// Severity.
    pub severity: Severity,
    /// Categories.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub categories: Vec<String>,
}

/// A section of a policy matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SectionMatch {
    /// Index of the section in the policy, from 0.
    pub section: usize,
    /// Its name; often empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What was found, criterion by criterion.
    pub evidence: Vec<Evidence>,
    /// The same for people: a sentence for each thing that was found, sorted; what happened comes last.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub messages: Vec<String>,
}

/// Why a criterion holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// The criterion's field name, such as `Process Name`.
    pub criterion: String,
    /// What the policy wants, as it is written there.
    pub wanted: String,
    /// What was found, as text.
    pub found: String,
    /// Where: the container, volume or component, as `container web`; empty for the entity itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub at: String,
}

/// A policy that could not be decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Undecided {
    /// The policy.
    pub policy: PolicyRef,
    /// The facts that were missing, as `deployment of pod shop/web-1`; each once, sorted.
    pub missing: Vec<String>,
}

/// A policy whose evaluation failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyFailure {
    /// The policy.
    pub policy: PolicyRef,
    /// What went wrong.
    pub message: String,
}

// === impl Verdict ===

impl Verdict {
    /// The id of a judgement.
    pub fn id_of(event: &EventId, entity: &Entity, cause: Cause, revisions: Revisions) -> VerdictId {
        let cause = match cause {
            // The same event judged at once or after waiting is one judgement when the same things were read.
            Cause::Observed | Cause::Parked => "observed",
            Cause::Reassess => "reassess",
            Cause::Facts => "facts",
            Cause::Policy => "policy",
            Cause::Replay => "replay",
            Cause::Draft => "draft",
        };
        Fingerprint::new("verdict")
            .part(event)
            .part(entity.key())
            .part(cause)
            .number(revisions.deployment)
            .number(revisions.images)
            .number(revisions.policies)
            .into()
    }

    /// The highest severity among the violations; `None` when clean.
    pub fn severity(&self) -> Option<Severity> {
        self.violations.iter().map(|violation| violation.policy.severity).max()
    }
}

// === impl Entity ===

impl Entity {
    /// The key that identifies the entity: type and id, or for a resource its type, name, namespace and cluster.
    /// (StackRox's merge key.)
    pub fn key(&self) -> String {
        match self {
            Self::Deployment { id, cluster, .. } => format!("deployment/{cluster}/{id}"),
            Self::ContainerImage { digest, name } if digest.is_empty() => format!("image/{name}"),
            Self::ContainerImage { digest, .. } => format!("image/{digest}"),
            Self::Resource { resource, name, namespace, cluster } => {
                format!("resource/{cluster}/{resource}/{namespace}/{name}")
            }
            Self::Node { name, cluster } => format!("node/{cluster}/{name}"),
        }
    }

    /// The namespace; empty where there is none.
    pub fn namespace(&self) -> &str {
        match self {
            Self::Deployment { namespace, .. } | Self::Resource { namespace, .. } => namespace,
            Self::ContainerImage { .. } | Self::Node { .. } => "",
        }
    }

    /// The cluster; absent for an image that was judged outside of any.
    pub const fn cluster(&self) -> Option<&ClusterId> {
        match self {
            Self::Deployment { cluster, .. }
            | Self::Resource { cluster, .. }
            | Self::Node { cluster, .. } => Some(cluster),
            Self::ContainerImage { .. } => None,
        }
    }

    /// A short name for people: `shop/Deployment/web`.
    pub fn display_name(&self) -> String {
        match self {
            Self::Deployment { name, kind, namespace, .. } => format!("{namespace}/{kind}/{name}"),
            Self::ContainerImage { name, .. } => name.clone(),
            Self::Resource { resource, name, namespace, .. } => {
                let namespace = if namespace.is_empty() { "_" } else { namespace };
                format!("{namespace}/{resource}/{name}")
            }
            Self::Node { name, .. } => format!("node/{name}"),
        }
    }
}

// === impl Revisions ===

impl Revisions {
    /// Whether any revision in `self` is newer than in `other`.
    pub const fn newer_in_any(&self, other: &Self) -> bool {
        self.deployment > other.deployment || self.images > other.images || self.policies > other.policies
    }

    /// The newer of each revision, field by field.
    pub fn newest(&self, other: &Self) -> Self {
        Self {
            deployment: self.deployment.max(other.deployment),
            images: self.images.max(other.images),
            policies: self.policies.max(other.policies),
        }
    }
}
