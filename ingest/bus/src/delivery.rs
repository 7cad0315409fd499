//! A message in an evaluator's or enforcer's hands, and what becomes of it.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::AckKind;
use bytes::Bytes;
use jiff::Timestamp;
use lictor_wire::topology::{Consumer, PARKED_FOR};
use lictor_wire::{Command, DeadLetter, Envelope, Event, PolicyDocument, Verdict};
use tokio::sync::{OwnedRwLockReadGuard, OwnedSemaphorePermit};

use crate::backoff::Backoff;
use crate::blame::Alone;
use crate::bus::{Bus, Publication};
use crate::error::BusError;
use crate::headers::{
    CONTENT_TYPE, EVENTS, Headers, MESSAGE_ID, MISSING, ONE_EVENT, ORIGIN, PARKED_SINCE, one_line,
};
use crate::intake::Held;
use crate::large::Fetched;

/// How long a parked event waits before it is judged again.
const JUDGE_AGAIN: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));

/// A message handed out by an [`crate::Intake`]: lines, each of which wants a [`LineOutcome`].
///
/// Dropping it without [`Delivery::settle`] leaves the message to be delivered again after a while, to whoever asks.
///
/// A message that comes for the third time has crashed, or outlived, two evaluators. It is judged with nothing beside
/// it; should it be in hand alone and not be settled, it is handed out line by line: each such delivery has one line,
/// [`Delivery::first_line`] says which, and the next one comes from the intake when the line before is settled. A
/// line that was begun twice alone and never settled is written to the dead letters, and is not handed out again. A
/// caller does nothing special for any of this.
#[derive(Debug)]
pub struct Delivery {
    /// The consumer it came from.
    pub consumer: Consumer,
    /// The stream's name.
    pub stream: String,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the stream took it.
    pub published: Timestamp,
    /// How many times it has been handed out, this one included.
    pub delivered: u64,
    /// Its subject.
    pub subject: String,
    /// Its lines, or one of them.
    pub lines: Vec<LineText>,
    /// The number within the message of the first of `lines`, from 0.
    pub first_line: usize,
    /// Where it was parked from, when it comes from [`Consumer::Retry`].
    pub parked: Option<ParkedLine>,
    pub(crate) bus: Bus,
    pub(crate) held: Held,
    pub(crate) permit: OwnedSemaphorePermit,
    /// Keeps lines that are judged alone waiting, until this one is judged.
    pub(crate) judging: Option<OwnedRwLockReadGuard<()>>,
    /// Set when it is handed out line by line.
    pub(crate) alone: Option<Box<Alone>>,
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

/// One line of a message, not read yet: whoever judges reads, so that messages are read side by side.
#[derive(Debug, Clone)]
pub struct LineText {
    original: Bytes,
    /// The same with its body fetched from wherever it lies, or why there is none.
    whole: Fetched,
    holds: Holds,
}

/// What the lines of a subject are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Holds {
    Event,
    Verdict,
    Policy,
    Command,
    Document,
}

/// One line of a message, read.
#[derive(Debug, Clone)]
pub enum Line {
    /// An event, with its body.
    Event(Box<Event>),
    /// A verdict.
    Verdict(Box<Verdict>),
    /// A policy document.
    Policy(Box<PolicyDocument>),
    /// A command.
    Command(Box<Command>),
    /// A document of another sort, such as a policy category: its JSON.
    Document(String),
}

/// A line that is not what it should be. Made into a [`LineOutcome`] it goes to the dead letters with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// What came.
    pub raw: Bytes,
    /// Why it cannot be read.
    pub reason: String,
}

/// What became of a line.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It was judged; whatever there is to say stands in the verdicts.
    Judged,
    /// It waits for facts. From an event stream it moves to the parked ones; a parked one sleeps a little longer.
    Parked {
        /// The facts, in words, as `deployment of pod shop/web-1`.
        missing: Vec<String>,
    },
    /// It cannot be judged, now or ever.
    Dead {
        /// Why.
        reason: String,
    },
}

/// What became of a line, and what was concluded from it.
#[derive(Debug, Clone, PartialEq)]
pub struct LineOutcome {
    /// The verdicts; published before the message is acknowledged.
    pub verdicts: Vec<Verdict>,
    /// The fate.
    pub fate: Fate,
}

impl LineOutcome {
    /// It was judged.
    #[must_use]
    pub const fn judged(verdicts: Vec<Verdict>) -> Self {
        Self { verdicts, fate: Fate::Judged }
    }

    /// It waits.
    #[must_use]
    pub const fn parked(missing: Vec<String>) -> Self {
        Self { verdicts: Vec::new(), fate: Fate::Parked { missing } }
    }

