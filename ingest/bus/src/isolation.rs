//! Isolating poison messages: finding the line that crashes evaluators.
//!
//! A message delivered for the third time is judged by itself: most were only in flight when another one crashed the
//! process, and are done with that. If it was isolated before and never settled, it is handed out line by line. Before
//! a line is handed out, the bucket says which line it is and how many times it was begun; when it is settled, that the
//! next one's turn is. So whoever gets the message after a crash knows which line was being judged, and a line begun
//! twice and never settled is dead-lettered, with that as its reason. All other lines are judged. Ordinary deliveries
//! never touch the bucket.
//!
//! What was concluded from a line may be what cannot be written: a server that ends the connection for it looks like an
//! absent one. But it is there for the bucket right afterwards, so failures to write are counted with the line, and a
//! line with too many is dead-lettered, too. A server that is really absent is waited for.
//!
//! While an isolated message is judged nothing else of the process is, so a crash is its doing and not a neighbour's.
//! A process killed from outside at that very moment, twice, is the one mistake left.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use async_nats::jetstream::AckKind;
use futures_util::future::BoxFuture;
use lictor_wire::topology::Bucket;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, mpsc};

use crate::ack::AckHandle;
use crate::bus::Bus;
use crate::delivery::Delivery;
use crate::error::BusError;
use crate::line::LineText;
use crate::message::MessageInfo;

/// Whoever judges holds this shared; whoever judges an isolated message holds it exclusively. A crash ends the whole
/// process, whichever connection a message came by, so the lock is the process'.
static JUDGING: LazyLock<Arc<RwLock<()>>> = LazyLock::new(Arc::default);

/// From this delivery on a message is isolated: twice may be bad luck.
const ISOLATED_FROM: u64 = 3;

/// A line begun this often by itself without being settled is dead-lettered.
const ATTEMPTS_AT_MOST: u32 = 2;

/// A line whose outcome could not be written this often, by itself and by a server that was there afterwards, is
/// dead-lettered. More than the restarts that one line may happen to meet.
const UNWRITTEN_AT_MOST: u32 = 5;

/// How many bytes of the reason for the last failure are kept.
const LONGEST_REASON: usize = 300;

/// How a message is judged.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Along with others: its lines, and from when they are handed out until they are judged the shared lock.
    Shared(Vec<LineText>, Option<OwnedRwLockReadGuard<()>>),
    /// By itself.
    Isolated(Box<Isolation>),
}

/// An isolated message: the part of a [`Delivery`] that others do not have.
#[derive(Debug)]
pub(crate) struct Isolation {
    state: State,
    /// Lines whose turn has not come.
    rest: VecDeque<LineText>,
    /// Held from before the bucket says that lines are begun until they are settled.
    exclusive: Option<OwnedRwLockWriteGuard<()>>,
    returns: mpsc::Sender<Box<Delivery>>,
}

/// The state of an isolated message; [`Isolation::step`] leads from each state to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// It has just come. What the bucket says of it is not read yet.
    Arrived,
    /// It is isolated for the first time: all its lines are next, together.
    Together,
    /// All lines before this one are settled or dead. It is next, by itself.
    Single(Marker),
    /// Lines are being judged, and the bucket says which.
    Begun(Marker),
    /// All lines are settled or dead. The marker is to be deleted and the message acknowledged.
    Finished,
    /// Nothing is left to do.
    Acknowledged,
}

/// What the bucket says of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Marker {
    /// The line whose turn it is; all before are settled or dead.
    line: usize,
    /// How many times it was begun by itself. None for the first line: all were begun together.
    attempts: u32,
    /// How many times its outcome could not be written, and why not the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unwritten: Option<Unwritten>,
}

/// Failures to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Unwritten {
    times: u32,
    reason: String,
}

// === impl Turn ===

impl Turn {
    /// The turn of a message that has just come.
    pub(crate) fn of(delivered: u64, lines: Vec<LineText>, returns: &mpsc::Sender<Box<Delivery>>) -> Self {
        if delivered < ISOLATED_FROM {
            return Self::Shared(lines, None);
        }
        Self::Isolated(Box::new(Isolation {
            state: State::Arrived,
            rest: VecDeque::from(lines),
            exclusive: None,
            returns: returns.clone(),
        }))
    }

