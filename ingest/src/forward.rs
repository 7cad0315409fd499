//! The last step, which all sources share: fold repeats, publish, count.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use lictor_wire::{DeadLetter, Event};

use crate::counts::Counts;
use crate::outlet::{Outlet, OutletError};
use crate::recent::{Recent, Sent};

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
    recent: Arc<Mutex<Recent>>,
}

impl<O: Outlet> Forward<O> {
    pub(crate) fn new(outlet: O) -> Self {
        Self { outlet, counts: Arc::default(), recent: Arc::default() }
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
        let report = self.recent().unreported();
        if let Some(report) = report {
            self.outlet.publish(vec![report.clone()]).await?;
            self.recent().reported(&report);
        }
        Ok(())
    }

    /// As [`Forward::once`], again and again while nobody answers.
    pub(crate) async fn until_acknowledged(&self, events: Vec<Event>, unreadable: Vec<DeadLetter>) {
        loop {
            match self.once(events.clone(), unreadable.clone()).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, "the bus does not answer; retrying"),
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    async fn publish(&self, events: Vec<Event>) -> Result<(), OutletError> {
        let sent: Vec<Sent> = {
            let recent = self.recent();
            events.iter().map(|event| recent.sent(event)).collect()
        };
        self.outlet.publish(events).await?;
        self.counts.published(&sent.iter().map(|sent| sent.kind).collect::<Vec<_>>());
        let reused = self.recent().remember(sent, Timestamp::now());
        if reused > 0 {
            self.counts.change(|summary| summary.reused_audit_ids += reused);
        }
        Ok(())
    }

    fn fold(&self, events: Vec<Event>) -> Vec<Event> {
        let (fresh, repeated) = self.recent().fold(events);
        for event in &repeated {
            self.counts.folded(event);
        }
        fresh
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
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
