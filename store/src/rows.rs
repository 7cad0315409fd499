//! The shapes of the values in the file.

use jiff::Timestamp;
use lictor_wire::{AlertId, DeadLetter, Event, Receipt, ReceiptId, Revisions, ViolationId};
use serde::{Deserialize, Serialize};

use crate::Log;
use crate::alert::AlertSummary;

/// How much of a dead letter's original is kept here. The whole of it is in the stream, and raw events do not
/// belong into this file.
pub const ORIGINAL_KEPT: usize = 4 * 1024;

/// An alert and the names of the violations it shows; their evidence has a table of its own, so an alert that
/// counts one more writes little.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AlertRow {
    pub(crate) alert: AlertSummary,
    /// Newest first.
    #[serde(alias = "held")]
    pub(crate) shown: Vec<ShownViolation>,
    /// The time it is sorted by among alerts; absent before it is written.
    #[serde(skip)]
    pub(crate) filed: Option<i64>,
}

/// A violation an alert shows. The order of fields is the order of age.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ShownViolation {
    pub(crate) time: Timestamp,
    pub(crate) id: ViolationId,
}

/// What is known of an entity apart from its alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct EntityRow {
    /// The newest revisions a deploy verdict about it read.
    pub(crate) revisions: Revisions,
    /// The last of them said that it was deleted.
    pub(crate) gone: bool,
}

/// Which of an entity's open alerts of one policy is meant. The numbers are part of the file's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A condition of the workload.
    Deploy = 0,
    /// Something that happened.
    Runtime = 1,
    /// Requests for a workload that were to be denied.
    DeployAttempt = 2,
    /// Requests into a running workload that were to be denied.
    RuntimeAttempt = 3,
}

impl Slot {
    pub(crate) const ALL: [Self; 4] =
        [Self::Deploy, Self::Runtime, Self::DeployAttempt, Self::RuntimeAttempt];

    pub(crate) const fn number(self) -> u8 {
        self as u8
    }
}

/// A receipt, and its sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredReceipt {
    /// Its sequence in the stream of receipts.
    pub sequence: u64,
    /// The receipt.
    #[serde(flatten)]
    pub receipt: Receipt,
}

/// A dead letter, and its sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredDeadLetter {
    /// Its id.
    pub id: String,
    /// The log it was read from.
    pub log: Log,
    /// Its sequence there.
    pub sequence: u64,
    /// How long the original is, in bytes; more than [`ORIGINAL_KEPT`] of it are in the stream only.
    pub original_bytes: u64,
    /// The letter.
    #[serde(flatten)]
    pub letter: DeadLetter,
}

/// A coverage notice, and its sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredCoverage {
    /// Its sequence in the stream of coverage events.
    pub sequence: u64,
    /// The event.
    pub event: Event,
}

/// Something a live reader wants to know of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Change {
    /// A new alert, or one whose first violation came back.
    Opened {
        /// Which.
        alert: AlertId,
    },
    /// An alert counts one more, or shows something else.
    Merged {
        /// Which.
        alert: AlertId,
    },
    /// An alert ended.
    Resolved {
        /// Which.
        alert: AlertId,
    },
    /// It is unknown whether an open alert still holds.
    Undecided {
        /// Which.
        alert: AlertId,
    },
    /// The entity of an alert was deleted, or exists again.
    Presence {
        /// Which.
        alert: AlertId,
    },
    /// A receipt.
    Receipt {
        /// Which.
        receipt: ReceiptId,
        /// The alert its violation belongs to, if that was known when it came.
        alert: Option<AlertId>,
    },
}
