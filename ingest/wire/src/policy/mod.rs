//! Policies in StackRox's JSON form: written exactly, read leniently.
//!
//! The model has every field of the format; [`read`] accepts files of any StackRox release and reports what it did not
//! understand. Names, defaults and enum spellings are those of StackRox's HTTP API.

pub mod read;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{PolicyId, TransactionId};

/// The only policy version there is to write.
pub const POLICY_VERSION: &str = "1.1";

/// A policy: what a person writes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Policy {
    /// Id, a UUID by convention; empty before it is stored.
    pub id: PolicyId,
    /// Name, 5 to 128 characters, unique.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// Why it matters.
    pub rationale: String,
    /// What to do about a violation.
    pub remediation: String,
    /// Stored, but not evaluated.
    pub disabled: bool,
    /// Names of categories, at least one.
    pub categories: Vec<String>,
    /// The stages at which it is evaluated, at least one.
    pub lifecycle_stages: Vec<LifecycleStage>,
    /// Where its runtime events come from.
    pub event_source: EventSource,
    /// What it does not apply to.
    pub exclusions: Vec<Exclusion>,
    /// What it applies to; empty means everything.
    pub scope: Vec<Scope>,
    /// Severity.
    pub severity: Severity,
    /// What is done about a violation.
    pub enforcement_actions: Vec<EnforcementAction>,
    /// Ids of notifiers.
    pub notifiers: Vec<String>,
    /// When it was last changed.
    pub last_updated: Option<Timestamp>,
    /// Version of the form; `1.1`.
    pub policy_version: String,
    /// What it looks for: sections are alternatives.
    pub policy_sections: Vec<Section>,
    /// MITRE ATT&CK vectors.
    pub mitre_attack_vectors: Vec<MitreAttackVector>,
    /// The sections cannot be edited.
    pub criteria_locked: bool,
    /// The MITRE vectors cannot be edited.
    pub mitre_vectors_locked: bool,
    /// It came with the product.
    pub is_default: bool,
    /// Who owns it.
    pub source: PolicySource,
    /// Which containers it does not look at.
    pub evaluation_filter: Option<EvaluationFilter>,
    /// Sort key of StackRox's database; written empty.
    #[serde(rename = "SORTName")]
    pub sort_name: String,
    /// Sort key of StackRox's database; written empty.
    #[serde(rename = "SORTLifecycleStage")]
    pub sort_lifecycle_stage: String,
    /// Sort key of StackRox's database; written false.
    #[serde(rename = "SORTEnforcement")]
    pub sort_enforcement: bool,
}

/// One alternative of a policy: all its groups must match, on the same container, volume, component and so on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Section {
    /// Free text, often empty, not unique.
    pub section_name: String,
    /// The groups.
    pub policy_groups: Vec<Group>,
}

/// One criterion with its values.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Group {
    /// The criterion's exact name, such as `Process Name`.
    pub field_name: String,
    /// How the values combine.
    pub boolean_operator: BooleanOperator,
    /// Whether the result is negated.
    pub negate: bool,
    /// The values.
    pub values: Vec<PolicyValue>,
}

/// A value of a criterion: text, whatever the criterion compares.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyValue {
    /// The text.
    pub value: String,
}

/// What a policy applies to; all parts that are present must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Scope {
    /// Exact id of a cluster; empty for any.
    pub cluster: String,
    /// Regular expression over the whole namespace; empty for any.
    pub namespace: String,
    /// Label of the workload.
    pub label: Option<ScopeLabel>,
    /// Label of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_label: Option<ScopeLabel>,
    /// Label of the namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_label: Option<ScopeLabel>,
}

/// Regular expressions over a whole label key and its whole value; empty for any.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ScopeLabel {
    /// Key.
    pub key: String,
    /// Value.
    pub value: String,
}

/// What a policy does not apply to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Exclusion {
    /// A comment.
    pub name: String,
    /// Workloads.
    pub deployment: Option<ExcludedDeployment>,
    /// Images, at the build stage.
    pub image: Option<ExcludedImage>,
    /// When the exclusion ends.
    pub expiration: Option<Timestamp>,
}

/// Workloads a policy does not apply to: name and scope must both hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExcludedDeployment {
    /// Regular expression over the whole name; empty for any.
    pub name: String,
    /// Where.
    pub scope: Option<Scope>,
}

/// Images a policy does not apply to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExcludedImage {
    /// Prefix of the image's whole name.
    pub name: String,
}

/// A MITRE ATT&CK tactic and techniques of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MitreAttackVector {
    /// Tactic id, such as `TA0002`.
    pub tactic: String,
    /// Technique ids, such as `T1059.004`.
    pub techniques: Vec<String>,
}

/// Which containers a policy does not look at.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EvaluationFilter {
    /// Types of container left out before anything is compared.
    pub skip_container_types: Vec<FilteredContainerType>,
}

