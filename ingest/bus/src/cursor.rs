//! Reading a stream in order, whatever happens to the connection: below [`crate::LogReader`] and [`crate::Feed`].
//!
//! The server's side is an ephemeral pull consumer without acknowledgements. Whenever it is lost (the server was
//! started again, nobody read for a while, a message is missing in its count) another one is made just after the last
//! message that was handed out. Where that place no longer exists the cursor reports it once and starts over only when
//! its owner wants it.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::datetime::DateTime;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, ReplayPolicy, pull};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::backoff::Backoff;
use crate::bus::Bus;
use crate::error::BusError;
use crate::guarded::random_id;
use crate::time::{date_time, timestamp};
use crate::topology::read_stream;

/// The server sends a heartbeat this often; after twice as long without one the consumer is recreated.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long one pull request lasts before it is renewed.
const PULL_LASTS: Duration = Duration::from_secs(30);

/// How long the server keeps a consumer nobody pulls from: longer than any reader is busy with one message, short
/// enough that those of readers that ended do not pile up.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// Messages requested at once. Packs are 64 KB or less, so some 8 MB are on their way at most.
const BATCH: usize = 128;

/// As [`BATCH`] where only headers come: a few hundred bytes each.
const BATCH_OF_HEADERS: usize = 1_024;

/// How long to wait before reading is tried again.
const OPEN_AGAIN: Backoff = Backoff::new(Duration::from_millis(100), LONGEST_WAIT);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Where reading begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start {
    /// With the first message there is.
    First,
    /// With this sequence.
    Sequence(u64),
    /// With the first message of this time or later.
    Time(Timestamp),
    /// After the last message there is when reading begins.
    New,
    /// With the last message of each subject.
    LastPerSubject,
}

/// What to read.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) stream: String,
    pub(crate) filter: Option<String>,
    pub(crate) start: Start,
    pub(crate) headers_only: bool,
}

/// What happened next.
#[derive(Debug)]
pub(crate) enum Step {
    /// A consumer was made; this many messages are there to be read at once, and the stream ends at `last`.
    Opened { pending: u64, last: u64 },
    /// A message.
    Message(Read),
    /// The place read up to is no longer there. The cursor halts until [`Cursor::start_over`].
    Lost { position: u64, last: u64 },
}

/// A message that was read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) subject: String,
    pub(crate) sequence: u64,
    pub(crate) time: Timestamp,
    /// Messages still to come that were there when this one was sent.
    pub(crate) pending: u64,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

pub(crate) struct Cursor {
    bus: Bus,
    reading: Reading,
    /// The last sequence handed out; 0 before the first.
    position: u64,
    /// When the stream was made: another time is another stream of the same name.
    made: Option<DateTime>,
    open: Option<Open>,
    connections: watch::Receiver<u64>,
    backoff: Backoff,
}

struct Open {
    consumer: Consumer<pull::Config>,
    messages: pull::Stream,
    delivered: u64,
}

impl Cursor {
    pub(crate) fn new(bus: Bus, reading: Reading) -> Self {
        let connections = bus.connections();
        Self { bus, reading, position: 0, made: None, open: None, connections, backoff: OPEN_AGAIN }
    }

    pub(crate) const fn reading(&self) -> &Reading {
        &self.reading
    }

    const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Forgets the position and begins as at first.
    pub(crate) fn start_over(&mut self) {
        self.position = 0;
        self.made = None;
        self.open = None;
    }

    /// The next thing that happens. May be dropped at any time without losing a message.
    pub(crate) async fn step(&mut self) -> Step {
        loop {
            let Some(open) = &mut self.open else {
                match self.open().await {
                    Ok(Some(step)) => return step,
                    Ok(None) => {}
                    Err(error) => self.note(&error),
                }
                continue;
            };
            let next = tokio::select! {
                biased;
                // Requests sent over the old connection are lost; what was received and not read yet is read again.
                _ = self.connections.changed() => None,
                message = open.messages.next() => Some(message),
            };
            match next {
                Some(Some(Ok(message))) => {
                    let Ok(info) = message.info() else { continue };
                    let in_order = info.consumer_sequence == open.delivered + 1;
                    if !in_order {
                        tracing::debug!(
                            stream = self.reading.stream,
                            "missed a message; resuming after the last one read"
                        );
                        self.open = None;
                        continue;
                    }
                    open.delivered += 1;
                    self.backoff.reset();
                    self.position = info.stream_sequence;
                    let (sequence, pending) = (info.stream_sequence, info.pending);
                    let time = timestamp(&info.published);
                    let message = message.message;
                    return Step::Message(Read {
                        subject: message.subject.to_string(),
                        sequence,
                        time,
                        pending,
                        headers: message.headers.unwrap_or_default(),
                        payload: message.payload,
                    });
                }
                Some(Some(Err(error))) => {
                    tracing::debug!(stream = self.reading.stream, %error, "resuming with a new consumer");
                    self.open = None;
                    if self.backoff.failures() == 0 {
                        self.backoff.fail();
                    }
                }
                Some(None) | None => self.open = None,
            }
        }
    }

