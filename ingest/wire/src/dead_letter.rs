//! Dead letters: what could not be understood or survived, with the reason, never lost.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Fingerprint;

/// Something that could not be judged and is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// The role that gave up.
    pub role: String,
    /// Why, in words.
    pub reason: String,
    /// The stream or source it came from.
    pub origin: String,
    /// The message's sequence in that stream, or the line or byte offset in that source.
    pub position: u64,
    /// The line within the message, from 0.
    #[serde(default, skip_serializing_if = "crate::json::is_default")]
    pub line: u32,
    /// What it was. Bytes that are not UTF-8 are replaced, as [`DeadLetter::lossy`] says.
    pub original: String,
    /// Whether bytes of `original` were replaced.
    #[serde(default, skip_serializing_if = "crate::json::is_default")]
    pub lossy: bool,
    /// When, by the role's clock.
    pub at: Timestamp,
}

impl DeadLetter {
    /// The id under which the same failure is the same letter: role, origin, position, line and content.
    pub fn id(&self) -> String {
        Fingerprint::new("dead-letter")
            .part(&self.role)
            .part(&self.origin)
            .number(self.position)
            .number(u64::from(self.line))
            .part(&self.original)
            .finish()
    }
}
