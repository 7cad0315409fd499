//! The last step, which all sources share: fold repeats, publish, count.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use lictor_wire::{DeadLetter, Event, EventId, Kind};
use lru::LruCache;

use crate::counts::Counts;
use crate::outlet::{Outlet, OutletError};

/// Ids remembered for folding: what the fullest API server sends in 16 seconds, the time in which it retries most.
/// An older repeat is published again, harmlessly. About 8 MiB.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(65_536).expect("not zero");

/// Between attempts while nobody answers: the publisher itself repeats faster; this is for when it gave up.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What a dead letter's original is cut to when a line is longer than anybody reads.
const LONGEST_ORIGINAL: usize = 256 * 1024;

/// Something that could not be read, and where it was: a line in a file, an item in a list. `lossy` as
/// [`DeadLetter::lossy`].
pub(crate) fn unreadable(
    reason: String,
    origin: &str,
    position: u64,
    original: String,
    lossy: bool,
) -> DeadLetter {
    DeadLetter {
        role: "ingest".to_owned(),
        reason,
        origin: origin.to_owned(),
        position,
        line: 0,
        original,
        lossy,
        at: Timestamp::now(),
    }
}

/// Publishes what sources read.
#[derive(Debug, Clone)]
pub(crate) struct Forward<O> {
    pub(crate) outlet: O,
    pub(crate) counts: Arc<Counts>,
    seen: Arc<Mutex<LruCache<EventId, ()>>>,
}

impl<O: Outlet> Forward<O> {
    pub(crate) fn new(outlet: O) -> Self {
        Self { outlet, counts: Arc::default(), seen: Arc::new(Mutex::new(LruCache::new(REMEMBERED))) }
    }

    /// Publishes events and dead letters once; resolves when all are acknowledged. What is refused for good becomes
    /// a dead letter itself.
    pub(crate) async fn once(
        &self,
        events: Vec<Event>,
        unreadable: Vec<DeadLetter>,
    ) -> Result<(), OutletError> {
        let events = self.fold(events);
        if !events.is_empty() {
            match self.publish(events.clone()).await {
                Err(OutletError::Refused(_)) => self.one_by_one(events).await?,
                other => other?,
            }
        }
        for letter in unreadable {
            self.dead_letter(letter).await?;
        }
        Ok(())
    }

    /// As [`Forward::once`], again and again while nobody answers.
    pub(crate) async fn until_acknowledged(&self, events: Vec<Event>, unreadable: Vec<DeadLetter>) {
        loop {
            match self.once(events.clone(), unreadable.clone()).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, "the bus does not answer, trying again"),
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    async fn publish(&self, events: Vec<Event>) -> Result<(), OutletError> {
        let sent: Vec<(EventId, Kind)> = events.iter().map(|e| (e.id.clone(), e.kind())).collect();
        self.outlet.publish(events).await?;
        self.counts.published(&sent.iter().map(|(_, kind)| *kind).collect::<Vec<_>>());
        // Only what the stream has is remembered: folding a repeat of what is still in flight would acknowledge it
        // to the source too early.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, _) in sent {
            seen.put(id, ());
        }
        Ok(())
    }

    fn fold(&self, events: Vec<Event>) -> Vec<Event> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut here = std::collections::HashSet::new();
        let (fresh, repeated): (Vec<_>, Vec<_>) = events
            .into_iter()
            .partition(|event| seen.get(&event.id).is_none() && here.insert(event.id.clone()));
        drop(seen);
        for event in &repeated {
            self.counts.folded(event);
        }
        fresh
    }

    async fn one_by_one(&self, events: Vec<Event>) -> Result<(), OutletError> {
        for event in events {
            let line = event.to_line().unwrap_or_default();
            let origin = event.source.clone();
            match self.publish(vec![event]).await {
                Err(OutletError::Refused(reason)) => {
                    self.dead_letter(unreadable(reason, &origin, 0, line, false)).await?;
                }
                other => other?,
            }
        }
        Ok(())
    }

    async fn dead_letter(&self, mut letter: DeadLetter) -> Result<(), OutletError> {
        tracing::debug!(letter.origin, letter.position, letter.reason, "dead letter");
        let kept = letter.original.floor_char_boundary(LONGEST_ORIGINAL);
        if kept < letter.original.len() {
            letter.original.truncate(kept);
            letter.reason.push_str(" (only its beginning is kept)");
        }
        self.outlet.dead_letter(&letter).await?;
        self.counts.change(|summary| summary.dead_letters += 1);
        Ok(())
    }
}