    /// The next step, while a backlog is read. `None` when the server has nothing more of it to hand out, which is
    /// queried whenever nothing came for `every`. May be dropped while it waits.
    pub(crate) async fn step_of_backlog(&mut self, every: Duration) -> Option<Step> {
        loop {
            // While there is no consumer it takes as long as it takes, and nothing can be queried.
            if !self.is_open() {
                return Some(self.step().await);
            }
            if let Ok(step) = tokio::time::timeout(every, self.step()).await {
                return Some(step);
            }
            if self.pending().await == Some(0) {
                return None;
            }
        }
    }

    /// Messages the present consumer has still to hand out, queried from the server: those it has not sent, and those
    /// that are on their way.
    fn pending(&self) -> BoxFuture<'_, Option<u64>> {
        Box::pin(async move {
            let open = self.open.as_ref()?;
            let info = open.consumer.get_info().await.ok()?;
            let on_their_way = info.delivered.consumer_sequence.saturating_sub(open.delivered);
            Some(info.num_pending.saturating_add(on_their_way))
        })
    }

    fn open(&mut self) -> BoxFuture<'_, Result<Option<Step>, BusError>> {
        Box::pin(async move {
            self.connections.mark_unchanged();
            // Without counting: whoever drops it half-way and tries again waits again.
            if self.backoff.failures() > 0 {
                tokio::time::sleep(self.backoff.after(self.backoff.failures())).await;
            }
            let name = &self.reading.stream;
            let Some(info) = read_stream(self.bus.jetstream(), name).await? else {
                return Err(BusError::missing(format!("stream `{name}`")));
            };
            let last = info.state.last_sequence;
            let another = self.made.is_some_and(|made| made != info.created);
            let begins_after = match self.reading.start {
                Start::Sequence(first) if self.position == 0 => first.saturating_sub(1),
                _ => self.position,
            };
            if another || begins_after > last {
                return Ok(Some(self.lost(begins_after, last).await));
            }
            if let (Start::New, 0) = (self.reading.start, self.position) {
                self.reading.start = Start::Sequence(last + 1);
            }
            let deliver_policy = match (self.position, self.reading.start) {
                (0, Start::First | Start::New) => DeliverPolicy::All,
                (0, Start::Sequence(0)) => DeliverPolicy::All,
                (0, Start::Sequence(start_sequence)) => DeliverPolicy::ByStartSequence { start_sequence },
                (0, Start::Time(time)) => DeliverPolicy::ByStartTime { start_time: date_time(time) },
                (0, Start::LastPerSubject) => DeliverPolicy::LastPerSubject,
                // Each later message of a subject is its last sooner or later, so this completes a set of those too.
                (position, _) => DeliverPolicy::ByStartSequence { start_sequence: position + 1 },
            };
            let filter_subject = match (&self.reading.filter, deliver_policy) {
                (Some(filter), _) => filter.clone(),
                // The server requires a filter here, if only for everything.
                (None, DeliverPolicy::LastPerSubject) => ">".to_owned(),
                (None, _) => String::new(),
            };
            let config = pull::Config {
                // In the subject of the request, where permissions see it.
                name: Some(random_id()),
                deliver_policy,
                ack_policy: AckPolicy::None,
                replay_policy: ReplayPolicy::Instant,
                filter_subject,
                headers_only: self.reading.headers_only,
                inactive_threshold: FORGET_AFTER,
                memory_storage: true,
                num_replicas: 1,
                ..pull::Config::default()
            };
            let what = || format!("a reader of stream `{name}`");
            let consumer = self
                .bus
                .jetstream()
                .create_consumer_on_stream(config, name)
                .await
                .map_err(|error| BusError::unanswered(what(), error))?;
            let pending = consumer.cached_info().num_pending;
            let batch = if self.reading.headers_only { BATCH_OF_HEADERS } else { BATCH };
            let messages = consumer
                .stream()
                .max_messages_per_batch(batch)
                .expires(PULL_LASTS)
                .heartbeat(HEARTBEAT)
                .messages()
                .await
                .map_err(|error| BusError::unanswered(what(), error))?;
            self.made = Some(info.created);
            self.open = Some(Open { consumer, messages, delivered: 0 });
            Ok(Some(Step::Opened { pending, last }))
        })
    }

    /// The place is no longer there. Whoever steps again without starting over gets the same, not at once.
    async fn lost(&mut self, position: u64, last: u64) -> Step {
        self.backoff.fail();
        if self.backoff.failures() > 1 {
            tokio::time::sleep(LONGEST_WAIT).await;
        }
        Step::Lost { position, last }
    }

    fn note(&mut self, error: &BusError) {
        self.backoff.fail();
        // The first few are a server that starts again.
        if self.backoff.failures().is_multiple_of(8) {
            tracing::warn!(stream = self.reading.stream, %error, "cannot read; retrying");
        } else {
            tracing::debug!(stream = self.reading.stream, %error, "cannot read");
        }
    }
}
