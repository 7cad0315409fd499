//! Facts: the values of buckets.

use async_nats::HeaderMap;
use async_nats::jetstream::stream::DirectGetErrorKind;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use lictor_wire::topology::Bucket;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bus::Bus;
use crate::error::BusError;
use crate::headers::{Headers, KV_OPERATION};
use crate::pack;
use crate::publish::Publication;
use crate::topology;

impl Bus {
    /// Writes a value to a bucket; returns the revision.
    ///
    /// # Errors
    /// When it is too large or the server does not acknowledge it. Writing it again is harmless.
    pub async fn put<T: Serialize + ?Sized>(
        &self,
        bucket: Bucket,
        key: &str,
        value: &T,
    ) -> Result<u64, BusError> {
        let (headers, payload) = self.encode(|| self.what(bucket, key), value)?;
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
        let Some((revision, value)) = self.value(bucket, key).await? else { return Ok(None) };
        match serde_json::from_slice(&value) {
            Ok(value) => Ok(Some((revision, value))),
            Err(error) => Err(BusError::unreadable(self.what(bucket, key), error)),
        }
    }

    fn value<'a>(
        &'a self,
        bucket: Bucket,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<(u64, Bytes)>, BusError>> {
        Box::pin(async move {
            let what = || self.what(bucket, key);
            let stream = self
                .jetstream()
                .get_stream_no_info(self.topology().bucket(bucket).stream_name())
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
            match pack::decode_payload(&headers, &message.payload) {
                Ok(value) => Ok(Some((message.sequence, value))),
                Err(error) => Err(BusError::unreadable(what(), error)),
            }
        })
    }

    /// Removes a key from a bucket. Watchers receive the delete.
    ///
    /// # Errors
    /// When the server does not acknowledge it. Removing it again is harmless.
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
        topology::last_sequence(self.jetstream(), &self.topology().bucket(bucket).stream_name()).await
    }

    fn what(&self, bucket: Bucket, key: &str) -> String {
        format!("`{key}` of bucket `{}`", self.topology().bucket(bucket).name)
    }

    fn bucket_subject(&self, bucket: Bucket, key: &str) -> String {
        format!("$KV.{}.{key}", self.topology().bucket(bucket).name)
    }
}

/// Whether a bucket's message says that the key was deleted.
pub(crate) fn is_removal(headers: &Headers) -> bool {
    matches!(headers.get(KV_OPERATION), Some("DEL" | "PURGE"))
}
