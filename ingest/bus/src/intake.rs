//! Taking messages from a shared consumer.
//!
//! Two loops pull, so that one pull is on its way while the other's messages are worked on. Each asks for no more
//! messages than there is room for in hand, so nothing waits unseen in a buffer while the server counts its time.
//! What is in hand is kept alive by `in progress` signs three times in the server's patience, until it is settled.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::{self, AckKind};
use async_nats::{StatusCode, Subject};
use bytes::Bytes;
use futures_util::StreamExt;
use lictor_wire::topology::{Consumer, ConsumerSpec};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::backoff::Backoff;
use crate::blame::{LINE_BY_LINE_FROM, LineByLine, Template, beside_others};
use crate::bus::Bus;
use crate::delivery::{Delivery, Holds, LineText, ParkedLine};
use crate::error::BusError;
use crate::headers::Headers;
use crate::large::Fetched;
use crate::pack::unpack;
use crate::time::timestamp;
use crate::topology::ensure_consumer;

/// Pulls of one intake on their way at once; the table's bounds on messages in flight count on two.
const PULLS: usize = 2;

/// The server says this often that a pull stands; after twice as long without a word it is made anew.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// How long one pull stands before it is renewed.
const PULL_STANDS: Duration = Duration::from_secs(30);

/// How long to wait before a pull that failed is made again.
const PULL_AGAIN: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// How often a body in the object store is fetched before its message is left to be delivered again, and how long to
/// wait in between.
const FETCH_ATTEMPTS: usize = 3;
const FETCH_AGAIN: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(200));

/// Failures in a row before the caller hears of them: the first few are a server that starts again.
const FAILURES_UNSAID: u32 = 8;

/// How much an intake takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntakeOptions {
    /// Messages a pull asks for.
    pub batch: usize,
    /// Messages in hand at once, over all pulls; at least `batch`.
    pub max_in_flight: usize,
}

impl Default for IntakeOptions {
    fn default() -> Self {
        // Two pulls of 64: what the table's bounds are made for.
        Self { batch: 64, max_in_flight: 128 }
    }
}

/// Messages of a shared consumer, one after the other.
pub struct Intake {
    arrivals: mpsc::Receiver<Result<Arrival, BusError>>,
    returned: mpsc::Receiver<LineByLine>,
    /// One whose next line is being begun; kept here so that [`Intake::next`] may be dropped while it waits.
    beginning: Option<LineByLine>,
    /// One that waits until no line is judged alone; kept here for the same reason.
    waiting: Option<Box<Delivery>>,
    _stop: DropGuard,
}

/// A message as it comes from a pull.
enum Arrival {
    Whole(Box<Delivery>),
    Alone(Box<LineByLine>),
}

/// A message in hand: who answers for it, and that it is still worked on.
#[derive(Debug)]
pub(crate) struct Held {
    hands: Arc<Hands>,
    number: u64,
    bus: Bus,
    reply: Subject,
}

/// Everything in hand, so that one task can say for all of it that work goes on.
#[derive(Debug, Default)]
struct Hands {
    next: AtomicU64,
    replies: Mutex<HashMap<u64, Subject>>,
}

// === impl Intake ===

