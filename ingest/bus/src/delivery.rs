//! A message with an evaluator or enforcer, and what becomes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::AckKind;
use bytes::Bytes;
use jiff::Timestamp;
use lictor_wire::topology::Consumer;
use lictor_wire::{Envelope, Verdict};
use tokio::sync::mpsc;

use crate::ack::AckHandle;
use crate::backoff::Backoff;
use crate::bus::Bus;
use crate::error::BusError;
use crate::headers::{CONTENT_TYPE, EVENTS, MESSAGE_ID, MISSING, ONE_EVENT, ORIGIN, PARKED_SINCE, one_line};
use crate::intake::Held;
use crate::isolation::Turn;
use crate::line::{BadLine, LineText};
use crate::message::MessageInfo;
use crate::publish::Publication;

/// How long a parked event waits before it is judged again.
const JUDGE_AGAIN: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));

/// Missing facts that a header holds, and the bytes of each: enough for a name in a namespace.
const FACTS_SHOWN: usize = 8;
const LONGEST_FACT: usize = 400;

/// A message handed out by an [`crate::Intake`]: lines, each of which needs a [`LineOutcome`].
///
/// Dropping it without [`Delivery::settle`] leaves the message to be delivered again after a while, to whoever pulls.
///
/// A message on its third delivery was delivered twice and never settled: its evaluators crashed, stopped, or took
/// longer than the ack wait. It is isolated: judged while the process judges no other message, and if that is not
/// settled either, handed out line by line. Each such delivery has one line, [`Delivery::first_line`] says which, and
/// the next one comes from the intake when the line before is settled. A line that was handed out twice by itself and
/// never settled is written to the dead letters, and is not handed out again; so is one whose outcome could not be
/// written five times although the server was there. A caller does nothing special for any of this.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub message: MessageInfo,
    /// Its lines, or one of them.
    pub lines: Vec<LineText>,
    /// The number within the message of the first of `lines`, from 0.
    pub first_line: usize,
    bus: Bus,
    ack: AckHandle,
    turn: Turn,
    _held: Held,
}

/// What became of a line.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It was judged; whatever there is to say is in the verdicts.
    Judged,
    /// It waits for facts. From an event stream it moves to the parked ones; one that is parked, and a message that is not
    /// an event, waits a little longer where it is.
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
    pub const fn judged(verdicts: Vec<Verdict>) -> Self {
        Self { verdicts, fate: Fate::Judged }
    }

    /// It waits.
    pub const fn parked(missing: Vec<String>) -> Self {
        Self { verdicts: Vec::new(), fate: Fate::Parked { missing } }
    }

    /// The line is dead-lettered.
    pub fn dead(reason: impl Into<String>) -> Self {
        Self { verdicts: Vec::new(), fate: Fate::Dead { reason: reason.into() } }
    }
}

impl From<BadLine> for LineOutcome {
    fn from(bad: BadLine) -> Self {
        Self::dead(bad.reason)
    }
}

impl Delivery {
    /// A message that has just come. While it is isolated, what is left of it goes back through `returns` after each
    /// line.
    pub(crate) fn new(
        bus: Bus,
        message: MessageInfo,
        lines: Vec<LineText>,
        ack: AckHandle,
        held: Held,
        returns: &mpsc::Sender<Box<Self>>,
    ) -> Self {
        let turn = Turn::of(message.delivered, lines, returns);
        Self { message, lines: Vec::new(), first_line: 0, bus, ack, turn, _held: held }
    }

    /// Waits for the message's turn and puts the lines whose turn it is into `lines`. `false` when none is left: the
    /// message is acknowledged.
    ///
    /// May be dropped and called again.
    pub(crate) async fn begin(&mut self) -> Result<bool, BusError> {
        let Some((first_line, lines)) = self.turn.begin(&self.bus, &self.message, &self.ack).await? else {
            return Ok(false);
        };
        (self.first_line, self.lines) = (first_line, lines);
        Ok(true)
    }

    /// Writes what became of each line, in the order of [`Delivery::lines`], and then acknowledges the message. This
    /// is the one place that does.
    ///
    /// # Errors
    /// When a write is not acknowledged, or the number of outcomes is wrong: then the message is not acknowledged
    /// either, and is redelivered. What was written already has ids, so writing it again changes nothing.
    pub async fn settle(mut self, outcomes: Vec<LineOutcome>) -> Result<(), BusError> {
        // Judged it is; what follows cannot crash on what a line says.
        self.turn.judged();
        if outcomes.len() != self.lines.len() {
            return Err(BusError::Outcomes { wanted: self.lines.len(), found: outcomes.len() });
        }
        let written = self.write(outcomes).await;
        if let Turn::Isolated(isolation) = &mut self.turn {
            if matches!(written, Ok(Done::Acknowledge)) {
                let left = isolation.settled(&self.bus, &self.message, &self.ack).await?;
                if let Some(returns) = left {
                    // Without its intake the message is delivered again, from this line on, to somebody else.
                    let _ = returns.send(Box::new(self)).await;
                }
                return Ok(());
            }
            isolation.give_back(&self.bus, &self.message, written.as_ref().err()).await;
        }
        match written? {
            Done::Acknowledge => self.ack.answer(AckKind::Ack).await,
            Done::Wait(delay) => self.ack.answer(AckKind::Nak(Some(delay))).await,
        }
    }

