//! Packs events into messages and repeats each until the stream has it.
//!
//! One task gathers: lines for the same subject wait for each other a little, then the message is frozen. It gets its
//! number, and from there on the same bytes are sent, by a small task of its own, until the stream acknowledges them.
//! Numbers count up from 1 per producer, epoch (one run of it) and kind; every message carries the number up to which
//! all were acknowledged when it was frozen, so a reader can tell a message that is missing from one that is still on
//! its way. What was acknowledged after the last message of an epoch is not confirmed by any.

mod gatherer;
mod numbers;
mod unacknowledged;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use lictor_wire::token::token;
use lictor_wire::{ClusterId, Envelope, Event, EventId, Kind};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backoff::Backoff;
use crate::bus::Bus;
use crate::error::BusError;
use crate::intake::MESSAGE_AT_MOST;
use crate::pack::{self, MAX_UNPACKED};
use crate::pressure::{self, Allowance, Pressure};
use gatherer::Gatherer;

/// Calls that wait to be gathered. Each is one source's batch, and a source waits for its answer, so this many sources
/// at once pass without waiting on the queue itself.
const CALLS_WAITING: usize = 256;

/// How long to wait before a message or body that was not acknowledged is sent again.
const SEND_AGAIN: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));

/// How long the last messages may take when the publisher is closed.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// The largest event that is taken at all: what a reader takes of one message, less what its line may be.
const LARGEST_EVENT: usize = MESSAGE_AT_MOST - MAX_UNPACKED;

/// An event as its line, ready to be packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedLine {
    /// Its kind: which stream it goes to.
    pub kind: Kind,
    /// Its cluster: which subject of that stream.
    pub cluster: ClusterId,
    /// Its id.
    pub id: EventId,
    /// The CloudEvents object on one line, without the line's end.
    pub line: String,
}

/// What a [`Publisher`] takes.
pub trait Publishable {
    /// Its line.
    ///
    /// # Errors
    /// When it cannot be written as one.
    fn into_line(self) -> Result<PreparedLine, PublishError>;
}

/// What was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Published {
    /// Events.
    pub events: usize,
    /// Messages their lines went into; others may share them.
    pub messages: usize,
}

/// Why events were not published. Except for [`PublishError::Closed`] none of the call's events was sent.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// An event cannot be written as JSON.
    #[error("event `{id}` cannot be written as JSON: {source}")]
    Encode {
        /// The event.
        id: EventId,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// A prepared line is empty or has a line end in it, and would come out as something else.
    #[error("event `{id}` is not on one line")]
    NotOneLine {
        /// The event.
        id: EventId,
    },
    /// The event is too large, even with its body elsewhere.
    #[error("event `{id}` has {bytes} bytes, too many to publish")]
    TooLarge {
        /// The event.
        id: EventId,
        /// Its size.
        bytes: usize,
    },
    /// The publisher was closed before the stream acknowledged everything. The events may be there or not; repeating
    /// them is harmless.
    #[error("the publisher was closed before the events were acknowledged")]
    Closed,
}

/// Publishes events. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct Publisher {
    bus: Bus,
    producer: Arc<str>,
    epoch: Arc<str>,
    calls: mpsc::Sender<Call>,
    offloaded: Arc<AtomicUsize>,
    pressure: watch::Receiver<Pressure>,
    allowance: Arc<Allowance>,
    /// No more calls: gather what there is, send it, and end.
    closing: CancellationToken,
    /// Give up what is not acknowledged.
    abandon: CancellationToken,
    tasks: TaskTracker,
}

/// One call of [`Publisher::publish`] on its way to the gatherer.
struct Call {
    lines: Vec<(PreparedLine, String)>,
    answer: Arc<Answer>,
}

/// What a call waits for.
struct Answer {
    left: AtomicUsize,
    messages: AtomicUsize,
    failed: AtomicBool,
    done: Mutex<Option<oneshot::Sender<()>>>,
}

// === impl Publisher ===

impl Publisher {
    /// Starts publishing under a producer's name: one per process and role, such as `ingest-7f9c`.
    ///
    /// # Errors
    /// When the server does not answer whether the streams are full.
    pub async fn start(bus: Bus, producer: &str) -> Result<Self, BusError> {
        let monitor = pressure::Monitor::start(&bus).await?;
        Ok(Self::spawn(bus, producer, monitor))
    }

    /// Starts the tasks. They are compiled here once, which an `async fn` would do in each crate that awaits it.
    fn spawn(bus: Bus, producer: &str, monitor: pressure::Monitor) -> Self {
        let producer: Arc<str> = token(producer).into();
        let epoch: Arc<str> =
            format!("{:x}-{:08x}", Timestamp::now().as_millisecond(), rand::random::<u32>()).into();
        let (calls, waiting) = mpsc::channel(CALLS_WAITING);
        let (closing, abandon) = (CancellationToken::new(), CancellationToken::new());
        let tasks = TaskTracker::new();
        let gatherer =
            Gatherer::new(bus.clone(), format!("{producer}.{epoch}"), abandon.clone(), tasks.clone());
        tasks.spawn(gatherer.run(waiting, closing.clone()));
        let (pressure, allowance) = (monitor.pressure(), monitor.allowance());
        tasks.spawn(monitor.run(bus.clone(), closing.clone()));
        let offloaded = Arc::new(AtomicUsize::new(0));
        Self { bus, producer, epoch, calls, offloaded, pressure, allowance, closing, abandon, tasks }
    }

