//! Bodies too large for a message are offloaded to the object store, and the line says where (a claim check).

use std::time::Duration;

use async_nats::jetstream::object_store::{GetErrorKind, ObjectMetadata, ObjectStore};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use lictor_wire::Envelope;
use memchr::memmem;
use serde_json::value::RawValue;
use tokio::io::AsyncReadExt;

use crate::bus::Bus;
use crate::error::BusError;

/// What a `dataref` of ours begins with; what follows is the object store's bucket, `/`, and the object's name.
const SCHEME: &str = "nats-object:";

/// Bytes of a chunk of an object, as the client's own default.
const CHUNK: usize = 128 * 1024;

/// How long the largest body may take to come: 64 MiB over a slow link.
const FETCH_WITHIN: Duration = Duration::from_secs(30);

/// A line with its body, or why it never will have one: the object was deleted, or is not a body.
pub(crate) type Fetched = Result<Bytes, String>;

/// What is in the object store under a name.
enum Object {
    Whole(Vec<u8>),
    Deleted,
    /// More bytes than are wanted.
    TooLarge(usize),
}

impl Bus {
    /// Writes bytes to the object store; returns the reference. A name is for one content: what is there already is
    /// not written again.
    pub(crate) fn offload<'a>(
        &'a self,
        name: &'a str,
        bytes: &'a [u8],
    ) -> BoxFuture<'a, Result<String, BusError>> {
        Box::pin(async move {
            let (bucket, store) = self.object_store(name).await?;
            let reference = format!("{SCHEME}{bucket}/{name}");
            // Its description is written last: where that is, the bytes are. Replacing it would have it purged, and
            // nobody who connects may purge.
            if store.info(name).await.is_ok_and(|found| found.size == bytes.len()) {
                return Ok(reference);
            }
            let mut bytes = bytes;
            // A chunk is a message: no larger than the server takes.
            let chunk_size = Some(CHUNK.min(self.payload_limit()));
            let object = ObjectMetadata { name: name.to_owned(), chunk_size, ..ObjectMetadata::default() };
            store.put(object, &mut bytes).await.map_err(|error| unanswered(&bucket, name, error))?;
            Ok(reference)
        })
    }

    /// The line with its body, wherever that is, unless that has more than `most` bytes. A line that is not an event,
    /// or has its body, comes back as it is.
    pub(crate) async fn with_body(&self, line: Bytes, most: usize) -> Result<Fetched, BusError> {
        if !has_reference(&line) {
            return Ok(Ok(line));
        }
        let Ok(text) = std::str::from_utf8(&line) else { return Ok(Ok(line)) };
        let Ok(envelope) = Envelope::parse(text) else { return Ok(Ok(line)) };
        let (None, Some(reference)) = (envelope.data, envelope.dataref.as_deref()) else {
            return Ok(Ok(line));
        };
        let own = format!("{SCHEME}{}/", self.topology().object_store());
        let Some(name) = reference.strip_prefix(&own) else {
            return Ok(Err(format!(
                "the body is at `{reference}`, outside of lictor's object store, and cannot be fetched"
            )));
        };
        let body = match self.fetch_object(name, most).await? {
            Object::Whole(body) => body,
            Object::Deleted => return Ok(Err(format!("the body at `{reference}` was deleted"))),
            Object::TooLarge(bytes) => {
                return Ok(Err(format!(
                    "the body at `{reference}` has {bytes} bytes; the message's limit leaves {most}"
                )));
            }
        };
        let body: Box<RawValue> = match serde_json::from_slice(&body) {
            Ok(body) => body,
            Err(error) => return Ok(Err(format!("the body at `{reference}` is not JSON: {error}"))),
        };
        match envelope.to_line_with_data(&body) {
            Ok(line) => Ok(Ok(Bytes::from(line))),
            Err(error) => Ok(Err(format!("the event cannot be put together: {error}"))),
        }
    }

    fn fetch_object<'a>(&'a self, name: &'a str, most: usize) -> BoxFuture<'a, Result<Object, BusError>> {
        Box::pin(async move {
            let (bucket, store) = self.object_store(name).await?;
            let object = match store.get(name).await {
                Ok(object) => object,
                Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(Object::Deleted),
                Err(error) => return Err(unanswered(&bucket, name, error)),
            };
            let size = object.info.size;
            if size > most {
                return Ok(Object::TooLarge(size));
            }
            // What it says of its size is what its writer wrote.
            let mut body = Vec::with_capacity(size);
            let mut bounded = object.take(size as u64);
            match tokio::time::timeout(FETCH_WITHIN, bounded.read_to_end(&mut body)).await {
                Ok(Ok(_)) => Ok(Object::Whole(body)),
                Ok(Err(error)) => Err(unanswered(&bucket, name, error)),
                Err(_) => Err(unanswered(&bucket, name, format!("not read within {FETCH_WITHIN:?}"))),
            }
        })
    }

    /// The object store, and its bucket's name; `name` is the object it is opened for.
    async fn object_store(&self, name: &str) -> Result<(String, ObjectStore), BusError> {
        let bucket = self.topology().object_store();
        match self.jetstream().get_object_store(&bucket).await {
            Ok(store) => Ok((bucket, store)),
            Err(error) => Err(unanswered(&bucket, name, error)),
        }
    }
}

/// Whether a line may have its body elsewhere. Almost none has; looking for the word costs nothing beside parsing.
pub(crate) fn has_reference(line: &[u8]) -> bool {
    memmem::find(line, b"\"dataref\"").is_some()
}

fn unanswered(bucket: &str, name: &str, reason: impl std::fmt::Display) -> BusError {
    BusError::unanswered(format!("object `{name}` of `{bucket}`"), reason)
}
