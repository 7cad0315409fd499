//! The connection, and the small requests on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::{ContextBuilder, PublishAckFuture, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::DirectGetErrorKind;
use async_nats::jetstream::{Context, context};
use async_nats::{Client, ConnectOptions, Event as ClientEvent, HeaderMap};
use bytes::Bytes;
use futures_util::StreamExt;
use lictor_wire::topology::{Bucket, Stream, Topology};
use lictor_wire::{Command, DeadLetter, Event, Receipt, Verdict};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::error::{BusError, ConnectError};
use crate::headers::{
    CONTENT_ENCODING, CONTENT_TYPE, Headers, JSON, KV_OPERATION, MESSAGE_ID, ONE_EVENT, ZSTD,
};
use crate::pack;
use crate::topology::{self, TopologyReport};

/// The oldest server that has atomic batches.
const OLDEST_SERVER: &str = "2.12.0";

/// How long the server may take to answer. With every write synced to a slow disk an answer takes tens of
/// milliseconds; after this long the connection or the leader is gone, and a repeat is harmless.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Publishes of one process that wait for their acknowledgement: the client's sending queue twice over, so neither
/// waits for the other. More only grows memory.
const ACKS_IN_FLIGHT: usize = 4_096;

/// Publishes of one message's outcomes side by side: as many as a full pack has lines.
const SIDE_BY_SIDE: usize = 256;

/// How often a server that is not there is tried again while connecting.
const CONNECT_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// How long to wait before a broken connection is made again.
const RECONNECT: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// What a message's subject and headers may take of the server's greatest message.
const HEADER_ROOM: usize = 8 * 1024;

/// How to reach NATS.
#[derive(Debug, Clone)]
pub struct BusOptions {
    /// Where, as `nats://host:port`, several with commas between.
    pub url: String,
    /// What is to exist there.
    pub topology: Topology,
    /// The connection's name, as the server's own tools show it: the role.
    pub name: String,
    /// A credentials file, or a file with the seed of an nkey.
    pub credentials: Option<PathBuf>,
    /// How long a server that is not there is tried.
    pub connect_timeout: Duration,
}

impl BusOptions {
    /// The usual options: no credentials, ten seconds to connect.
    #[must_use]
    pub fn new(url: &str, topology: Topology, name: &str) -> Self {
        Self {
            url: url.to_owned(),
            topology,
            name: name.to_owned(),
            credentials: None,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// A connection to NATS with everything of the table there. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

struct Inner {
    client: Client,
    jetstream: Context,
    topology: Topology,
    /// Counts connections: whoever waits for the server looks again when it changes.
    connections: watch::Receiver<u64>,
}

/// A message to be published as it is.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

impl Bus {
    /// Connects, trying again until the time is over, and makes the streams, buckets and consumers that are missing.
    ///
    /// # Errors
    /// When no server answers in time, it is too old or without JetStream, or something there means something else
    /// than the table says.
    pub async fn connect(options: BusOptions) -> Result<Self, ConnectError> {
        let deadline = Instant::now() + options.connect_timeout;
        let (client, connections) = open(&options, deadline).await?;
        if !client.is_server_compatible(2, 12, 0) {
            let found = client.server_info().version;
            return Err(ConnectError::TooOld { found, wanted: OLDEST_SERVER });
        }
        let jetstream = ContextBuilder::new()
            .timeout(ANSWER_WITHIN)
            .max_ack_inflight(ACKS_IN_FLIGHT)
            .build(client.clone());
        loop {
            match topology::ensure(&jetstream, &options.topology).await {
                Ok(differences) => {
                    let (differences, shown): (Vec<_>, Vec<_>) =
                        differences.into_iter().partition(|difference| difference.changes_meaning);
                    if !differences.is_empty() {
                        return Err(ConnectError::Different { differences });
                    }
                    for difference in shown {
                        tracing::info!(%difference, "the server's limits are not the table's");
                    }
                    break;
                }
                // JetStream is still starting, or has no leader yet.
                Err(error) if error.is_retryable() && Instant::now() + CONNECT_AGAIN_AFTER < deadline => {
                    tokio::time::sleep(CONNECT_AGAIN_AFTER).await;
                }
                Err(error) if error.is_retryable() => {
                    return Err(ConnectError::NoJetStream { url: options.url, reason: error.to_string() });
                }
                Err(error) => return Err(ConnectError::Topology(error)),
            }
        }
        Ok(Self(Arc::new(Inner { client, jetstream, topology: options.topology, connections })))
    }

    /// The table everything here follows.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.0.topology
    }

    /// What is on the server, for people. Changes nothing.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn report(&self) -> Result<TopologyReport, BusError> {
        let mut report = topology::report(self.jetstream(), self.topology()).await?;
        report.server = self.0.client.server_info().version;
        Ok(report)
    }

    /// Sends what still waits to be sent and ends the connection. Nothing of this bus works afterwards.
    pub async fn drain(&self) {
        let flushed = tokio::time::timeout(ANSWER_WITHIN, self.0.client.flush()).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!(
                "not everything could be sent to NATS before the end; whoever waits for it repeats it"
            );
        }
        if let Err(error) = self.0.client.drain().await {
            tracing::debug!(%error, "the connection was closed already");
        }
    }

