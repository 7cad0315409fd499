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

/// Something that could not be read, and where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) reason: String,
    pub(crate) origin: String,
    /// Line in a file, item in a list.
    pub(crate) position: u64,
    pub(crate) original: String,
    pub(crate) lossy: bool,
}

/// Publishes what sources read.
#[derive(Debug)]
pub(crate) struct Forward<O> {
    pub(crate) outlet: O,
    pub(crate) counts: Arc<Counts>,
    seen: Arc<Mutex<LruCache<EventId, ()>>>,
}

impl<O: Clone> Clone for Forward<O> {
    fn clone(&self) -> Self {
        Self { outlet: self.outlet.clone(), counts: self.counts.clone(), seen: self.seen.clone() }
    }
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
        unreadable: Vec<Unreadable>,
    ) -> Result<(), OutletError> {
        let events = self.fold(events);
        if !events.is_empty() {
            match self.publish(events.clone()).await {
                Err(OutletError::Refused(_)) => self.one_by_one(events).await?,
                other => other?,
            }
        }
        for unreadable in unreadable {
            self.dead_letter(unreadable).await?;
        }
        Ok(())
    }

    /// As [`Forward::once`], again and again while nobody answers.
    pub(crate) async fn until_acknowledged(&self, events: Vec<Event>, unreadable: Vec<Unreadable>) {
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
                    self.dead_letter(Unreadable {
                        reason,
                        origin,
                        position: 0,
                        original: line,
                        lossy: false,
                    })
                    .await?;
                }
                other => other?,
            }
        }
        Ok(())
    }

    async fn dead_letter(&self, unreadable: Unreadable) -> Result<(), OutletError> {
        let Unreadable { reason, origin, position, original, lossy } = unreadable;
        tracing::debug!(origin, position, reason, "dead letter");
        let (original, cut) = shortened(original);
        let reason = if cut { format!("{reason} (only its beginning is kept)") } else { reason };
        let letter = DeadLetter {
            role: "ingest".to_owned(),
            reason,
            origin,
            position,
            line: 0,
            original,
            lossy,
            at: Timestamp::now(),
        };
        self.outlet.dead_letter(&letter).await?;
        self.counts.change(|summary| summary.dead_letters += 1);
        Ok(())
    }
}

fn shortened(mut text: String) -> (String, bool) {
    if text.len() <= LONGEST_ORIGINAL {
        return (text, false);
    }
    text.truncate(text.floor_char_boundary(LONGEST_ORIGINAL));
    (text, true)
}
