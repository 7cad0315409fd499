//! Facts about images, from their bucket, for as long as a review may wait.

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

/// Facts remembered. A scanned image is up to a megabyte; most are some ten kilobytes.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// How long facts count as they were read. They change when a scan is repeated; the live evaluators see that at once.
const FRESH: Duration = Duration::from_secs(30);

/// What is known of an image, and the bucket's revision of it.
type Known = (u64, Arc<ImageFacts>);

/// Reads facts about images. Without the bus nothing is known but what is remembered.
#[derive(Debug)]
pub(crate) struct Images {
    bus: watch::Receiver<Option<Bus>>,
    remembered: Mutex<LruCache<String, (Instant, Known)>>,
}

impl Images {
    /// Reads over the bus, as soon as there is one.
    #[must_use]
    pub(crate) fn new(bus: watch::Receiver<Option<Bus>>) -> Self {
        Self { bus, remembered: Mutex::new(LruCache::new(REMEMBERED)) }
    }

    /// What is known of each container's image until `deadline`, in order. An image without a digest is not known:
    /// a tag may mean another image tomorrow.
    pub(crate) async fn of(&self, workload: &Deployment, deadline: Instant) -> Vec<Option<Known>> {
        let digests = workload.containers.iter().map(|container| container.image.id.as_str());
        join_all(digests.map(|digest| self.facts(digest, deadline))).await
    }

    async fn facts(&self, digest: &str, deadline: Instant) -> Option<Known> {
        if digest.is_empty() {
            return None;
        }
        if let Some(known) = self.remembered(digest) {
            return Some(known);
        }
        let bus = self.bus.borrow().clone()?;
        let key = image_key(digest);
        let found = timeout_at(deadline, bus.get::<ImageFacts>(Bucket::Images, &key)).await;
        let (revision, facts) = match found {
            Ok(Ok(found)) => found?,
            Ok(Err(error)) => {
                tracing::debug!(%error, digest, "facts of an image cannot be read");
                return None;
            }
            Err(_) => return None,
        };
        let known = (revision, Arc::new(facts));
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.put(digest.to_owned(), (Instant::now(), known.clone()));
        Some(known)
    }

    fn remembered(&self, digest: &str) -> Option<Known> {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, known) = remembered.get(digest)?;
        (at.elapsed() < FRESH).then(|| known.clone())
    }
}