    // --- facts ---------------------------------------------------------------------------------------------------

    /// Writes a value to a bucket; answers the revision.
    ///
    /// # Errors
    /// When it is too large or the server does not take it. Writing it again is harmless.
    pub async fn put<T: Serialize + ?Sized>(
        &self,
        bucket: Bucket,
        key: &str,
        value: &T,
    ) -> Result<u64, BusError> {
        let what = || format!("`{key}` of bucket `{}`", self.topology().bucket(bucket).name);
        let (headers, payload) = self.encode(what, value)?;
        self.publish(Publication { subject: self.bucket_subject(bucket, key), headers, payload }).await
    }

    /// Reads a value of a bucket with its revision.
    ///
    /// # Errors
    /// When the server does not answer, or the value is not of this type.
    pub async fn get<T: DeserializeOwned>(
        &self,
        bucket: Bucket,
        key: &str,
    ) -> Result<Option<(u64, T)>, BusError> {
        let name = self.topology().bucket(bucket).name;
        let what = || format!("`{key}` of bucket `{name}`");
        let stream = self
            .jetstream()
            .get_stream_no_info(topology::bucket_stream(&name))
            .await
            .map_err(|error| BusError::unanswered(what(), error))?;
        let subject = self.bucket_subject(bucket, key);
        let message = match stream.direct_get_builder().last_by_subject(subject).send().await {
            Ok(message) => message,
            Err(error) => {
                return match error.kind() {
                    DirectGetErrorKind::NotFound => Ok(None),
                    DirectGetErrorKind::ErrorResponse(..) | DirectGetErrorKind::InvalidSubject => {
                        Err(BusError::refused(what(), error))
                    }
                    _ => Err(BusError::unanswered(what(), error)),
                };
            }
        };
        let headers = Headers(message.headers);
        if is_removal(&headers) {
            return Ok(None);
        }
        let value = pack::decode_payload(&headers, &message.payload)
            .map_err(|error| BusError::unreadable(what(), error))
            .and_then(|plain| {
                serde_json::from_slice(&plain).map_err(|error| BusError::unreadable(what(), error))
            })?;
        Ok(Some((message.sequence, value)))
    }

    /// Removes a key from a bucket. Watchers see it go.
    ///
    /// # Errors
    /// When the server does not take it. Removing it again is harmless.
    pub async fn delete(&self, bucket: Bucket, key: &str) -> Result<(), BusError> {
        let mut headers = HeaderMap::new();
        headers.insert(KV_OPERATION, "DEL");
        let subject = self.bucket_subject(bucket, key);
        self.publish(Publication { subject, headers, payload: Bytes::new() }).await?;
        Ok(())
    }

