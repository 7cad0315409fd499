//! Publishing single documents, and what all publishing goes through.

use async_nats::HeaderMap;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use lictor_wire::token::token;
use lictor_wire::{DeadLetter, Event, Receipt, Verdict};
use serde::Serialize;

use crate::bus::Bus;
use crate::error::BusError;
use crate::headers::{CONTENT_ENCODING, CONTENT_TYPE, JSON, MESSAGE_ID, ONE_EVENT, ZSTD};
use crate::pack;

/// Publishes of one message's outcomes side by side: as many as a full pack has lines.
const SIDE_BY_SIDE: usize = 256;

/// What a message's subject and headers may take of the server's greatest message.
const HEADER_ROOM: usize = 8 * 1024;

/// What is kept of a dead letter's original that cannot be stored whole, in bytes.
const BEGINNING: usize = 4 * 1024;

/// The longest subject, in bytes: every token of ours is bounded, and a control line holds one or two subjects. A
/// server ends the connection of whoever sends a longer line (`max_control_line`, 4 KiB by default).
const LONGEST_SUBJECT: usize = 1024;

/// A message to be published as it is.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

impl Bus {
    /// Publishes a verdict; returns its sequence once the stream has it.
    ///
    /// # Errors
    /// When the stream does not acknowledge it. A repeat has the same id, and is recognised.
    pub async fn publish_verdict(&self, verdict: &Verdict) -> Result<u64, BusError> {
        self.publish(self.verdict(verdict)?).await
    }

    /// Publishes a receipt; returns its sequence once the stream has it.
    ///
    /// # Errors
    /// As [`Bus::publish_verdict`].
    pub async fn publish_receipt(&self, receipt: &Receipt) -> Result<u64, BusError> {
        let subject = self.topology().receipts(receipt.action, &receipt.entity);
        let what = || format!("receipt `{}`", receipt.id);
        self.publish(self.document(subject, what, receipt.id.as_str(), receipt)?).await
    }

    /// Publishes a dead letter; returns its sequence once the stream has it. An original too large for a message is
    /// offloaded to the object store, and the letter says where.
    ///
    /// # Errors
    /// As [`Bus::publish_verdict`].
    pub async fn publish_dead_letter(&self, letter: &DeadLetter) -> Result<u64, BusError> {
        self.publish(self.dead_letter(letter).await?).await
    }

    /// Publishes one event by itself, outside of any publisher's numbering; returns its sequence once the stream has
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

    pub(crate) fn dead_letter<'a>(
        &'a self,
        letter: &'a DeadLetter,
    ) -> BoxFuture<'a, Result<Publication, BusError>> {
        Box::pin(async move {
            let id = letter.id();
            let subject = self.topology().dead_letters(&letter.role);
            let what = || format!("dead letter `{id}`");
            match self.document(subject.clone(), what, &id, letter) {
                Err(BusError::TooLarge { .. }) => {
                    let letter = match self.offload(&format!("dead.{id}"), letter.original.as_bytes()).await {
                        Ok(reference) => DeadLetter { original: reference, ..letter.clone() },
                        // Its beginning is better than nothing, and than trying for ever.
                        Err(error) if error.is_permanent() => beginning(letter, &error),
                        Err(error) => return Err(error),
                    };
                    self.document(subject, what, &id, &letter)
                }
                other => other,
            }
        })
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
        headers.insert(MESSAGE_ID, token(id));
        Ok(Publication { subject, headers, payload })
    }

    /// Writes a value as JSON: as it is where it fits, so people can read it with any client, else compressed.
    pub(crate) fn encode<T: Serialize + ?Sized>(
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
        self.client().server_info().max_payload.saturating_sub(HEADER_ROOM)
    }

    /// Publishes and waits for the stream's acknowledgement; returns the sequence.
    pub(crate) fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<u64, BusError>> {
        Box::pin(async move {
            let Publication { subject, headers, payload } = publication;
            let what = format!("a message on `{subject}`");
            if subject.len() > LONGEST_SUBJECT {
                return Err(BusError::TooLarge { what, bytes: subject.len(), limit: LONGEST_SUBJECT });
            }
            let message = PublishMessage::build().headers(headers).payload(payload);
            let answer = match self.jetstream().send_publish(subject, message).await {
                Ok(answer) => answer.await,
                Err(error) => Err(error),
            };
            answer.map(|answer| answer.sequence).map_err(|error| publish_error(what, &error))
        })
    }

    /// Publishes many side by side and waits for every acknowledgement. Each comes with a tag of the caller's; returns
    /// the tags of those that can never be published, with the reason, or the first failure that may pass.
    ///
    /// INVARIANT: whatever holds one of the connection's places for unacknowledged messages waits for nothing but its
    /// acknowledgement. Sending all first and waiting afterwards would let several callers hold every place between
    /// them, each waiting for one more.
    pub(crate) fn publish_all(
        &self,
        publications: Vec<(usize, Publication)>,
    ) -> BoxFuture<'_, Result<Vec<(usize, BusError)>, BusError>> {
        Box::pin(async move {
            let mut answers = futures_util::stream::iter(publications)
                .map(|(tag, publication)| async move { (tag, self.publish(publication).await) })
                .buffer_unordered(SIDE_BY_SIDE);
            let mut refused = Vec::new();
            while let Some((tag, answer)) = answers.next().await {
                match answer {
                    Ok(_) => {}
                    Err(error) if error.is_permanent() => refused.push((tag, error)),
                    Err(error) => return Err(error),
                }
            }
            Ok(refused)
        })
    }
}

/// A letter that fits any message: the beginning of its original, and why there is no more of it.
fn beginning(letter: &DeadLetter, error: &BusError) -> DeadLetter {
    let original = letter.original.get(..letter.original.floor_char_boundary(BEGINNING)).unwrap_or_default();
    DeadLetter {
        original: original.to_owned(),
        reason: format!("{} (only its beginning is kept: {error})", letter.reason),
        ..letter.clone()
    }
}

fn publish_error(what: String, error: &PublishError) -> BusError {
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
