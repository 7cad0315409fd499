//! Isolating poison messages: finding the line that crashes evaluators.
//!
//! A message delivered for the third time is judged by itself: most were only in flight when another one
//! crashed the process, and are done with that. If it was isolated before and never settled, it is handed out line by
//! line. Before a line is handed out, the bucket says which line it is and how many times it was begun; when it is
//! settled, that the next one's turn is. So whoever gets the message after a crash knows which line was being judged,
//! and a line begun twice and never settled goes to the dead letters, with that as its reason. All other lines are
//! judged. Ordinary deliveries never touch the bucket.
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

/// A line begun this often by itself without being settled goes to the dead letters.
const ATTEMPTS_AT_MOST: u32 = 2;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It has just come. What the bucket says of it is not read yet.
    Arrived,
    /// It is isolated for the first time: all its lines are next, together.
    Together,
    /// All lines before this one are settled or dead. It is next, by itself, and was begun `attempts` times before.
    Single { line: usize, attempts: u32 },
    /// Lines are being judged, and the bucket says which.
    Begun(Marker),
    /// All lines are settled or dead. The marker is to be deleted and the message acknowledged.
    Finished,
    /// Nothing is left to do.
    Acknowledged,
}

/// What the bucket says of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Marker {
    /// The line whose turn it is; all before are settled or dead.
    line: usize,
    /// How many times it was begun by itself. None for the first line: all were begun together.
    attempts: u32,
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
            match self.state {
                State::Begun(marker) => {
                    let turn = if marker.attempts == 0 { self.rest.len() } else { 1 };
                    let lines = self.rest.drain(..turn.min(self.rest.len())).collect();
                    return Ok(Some((marker.line, lines)));
                }
                State::Acknowledged => return Ok(None),
                State::Arrived | State::Together | State::Single { .. } | State::Finished => {}
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
            self.state = match self.state {
                State::Arrived => match bus.get::<Marker>(Bucket::Isolation, &key(message)).await? {
                    None => State::Together,
                    Some((_, Marker { line, attempts })) => {
                        self.rest.drain(..line.min(self.rest.len()));
                        State::Single { line, attempts }
                    }
                },
                State::Together => self.mark_begun(bus, message, Marker::default()).await?,
                State::Single { line, attempts } => match self.rest.front() {
                    None => State::Finished,
                    Some(poison) if attempts >= ATTEMPTS_AT_MOST => {
                        let reason = format!(
                            "crashed the evaluator: judged by itself it was begun {attempts} times and never settled"
                        );
                        let letter = message.dead_letter(line, poison.original(), reason);
                        tracing::error!(
                            stream = letter.origin,
                            sequence = letter.position,
                            line = letter.line,
                            "a line that crashes evaluators goes to the dead letters"
                        );
                        bus.publish_dead_letter(&letter).await?;
                        let next = Marker { line: line + 1, attempts: 0 };
                        mark(bus, message, next).await?;
                        self.rest.pop_front();
                        State::Single { line: next.line, attempts: 0 }
                    }
                    Some(_) => self.mark_begun(bus, message, Marker { line, attempts: attempts + 1 }).await?,
                },
                State::Begun(_) if self.rest.is_empty() => State::Finished,
                State::Begun(marker) => {
                    let next = Marker { line: marker.line + 1, attempts: 0 };
                    mark(bus, message, next).await?;
                    State::Single { line: next.line, attempts: 0 }
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
        mark(bus, message, marker).await?;
        Ok(State::Begun(marker))
    }

    /// The lines that were begun did not crash anything: what was made of them could not be written, or they wait.
    /// Best effort; without it a line would be taken for poison only if that happened twice.
    pub(crate) async fn give_back(&mut self, bus: &Bus, message: &MessageInfo) {
        let State::Begun(marker) = self.state else { return };
        let given_back = match marker.attempts.checked_sub(1) {
            None => bus.delete(Bucket::Isolation, &key(message)).await,
            Some(attempts) => mark(bus, message, Marker { attempts, ..marker }).await,
        };
        if let Err(error) = given_back {
            tracing::debug!(%error, "could not take back that a line was begun");
        }
        self.exclusive = None;
    }
}

fn key(message: &MessageInfo) -> String {
    format!("{}.{}", message.stream, message.sequence)
}

async fn mark(bus: &Bus, message: &MessageInfo, marker: Marker) -> Result<(), BusError> {
    bus.put(Bucket::Isolation, &key(message), &marker).await.map(|_| ())
}