    /// The last revision of a bucket: whoever has read up to it has seen every write up to now.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn last_revision(&self, bucket: Bucket) -> Result<u64, BusError> {
        self.last_of(&topology::bucket_stream(&self.topology().bucket(bucket).name)).await
    }

    /// The last sequence of a stream.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn last_sequence(&self, stream: Stream) -> Result<u64, BusError> {
        self.last_of(&self.topology().stream_name(stream)).await
    }

    async fn last_of(&self, stream: &str) -> Result<u64, BusError> {
        match topology::read_stream(self.jetstream(), stream).await? {
            Some(info) => Ok(info.state.last_sequence),
            None => Err(BusError::missing(format!("stream `{stream}`"))),
        }
    }

    fn bucket_subject(&self, bucket: Bucket, key: &str) -> String {
        format!("$KV.{}.{key}", self.topology().bucket(bucket).name)
    }

    // --- publishing ----------------------------------------------------------------------------------------------

    /// Publishes a verdict; answers its sequence once the stream has it.
    ///
    /// # Errors
    /// When the stream does not take it. A repeat has the same id, and is recognised.
    pub async fn publish_verdict(&self, verdict: &Verdict) -> Result<u64, BusError> {
        self.publish(self.verdict(verdict)?).await
    }

    /// Publishes a receipt; answers its sequence once the stream has it.
    ///
    /// # Errors
    /// As [`Bus::publish_verdict`].
    pub async fn publish_receipt(&self, receipt: &Receipt) -> Result<u64, BusError> {
        let subject = self.topology().receipts(receipt.action, &receipt.entity);
        let what = || format!("receipt `{}`", receipt.id);
        self.publish(self.document(subject, what, receipt.id.as_str(), receipt)?).await
    }

    /// Publishes a dead letter; answers its sequence once the stream has it. An original too large for a message is
    /// offloaded to the object store, and the letter says where.
    ///
    /// # Errors
    /// As [`Bus::publish_verdict`].
    pub async fn publish_dead_letter(&self, letter: &DeadLetter) -> Result<u64, BusError> {
        self.publish(self.dead_letter(letter).await?).await
    }

    /// Publishes a command to a role; answers its sequence once the stream has it.
    ///
    /// # Errors
    /// As [`Bus::publish_verdict`].
    pub async fn publish_command(&self, command: &Command, role: &str) -> Result<u64, BusError> {
        let verb = match command.action {
            lictor_wire::CommandAction::Reassess { .. } => "reassess",
            lictor_wire::CommandAction::Revert { .. } => "revert",
            lictor_wire::CommandAction::Cancel { .. } => "cancel",
        };
        let subject = self.topology().commands(role, verb);
        let what = || format!("command `{}`", command.id);
        self.publish(self.document(subject, what, command.id.as_str(), command)?).await
    }

    /// Publishes one event by itself, outside of any publisher's numbering; answers its sequence once the stream has
    /// it. For the few events the pipeline itself makes; sources use a [`crate::Publisher`].
    ///
    /// # Errors
    /// As [`Bus::publish_verdict`].
    pub async fn publish_event(&self, event: &Event) -> Result<u64, BusError> {
        let what = || format!("event `{}`", event.id);
        let subject = self.topology().events(event.kind(), &event.cluster);
        let mut publication = self.document(subject, what, event.id.as_str(), event)?;
        publication.headers.insert(CONTENT_TYPE, ONE_EVENT);
        self.publish(publication).await
    }

    pub(crate) fn verdict(&self, verdict: &Verdict) -> Result<Publication, BusError> {
        let what = || format!("verdict `{}`", verdict.id);
        self.document(self.topology().verdicts(verdict), what, verdict.id.as_str(), verdict)
    }

    pub(crate) async fn dead_letter(&self, letter: &DeadLetter) -> Result<Publication, BusError> {
        let id = letter.id();
        let subject = self.topology().dead_letters(&letter.role);
        let what = || format!("dead letter `{id}`");
        match self.document(subject.clone(), what, &id, letter) {
            Err(BusError::TooLarge { .. }) => {
                let reference = self.offload(&format!("dead.{id}"), letter.original.as_bytes()).await?;
                let letter = DeadLetter { original: reference, ..letter.clone() };
                self.document(subject, what, &id, &letter)
            }
            other => other,
        }
    }

    /// A JSON document under an id.
    pub(crate) fn document<T: Serialize + ?Sized>(
        &self,
        subject: String,
        what: impl Fn() -> String,
        id: &str,
        value: &T,
    ) -> Result<Publication, BusError> {
        let (mut headers, payload) = self.encode(what, value)?;
        headers.insert(MESSAGE_ID, id);
        Ok(Publication { subject, headers, payload })
    }

    /// Writes a value as JSON: as it is where it fits, so people can read it with any client, else compressed.
    fn encode<T: Serialize + ?Sized>(
        &self,
        what: impl Fn() -> String,
        value: &T,
    ) -> Result<(HeaderMap, Bytes), BusError> {
        let payload = match serde_json::to_vec(value) {
            Ok(json) => Bytes::from(json),
            Err(source) => return Err(BusError::Encode { what: what(), source }),
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, JSON);
        let payload = self.fit(what, &mut headers, payload)?;
        Ok((headers, payload))
    }

    /// A payload that fits a message, compressed when it would not fit as it is.
    pub(crate) fn fit(
        &self,
        what: impl Fn() -> String,
        headers: &mut HeaderMap,
        payload: Bytes,
    ) -> Result<Bytes, BusError> {
        let limit = self.payload_limit();
        if payload.len() <= limit {
            return Ok(payload);
        }
        let bytes = payload.len();
        match pack::compress(&payload) {
            Some(smaller) if smaller.len() <= limit && bytes <= pack::MAX_UNPACKED => {
                headers.insert(CONTENT_ENCODING, ZSTD);
                Ok(smaller)
            }
            _ => Err(BusError::TooLarge { what: what(), bytes, limit }),
        }
    }

    /// The greatest payload, with room for headers.
    pub(crate) fn payload_limit(&self) -> usize {
        self.0.client.server_info().max_payload.saturating_sub(HEADER_ROOM)
    }

    /// Publishes and waits for the stream's answer.
    pub(crate) async fn publish(&self, publication: Publication) -> Result<u64, BusError> {
        let subject = publication.subject.clone();
        self.acknowledged(&subject, self.send(publication).await?).await
    }

    /// Publishes many side by side and waits for every answer; answers the first failure.
    ///
    /// INVARIANT: whatever holds one of the connection's places for unacknowledged messages waits for nothing but its
    /// acknowledgement. Sending all first and waiting afterwards would let several callers hold every place between
    /// them, each waiting for one more.
    pub(crate) async fn publish_all(&self, publications: Vec<Publication>) -> Result<(), BusError> {
        let mut answers = futures_util::stream::iter(publications)
            .map(|publication| self.publish(publication))
            .buffer_unordered(SIDE_BY_SIDE);
        while let Some(answer) = answers.next().await {
            answer?;
        }
        Ok(())
    }

    pub(crate) async fn send(&self, publication: Publication) -> Result<PublishAckFuture, BusError> {
        let Publication { subject, headers, payload } = publication;
        let message = PublishMessage::build().headers(headers).payload(payload);
        let what = format!("a message on `{subject}`");
        self.jetstream().send_publish(subject, message).await.map_err(|error| publish_error(what, &error))
    }

    pub(crate) async fn acknowledged(
        &self,
        subject: &str,
        answer: PublishAckFuture,
    ) -> Result<u64, BusError> {
        match answer.await {
            Ok(answer) => Ok(answer.sequence),
            Err(error) => Err(publish_error(format!("a message on `{subject}`"), &error)),
        }
    }

    // --- for the rest of this crate ------------------------------------------------------------------------------

    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    pub(crate) fn jetstream(&self) -> &Context {
        &self.0.jetstream
    }

    /// Changes whenever the connection was made anew: requests sent before are lost.
    pub(crate) fn connections(&self) -> watch::Receiver<u64> {
        self.0.connections.clone()
    }
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus").field("prefix", &self.topology().prefix()).finish_non_exhaustive()
    }
}