    /// Publishes events; returns when the streams have acknowledged all of them.
    ///
    /// While the server is away this waits. Dropping the future does not cancel the publishing of the events.
    ///
    /// # Errors
    /// When an event cannot be a line (then none is sent), or the publisher is closed meanwhile.
    pub async fn publish<E: Publishable>(&self, events: Vec<E>) -> Result<Published, PublishError> {
        let mut lines = Vec::with_capacity(events.len());
        for event in events {
            lines.push(self.prepare(event.into_line()?).await?);
        }
        let events = lines.len();
        if events == 0 {
            return Ok(Published::default());
        }
        let bytes: usize = lines.iter().map(|(line, _)| line.line.len()).sum();
        self.allowance.take(bytes as u64).await;
        let (done, answered) = oneshot::channel();
        let answer = Arc::new(Answer {
            left: AtomicUsize::new(events),
            messages: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            done: Mutex::new(Some(done)),
        });
        let call = Call { lines, answer: Arc::clone(&answer) };
        self.calls.send(call).await.map_err(|_| PublishError::Closed)?;
        if answered.await.is_err() || answer.failed.load(Ordering::Acquire) {
            return Err(PublishError::Closed);
        }
        Ok(Published { events, messages: answer.messages.load(Ordering::Acquire) })
    }

    /// Whether sources should be slowed down: evaluators are far behind, and a stream would soon lose what they have
    /// not judged.
    pub fn pressure(&self) -> watch::Receiver<Pressure> {
        self.pressure.clone()
    }

    /// The prefix of every message's name in this epoch, before its number: `<producer>.<epoch>`.
    pub fn identity(&self) -> String {
        format!("{}.{}", self.producer, self.epoch)
    }

    /// Flushes the buffered events, waits a limited time for their acknowledgement, and ends. Clones end with it.
    pub async fn close(self) {
        self.closing.cancel();
        self.tasks.close();
        if tokio::time::timeout(CLOSE_WITHIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("closed before all events were acknowledged; sources send the others again");
            self.abandon.cancel();
            self.tasks.wait().await;
        }
    }

    /// Sees that a line fits, its body offloaded if it must be, and finds its subject.
    async fn prepare(&self, mut line: PreparedLine) -> Result<(PreparedLine, String), PublishError> {
        if line.line.trim().is_empty() || line.line.contains(['\n', '\r']) {
            return Err(PublishError::NotOneLine { id: line.id });
        }
        let limit = self.bus.payload_limit();
        if line.line.len() > limit && !fits_compressed(&line.line, limit) {
            line.line = self.offload_body(&line, limit).await?;
        }
        let subject = self.bus.topology().events(line.kind, &line.cluster);
        Ok((line, subject))
    }

    fn offload_body<'a>(
        &'a self,
        line: &'a PreparedLine,
        limit: usize,
    ) -> BoxFuture<'a, Result<String, PublishError>> {
        Box::pin(async move {
            let bytes = line.line.len();
            let too_large = || PublishError::TooLarge { id: line.id.clone(), bytes };
            if bytes > LARGEST_EVENT {
                return Err(too_large());
            }
            let envelope = Envelope::parse(&line.line).map_err(|_| too_large())?;
            let Some(body) = envelope.data else { return Err(too_large()) };
            // A name of its own for each.
            let serial = self.offloaded.fetch_add(1, Ordering::Relaxed);
            let name = format!("{}.{}.{serial}", token(line.id.as_str()), self.identity());
            let mut backoff = SEND_AGAIN;
            let reference = loop {
                match self.bus.offload(&name, body.get().as_bytes()).await {
                    Ok(reference) => break reference,
                    Err(error) => {
                        tracing::warn!(%error, "cannot write a large body to the object store; retrying");
                    }
                }
                tokio::select! {
                    () = tokio::time::sleep(backoff.fail()) => {}
                    () = self.closing.cancelled() => return Err(PublishError::Closed),
                }
            };
            match envelope.to_line_with_dataref(&reference) {
                Ok(short) if short.len() <= limit => Ok(short),
                Ok(_) => Err(too_large()),
                Err(source) => Err(PublishError::Encode { id: line.id.clone(), source }),
            }
        })
    }
}

fn fits_compressed(line: &str, limit: usize) -> bool {
    line.len() <= MAX_UNPACKED
        && pack::compress(line.as_bytes()).is_some_and(|smaller| smaller.len() <= limit)
}

// === impl Publishable ===

impl Publishable for Event {
    fn into_line(self) -> Result<PreparedLine, PublishError> {
        (&self).into_line()
    }
}

impl Publishable for &Event {
    fn into_line(self) -> Result<PreparedLine, PublishError> {
        match self.to_line() {
            Ok(line) => Ok(PreparedLine {
                kind: self.kind(),
                cluster: self.cluster.clone(),
                id: self.id.clone(),
                line,
            }),
            Err(source) => Err(PublishError::Encode { id: self.id.clone(), source }),
        }
    }
}

impl Publishable for PreparedLine {
    fn into_line(self) -> Result<PreparedLine, PublishError> {
        Ok(self)
    }
}

// === impl Answer ===

impl Answer {
    fn add(&self, events: usize, acknowledged: bool) {
        if acknowledged {
            self.messages.fetch_add(1, Ordering::AcqRel);
        } else {
            self.failed.store(true, Ordering::Release);
        }
        if self.left.fetch_sub(events, Ordering::AcqRel) == events {
            let done = self.done.lock().unwrap_or_else(PoisonError::into_inner).take();
            // Nobody listens any more when the caller gave up.
            let _ = done.map(|done| done.send(()));
        }
    }
}