impl Bus {
    /// Takes messages of a shared consumer. Any number of processes may; each message goes to one of them.
    ///
    /// # Errors
    /// When the consumer is not there and cannot be made.
    pub async fn intake(&self, consumer: Consumer, options: IntakeOptions) -> Result<Intake, BusError> {
        let spec = self.topology().consumer(consumer);
        let info = ensure_consumer(self.jetstream(), self.topology(), &spec).await?;
        let batch = options.batch.max(1);
        let in_hand = options.max_in_flight.max(batch);
        // As many as can be in hand, so neither ever waits: whoever sends holds one of the permits.
        let (arrivals, arrived) = mpsc::channel(in_hand);
        let (returns, returned) = mpsc::channel(in_hand);
        let stop = CancellationToken::new();
        let hands = Arc::new(Hands::default());
        let permits = Arc::new(Semaphore::new(in_hand));
        for _ in 0..PULLS {
            let puller = Puller {
                bus: self.clone(),
                spec: spec.clone(),
                stream: self.topology().stream_name(spec.stream),
                batch,
                permits: Arc::clone(&permits),
                hands: Arc::clone(&hands),
                arrivals: arrivals.clone(),
                returns: returns.clone(),
                stop: stop.clone(),
                backoff: PULL_AGAIN,
            };
            tokio::spawn(puller.run());
        }
        tokio::spawn(keep_alive(self.clone(), hands, info.config.ack_wait / 3, stop.clone()));
        Ok(Intake { arrivals: arrived, returned, beginning: None, waiting: None, _stop: stop.drop_guard() })
    }
}