/// Whether a bucket's message says that the key is gone.
pub(crate) fn is_removal(headers: &Headers) -> bool {
    matches!(headers.get(KV_OPERATION), Some("DEL" | "PURGE"))
}

fn publish_error(what: String, error: &context::PublishError) -> BusError {
    match error.kind() {
        // No stream answers while the server starts, or after somebody removed the stream: which of the two it is
        // shows only with time.
        PublishErrorKind::TimedOut
        | PublishErrorKind::BrokenPipe
        | PublishErrorKind::MaxAckPending
        | PublishErrorKind::StreamNotFound => BusError::unanswered(what, error),
        PublishErrorKind::WrongLastMessageId
        | PublishErrorKind::WrongLastSequence
        | PublishErrorKind::MaxPayloadExceeded
        | PublishErrorKind::Other => BusError::refused(what, error),
    }
}

async fn open(
    options: &BusOptions,
    deadline: Instant,
) -> Result<(Client, watch::Receiver<u64>), ConnectError> {
    loop {
        let (count, connections) = watch::channel(0_u64);
        let count = Arc::new(count);
        let left = deadline.saturating_duration_since(Instant::now()).max(CONNECT_AGAIN_AFTER);
        let connect = authenticated(options)
            .await?
            .name(&options.name)
            .connection_timeout(left.min(ANSWER_WITHIN))
            .reconnect_delay_callback(|attempts| RECONNECT.after(u32::try_from(attempts).unwrap_or(u32::MAX)))
            .event_callback(move |event| {
                let count = Arc::clone(&count);
                async move { note(&event, &count) }
            });
        let addresses: Vec<&str> = options.url.split(',').map(str::trim).collect();
        match connect.connect(addresses).await {
            Ok(client) => return Ok((client, connections)),
            Err(error) if Instant::now() + CONNECT_AGAIN_AFTER < deadline => {
                tracing::debug!(%error, url = options.url, "no NATS server yet");
                tokio::time::sleep(CONNECT_AGAIN_AFTER).await;
            }
            Err(error) => {
                return Err(ConnectError::Unreachable {
                    url: options.url.clone(),
                    reason: error.to_string(),
                });
            }
        }
    }
}

