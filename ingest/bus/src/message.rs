//! What is known of a message before its lines are read.

use bytes::Bytes;
use jiff::Timestamp;
use lictor_wire::DeadLetter;
use lictor_wire::topology::{Consumer, PARKED_FOR};

use crate::headers::{Headers, MISSING, ORIGIN, PARKED_SINCE};

/// A message as a consumer delivered it, without its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageInfo {
    /// The consumer it came from.
    pub consumer: Consumer,
    /// The stream's name.
    pub stream: String,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the stream stored it.
    pub published: Timestamp,
    /// How many times it has been delivered, this one included.
    pub delivered: u64,
    /// Its subject.
    pub subject: String,
    /// Where it was parked from, when it comes from [`Consumer::Retry`].
    pub parked: Option<ParkedLine>,
}

/// Where a parked event comes from, and what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParkedLine {
    /// The stream of the message it was a line of.
    pub stream: String,
    /// That message's sequence.
    pub sequence: u64,
    /// The line in that message, from 0.
    pub line: usize,
    /// The facts that were missing when it was parked.
    pub missing: Vec<String>,
    /// When it was parked.
    pub since: Timestamp,
}

impl MessageInfo {
    /// The message that its event was published in: stream and sequence. A parked event's is the one it was parked
    /// from.
    pub fn origin(&self) -> (&str, u64) {
        self.parked.as_ref().map_or((&self.stream, self.sequence), |parked| (&parked.stream, parked.sequence))
    }

    /// Whether a parked event has waited long enough, and is to be judged with what there is.
    pub fn expired(&self, now: Timestamp) -> bool {
        self.parked.is_some()
            && now.duration_since(self.published).unsigned_abs() >= PARKED_FOR
            && now > self.published
    }

    /// The dead letter of one of its lines. A parked event's names the line that it was parked from.
    pub(crate) fn dead_letter(&self, line: usize, original: &Bytes, reason: String) -> DeadLetter {
        let (stream, sequence) = self.origin();
        let line = self.parked.as_ref().map_or(line, |parked| parked.line);
        let text = String::from_utf8_lossy(original);
        DeadLetter {
            role: role(self.consumer).to_owned(),
            reason,
            origin: stream.to_owned(),
            position: sequence,
            line: u32::try_from(line).unwrap_or(u32::MAX),
            lossy: std::str::from_utf8(original).is_err(),
            original: text.into_owned(),
            at: Timestamp::now(),
        }
    }
}

/// Who reads from a consumer.
const fn role(consumer: Consumer) -> &'static str {
    match consumer {
        Consumer::Judge(_) | Consumer::Retry | Consumer::PolicyChanges | Consumer::EvaluatorCommands => {
            "evaluator"
        }
        Consumer::Enforce => "enforcer",
    }
}

impl ParkedLine {
    /// Reads what [`crate::Delivery::settle`] wrote when it parked the line.
    pub(crate) fn read(headers: &Headers, published: Timestamp) -> Option<Self> {
        let mut origin = headers.get(ORIGIN)?.rsplitn(3, '/');
        let line = origin.next()?.parse().ok()?;
        let sequence = origin.next()?.parse().ok()?;
        let stream = origin.next()?.to_owned();
        let missing =
            headers.get(MISSING).and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default();
        let since = headers.get(PARKED_SINCE).and_then(|since| since.parse().ok()).unwrap_or(published);
        Some(Self { stream, sequence, line, missing, since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_was_parked_from_comes_back() {
        let headers: Headers = [
            (ORIGIN, "LICTOR_EVENTS_PROCESS/17/3"),
            (MISSING, r#"["deployment of pod shop/web-1"]"#),
            (PARKED_SINCE, "2026-01-02T03:04:05Z"),
        ]
        .into_iter()
        .collect();
        let parked = ParkedLine::read(&headers, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(parked.stream, "LICTOR_EVENTS_PROCESS");
        assert_eq!((parked.sequence, parked.line), (17, 3));
        assert_eq!(parked.missing, ["deployment of pod shop/web-1"]);
        assert_eq!(parked.since.to_string(), "2026-01-02T03:04:05Z");
        assert_eq!(ParkedLine::read(&Headers::default(), Timestamp::UNIX_EPOCH), None);
    }
}
