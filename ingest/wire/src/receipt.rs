//! Receipts: what the enforcer did or refused to do about a violation, and how it ended.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::policy::EnforcementAction;
use crate::{ActionKey, Entity, Fingerprint, PolicyRef, ReceiptId, VerdictId, ViolationId};

/// What was decided about an action, or how the action ended: two receipts, in that order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Fingerprint of the action key and the step: a step repeated writes the same receipt.
    pub id: ReceiptId,
    /// Violation and action: what is done at most once.
    pub action_key: ActionKey,
    /// The violation.
    pub violation: ViolationId,
    /// The verdict that carried it.
    pub verdict: VerdictId,
    /// The policy.
    pub policy: PolicyRef,
    /// What is acted on.
    pub entity: Entity,
    /// The action.
    pub action: EnforcementAction,
    /// Which of the two receipts this is, and what it says.
    #[serde(flatten)]
    pub step: ReceiptStep,
    /// When, by the enforcer's clock.
    pub at: Timestamp,
    /// Which enforcer.
    pub enforcer: String,
}

/// The two steps of an action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReceiptStep {
    /// What was decided.
    Decision(Decision),
    /// How it ended.
    Outcome(Outcome),
}

/// What the enforcer decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Decision {
    /// It will act.
    Act,
    /// It would act, but this is a dry run.
    DryRun,
    /// It will not act.
    Refuse {
        /// Why.
        refusal: Refusal,
        /// In words.
        reason: String,
    },
}

crate::named_enum! {
    /// Why an action was refused.
    #[derive(Hash, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub enum Refusal {
        /// The namespace is excluded from enforcement.
        ProtectedNamespace = "protectedNamespace",
        /// Too many actions in this namespace within the window.
        BlastRadius = "blastRadius",
        /// The event is too old to act on.
        StaleEvent = "staleEvent",
        /// The policy no longer asks for it.
        PolicyChanged = "policyChanged",
        /// The object is no longer the one the event was about.
        ObjectChanged = "objectChanged",
        /// The object is exempted by break-glass, by a user who may.
        BreakGlass = "breakGlass",
        /// The action does not apply to this kind of object.
        NotApplicable = "notApplicable",
        /// Nothing real happened: a replay or a draft.
        NotLive = "notLive",
    }
}

/// How an action ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Outcome {
    /// Done.
    Succeeded {
        /// What was changed, in words.
        change: String,
    },
    /// There was nothing left to do.
    AlreadyDone,
    /// Tried and failed for good.
    Failed {
        /// What went wrong.
        message: String,
    },
    /// Nothing was touched: a dry run.
    NotExecuted,
}

impl ActionKey {
    /// The key of `action` about `violation`.
    pub fn of(violation: &ViolationId, action: EnforcementAction) -> Self {
        Fingerprint::new("action").part(violation).part(action.as_str()).into()
    }
}

impl Receipt {
    /// The id of a step of an action.
    pub fn id_of(action: &ActionKey, step: &ReceiptStep) -> ReceiptId {
        let step = match step {
            ReceiptStep::Decision(_) => "decision",
            ReceiptStep::Outcome(_) => "outcome",
        };
        Fingerprint::new("receipt").part(action).part(step).into()
    }
}
