//! What was not delivered, said by whoever knows.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::json::is_default;
use crate::{Kind, PodRef, RawJson};

/// A gap in what lictor sees: it makes "nothing happened" and "nothing was seen" different things.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CoverageEvent {
    /// What was lost, and how it is known.
    #[serde(flatten)]
    pub notice: CoverageNotice,
    /// How many events were lost; 0 when nobody knows.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lost: u64,
    /// The node it concerns; empty when it concerns none in particular.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// In words, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// The ways in which events are known to be missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CoverageNotice {
    /// The sensor dropped events to keep its own rate limit.
    SensorRateLimit,
    /// The sensor started or stopped throttling one process or container.
    SensorThrottle {
        /// Whether it started.
        started: bool,
        /// The pod, where it is known.
        pod: Option<PodRef>,
    },
    /// The source sent something whose kind is not known here; it is kept whole.
    Unrecognised {
        /// What was sent.
        raw: RawJson,
    },
    /// A published message was acknowledged by the stream and is not in it.
    MissingMessage {
        /// The event stream's kind.
        kind: Kind,
        /// The producer that published it.
        producer: String,
        /// The producer's start.
        epoch: String,
        /// The message's number.
        number: u64,
    },
    /// Messages fell out of a full stream before they were judged.
    FellOut {
        /// The event stream's kind.
        kind: Kind,
        /// First sequence that is gone.
        from: u64,
        /// Last sequence that is gone.
        to: u64,
        /// When it was noticed.
        at: Timestamp,
    },
}