impl Intake {
    /// The next message, or the next line of one that is handed out line by line. Waits for one; may be dropped while
    /// it waits.
    ///
    /// An error says why nothing comes for now; asking again goes on.
    pub async fn next(&mut self) -> Option<Result<Delivery, BusError>> {
        loop {
            if self.waiting.is_some() {
                let judging = beside_others().await;
                let mut delivery = self.waiting.take()?;
                delivery.judging = Some(judging);
                return Some(Ok(*delivery));
            }
            if let Some(message) = &mut self.beginning {
                let advanced = message.advance().await;
                // From here to the end nothing waits, so nothing is lost.
                let message = self.beginning.take()?;
                match advanced {
                    Ok(true) => match message.hand_out() {
                        Some(delivery) => return Some(Ok(delivery)),
                        None => continue,
                    },
                    Ok(false) => continue,
                    // Left to be delivered again.
                    Err(error) => return Some(Err(error)),
                }
            }
            let arrival = tokio::select! {
                biased;
                // Lines of a message already in hand first: it holds up the acknowledgement floor of everybody.
                Some(message) = self.returned.recv() => Ok(Arrival::Alone(Box::new(message))),
                arrival = self.arrivals.recv() => arrival?,
            };
            match arrival {
                Ok(Arrival::Whole(delivery)) => self.waiting = Some(delivery),
                Ok(Arrival::Alone(message)) => self.beginning = Some(*message),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

// === impl Held ===

impl Held {
    /// Tells the server. Not waited for: an answer that is lost has the message delivered again.
    pub(crate) async fn answer(&self, kind: AckKind) -> Result<(), BusError> {
        self.hands.forget(self.number);
        let sent = self.bus.client().publish(self.reply.clone(), Bytes::from(kind)).await;
        sent.map_err(|error| BusError::unanswered("an acknowledgement", error))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.hands.forget(self.number);
    }
}

impl Hands {
    fn hold(self: &Arc<Self>, bus: Bus, reply: Subject) -> Held {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.replies.lock().unwrap_or_else(PoisonError::into_inner).insert(number, reply.clone());
        Held { hands: Arc::clone(self), number, bus, reply }
    }

    fn forget(&self, number: u64) {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    fn all(&self) -> Vec<Subject> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// Says for everything in hand that work goes on, until the intake is gone and nothing is in hand any more.
async fn keep_alive(bus: Bus, hands: Arc<Hands>, every: Duration, stop: CancellationToken) {
    let every = every.max(Duration::from_millis(100));
    loop {
        tokio::time::sleep(every).await;
        let replies = hands.all();
        if replies.is_empty() && stop.is_cancelled() {
            return;
        }
        for reply in replies {
            if bus.client().publish(reply, Bytes::from(AckKind::Progress)).await.is_err() {
                break;
            }
        }
    }
}

// === Puller ===

struct Puller {
    bus: Bus,
    spec: ConsumerSpec,
    stream: String,
    batch: usize,
    permits: Arc<Semaphore>,
    hands: Arc<Hands>,
    arrivals: mpsc::Sender<Result<Arrival, BusError>>,
    returns: mpsc::Sender<LineByLine>,
    stop: CancellationToken,
    backoff: Backoff,
}

/// How a pull ended.
enum Ended {
    /// As it should: the next one.
    Pull,
    /// The server is gone, or does not answer: everything anew.
    Broken(String),
    /// Nobody wants more.
    Stop,
}

impl Puller {
    async fn run(mut self) {
        let stop = self.stop.clone();
        loop {
            let ended = tokio::select! {
                ended = self.subscribe_and_pull() => ended,
                () = stop.cancelled() => return,
            };
            let Ended::Broken(reason) = ended else { return };
            let wait = self.backoff.fail();
            tracing::debug!(stream = self.stream, reason, "pulling again");
            let what = format!("messages of stream `{}`", self.stream);
            if self.backoff.failures().is_multiple_of(FAILURES_UNSAID)
                && self.arrivals.send(Err(BusError::unanswered(what, reason))).await.is_err()
            {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => return,
            }
            // Somebody may have removed it, and then nobody would answer for ever.
            if self.backoff.failures() > 1
                && let Err(error) =
                    ensure_consumer(self.bus.jetstream(), self.bus.topology(), &self.spec).await
            {
                tracing::debug!(%error, "the consumer is not there yet");
            }
        }
    }

    async fn subscribe_and_pull(&mut self) -> Ended {
        let mut connections = self.bus.connections();
        connections.mark_unchanged();
        // An inbox of its own for each attempt: what still comes for an earlier one is not taken for this one's.
        let inbox = self.bus.client().new_inbox();
        let mut messages = match self.bus.client().subscribe(inbox.clone()).await {
            Ok(messages) => messages,
            Err(error) => return Ended::Broken(error.to_string()),
        };
        loop {
            let Some(permits) = self.room().await else { return Ended::Stop };
            match self.pull(&inbox, &mut messages, permits, &mut connections).await {
                Ended::Pull => {}
                ended => return ended,
            }
        }
    }

    /// Room for some messages: a quarter of a batch at least, so that pulls do not shrink to one message each, and no
    /// more than a batch.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        let number = |permits: usize| u32::try_from(permits).unwrap_or(u32::MAX);
        let least = self.batch.div_ceil(4);
        let mut permits = Arc::clone(&self.permits).acquire_many_owned(number(least)).await.ok()?;
        // The other pull keeps its half.
        let more = self.permits.available_permits().min(self.batch - least);
        if let Ok(more) = Arc::clone(&self.permits).try_acquire_many_owned(number(more)) {
            permits.merge(more);
        }
        Some(permits)
    }

    async fn pull(
        &mut self,
        inbox: &str,
        messages: &mut async_nats::Subscriber,
        mut permits: OwnedSemaphorePermit,
        connections: &mut tokio::sync::watch::Receiver<u64>,
    ) -> Ended {
        let request = serde_json::json!({
            "batch": permits.num_permits(),
            "expires": nanoseconds(PULL_STANDS),
            "idle_heartbeat": nanoseconds(HEARTBEAT),
        });
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.stream, self.spec.name);
        let request = Bytes::from(request.to_string());
        if let Err(error) = self.bus.client().publish_with_reply(subject, inbox.to_owned(), request).await {
            return Ended::Broken(error.to_string());
        }
        while permits.num_permits() > 0 {
            let message = tokio::select! {
                biased;
                message = tokio::time::timeout(HEARTBEAT * 2, messages.next()) => message,
                _ = connections.changed() => return Ended::Broken("connected anew".to_owned()),
            };
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => return Ended::Broken("the connection is closed".to_owned()),
                Err(_) => return Ended::Broken(format!("no word for {:?}", HEARTBEAT * 2)),
            };
            match message.status {
                None | Some(StatusCode::OK) => {}
                Some(StatusCode::IDLE_HEARTBEAT) => continue,
                // The time is over, or there was nothing: the next one.
                Some(StatusCode::TIMEOUT | StatusCode::NOT_FOUND) => return Ended::Pull,
                Some(status) => {
                    let description = message.description.as_deref().unwrap_or_default();
                    return Ended::Broken(format!("{status}: {description}"));
                }
            }
            self.backoff.reset();
            let Some(permit) = permits.split(1) else { return Ended::Pull };
            let message = jetstream::Message { message, context: self.bus.jetstream().clone() };
            if let Some(arrival) = self.receive(message, permit).await
                && self.arrivals.send(Ok(arrival)).await.is_err()
            {
                return Ended::Stop;
            }
        }
        Ended::Pull
    }

    /// A message as it came, unpacked. `None` when a body that lies elsewhere could not be fetched: the message is
    /// left to be delivered again.
    async fn receive(&self, message: jetstream::Message, permit: OwnedSemaphorePermit) -> Option<Arrival> {
        let info = message.info().ok()?;
        let (sequence, published) = (info.stream_sequence, timestamp(&info.published));
        let delivered = u64::try_from(info.delivered).unwrap_or(1);
        let message = message.message;
        let held = self.hands.hold(self.bus.clone(), message.reply?);
        let headers = Headers(message.headers.unwrap_or_default());
        let consumer = self.spec.consumer;
        let subject = message.subject.to_string();
        let lines = self.lines(&subject, &headers, message.payload).await?;
        let parked = (consumer == Consumer::Retry).then(|| {
            ParkedLine::read(&headers, published).unwrap_or_else(|| self.parked_by_hand(sequence, published))
        });
        let template = Template {
            bus: self.bus.clone(),
            consumer,
            stream: self.stream.clone(),
            sequence,
            published,
            delivered,
            subject,
            parked,
        };
        if delivered >= LINE_BY_LINE_FROM {
            let lines = VecDeque::from(lines);
            let message = LineByLine::begin(template, lines, held, permit, self.returns.clone());
            return Some(Arrival::Alone(Box::new(message)));
        }
        Some(Arrival::Whole(Box::new(Delivery {
            consumer,
            stream: template.stream,
            sequence,
            published,
            delivered,
            subject: template.subject,
            lines,
            first_line: 0,
            parked: template.parked,
            bus: template.bus,
            held,
            permit,
            judging: None,
            alone: None,
        })))
    }

    /// Somebody parked an event without saying where it comes from: it comes from there.
    fn parked_by_hand(&self, sequence: u64, published: jiff::Timestamp) -> ParkedLine {
        ParkedLine { stream: self.stream.clone(), sequence, since: published, ..ParkedLine::default() }
    }

    /// The lines of a message, their bodies fetched from wherever they lie.
    async fn lines(&self, subject: &str, headers: &Headers, payload: Bytes) -> Option<Vec<LineText>> {
        let holds = Holds::of(self.spec.consumer, subject);
        let originals = match unpack(headers, &payload) {
            Ok(originals) => originals,
            // All of it is one line that cannot be read.
            Err(error) => return Some(vec![LineText::new(payload, Err(error.to_string()), holds)]),
        };
        let mut lines = Vec::with_capacity(originals.len());
        for original in originals {
            let whole = self.body(original.clone()).await?;
            lines.push(LineText::new(original, whole, holds));
        }
        Some(lines)
    }

    async fn body(&self, line: Bytes) -> Option<Fetched> {
        let mut backoff = FETCH_AGAIN;
        for _ in 0..FETCH_ATTEMPTS {
            match self.bus.with_body(line.clone()).await {
                Ok(fetched) => return Some(fetched),
                Err(error) => tracing::debug!(%error, "a body that lies elsewhere is asked for again"),
            }
            tokio::time::sleep(backoff.fail()).await;
        }
        tracing::warn!(stream = self.stream, "a body could not be fetched; its message is delivered again");
        None
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
