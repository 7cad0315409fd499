//! Bodies too large for a message are offloaded to the object store, and the line says where (a claim check).

use std::time::Duration;

use async_nats::jetstream::object_store::{GetErrorKind, ObjectStore};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use lictor_wire::Envelope;
use memchr::memmem;
use serde_json::value::RawValue;
use tokio::io::AsyncReadExt;

use crate::bus::Bus;
use crate::error::BusError;
use crate::pack::MAX_UNPACKED;

/// What a `dataref` of ours begins with; what follows is the object store's bucket, `/`, and the object's name.
const SCHEME: &str = "nats-object:";

/// How long the largest body may take to come: a quarter of a gigabyte over a slow link.
const FETCH_WITHIN: Duration = Duration::from_secs(30);

/// A line with its body, or why it never will have one: the object was deleted, or is not a body.
pub(crate) type Fetched = Result<Bytes, String>;

impl Bus {
    /// Writes bytes to the object store; returns the reference. The name must be the caller's alone: a second object
    /// of the same name replaces the first.
    pub(crate) fn offload<'a>(
        &'a self,
        name: &'a str,
        bytes: &'a [u8],
    ) -> BoxFuture<'a, Result<String, BusError>> {
        Box::pin(async move {
            let (bucket, store) = self.object_store(name).await?;
            let mut bytes = bytes;
            store.put(name, &mut bytes).await.map_err(|error| unanswered(&bucket, name, error))?;
            Ok(format!("{SCHEME}{bucket}/{name}"))
        })
    }

    /// The line with its body, wherever that is. A line that is not an event, or has its body, comes back as it is.
    pub(crate) async fn with_body(&self, line: Bytes) -> Result<Fetched, BusError> {
        // Almost no line has a reference; looking for the word costs nothing beside parsing.
        if memmem::find(&line, b"\"dataref\"").is_none() {
            return Ok(Ok(line));
        }
        let Ok(text) = std::str::from_utf8(&line) else { return Ok(Ok(line)) };
        let Ok(envelope) = Envelope::parse(text) else { return Ok(Ok(line)) };
        let (None, Some(reference)) = (envelope.data, envelope.dataref.as_deref()) else {
            return Ok(Ok(line));
        };
        let own = format!("{SCHEME}{}/", self.topology().object_store());
        let Some(name) = reference.strip_prefix(&own) else {
            return Ok(Err(format!("the body is at `{reference}`, where only its sender can read it")));
        };
        let Some(body) = self.fetch_object(name).await? else {
            return Ok(Err(format!("the body at `{reference}` was deleted")));
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

    fn fetch_object<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, BusError>> {
        Box::pin(async move {
            let (bucket, store) = self.object_store(name).await?;
            let object = match store.get(name).await {
                Ok(object) => object,
                Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(unanswered(&bucket, name, error)),
            };
            let mut body = Vec::new();
            let limit = MAX_UNPACKED as u64 * 4;
            let read = tokio::time::timeout(FETCH_WITHIN, object.take(limit).read_to_end(&mut body)).await;
            match read {
                Ok(Ok(_)) => Ok(Some(body)),
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

fn unanswered(bucket: &str, name: &str, reason: impl std::fmt::Display) -> BusError {
    BusError::unanswered(format!("object `{name}` of `{bucket}`"), reason)
}