    async fn write(&self, outcomes: Vec<LineOutcome>) -> Result<Done, BusError> {
        let waits = |outcome: &LineOutcome| matches!(outcome.fate, Fate::Parked { .. });
        if !matches!(self.message.consumer, Consumer::Judge(_)) && outcomes.iter().any(waits) {
            let deliveries = u32::try_from(self.message.delivered.max(1)).unwrap_or(u32::MAX);
            return Ok(Done::Wait(JUDGE_AGAIN.after(deliveries)));
        }
        let mut publications = Vec::new();
        let mut refused = Vec::new();
        for (i, (line, outcome)) in self.lines.iter().zip(outcomes).enumerate() {
            match self.publications(i, line.original(), outcome).await {
                Ok(of_line) => publications.extend(of_line.into_iter().map(|publication| (i, publication))),
                Err(error) if error.is_permanent() => refused.push((i, error)),
                Err(error) => return Err(error),
            }
        }
        refused.extend(self.bus.publish_all(publications).await?);
        // What can never be written is no reason to try for ever: the line is kept where people find it.
        let mut letters = BTreeMap::new();
        for (i, error) in refused {
            if let Some(line) = self.lines.get(i) {
                tracing::error!(%error, "the result of judging a line cannot be published; the line is dead-lettered");
                let reason = format!("the result of judging it cannot be published: {error}");
                letters.insert(i, self.dead_letter(self.first_line + i, line.original(), reason).await?);
            }
        }
        match self.bus.publish_all(letters.into_iter().collect()).await?.pop() {
            Some((_, error)) => Err(error),
            None => Ok(Done::Acknowledge),
        }
    }

    /// What is to be published about the `i`-th line.
    async fn publications(
        &self,
        i: usize,
        original: &Bytes,
        outcome: LineOutcome,
    ) -> Result<Vec<Publication>, BusError> {
        let verdicts = outcome.verdicts.iter().map(|verdict| self.bus.verdict(verdict));
        let mut publications = verdicts.collect::<Result<Vec<_>, _>>()?;
        let number = self.first_line + i;
        match outcome.fate {
            Fate::Judged => {}
            Fate::Parked { missing } => publications.push(self.park(number, original, &missing).await?),
            Fate::Dead { reason } => publications.push(self.dead_letter(number, original, reason).await?),
        }
        Ok(publications)
    }

    async fn park(&self, line: usize, original: &Bytes, missing: &[String]) -> Result<Publication, BusError> {
        // Only events are parked: where they go is in their envelope.
        let envelope = std::str::from_utf8(original).ok().and_then(|text| Envelope::parse(text).ok());
        let Some(envelope) = envelope else {
            let reason = format!("only events can be parked, and this message needs {}", missing.join(", "));
            return self.dead_letter(line, original, reason).await;
        };
        let subject = self.bus.topology().parked(envelope.kind, &envelope.cluster);
        let (stream, sequence) = self.message.origin();
        let mut headers = HeaderMap::new();
        headers.insert(MESSAGE_ID, format!("{stream}.{sequence}.{line}"));
        headers.insert(EVENTS, "1");
        headers.insert(CONTENT_TYPE, ONE_EVENT);
        headers.insert(ORIGIN, format!("{stream}/{sequence}/{line}"));
        headers.insert(PARKED_SINCE, Timestamp::now().to_string());
        headers.insert(MISSING, one_line(&serde_json::json!(shown(missing)).to_string()));
        let what = || format!("line {line} of message {sequence} of stream `{stream}`");
        let payload = self.bus.fit(what, &mut headers, original.clone())?;
        Ok(Publication { subject, headers, payload })
    }

    async fn dead_letter(
        &self,
        line: usize,
        original: &Bytes,
        reason: String,
    ) -> Result<Publication, BusError> {
        let letter = self.message.dead_letter(line, original, reason);
        tracing::debug!(
            stream = letter.origin,
            sequence = letter.position,
            line = letter.line,
            reason = letter.reason,
            "dead letter"
        );
        self.bus.dead_letter(&letter).await
    }
}

/// Missing facts as a header holds them: the first ones, and of each the beginning. Names in them come from outside.
fn shown(missing: &[String]) -> Vec<&str> {
    let beginning = |fact: &String| fact.floor_char_boundary(LONGEST_FACT);
    missing.iter().take(FACTS_SHOWN).map(|fact| fact.get(..beginning(fact)).unwrap_or_default()).collect()
}

/// What follows once everything is written.
enum Done {
    Acknowledge,
    /// A parked event is to be delivered again after this long.
    Wait(Duration),
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
}
