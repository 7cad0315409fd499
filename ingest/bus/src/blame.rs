//! Finding the line that crashes evaluators.
//!
//! A message delivered for the third time is judged alone: most were only in hand when another one crashed the
//! process, and are done with that. If it was begun alone and never settled, it is handed out line by line. Before a
//! line is handed out, the blame bucket says which line it is and how many times it was begun; when it is settled,
//! that the next one's turn is. So whoever gets the message after a crash knows which line was in hand, and a line
//! begun twice alone and never settled is given up, with that as its reason. All other lines are judged. Ordinary
//! deliveries never touch the bucket.
//!
//! While such a message or line is in hand nothing else of the process is judged, so a crash is that line's doing and not a
//! neighbour's. A process killed from outside at that very moment, twice, is the one mistake left.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use async_nats::jetstream::AckKind;
use lictor_wire::topology::Bucket;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, OwnedSemaphorePermit, RwLock, mpsc};

use crate::bus::Bus;
use crate::delivery::{Delivery, LineText, ParkedLine, dead_letter};
use crate::error::BusError;
use crate::intake::Held;

/// Whoever judges holds this shared; whoever judges a line alone holds it alone. A crash ends the whole process,
/// whichever connection a message came by, so the lock is the process'.
static JUDGING: LazyLock<Arc<RwLock<()>>> = LazyLock::new(Arc::default);

/// Waits until nobody judges a line alone, and keeps it so.
pub(crate) async fn beside_others() -> OwnedRwLockReadGuard<()> {
    JUDGING.clone().read_owned().await
}

/// From this delivery on a message is handed out line by line: twice may be bad luck.
pub(crate) const LINE_BY_LINE_FROM: u64 = 3;

/// A line begun this often without being settled is given up.
const BEGUN_AT_MOST: u32 = 2;

/// What the blame bucket says about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Marker {
    /// The line whose turn it is; all before are settled.
    line: usize,
    /// How many times it was begun.
    attempts: u32,
    /// Whether all lines together were begun alone, and then not settled.
    #[serde(default)]
    whole: bool,
}

/// A message on its way through, line by line, between two lines.
#[derive(Debug)]
pub(crate) struct LineByLine {
    pub(crate) template: Template,
    pub(crate) rest: VecDeque<LineText>,
    /// The number of the first of `rest`.
    pub(crate) next: usize,
    /// What the bucket says; not asked yet when absent.
    marker: Option<Marker>,
    /// Whether all lines are handed out together.
    whole: bool,
    pub(crate) held: Held,
    pub(crate) permit: OwnedSemaphorePermit,
    pub(crate) returns: mpsc::Sender<LineByLine>,
    /// Held from before a line is marked until it is settled.
    judging: Option<OwnedRwLockWriteGuard<()>>,
}

/// What all deliveries of one message share.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub(crate) bus: Bus,
    pub(crate) consumer: lictor_wire::topology::Consumer,
    pub(crate) stream: String,
    pub(crate) sequence: u64,
    pub(crate) published: jiff::Timestamp,
    pub(crate) delivered: u64,
    pub(crate) subject: String,
    pub(crate) parked: Option<ParkedLine>,
}

/// What a delivery of one line keeps of the others.
#[derive(Debug)]
pub(crate) struct Alone {
    template: Template,
    rest: VecDeque<LineText>,
    marker: Marker,
    returns: mpsc::Sender<LineByLine>,
    judging: Option<OwnedRwLockWriteGuard<()>>,
}

impl Template {
    fn key(&self) -> String {
        format!("{}.{}", self.stream, self.sequence)
    }

    async fn mark(&self, marker: Marker) -> Result<(), BusError> {
        self.bus.put(Bucket::Blame, &self.key(), &marker).await.map(|_| ())
    }
}

impl LineByLine {
    /// A message that has just come.
    pub(crate) fn begin(
        template: Template,
        lines: VecDeque<LineText>,
        held: Held,
        permit: OwnedSemaphorePermit,
        returns: mpsc::Sender<Self>,
    ) -> Self {
        Self {
            template,
            rest: lines,
            next: 0,
            marker: None,
            whole: false,
            held,
            permit,
            returns,
            judging: None,
        }
    }

