//! Writing to a log only what is valid at the very sequence it is written at.
//!
//! A writer reads the log to its end, asks whether the write is valid in that state, and publishes with the sequence
//! it has read to: the server takes it only if nothing came in between. If something did, or no answer came, the
//! writer reads on. It finds its own transaction: done. Else it asks again. So any number of writers share a log
//! without locks, and what must be unique stays so. Several records are one atomic batch: all or none.

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use lictor_wire::TransactionId;
use lictor_wire::topology::Stream;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::bus::{ANSWER_WITHIN, Bus};
use crate::error::BusError;
use crate::headers::{CONTENT_TYPE, Headers, JSON};
use crate::log::{LogEntry, ReadFrom};
use crate::time::timestamp;

/// What an atomic batch may hold: the server's bound.
const BATCH_AT_MOST: usize = 1_000;

/// Up to this many records are fetched one by one: cheaper than a consumer, and leaves none behind.
const FETCH_ONE_BY_ONE: u64 = 16;

/// How many transactions are remembered, to recognise one that is repeated later by the same process.
const REMEMBERED: usize = 1_024;

/// How long a write is tried before it is given up as unsettled.
const TRY_FOR: Duration = Duration::from_secs(30);

/// How often a write is checked again because another writer came first. Each of these times that other writer got on,
/// so only a log under a flood of writes comes near.
const CONFLICTS_AT_MOST: usize = 256;

/// How soon a write without an answer is looked after.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

const EXPECTED_LAST: &str = "Nats-Expected-Last-Sequence";
const BATCH_ID: &str = "Nats-Batch-Id";
const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
const BATCH_COMMIT: &str = "Nats-Batch-Commit";

/// The state obtained by replaying a log.
pub trait LogState: Clone + Send + Sync {
    /// Takes the next record. One that cannot be read changes nothing.
    fn apply(&mut self, entry: &LogEntry);
}

/// A record to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its subject, of the log's stream.
    pub subject: String,
    /// Its body: a JSON object. The transaction is added as `transaction`.
    pub body: serde_json::Value,
}

/// Where a write is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Sequence of its first record.
    pub first: u64,
    /// Sequence of its last record.
    pub last: u64,
}

/// Why a write did not happen.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// It is not valid in the present state; the caller's own reason.
    #[error("{0}")]
    Invalid(E),
    /// There is nothing to write, or a record is not a JSON object.
    #[error("a write needs records, each a JSON object")]
    NotRecords,
    /// More records than one atomic write can hold.
    #[error("{found} changes in one write; the limit is {limit}")]
    TooMany {
        /// Records.
        found: usize,
        /// The bound.
        limit: usize,
    },
    /// Other writers came first at every attempt. Nothing was written; it may be tried again.
    #[error("gave up after {attempts} conflicts with other writers; nothing was written")]
    Conflict {
        /// How often it was tried.
        attempts: usize,
    },
    /// The server did not answer in time. The write may have happened; repeating it with the same transaction
    /// finds out, and writes it at most once.
    #[error("the outcome of the write is unknown: {0}")]
    Unsettled(#[source] BusError),
    /// The server refused it, or the log cannot be read.
    #[error(transparent)]
    Bus(BusError),
}

/// A log whose writes use optimistic concurrency; see the module documentation. One per process and stream is enough,
/// and shares what it has read among its callers.
#[derive(Debug)]
pub struct GuardedLog<S> {
    tail: Tail,
    known: Mutex<Known<S>>,
}

/// The end of a log on the server, whatever its state is.
#[derive(Debug)]
struct Tail {
    bus: Bus,
    stream: Stream,
}

#[derive(Debug)]
struct Known<S> {
    state: S,
    sequence: u64,
    transactions: VecDeque<(TransactionId, Written)>,
}

/// How an attempt to append ended.
enum Append {
    Done(u64),
    /// Something else was written since the log was read.
    Conflict,
    Unanswered(BusError),
}

