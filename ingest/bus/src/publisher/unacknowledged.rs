//! Repeats a frozen message until the stream has it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::numbers::Numbers;
use super::{Answer, SEND_AGAIN};
use crate::bus::Bus;
use crate::publish::Publication;

/// A message refused for this long needs a person: the disk is full, or the stream was removed.
const ALARM_AFTER: Duration = Duration::from_secs(30);

/// A frozen message that the stream does not have yet.
pub(super) struct Unacknowledged {
    pub(super) publication: Publication,
    pub(super) number: u64,
    pub(super) numbers: Arc<Mutex<Numbers>>,
    /// Its place among the messages in flight.
    pub(super) permit: OwnedSemaphorePermit,
}

impl Unacknowledged {
    /// Sends it until it is acknowledged or given up, and tells those who wait for its events.
    pub(super) async fn deliver(
        self,
        bus: Bus,
        waiting: Vec<(Arc<Answer>, usize)>,
        abandon: CancellationToken,
    ) {
        let acknowledged = tokio::select! {
            () = self.repeat(&bus) => true,
            () = abandon.cancelled() => false,
        };
        if acknowledged {
            self.numbers.lock().unwrap_or_else(PoisonError::into_inner).acknowledge(self.number);
        }
        for (answer, events) in waiting {
            answer.add(events, acknowledged);
        }
        drop(self.permit);
    }

    /// Sends the same bytes until they are acknowledged.
    async fn repeat(&self, bus: &Bus) {
        let mut connections = bus.connections();
        let started = Instant::now();
        let mut backoff = SEND_AGAIN;
        loop {
            connections.mark_unchanged();
            let answered = tokio::select! {
                answered = bus.publish(self.publication.clone()) => Some(answered),
                // What was sent over the old connection gets no answer any more.
                _ = connections.changed() => None,
            };
            match answered {
                Some(Ok(_)) => return,
                Some(Err(error)) if started.elapsed() > ALARM_AFTER => {
                    tracing::error!(%error, subject = self.publication.subject, "cannot publish a message; retrying");
                }
                Some(Err(error)) => tracing::debug!(%error, "publishing again"),
                None => tracing::debug!("reconnected, publishing again"),
            }
            tokio::time::sleep(backoff.fail()).await;
        }
    }
}
