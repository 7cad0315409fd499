//! Where events go: what the sources need of the bus, so a test can take its place.

use lictor_bus::{Bus, BusError, Pressure, PublishError, Publisher};
use lictor_wire::topology::Bucket;
use lictor_wire::{DeadLetter, Event};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why something did not get out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutletError {
    /// The bus did not answer. It may have got out; publishing it again is harmless.
    #[error("{0}")]
    Unavailable(String),
    /// Refused for good.
    #[error("{0}")]
    Refused(String),
}

/// The way out.
pub(crate) trait Outlet: Clone + Send + Sync + 'static {
    /// Resolves when the streams have all of the events.
    fn publish(&self, events: Vec<Event>) -> impl Future<Output = Result<(), OutletError>> + Send;

    /// Resolves when the stream has the letter.
    fn dead_letter(&self, letter: &DeadLetter) -> impl Future<Output = Result<(), OutletError>> + Send;

    /// Writes a fact; gives its revision.
    fn put<T: Serialize + Sync>(
        &self,
        bucket: Bucket,
        key: &str,
        value: &T,
    ) -> impl Future<Output = Result<u64, OutletError>> + Send;

    /// Reads a fact and its revision.
    fn get<T: DeserializeOwned + Send>(
        &self,
        bucket: Bucket,
        key: &str,
    ) -> impl Future<Output = Result<Option<(u64, T)>, OutletError>> + Send;

    /// Whether sources are to wait.
    fn is_closed(&self) -> bool;

    /// Resolves when sources need not wait.
    fn open(&self) -> impl Future<Output = ()> + Send;
}

/// The bus as a way out.
#[derive(Debug, Clone)]
pub(crate) struct BusOutlet {
    pub(crate) bus: Bus,
    pub(crate) publisher: Publisher,
}

impl From<PublishError> for OutletError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Closed => Self::Unavailable(error.to_string()),
            _ => Self::Refused(error.to_string()),
        }
    }
}

impl From<BusError> for OutletError {
    fn from(error: BusError) -> Self {
        if error.is_retryable() {
            Self::Unavailable(error.to_string())
        } else {
            Self::Refused(error.to_string())
        }
    }
}

impl Outlet for BusOutlet {
    async fn publish(&self, events: Vec<Event>) -> Result<(), OutletError> {
        self.publisher.publish(events).await?;
        Ok(())
    }

    async fn dead_letter(&self, letter: &DeadLetter) -> Result<(), OutletError> {
        self.bus.publish_dead_letter(letter).await?;
        Ok(())
    }

    async fn put<T: Serialize + Sync>(
        &self,
        bucket: Bucket,
        key: &str,
        value: &T,
    ) -> Result<u64, OutletError> {
        Ok(self.bus.put(bucket, key, value).await?)
    }

    async fn get<T: DeserializeOwned + Send>(
        &self,
        bucket: Bucket,
        key: &str,
    ) -> Result<Option<(u64, T)>, OutletError> {
        Ok(self.bus.get(bucket, key).await?)
    }

    fn is_closed(&self) -> bool {
        *self.publisher.pressure().borrow() == Pressure::Stop
    }

    async fn open(&self) {
        // A publisher that has ended no longer signals pressure.
        let _ = self.publisher.pressure().wait_for(|pressure| *pressure == Pressure::Flow).await;
    }
}
