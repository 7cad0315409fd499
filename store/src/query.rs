//! Queries of the ledger.

use jiff::Timestamp;
use lictor_wire::policy::{EnforcementAction, LifecycleStage, Severity};
use lictor_wire::{ActionKey, Entity, PolicyId, Receipt, ReceiptStep, ViolationId};
use serde::{Deserialize, Serialize};

use crate::alert::{AlertState, AlertSummary};
use crate::rows::Change;

/// Which alerts; empty or absent fields do not restrict the result.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlertFilter {
    /// One of these states.
    pub states: Vec<AlertState>,
    /// One of these severities.
    pub severities: Vec<Severity>,
    /// One of these stages.
    pub stages: Vec<LifecycleStage>,
    /// The policy's name, whatever its case.
    pub policy: Option<String>,
    /// The policy's id.
    pub policy_id: Option<PolicyId>,
    /// The namespace.
    pub namespace: Option<String>,
    /// The cluster's id.
    pub cluster: Option<String>,
    /// The entity's key, its name, or a part of `namespace/kind/name`.
    pub entity: Option<String>,
}

/// Which receipts; absent fields do not restrict the result.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceiptFilter {
    /// The violation.
    pub violation: Option<ViolationId>,
    /// The action key.
    pub action_key: Option<ActionKey>,
    /// The action.
    pub action: Option<EnforcementAction>,
    /// The policy's id.
    pub policy_id: Option<PolicyId>,
    /// The namespace.
    pub namespace: Option<String>,
    /// Only decisions, or only outcomes.
    pub step: Option<Step>,
}

/// The two steps of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// What was decided.
    Decision,
    /// How it ended.
    Outcome,
}

/// A page, newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// What was found.
    pub items: Vec<T>,
    /// How many there are on all pages together.
    pub total: u64,
    /// Where the next page begins; absent on the last.
    pub next: Option<String>,
}

/// Where a page begins: after this row. The order of fields is the order of rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// Time in microseconds, or a sequence.
    pub(crate) at: i64,
    pub(crate) id: String,
}

/// A text that is not a cursor of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a cursor")]
pub struct BadCursor {
    /// The text.
    pub text: String,
}

/// What changed since a sequence of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The changes, each with the sequence of its message.
    pub items: Vec<(u64, Change)>,
    /// Changes of messages up to this sequence are forgotten.
    pub kept_after: u64,
    /// Everything up to this sequence is in `items`, or changed nothing.
    pub read_to: u64,
}

/// Everything in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Alerts.
    pub alerts: u64,
    /// Alerts by state.
    pub by_state: std::collections::BTreeMap<String, u64>,
    /// Alerts that are not resolved, by severity.
    pub by_severity: std::collections::BTreeMap<String, u64>,
    /// Alerts by policy, most unresolved first.
    pub by_policy: Vec<PolicyTotals>,
    /// Distinct violations ever seen.
    pub violations: u64,
    /// Receipts.
    pub receipts: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Coverage notices.
    pub coverage_notices: u64,
    /// Entities judged.
    pub entities: u64,
}

/// The alerts of one policy in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTotals {
    /// Id.
    pub id: PolicyId,
    /// Name, in the newest alert.
    pub name: String,
    /// Severity, in the newest alert.
    pub severity: Severity,
    /// Active alerts.
    pub active: u64,
    /// Attempted alerts.
    pub attempted: u64,
    /// Resolved alerts.
    pub resolved: u64,
    /// Violations counted by its alerts.
    pub violations: u64,
    /// When it was last violated.
    pub last: Timestamp,
}

// === impl AlertFilter ===

impl AlertFilter {
    /// Whether the filter matches everything.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the filter matches this alert.
    pub fn matches(&self, alert: &AlertSummary) -> bool {
        let among = |wanted: bool, any: bool| wanted || any;
        among(self.states.contains(&alert.state), self.states.is_empty())
            && among(self.severities.contains(&alert.policy.severity), self.severities.is_empty())
            && among(self.stages.contains(&alert.lifecycle_stage), self.stages.is_empty())
            && self.policy.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(&alert.policy.name))
            && self.policy_id.as_ref().is_none_or(|id| *id == alert.policy.id)
            && self.namespace.as_ref().is_none_or(|namespace| namespace == alert.entity.namespace())
            && self
                .cluster
                .as_ref()
                .is_none_or(|cluster| alert.entity.cluster().is_some_and(|of| of.as_str() == cluster))
            && self.entity.as_ref().is_none_or(|entity| names(&alert.entity, entity))
    }
}

fn names(entity: &Entity, wanted: &str) -> bool {
    entity.key() == wanted || entity.display_name().contains(wanted)
}

// === impl ReceiptFilter ===

impl ReceiptFilter {
    /// Whether the filter matches everything.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the filter matches this receipt.
    pub fn matches(&self, receipt: &Receipt) -> bool {
        let step = match receipt.step {
            ReceiptStep::Decision(_) => Step::Decision,
            ReceiptStep::Outcome(_) => Step::Outcome,
        };
        self.violation.as_ref().is_none_or(|id| *id == receipt.violation)
            && self.action_key.as_ref().is_none_or(|key| *key == receipt.action_key)
            && self.action.is_none_or(|action| action == receipt.action)
            && self.policy_id.as_ref().is_none_or(|id| *id == receipt.policy.id)
            && self.namespace.as_ref().is_none_or(|namespace| namespace == receipt.entity.namespace())
            && self.step.is_none_or(|wanted| wanted == step)
    }
}

// === impl Cursor ===

impl Cursor {
    pub(crate) fn of_sequence(sequence: u64, id: &str) -> Self {
        // A sequence beyond 2^63 does not exist: one message a nanosecond takes 292 years to get there.
        Self { at: i64::try_from(sequence).unwrap_or(i64::MAX), id: id.to_owned() }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.at, self.id)
    }
}

impl std::str::FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let parsed = text.split_once('.').and_then(|(at, id)| Some((at.parse().ok()?, id)));
        match parsed {
            Some((at, id)) => Ok(Self { at, id: id.to_owned() }),
            None => Err(BadCursor { text: text.to_owned() }),
        }
    }
}
