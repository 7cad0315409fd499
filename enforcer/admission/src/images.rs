//! Facts about images, read from their bucket before a review's deadline.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use lictor_bus::Bus;
use lictor_wire::topology::{Bucket, image_key};
use lictor_wire::{Deployment, ImageFacts};
use lru::LruCache;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Images whose facts are cached. A scanned image is up to a megabyte; most are some ten kilobytes.
const CACHED: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// How long cached facts are used. They change when a scan is repeated; the live evaluators see that at once.
const TTL: Duration = Duration::from_secs(30);

/// Facts about an image, and their revision in the bucket.
type VersionedFacts = (u64, Arc<ImageFacts>);

/// Reads facts about images. Without the bus only cached ones are found.
#[derive(Debug)]
pub(crate) struct Images {
    bus: watch::Receiver<Option<Bus>>,
    cache: Mutex<LruCache<String, (Instant, VersionedFacts)>>,
}

impl Images {
    /// Reads from the bus once it is connected.
    pub(crate) fn new(bus: watch::Receiver<Option<Bus>>) -> Self {
        Self { bus, cache: Mutex::new(LruCache::new(CACHED)) }
    }

    /// The facts about each container's image that are found before `deadline`, in order. An image without a digest has
    /// none: its tag may mean another image tomorrow.
    pub(crate) async fn of(&self, workload: &Deployment, deadline: Instant) -> Vec<Option<VersionedFacts>> {
        let digests = workload.containers.iter().map(|container| container.image.id.as_str());
        join_all(digests.map(|digest| self.facts(digest, deadline))).await
    }

    async fn facts(&self, digest: &str, deadline: Instant) -> Option<VersionedFacts> {
        if digest.is_empty() {
            return None;
        }
        if let Some(facts) = self.cached(digest) {
            return Some(facts);
        }
        let bus = self.bus.borrow().clone()?;
        let key = image_key(digest);
        let found = timeout_at(deadline, bus.get::<ImageFacts>(Bucket::Images, &key)).await;
        let (revision, facts) = match found {
            Ok(Ok(found)) => found?,
            Ok(Err(error)) => {
                tracing::debug!(%error, digest, "cannot read the facts of an image");
                return None;
            }
            Err(_) => return None,
        };
        let facts = (revision, Arc::new(facts));
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.put(digest.to_owned(), (Instant::now(), facts.clone()));
        Some(facts)
    }

    fn cached(&self, digest: &str) -> Option<VersionedFacts> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, facts) = cache.get(digest)?;
        (at.elapsed() < TTL).then(|| facts.clone())
    }
}
