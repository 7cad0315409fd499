//! Pulls messages of a consumer and unpacks them.

use std::sync::Arc;
use std::time::Duration;

use async_nats::StatusCode;
use async_nats::jetstream;
use bytes::Bytes;
use futures_util::StreamExt;
use lictor_wire::topology::{Consumer, ConsumerSpec};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::ack::InFlight;
use crate::backoff::Backoff;
use crate::bus::Bus;
use crate::delivery::Delivery;
use crate::error::BusError;
use crate::headers::Headers;
use crate::line::{Holds, LineText};
use crate::message::{MessageInfo, ParkedLine};
use crate::offload::{Fetched, has_reference};
use crate::pack::{unpack, unpacked_size};
use crate::time::timestamp;
use crate::topology::ensure_consumer;

use super::memory::{Held, MESSAGE_AT_MOST};

/// The server sends a heartbeat this often; after twice as long without one the pull request is repeated.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// How long one pull request lasts before it is renewed.
const PULL_LASTS: Duration = Duration::from_secs(30);

/// How long to wait before a pull that failed is made again.
pub(super) const PULL_AGAIN: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// How often a body in the object store is fetched before its message is left to be delivered again, and how long to
/// wait in between.
const FETCH_ATTEMPTS: usize = 3;
const FETCH_AGAIN: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(200));

/// Failures in a row from one report to the caller to the next: the first few are a server that restarts.
const REPORT_EVERY: u32 = 8;

pub(super) struct Puller {
    pub(super) bus: Bus,
    pub(super) spec: ConsumerSpec,
    pub(super) stream: String,
    pub(super) batch: usize,
    pub(super) permits: Arc<Semaphore>,
    pub(super) in_flight: Arc<InFlight>,
    pub(super) arrivals: mpsc::Sender<Result<Box<Delivery>, BusError>>,
    pub(super) returns: mpsc::Sender<Box<Delivery>>,
    pub(super) stop: CancellationToken,
    pub(super) backoff: Backoff,
}

/// How a pull ended.
enum Ended {
    /// As it should: the next one.
    Pull,
    /// The connection was lost, or the server does not answer: subscribe and pull again.
    Broken(String),
    /// Nobody wants more.
    Stop,
}

impl Puller {
    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        loop {
            let ended = tokio::select! {
                ended = self.subscribe_and_pull() => ended,
                () = stop.cancelled() => return,
            };
            let Ended::Broken(reason) = ended else { return };
            let wait = self.backoff.fail();
            tracing::debug!(stream = self.stream, reason, "retrying the pull");
            let what = format!("messages of stream `{}`", self.stream);
            if self.backoff.failures().is_multiple_of(REPORT_EVERY)
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
                tracing::debug!(%error, "the consumer does not exist yet");
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
            let Some(permits) = self.reserve().await else { return Ended::Stop };
            match self.pull(&inbox, &mut messages, permits, &mut connections).await {
                Ended::Pull => {}
                ended => return ended,
            }
        }
    }

    /// Permits for some messages: a quarter of a batch at least, so that pulls do not shrink to one message each, and
    /// no more than a batch.
    async fn reserve(&self) -> Option<OwnedSemaphorePermit> {
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
            "expires": nanoseconds(PULL_LASTS),
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
                _ = connections.changed() => return Ended::Broken("reconnected".to_owned()),
            };
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => return Ended::Broken("the connection is closed".to_owned()),
                Err(_) => return Ended::Broken(format!("no heartbeat for {:?}", HEARTBEAT * 2)),
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
            if let Some(delivery) = self.receive(message, permit).await
                && self.arrivals.send(Ok(Box::new(delivery))).await.is_err()
            {
                return Ended::Stop;
            }
        }
        Ended::Pull
    }

    /// A message as it came, unpacked. `None` when a body in the object store could not be fetched: the message is
    /// left to be delivered again.
    async fn receive(&self, message: jetstream::Message, permit: OwnedSemaphorePermit) -> Option<Delivery> {
        let info = message.info().ok()?;
        let (sequence, published) = (info.stream_sequence, timestamp(&info.published));
        let delivered = u64::try_from(info.delivered).unwrap_or(1);
        let message = message.message;
        let ack = self.in_flight.add(self.bus.clone(), message.reply?, permit);
        let headers = Headers(message.headers.unwrap_or_default());
        let consumer = self.spec.consumer;
        let subject = message.subject.to_string();
        let (lines, held) = self.lines(&subject, &headers, message.payload).await?;
        let parked = (consumer == Consumer::Retry).then(|| {
            ParkedLine::read(&headers, published).unwrap_or_else(|| self.parked_by_hand(sequence, published))
        });
        let stream = self.stream.clone();
        let message = MessageInfo { consumer, stream, sequence, published, delivered, subject, parked };
        Some(Delivery::new(self.bus.clone(), message, lines, ack, held, &self.returns))
    }

    /// Somebody parked an event without saying where it comes from: it comes from there.
    fn parked_by_hand(&self, sequence: u64, published: jiff::Timestamp) -> ParkedLine {
        ParkedLine { stream: self.stream.clone(), sequence, since: published, ..ParkedLine::default() }
    }

    /// The lines of a message, their bodies fetched from wherever they are, and the memory they hold.
    async fn lines(&self, subject: &str, headers: &Headers, payload: Bytes) -> Option<(Vec<LineText>, Held)> {
        let holds = Holds::of(self.spec.consumer, subject);
        let size = unpacked_size(headers, &payload);
        let mut held = Held::take(size).await?;
        let originals = match unpack(headers, &payload) {
            Ok(originals) => originals,
            // All of it is one line that cannot be read.
            Err(error) => return Some((vec![LineText::new(payload, Err(error.to_string()), holds)], held)),
        };
        let size: usize = originals.iter().map(Bytes::len).sum();
        held.shrink(size);
        if originals.iter().any(|line| has_reference(line)) {
            // Nobody knows how much it will be before it is there.
            drop(held);
            held = Held::take(MESSAGE_AT_MOST).await?;
        }
        let mut left = MESSAGE_AT_MOST.saturating_sub(size);
        let mut lines = Vec::with_capacity(originals.len());
        for original in originals {
            let whole = self.body(original.clone(), left).await?;
            let fetched = whole.as_ref().map_or(0, |whole| whole.len().saturating_sub(original.len()));
            left = left.saturating_sub(fetched);
            lines.push(LineText::new(original, whole, holds));
        }
        held.shrink(MESSAGE_AT_MOST - left);
        Some((lines, held))
    }

    async fn body(&self, line: Bytes, most: usize) -> Option<Fetched> {
        let mut backoff = FETCH_AGAIN;
        for _ in 0..FETCH_ATTEMPTS {
            match self.bus.with_body(line.clone(), most).await {
                Ok(fetched) => return Some(fetched),
                Err(error) => tracing::debug!(%error, "fetching a body from the object store again"),
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