    /// Waits until the message may be judged; returns the lines whose turn it is, and the number of the first. `None`
    /// when nothing is left of the message, and it is acknowledged.
    ///
    /// May be dropped and called again: what it writes it writes again alike.
    pub(crate) async fn begin(
        &mut self,
        bus: &Bus,
        message: &MessageInfo,
        ack: &AckHandle,
    ) -> Result<Option<(usize, Vec<LineText>)>, BusError> {
        match self {
            Self::Shared(lines, guard) => {
                *guard = Some(JUDGING.clone().read_owned().await);
                Ok(Some((0, std::mem::take(lines))))
            }
            Self::Isolated(isolation) => isolation.begin(bus, message, ack).await,
        }
    }

    /// The lines are judged. Those that others wait to judge no longer have to.
    pub(crate) fn judged(&mut self) {
        match self {
            Self::Shared(_, guard) => drop(guard.take()),
            // Until it is settled a crash would still be taken for its doing.
            Self::Isolated(_) => {}
        }
    }
}

// === impl Isolation ===

impl Isolation {
    async fn begin(
        &mut self,
        bus: &Bus,
        message: &MessageInfo,
        ack: &AckHandle,
    ) -> Result<Option<(usize, Vec<LineText>)>, BusError> {
        loop {
            self.step(bus, message, ack).await?;
            match &self.state {
                State::Begun(marker) => {
                    let turn = if marker.attempts == 0 { self.rest.len() } else { 1 };
                    let lines = self.rest.drain(..turn.min(self.rest.len())).collect();
                    return Ok(Some((marker.line, lines)));
                }
                State::Acknowledged => return Ok(None),
                State::Arrived | State::Together | State::Single(_) | State::Finished => {}
            }
        }
    }

    /// The lines that were begun are settled. Where others are left, returns where the message is to be sent back to;
    /// else the message is acknowledged.
    pub(crate) async fn settled(
        &mut self,
        bus: &Bus,
        message: &MessageInfo,
        ack: &AckHandle,
    ) -> Result<Option<mpsc::Sender<Box<Delivery>>>, BusError> {
        self.step(bus, message, ack).await?;
        if self.state == State::Finished {
            self.step(bus, message, ack).await?;
            return Ok(None);
        }
        self.exclusive = None;
        Ok(Some(self.returns.clone()))
    }

    /// From one state to the next, with what has to be written on the way. When a write fails, or this is dropped, the
    /// state is what it was.
    fn step<'a>(
        &'a mut self,
        bus: &'a Bus,
        message: &'a MessageInfo,
        ack: &'a AckHandle,
    ) -> BoxFuture<'a, Result<(), BusError>> {
        Box::pin(async move {
            self.state = match &self.state {
                State::Arrived => match bus.get::<Marker>(Bucket::Isolation, &key(message)).await? {
                    None => State::Together,
                    Some((_, marker)) => {
                        self.rest.drain(..marker.line.min(self.rest.len()));
                        State::Single(marker)
                    }
                },
                State::Together => self.mark_begun(bus, message, Marker::default()).await?,
                State::Single(marker) => match (self.rest.front(), marker.poison()) {
                    (None, _) => State::Finished,
                    (Some(_), None) => {
                        let begun = Marker { attempts: marker.attempts + 1, ..marker.clone() };
                        self.mark_begun(bus, message, begun).await?
                    }
                    (Some(poison), Some(reason)) => {
                        let letter = message.dead_letter(marker.line, poison.original(), reason);
                        tracing::error!(
                            stream = letter.origin,
                            sequence = letter.position,
                            line = letter.line,
                            reason = letter.reason,
                            "a poison line is dead-lettered"
                        );
                        bus.publish_dead_letter(&letter).await?;
                        let next = marker.next();
                        mark(bus, message, &next).await?;
                        self.rest.pop_front();
                        State::Single(next)
                    }
                },
                State::Begun(_) if self.rest.is_empty() => State::Finished,
                State::Begun(marker) => {
                    let next = marker.next();
                    mark(bus, message, &next).await?;
                    State::Single(next)
                }
                State::Finished => {
                    bus.delete(Bucket::Isolation, &key(message)).await?;
                    ack.answer(AckKind::Ack).await?;
                    State::Acknowledged
                }
                State::Acknowledged => State::Acknowledged,
            };
            Ok(())
        })
    }

    async fn mark_begun(
        &mut self,
        bus: &Bus,
        message: &MessageInfo,
        marker: Marker,
    ) -> Result<State, BusError> {
        if self.exclusive.is_none() {
            self.exclusive = Some(JUDGING.clone().write_owned().await);
        }
        mark(bus, message, &marker).await?;
        Ok(State::Begun(marker))
    }

    /// The lines that were begun did not crash anything: what was concluded from them could not be written, and
    /// `unwritten` says why, or they wait. Best effort; without it a line would be taken for poison only if that
    /// happened twice.
    pub(crate) async fn give_back(&mut self, bus: &Bus, message: &MessageInfo, unwritten: Option<&BusError>) {
        let State::Begun(marker) = &self.state else { return };
        let given_back = match marker.given_back(unwritten) {
            None => bus.delete(Bucket::Isolation, &key(message)).await,
            Some(marker) => mark(bus, message, &marker).await,
        };
        if let Err(error) = given_back {
            tracing::debug!(%error, "cannot update the isolation record of a message");
        }
        self.exclusive = None;
    }
}