/// The part of every record this module reads.
#[derive(Deserialize)]
struct Signed {
    #[serde(default)]
    transaction: TransactionId,
}

impl Bus {
    /// The admin log, as the state its caller makes of it. `state` holds everything up to
    /// `sequence`: a caller that keeps an index begins from there, another one from nothing and 0.
    pub fn admin_log<S: LogState>(&self, state: S, sequence: u64) -> GuardedLog<S> {
        GuardedLog::new(self.clone(), Stream::Admin, state, sequence)
    }
}

impl<S: LogState> GuardedLog<S> {
    pub(crate) fn new(bus: Bus, stream: Stream, state: S, sequence: u64) -> Self {
        Self {
            tail: Tail { bus, stream },
            known: Mutex::new(Known { state, sequence, transactions: VecDeque::new() }),
        }
    }

    /// The state at the log's end, and that sequence.
    ///
    /// # Errors
    /// When the log cannot be read, or ends before what was read of it.
    pub async fn state(&self) -> Result<(u64, S), BusError> {
        let mut known = self.known.lock().await;
        self.read_on(&mut known).await?;
        Ok((known.sequence, known.state.clone()))
    }

    /// Writes records, all or none, if `validate` finds them valid in the state they will follow. `validate` may be
    /// called several times. The same transaction is written once, however often it is tried.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn write<E>(
        &self,
        transaction: &TransactionId,
        records: Vec<Record>,
        validate: impl Fn(&S) -> Result<(), E>,
    ) -> Result<Written, WriteError<E>> {
        if records.len() > BATCH_AT_MOST {
            return Err(WriteError::TooMany { found: records.len(), limit: BATCH_AT_MOST });
        }
        let messages = self.tail.messages(transaction, records)?;
        let deadline = Instant::now() + TRY_FOR;
        let mut known = self.known.lock().await;
        let mut conflicts = 0;
        loop {
            let unanswered = match self.read_on(&mut known).await {
                Ok(()) => {
                    if let Some(written) = known.find(transaction) {
                        return Ok(written);
                    }
                    if conflicts == CONFLICTS_AT_MOST {
                        return Err(WriteError::Conflict { attempts: conflicts });
                    }
                    validate(&known.state).map_err(WriteError::Invalid)?;
                    match self.tail.append(&messages, known.sequence).await.map_err(WriteError::Bus)? {
                        Append::Done(last) => {
                            let first = last + 1 - messages.len() as u64;
                            let written = Written { first, last };
                            known.remember(transaction.clone(), written);
                            return Ok(written);
                        }
                        Append::Conflict => {
                            conflicts += 1;
                            continue;
                        }
                        Append::Unanswered(error) => error,
                    }
                }
                Err(error) if error.is_retryable() => error,
                Err(error) => return Err(WriteError::Bus(error)),
            };
            if Instant::now() + AGAIN_AFTER >= deadline {
                return Err(WriteError::Unsettled(unanswered));
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    async fn read_on(&self, known: &mut Known<S>) -> Result<(), BusError> {
        let last = self.tail.bus.last_sequence(self.tail.stream).await?;
        if last < known.sequence {
            let stream = self.tail.bus.topology().stream_name(self.tail.stream);
            return Err(BusError::PositionLost { stream, position: known.sequence, last });
        }
        if last - known.sequence <= FETCH_ONE_BY_ONE {
            while known.sequence < last {
                let entry = self.tail.fetch(known.sequence + 1).await?;
                known.apply(known.sequence + 1, entry.as_ref());
            }
            return Ok(());
        }
        let mut reader = self.tail.bus.read(self.tail.stream, ReadFrom::Sequence(known.sequence + 1), false);
        while known.sequence < last {
            match tokio::time::timeout(ANSWER_WITHIN, reader.next()).await {
                Ok(Some(Ok(entry))) => known.apply(entry.sequence, Some(&entry)),
                Ok(Some(Err(error))) => return Err(error),
                Ok(None) | Err(_) => {
                    let what = format!(
                        "records of stream `{}`",
                        self.tail.bus.topology().stream_name(self.tail.stream)
                    );
                    return Err(BusError::unanswered(what, "no record came"));
                }
            }
        }
        Ok(())
    }
}

// === impl Tail ===

impl Tail {
    fn messages<E>(
        &self,
        transaction: &TransactionId,
        records: Vec<Record>,
    ) -> Result<Vec<(String, HeaderMap, Bytes)>, WriteError<E>> {
        if records.is_empty() {
            return Err(WriteError::NotRecords);
        }
        let mut messages = Vec::with_capacity(records.len());
        for Record { subject, mut body } in records {
            let Some(object) = body.as_object_mut() else { return Err(WriteError::NotRecords) };
            object.insert("transaction".to_owned(), transaction.as_str().into());
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, JSON);
            let what = || format!("a record of `{subject}`");
            let payload =
                self.bus.fit(what, &mut headers, body.to_string().into()).map_err(WriteError::Bus)?;
            messages.push((subject, headers, payload));
        }
        Ok(messages)
    }

    /// One record, from the stream's leader: a copy may not have it yet. `None` when there is none at that sequence.
    fn fetch(&self, sequence: u64) -> BoxFuture<'_, Result<Option<LogEntry>, BusError>> {
        Box::pin(async move {
            use async_nats::jetstream::stream::LastRawMessageErrorKind as Kind;

            let name = self.bus.topology().stream_name(self.stream);
            let what = || format!("message {sequence} of stream `{name}`");
            let stream = self
                .bus
                .jetstream()
                .get_stream_no_info(&name)
                .await
                .map_err(|error| BusError::unanswered(what(), error))?;
            match stream.get_raw_message(sequence).await {
                Ok(message) => Ok(Some(LogEntry {
                    sequence: message.sequence,
                    time: timestamp(&message.time),
                    subject: message.subject.to_string(),
                    headers: Headers(message.headers),
                    payload: message.payload,
                })),
                Err(error) => match error.kind() {
                    Kind::NoMessageFound => Ok(None),
                    Kind::JetStream(refusal) if refusal.error_code() == ErrorCode::NO_MESSAGE_FOUND => {
                        Ok(None)
                    }
                    _ => Err(BusError::unanswered(what(), error)),
                },
            }
        })
    }

    fn append<'a>(
        &'a self,
        messages: &'a [(String, HeaderMap, Bytes)],
        after: u64,
    ) -> BoxFuture<'a, Result<Append, BusError>> {
        Box::pin(async move {
            match messages {
                [(subject, headers, payload)] => {
                    let mut headers = headers.clone();
                    headers.insert(EXPECTED_LAST, after.to_string());
                    self.append_one(subject, headers, payload.clone()).await
                }
                [first, middle @ .., last] => self.append_batch(first, middle, last, after).await,
                [] => Ok(Append::Conflict),
            }
        })
    }

    async fn append_one(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Append, BusError> {
        let message = PublishMessage::build().headers(headers).payload(payload);
        let answer = match self.bus.jetstream().send_publish(subject.to_owned(), message).await {
            Ok(answer) => answer.await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => Ok(Append::Done(answer.sequence)),
            Err(error) => match error.kind() {
                PublishErrorKind::WrongLastSequence => Ok(Append::Conflict),
                PublishErrorKind::Other | PublishErrorKind::MaxPayloadExceeded => {
                    Err(BusError::refused(format!("a record of `{subject}`"), error))
                }
                _ => Ok(Append::Unanswered(BusError::unanswered(format!("a record of `{subject}`"), error))),
            },
        }
    }

    /// An atomic batch: the first message says what it must follow, the last one commits.
    async fn append_batch(
        &self,
        first: &(String, HeaderMap, Bytes),
        middle: &[(String, HeaderMap, Bytes)],
        last: &(String, HeaderMap, Bytes),
        after: u64,
    ) -> Result<Append, BusError> {
        let id = random_id();
        let within = |headers: &HeaderMap, number: usize| {
            let mut headers = headers.clone();
            headers.insert(BATCH_ID, id.as_str());
            headers.insert(BATCH_SEQUENCE, number.to_string());
            headers
        };
        let (subject, headers, payload) = first;
        let mut headers = within(headers, 1);
        headers.insert(EXPECTED_LAST, after.to_string());
        // An empty answer to the first says that the server knows batches and has begun this one.
        if let Some(refused) = self.ask(subject, headers, payload.clone()).await? {
            return Ok(refused);
        }
        for (i, (subject, headers, payload)) in middle.iter().enumerate() {
            let headers = within(headers, i + 2);
            let sent =
                self.bus.client().publish_with_headers(subject.clone(), headers, payload.clone()).await;
            if let Err(error) = sent {
                return Ok(Append::Unanswered(BusError::unanswered("an atomic batch", error)));
            }
        }
        let (subject, headers, payload) = last;
        let mut headers = within(headers, middle.len() + 2);
        headers.insert(BATCH_COMMIT, "1");
        match self.ask(subject, headers, payload.clone()).await? {
            Some(answer) => Ok(answer),
            None => {
                Err(BusError::refused("an atomic batch", "the server took the commit as one more message"))
            }
        }
    }

    /// Sends one message of a batch and reads its answer: nothing, an acknowledgement, or a refusal.
    async fn ask(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Option<Append>, BusError> {
        let request =
            async_nats::Request::new().headers(headers).payload(payload).timeout(Some(ANSWER_WITHIN));
        let answer = match self.bus.client().send_request(subject.to_owned(), request).await {
            Ok(answer) => answer,
            Err(error) => {
                return Ok(Some(Append::Unanswered(BusError::unanswered("an atomic batch", error))));
            }
        };
        if answer.payload.is_empty() {
            return Ok(None);
        }
        match serde_json::from_slice::<Response<PublishAck>>(&answer.payload) {
            Ok(Response::Ok(acknowledged)) => Ok(Some(Append::Done(acknowledged.sequence))),
            Ok(Response::Err { error }) => match error.error_code() {
                ErrorCode::STREAM_WRONG_LAST_SEQUENCE | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => {
                    Ok(Some(Append::Conflict))
                }
                // The server forgot it half way, or has too many others half way.
                ErrorCode::ATOMIC_PUBLISH_INCOMPLETE_BATCH | ErrorCode::ATOMIC_PUBLISH_TOO_MANY_INFLIGHT => {
                    Ok(Some(Append::Unanswered(BusError::unanswered("an atomic batch", error))))
                }
                _ => Err(BusError::refused("an atomic batch", error)),
            },
            Err(error) => Err(BusError::unreadable("the answer to an atomic batch", error)),
        }
    }
}

/// An id that nobody else makes up.
pub(crate) fn random_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

// === impl Known ===

impl<S: LogState> Known<S> {
    fn apply(&mut self, sequence: u64, entry: Option<&LogEntry>) {
        self.sequence = sequence;
        let Some(entry) = entry else { return };
        self.state.apply(entry);
        let signed = entry.body().ok().and_then(|body| serde_json::from_slice::<Signed>(&body).ok());
        let Some(Signed { transaction }) = signed.filter(|signed| !signed.transaction.is_empty()) else {
            return;
        };
        match self.transactions.back_mut() {
            Some((last, written)) if *last == transaction && written.last + 1 == sequence => {
                written.last = sequence;
            }
            _ => self.remember(transaction, Written { first: sequence, last: sequence }),
        }
    }
}

impl<S> Known<S> {
    fn find(&self, transaction: &TransactionId) -> Option<Written> {
        self.transactions.iter().rev().find(|(known, _)| known == transaction).map(|(_, written)| *written)
    }

    fn remember(&mut self, transaction: TransactionId, written: Written) {
        if self.transactions.len() == REMEMBERED {
            self.transactions.pop_front();
        }
        self.transactions.push_back((transaction, written));
    }
}