/// Declares an enum with StackRox's spellings, numbers and zero value (listed first).
macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal / $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// Every value, in order of definition.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// StackRox's spelling.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// StackRox's number, which its JSON reader accepts in place of the name.
            pub const fn number(self) -> i64 {
                match self { $(Self::$variant => $number,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

wire_enum! {
    /// When a policy is evaluated.
    LifecycleStage {
        /// About a workload.
        #[default] Deploy = "DEPLOY" / 0,
        /// About an image, before it is deployed.
        Build = "BUILD" / 1,
        /// About something a running workload, a user or a node does.
        Runtime = "RUNTIME" / 2,
    }
}

wire_enum! {
    /// Where a policy's runtime events come from.
    EventSource {
        /// The policy has no runtime stage.
        #[default] NotApplicable = "NOT_APPLICABLE" / 0,
        /// Processes, connections, files and requests of workloads.
        DeploymentEvent = "DEPLOYMENT_EVENT" / 1,
        /// The Kubernetes audit log.
        AuditLogEvent = "AUDIT_LOG_EVENT" / 2,
        /// Files of nodes.
        NodeEvent = "NODE_EVENT" / 3,
    }
}

wire_enum! {
    /// How bad a violation is.
    Severity {
        /// Not said; refused in a policy.
        #[default] Unset = "UNSET_SEVERITY" / 0,
        /// Low.
        Low = "LOW_SEVERITY" / 1,
        /// Medium.
        Medium = "MEDIUM_SEVERITY" / 2,
        /// High.
        High = "HIGH_SEVERITY" / 3,
        /// Critical.
        Critical = "CRITICAL_SEVERITY" / 4,
    }
}

wire_enum! {
    /// How the values of a group combine.
    BooleanOperator {
        /// One suffices.
        #[default] Or = "OR" / 0,
        /// All must hold.
        And = "AND" / 1,
    }
}

wire_enum! {
    /// What is done about a violation.
    EnforcementAction {
        /// Nothing.
        #[default] Unset = "UNSET_ENFORCEMENT" / 0,
        /// The workload is scaled to zero, or denied at admission.
        ScaleToZero = "SCALE_TO_ZERO_ENFORCEMENT" / 1,
        /// The workload's pods find no node, or it is denied at admission.
        UnsatisfiableNodeConstraint = "UNSATISFIABLE_NODE_CONSTRAINT_ENFORCEMENT" / 2,
        /// The pod is deleted.
        KillPod = "KILL_POD_ENFORCEMENT" / 3,
        /// The build fails.
        FailBuild = "FAIL_BUILD_ENFORCEMENT" / 4,
        /// The request to the API server is denied.
        FailKubeRequest = "FAIL_KUBE_REQUEST_ENFORCEMENT" / 5,
        /// Written on alerts: a create was denied.
        FailDeploymentCreate = "FAIL_DEPLOYMENT_CREATE_ENFORCEMENT" / 6,
        /// Written on alerts: an update was denied.
        FailDeploymentUpdate = "FAIL_DEPLOYMENT_UPDATE_ENFORCEMENT" / 7,
    }
}

wire_enum! {
    /// Who owns a policy.
    PolicySource {
        /// People, through API and console.
        #[default] Imperative = "IMPERATIVE" / 0,
        /// A custom resource.
        Declarative = "DECLARATIVE" / 1,
    }
}

wire_enum! {
    /// Types of container an evaluation filter can leave out.
    FilteredContainerType {
        /// Regular containers.
        #[default] Regular = "REGULAR" / 0,
        /// Init containers.
        Init = "INIT" / 1,
    }
}

/// What the policy log holds: one change by one author, under the policy's subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyDocument {
    /// Id of this write, by which its writer can recognise it after a timeout.
    pub transaction: TransactionId,
    /// Who made the change.
    pub by: String,
    /// When, by the writer's clock.
    pub at: Timestamp,
    /// The change.
    #[serde(flatten)]
    pub change: PolicyChange,
}

/// A change of the policy log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum PolicyChange {
    /// The policy is now this.
    Put {
        /// The policy.
        policy: Box<Policy>,
    },
    /// The policy was deleted.
    Delete {
        /// Its id.
        id: PolicyId,
    },
}

impl PolicyChange {
    /// The policy it is about.
    pub fn id(&self) -> &PolicyId {
        match self {
            Self::Put { policy } => &policy.id,
            Self::Delete { id } => id,
        }
    }
}

impl Policy {
    /// The policy as StackRox's export API writes it: every field, defaults too, sort keys empty.
    ///
    /// # Errors
    /// Never for a policy that was read from JSON.
    pub fn to_export(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(Self {
            sort_name: String::new(),
            sort_lifecycle_stage: String::new(),
            sort_enforcement: false,
            ..self.clone()
        })
    }
}
