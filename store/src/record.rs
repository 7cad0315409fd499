//! What the followed logs hold, read from messages.

use std::borrow::Cow;

use jiff::Timestamp;
use lictor_wire::topology::Stream;
use lictor_wire::{CoverageNotice, DeadLetter, Event, EventData, Kind, Receipt, Verdict};
use serde::{Deserialize, Serialize};

lictor_wire::named_enum! {
    /// The logs the ledger is an index of, named as checkpoints and people name them.
    #[derive(Hash, PartialOrd, Ord, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub enum Log {
        /// Verdicts: alerts are made of them.
        Verdicts = "verdicts",
        /// Receipts.
        Receipts = "receipts",
        /// Dead letters.
        DeadLetters = "deadLetters",
        /// Coverage notices.
        Coverage = "coverage",
    }
}

/// A message of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the stream stored it.
    pub time: Timestamp,
    /// What it holds, in order.
    pub records: Vec<Record>,
}

/// One thing in a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// See [`Log::Verdicts`].
    Verdict(Box<Verdict>),
    /// See [`Log::Receipts`].
    Receipt(Box<Receipt>),
    /// See [`Log::DeadLetters`]; also the stand-in for a line that could not be read.
    DeadLetter(Box<DeadLetter>),
    /// See [`Log::Coverage`].
    Coverage(Box<Event>),
}

// === impl Log ===

impl Log {
    /// The stream that holds it.
    pub const fn stream(self) -> Stream {
        match self {
            Self::Verdicts => Stream::Verdicts,
            Self::Receipts => Stream::Receipts,
            Self::DeadLetters => Stream::DeadLetters,
            Self::Coverage => Stream::Events(Kind::Coverage),
        }
    }

    /// Its number in keys: a part of the file's format.
    pub(crate) const fn number(self) -> u8 {
        self as u8 + 1
    }
}

// === impl Entry ===

impl Entry {
    /// Reads the lines of a message. A line that cannot be read becomes a dead letter in its place, which every
    /// store writes alike; its neighbours are read.
    pub fn read(log: Log, sequence: u64, time: Timestamp, payload: &[u8]) -> Self {
        let lines = payload.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let read = |(line, number): (&[u8], u32)| {
            let unread = |reason| Record::unread(log, sequence, time, number, line, reason);
            Record::read(log, line).unwrap_or_else(unread)
        };
        Self { sequence, time, records: lines.zip(0..).map(read).collect() }
    }

    /// A message that could not be unpacked: all of it is one dead letter.
    pub(crate) fn unread(log: Log, sequence: u64, time: Timestamp, payload: &[u8], reason: String) -> Self {
        let letter = Record::unread(log, sequence, time, 0, payload, reason);
        Self { sequence, time, records: vec![letter] }
    }
}

impl Record {
    /// Messages of a kind's events that left their stream before they were judged, if this says so.
    pub(crate) fn unjudged(&self) -> Option<(Kind, u64)> {
        let Self::Coverage(event) = self else { return None };
        let EventData::Coverage(coverage) = &event.data else { return None };
        match coverage.notice {
            CoverageNotice::FellOut { kind, from, to, .. } => {
                Some((kind, to.saturating_sub(from).saturating_add(1)))
            }
            _ => None,
        }
    }

    /// A coverage event; a text where it is of another kind.
    pub(crate) fn coverage(event: Event) -> Result<Self, String> {
        match &event.data {
            EventData::Coverage(_) => Ok(Self::Coverage(Box::new(event))),
            other => Err(format!("a {} event where coverage events belong", other.kind())),
        }
    }

    pub(crate) fn unread(
        log: Log,
        sequence: u64,
        time: Timestamp,
        line: u32,
        bytes: &[u8],
        reason: String,
    ) -> Self {
        let text = String::from_utf8_lossy(bytes);
        Self::DeadLetter(Box::new(DeadLetter {
            role: "store".to_owned(),
            reason,
            origin: log.as_str().to_owned(),
            position: sequence,
            line,
            lossy: matches!(text, Cow::Owned(_)),
            original: text.into_owned(),
            at: time,
        }))
    }

    fn read(log: Log, line: &[u8]) -> Result<Self, String> {
        let text = |error: serde_json::Error| error.to_string();
        Ok(match log {
            Log::Verdicts => Self::Verdict(serde_json::from_slice(line).map_err(text)?),
            Log::Receipts => Self::Receipt(serde_json::from_slice(line).map_err(text)?),
            Log::DeadLetters => Self::DeadLetter(serde_json::from_slice(line).map_err(text)?),
            Log::Coverage => {
                let line = str::from_utf8(line).map_err(|error| error.to_string())?;
                let event = Event::parse(line).map_err(|error| error.to_string())?;
                Self::coverage(event)?
            }
        })
    }
}