    /// It is dead.
    #[must_use]
    pub fn dead(reason: impl Into<String>) -> Self {
        Self { verdicts: Vec::new(), fate: Fate::Dead { reason: reason.into() } }
    }
}

impl From<BadLine> for LineOutcome {
    fn from(bad: BadLine) -> Self {
        Self::dead(bad.reason)
    }
}

// === impl Delivery ===

impl Delivery {
    /// Where the event of a line lies for good: stream and sequence; for a parked one, of the message it came from.
    #[must_use]
    pub fn origin(&self) -> (&str, u64) {
        self.parked.as_ref().map_or((&self.stream, self.sequence), |parked| (&parked.stream, parked.sequence))
    }

    /// Whether a parked event has waited long enough, and is to be judged with what there is.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> bool {
        self.parked.is_some()
            && now.duration_since(self.published).unsigned_abs() >= PARKED_FOR
            && now > self.published
    }

    /// Writes what became of each line, in the order of [`Delivery::lines`], and then acknowledges the message. This
    /// is the one place that does.
    ///
    /// # Errors
    /// When a write is not acknowledged, or the number of outcomes is wrong: then the message is not acknowledged
    /// either, and comes again. What was written already has ids, so writing it again changes nothing.
    pub async fn settle(mut self, outcomes: Vec<LineOutcome>) -> Result<(), BusError> {
        // Judged it is; what follows cannot crash on what a line says.
        drop(self.judging.take());
        if outcomes.len() != self.lines.len() {
            return Err(BusError::Outcomes { wanted: self.lines.len(), found: outcomes.len() });
        }
        let written = self.write(outcomes).await;
        let Self { held, permit, alone, .. } = self;
        match (written, alone) {
            (Ok(Done::Acknowledge), None) => held.answer(AckKind::Ack).await,
            (Ok(Done::Acknowledge), Some(alone)) => alone.go_on(held, permit).await,
            (Ok(Done::Sleep(delay)), None) => held.answer(AckKind::Nak(Some(delay))).await,
            (Ok(Done::Sleep(delay)), Some(alone)) => {
                alone.give_back().await;
                held.answer(AckKind::Nak(Some(delay))).await
            }
            (Err(error), None) => Err(error),
            (Err(error), Some(alone)) => {
                alone.give_back().await;
                Err(error)
            }
        }
    }

    async fn write(&self, outcomes: Vec<LineOutcome>) -> Result<Done, BusError> {
        let waits = |outcome: &LineOutcome| matches!(outcome.fate, Fate::Parked { .. });
        if self.consumer == Consumer::Retry && outcomes.iter().any(waits) {
            let deliveries = u32::try_from(self.delivered.max(1)).unwrap_or(u32::MAX);
            return Ok(Done::Sleep(JUDGE_AGAIN.after(deliveries)));
        }
        let mut publications = Vec::new();
        for (i, (line, outcome)) in self.lines.iter().zip(outcomes).enumerate() {
            for verdict in &outcome.verdicts {
                publications.push(self.bus.verdict(verdict)?);
            }
            let (number, original) = (self.first_line + i, &line.original);
            match outcome.fate {
                Fate::Judged => {}
                Fate::Parked { missing } => publications.push(self.park(number, original, &missing).await?),
                Fate::Dead { reason } => publications.push(self.dead(number, original, reason).await?),
            }
        }
        self.bus.publish_all(publications).await?;
        Ok(Done::Acknowledge)
    }

    async fn park(&self, line: usize, original: &Bytes, missing: &[String]) -> Result<Publication, BusError> {
        // Only events are parked: where they go stands in their envelope.
        let envelope = std::str::from_utf8(original).ok().and_then(|text| Envelope::parse(text).ok());
        let Some(envelope) = envelope else {
            let reason = format!("only events can wait, and this waits for {}", missing.join(", "));
            return self.dead(line, original, reason).await;
        };
        let subject = self.bus.topology().parked(envelope.kind, &envelope.cluster);
        let (stream, sequence) = self.origin();
        let mut headers = HeaderMap::new();
        headers.insert(MESSAGE_ID, format!("{stream}.{sequence}.{line}"));
        headers.insert(EVENTS, "1");
        headers.insert(CONTENT_TYPE, ONE_EVENT);
        headers.insert(ORIGIN, format!("{stream}/{sequence}/{line}"));
        headers.insert(PARKED_SINCE, Timestamp::now().to_string());
        headers.insert(MISSING, one_line(&serde_json::json!(missing).to_string()));
        let what = || format!("line {line} of message {sequence} of stream `{stream}`");
        let payload = self.bus.fit(what, &mut headers, original.clone())?;
        Ok(Publication { subject, headers, payload })
    }

    async fn dead(&self, line: usize, original: &Bytes, reason: String) -> Result<Publication, BusError> {
        let (stream, sequence) = self.origin();
        let line = self.parked.as_ref().map_or(line, |parked| parked.line);
        let letter = dead_letter(self.consumer, stream, sequence, line, original, reason);
        tracing::debug!(stream, sequence, line, reason = letter.reason, "dead");
        self.bus.dead_letter(&letter).await
    }
}