async fn authenticated(options: &BusOptions) -> Result<ConnectOptions, ConnectError> {
    let connect = ConnectOptions::new();
    let Some(path) = &options.credentials else { return Ok(connect) };
    let text = tokio::fs::read_to_string(path).await.map_err(|error| unusable(path, &error))?;
    if text.contains("BEGIN NATS USER JWT") {
        connect.credentials(&text).map_err(|error| unusable(path, &error))
    } else {
        Ok(connect.nkey(text.trim().to_owned()))
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> ConnectError {
    ConnectError::Credentials { path: path.display().to_string(), reason: error.to_string() }
}

fn note(event: &ClientEvent, count: &watch::Sender<u64>) {
    match event {
        ClientEvent::Connected => {
            count.send_modify(|count| *count += 1);
            tracing::info!("connected to NATS");
        }
        ClientEvent::Disconnected => {
            tracing::warn!("connection to NATS lost; nothing is lost, what waits is repeated");
        }
        // Only the client's own bookkeeping runs over plain subscriptions that could overflow; everything that
        // counts is pulled.
        ClientEvent::SlowConsumer(_) | ClientEvent::ServerError(_) | ClientEvent::ClientError(_) => {
            tracing::warn!(%event, "NATS");
        }
        ClientEvent::LameDuckMode | ClientEvent::Draining | ClientEvent::Closed => {
            tracing::info!(%event, "NATS");
        }
    }
}