    /// Makes the next line's turn: gives up what was begun too often, marks the one that is to be handed out. `true`
    /// when there is one, `false` when the message is done and acknowledged.
    ///
    /// May be dropped and called again: what it writes it writes again alike.
    pub(crate) async fn advance(&mut self) -> Result<bool, BusError> {
        let known = match self.marker {
            Some(marker) => marker,
            None => match self.template.bus.get::<Marker>(Bucket::Blame, &self.template.key()).await? {
                Some((_, marker)) => marker,
                None => {
                    self.judge_alone().await;
                    self.template.mark(Marker { whole: true, ..Marker::default() }).await?;
                    self.whole = true;
                    return Ok(true);
                }
            },
        };
        self.marker = Some(known);
        while self.next < known.line && self.rest.pop_front().is_some() {
            self.next += 1;
        }
        if let Some(line) = self.rest.front()
            && known.line == self.next
            && known.attempts >= BEGUN_AT_MOST
        {
            let reason = format!(
                "crashed the evaluator: alone in hand it was begun {} times and never settled",
                known.attempts
            );
            let Template { bus, consumer, stream, sequence, parked, .. } = &self.template;
            let original = line.original();
            // A parked one's letter names the message it was a line of.
            let (stream, sequence, line) = match parked {
                Some(parked) => (&parked.stream, parked.sequence, parked.line),
                None => (stream, *sequence, self.next),
            };
            tracing::error!(stream, sequence, line, "gave up a line that crashes evaluators");
            bus.publish_dead_letter(&dead_letter(*consumer, stream, sequence, line, original, reason))
                .await?;
            let next = Marker { line: self.next + 1, attempts: 0, whole: true };
            self.template.mark(next).await?;
            self.marker = Some(next);
            self.rest.pop_front();
            self.next += 1;
        }
        if self.rest.is_empty() {
            self.template.bus.delete(Bucket::Blame, &self.template.key()).await?;
            self.held.answer(AckKind::Ack).await?;
            return Ok(false);
        }
        self.judge_alone().await;
        let attempts =
            self.marker.filter(|marker| marker.line == self.next).map_or(0, |marker| marker.attempts);
        self.template.mark(Marker { line: self.next, attempts: attempts + 1, whole: true }).await?;
        Ok(true)
    }

    async fn judge_alone(&mut self) {
        if self.judging.is_none() {
            self.judging = Some(JUDGING.clone().write_owned().await);
        }
    }

    /// The line whose turn it is, as a delivery. Only after [`LineByLine::advance`] said that there is one.
    pub(crate) fn hand_out(mut self) -> Option<Delivery> {
        let turn = if self.whole { self.rest.len() } else { 1 };
        let lines: Vec<LineText> = self.rest.drain(..turn.min(self.rest.len())).collect();
        if lines.is_empty() {
            return None;
        }
        let attempts =
            self.marker.filter(|marker| marker.line == self.next).map_or(0, |marker| marker.attempts);
        let marker = Marker { line: self.next, attempts: attempts + u32::from(!self.whole), whole: true };
        let template = self.template.clone();
        Some(Delivery {
            consumer: template.consumer,
            stream: template.stream.clone(),
            sequence: template.sequence,
            published: template.published,
            delivered: template.delivered,
            subject: template.subject.clone(),
            lines,
            first_line: self.next,
            parked: template.parked.clone(),
            judging: None,
            bus: template.bus.clone(),
            held: self.held,
            permit: self.permit,
            alone: Some(Box::new(Alone {
                template,
                rest: self.rest,
                marker,
                returns: self.returns,
                judging: self.judging,
            })),
        })
    }
}

impl Alone {
    /// The line is settled: the next one's turn.
    pub(crate) async fn go_on(self, held: Held, permit: OwnedSemaphorePermit) -> Result<(), BusError> {
        let next = Marker { line: self.marker.line + 1, attempts: 0, whole: true };
        if self.rest.is_empty() {
            self.template.bus.delete(Bucket::Blame, &self.template.key()).await?;
            return held.answer(AckKind::Ack).await;
        }
        self.template.mark(next).await?;
        let message = LineByLine {
            template: self.template,
            rest: self.rest,
            next: next.line,
            marker: Some(next),
            whole: false,
            held,
            permit,
            returns: self.returns.clone(),
            judging: None,
        };
        drop(self.judging);
        // The intake may be gone; then the message comes again, from this line on, to somebody else.
        let _ = self.returns.send(message).await;
        Ok(())
    }

    /// The line is not to blame: what was made of it could not be written. Best effort; without it the line would be
    /// blamed for the server's absence only if that happened twice.
    pub(crate) async fn give_back(self) {
        let taken_back = if self.marker.attempts == 0 {
            self.template.bus.delete(Bucket::Blame, &self.template.key()).await
        } else {
            self.template.mark(Marker { attempts: self.marker.attempts - 1, ..self.marker }).await
        };
        if let Err(error) = taken_back {
            tracing::debug!(%error, "could not take back that a line was begun");
        }
    }
}