// === impl Marker ===

impl Marker {
    /// The next line's turn is.
    fn next(&self) -> Self {
        Self { line: self.line + 1, ..Self::default() }
    }

    /// Why the line is not to be judged again.
    fn poison(&self) -> Option<String> {
        if self.attempts >= ATTEMPTS_AT_MOST {
            let attempts = self.attempts;
            return Some(format!(
                "crashed the evaluator: in isolation it was started {attempts} times and never completed"
            ));
        }
        let Unwritten { times, reason } = self.unwritten.as_ref()?;
        let too_often = *times >= UNWRITTEN_AT_MOST;
        too_often.then(|| format!("the result of judging it could not be published {times} times: {reason}"))
    }

    /// What the bucket is to say after a turn that did not end with a settled line. `None` when it has nothing to say:
    /// all lines had their turn together, and wait.
    fn given_back(&self, unwritten: Option<&BusError>) -> Option<Self> {
        let before = self.unwritten.as_ref().map_or(0, |unwritten| unwritten.times);
        let unwritten = unwritten.map(|error| {
            let mut reason = error.to_string();
            reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
            Unwritten { times: before + 1, reason }
        });
        if self.attempts == 0 && unwritten.is_none() {
            return None;
        }
        Some(Self {
            line: self.line,
            attempts: self.attempts.saturating_sub(1),
            unwritten: unwritten.or_else(|| self.unwritten.clone()),
        })
    }
}

fn key(message: &MessageInfo) -> String {
    format!("{}.{}", message.stream, message.sequence)
}

async fn mark(bus: &Bus, message: &MessageInfo, marker: &Marker) -> Result<(), BusError> {
    bus.put(Bucket::Isolation, &key(message), marker).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_whose_outcome_cannot_be_written_is_poison_in_the_end() {
        let failed = BusError::unanswered("a message", "é".repeat(LONGEST_REASON));
        // All lines together first: from then on one by one.
        let mut marker = Marker::default().given_back(Some(&failed)).unwrap();
        for times in 1..UNWRITTEN_AT_MOST {
            assert_eq!(marker.poison(), None, "{times}");
            // That it waits in between is no failure.
            marker = Marker { attempts: 1, ..marker }.given_back(None).unwrap();
            marker = Marker { attempts: 1, ..marker }.given_back(Some(&failed)).unwrap();
        }
        let reason = marker.poison().unwrap();
        assert!(reason.starts_with("the result of judging it could not be published 5 times"), "{reason}");
        assert!(reason.len() < 2 * LONGEST_REASON);
        assert_eq!(marker.next(), Marker { line: 1, attempts: 0, unwritten: None });
    }

    #[test]
    fn what_only_waits_leaves_no_marker() {
        assert_eq!(Marker::default().given_back(None), None);
    }
}