/// What follows once everything is written.
enum Done {
    Acknowledge,
    Sleep(Duration),
}

pub(crate) fn dead_letter(
    consumer: Consumer,
    stream: &str,
    sequence: u64,
    line: usize,
    original: &Bytes,
    reason: String,
) -> DeadLetter {
    let text = String::from_utf8_lossy(original);
    DeadLetter {
        role: role(consumer).to_owned(),
        reason,
        origin: stream.to_owned(),
        position: sequence,
        line: u32::try_from(line).unwrap_or(u32::MAX),
        lossy: std::str::from_utf8(original).is_err(),
        original: text.into_owned(),
        at: Timestamp::now(),
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

// --- reading lines -----------------------------------------------------------------------------------------------

impl Holds {
    /// What a consumer's messages of a subject hold.
    pub(crate) fn of(consumer: Consumer, subject: &str) -> Self {
        match consumer {
            Consumer::Judge(_) | Consumer::Retry => Self::Event,
            Consumer::Enforce => Self::Verdict,
            Consumer::EvaluatorCommands => Self::Command,
            Consumer::PolicyChanges if subject.contains(".policies.category.") => Self::Document,
            Consumer::PolicyChanges => Self::Policy,
        }
    }
}

impl LineText {
    pub(crate) const fn new(original: Bytes, whole: Fetched, holds: Holds) -> Self {
        Self { original, whole, holds }
    }

    /// As it came.
    pub(crate) const fn original(&self) -> &Bytes {
        &self.original
    }

    /// Reads the line.
    ///
    /// # Errors
    /// When it is not what it should be: retrying never helps, the line is dead.
    pub fn read(&self) -> Result<Line, BadLine> {
        let text = self.text()?;
        match self.holds {
            Holds::Event => self.understood(Event::parse(text)).map(|event| Line::Event(Box::new(event))),
            Holds::Verdict => self.understood(serde_json::from_str(text)).map(Line::Verdict),
            Holds::Policy => self.understood(serde_json::from_str(text)).map(Line::Policy),
            Holds::Command => self.understood(serde_json::from_str(text)).map(Line::Command),
            Holds::Document => Ok(Line::Document(text.to_owned())),
        }
    }

    /// Reads the line as an event.
    pub(crate) fn event(&self) -> Result<Event, BadLine> {
        self.understood(Event::parse(self.text()?))
    }

    /// The text of the line.
    ///
    /// # Errors
    /// When it is no UTF-8, or its body could not be fetched from where it lies.
    pub fn text(&self) -> Result<&str, BadLine> {
        match &self.whole {
            Ok(whole) => {
                self.understood(std::str::from_utf8(whole).map_err(|error| format!("not UTF-8: {error}")))
            }
            Err(reason) => Err(BadLine { raw: self.original.clone(), reason: reason.clone() }),
        }
    }

    fn understood<T>(&self, read: Result<T, impl ToString>) -> Result<T, BadLine> {
        read.map_err(|error| {
            let raw = self.whole.as_ref().unwrap_or(&self.original).clone();
            BadLine { raw, reason: error.to_string() }
        })
    }
}

impl ParkedLine {
    /// Reads what [`Delivery::settle`] wrote when it parked the line.
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
    fn parked_events_wait_longer_each_time() {
        let waits: Vec<u64> = (1..=6).map(|delivered| JUDGE_AGAIN.after(delivered).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
        assert_eq!(JUDGE_AGAIN.after(u32::MAX).as_secs(), 10);
    }

    #[test]
    fn lines_that_are_no_events_say_why() {
        let line = |bytes: &'static [u8]| {
            let bytes = Bytes::from_static(bytes);
            LineText::new(bytes.clone(), Ok(bytes), Holds::Event)
        };
        let BadLine { reason, raw } = line(b"\xff\xfe").read().unwrap_err();
        assert!(reason.starts_with("not UTF-8"), "{reason}");
        assert_eq!(raw, Bytes::from_static(b"\xff\xfe"));
        assert_eq!(line(b"{}").read().unwrap_err().raw, Bytes::from_static(b"{}"));
        let gone = LineText::new(Bytes::from_static(b"{}"), Err("it is gone".to_owned()), Holds::Event);
        assert_eq!(LineOutcome::from(gone.read().unwrap_err()), LineOutcome::dead("it is gone"));
    }

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
