//! Alerts: what people see of violations.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lictor_wire::policy::{EnforcementAction, LifecycleStage};
use lictor_wire::{
    Admission, AlertId, Decision, Entity, EventRef, Outcome, PodRef, PolicyRef, Receipt, ReceiptId,
    ReceiptStep, SectionMatch, VerdictId, ViolationId,
};
use serde::{Deserialize, Serialize};

/// How many violations an alert shows. All are counted; a person reads no more than this, and an alert that is
/// written a thousand times a second must stay small.
pub const VIOLATIONS_SHOWN: usize = 40;

lictor_wire::named_enum! {
    /// The state of an alert.
    #[derive(Hash, PartialOrd, Ord, Serialize, Deserialize)]
    #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
    pub enum AlertState {
        /// The violation holds.
        Active = "ACTIVE",
        /// It no longer holds.
        Resolved = "RESOLVED",
        /// It was requested, and the policy has such requests denied.
        Attempted = "ATTEMPTED",
    }
}

/// An alert without its violations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertSummary {
    /// Fingerprint of policy, stage, entity and first violation.
    pub id: AlertId,
    /// The policy, in the highest revision a violation of this alert named.
    pub policy: PolicyRef,
    /// The stage.
    pub lifecycle_stage: LifecycleStage,
    /// What violates the policy. The pod of a runtime violation is with the violation.
    pub entity: Entity,
    /// State.
    pub state: AlertState,
    /// When it first happened.
    pub first_occurred: Timestamp,
    /// When it last happened; for a deploy alert, when what was found last changed.
    pub time: Timestamp,
    /// When the violation was found to no longer apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Timestamp>,
    /// How many violations there were; 1 for a deploy alert, which is one condition judged again and again.
    pub count: u64,
    /// What was done about them, action by action.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enforcement: Vec<ActionSummary>,
    /// The entity was deleted.
    #[serde(default)]
    pub inactive: bool,
    /// Why it is unknown whether it still holds; absent when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undecided: Option<UndecidedNote>,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// Everything but the violations.
    #[serde(flatten)]
    pub summary: AlertSummary,
    /// The newest violations, newest first, at most [`VIOLATIONS_SHOWN`].
    pub violations: Vec<AlertViolation>,
}

/// A violation as an alert keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertViolation {
    /// Id.
    pub id: ViolationId,
    /// When the event happened.
    pub time: Timestamp,
    /// The verdict it came from.
    pub verdict: VerdictId,
    /// The event.
    pub event: EventRef,
    /// The revision of the policy that found it.
    pub policy_revision: u64,
    /// The pod it happened in, for runtime violations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodRef>,
    /// What was found.
    pub sections: Vec<SectionMatch>,
    /// The enforcement actions of the policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enforcement: Vec<EnforcementAction>,
    /// Who made the request and how it was answered.
    #[serde(default, alias = "asked", skip_serializing_if = "Option::is_none")]
    pub admission: Option<Admission>,
}

/// The last judgement could not decide the policy; the alert stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UndecidedNote {
    /// When that was judged.
    pub at: Timestamp,
    /// The facts that were missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// What went wrong, where the evaluation failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What the receipts say about one kind of action.
///
/// Receipts and verdicts are two logs, and each store may read them interleaved differently; so this holds only values
/// that do not depend on the order: counts, and the last receipt by its own time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionSummary {
    /// The action.
    pub action: EnforcementAction,
    /// Decisions and outcomes by name (`act`, `dryRun`, `refused.blastRadius`, `succeeded`, …).
    pub counts: BTreeMap<String, u64>,
    /// The newest receipt.
    pub last: LastReceipt,
}

/// The newest receipt of an action.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastReceipt {
    /// When.
    pub at: Timestamp,
    /// Its id.
    pub id: ReceiptId,
    /// The decision's or outcome's name.
    pub step: String,
    /// What it says in words; often nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

// === impl AlertSummary ===

impl AlertSummary {
    /// Adds what a receipt about one of the alert's violations says.
    pub(crate) fn add_receipt(&mut self, receipt: &Receipt) {
        let (step, message) = words(&receipt.step);
        let last = LastReceipt { at: receipt.at, id: receipt.id.clone(), step, message };
        match self.enforcement.binary_search_by_key(&receipt.action, |summary| summary.action) {
            Ok(found) => {
                let Some(summary) = self.enforcement.get_mut(found) else { return };
                *summary.counts.entry(last.step.clone()).or_default() += 1;
                if last > summary.last {
                    summary.last = last;
                }
            }
            Err(place) => {
                let counts = BTreeMap::from([(last.step.clone(), 1)]);
                self.enforcement.insert(place, ActionSummary { action: receipt.action, counts, last });
            }
        }
    }
}

fn words(step: &ReceiptStep) -> (String, String) {
    match step {
        ReceiptStep::Decision(Decision::Act) => ("act".to_owned(), String::new()),
        ReceiptStep::Decision(Decision::DryRun) => ("dryRun".to_owned(), String::new()),
        ReceiptStep::Decision(Decision::Refuse { refusal, reason }) => {
            (format!("refused.{refusal}"), reason.clone())
        }
        ReceiptStep::Outcome(Outcome::Succeeded { change }) => ("succeeded".to_owned(), change.clone()),
        ReceiptStep::Outcome(Outcome::AlreadyDone) => ("alreadyDone".to_owned(), String::new()),
        ReceiptStep::Outcome(Outcome::Failed { message }) => ("failed".to_owned(), message.clone()),
        ReceiptStep::Outcome(Outcome::NotExecuted) => ("notExecuted".to_owned(), String::new()),
    }
}
