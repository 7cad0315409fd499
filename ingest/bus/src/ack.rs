//! Messages in flight: handed out by the server, and not acknowledged yet.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::Subject;
use async_nats::jetstream::AckKind;
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::bus::Bus;
use crate::error::BusError;

/// What acknowledges one message. While it exists the server gets progress signs, and the message counts
/// against its intake's bound.
#[derive(Debug)]
pub(crate) struct AckHandle {
    in_flight: Arc<InFlight>,
    number: u64,
    bus: Bus,
    reply: Subject,
    _permit: OwnedSemaphorePermit,
}

/// Every message of one intake that is in flight, so that one task keeps all of them alive.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    next: AtomicU64,
    replies: Mutex<HashMap<u64, Subject>>,
}

impl AckHandle {
    /// Answers the server. Nobody waits for it to arrive: a message whose answer is lost is delivered again.
    pub(crate) async fn answer(&self, kind: AckKind) -> Result<(), BusError> {
        self.in_flight.remove(self.number);
        let sent = self.bus.client().publish(self.reply.clone(), Bytes::from(kind)).await;
        sent.map_err(|error| BusError::unanswered("an acknowledgement", error))
    }
}

impl Drop for AckHandle {
    fn drop(&mut self) {
        self.in_flight.remove(self.number);
    }
}

impl InFlight {
    /// Adds the message that is acknowledged on `reply`.
    pub(crate) fn add(self: &Arc<Self>, bus: Bus, reply: Subject, permit: OwnedSemaphorePermit) -> AckHandle {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.replies.lock().unwrap_or_else(PoisonError::into_inner).insert(number, reply.clone());
        AckHandle { in_flight: Arc::clone(self), number, bus, reply, _permit: permit }
    }

    fn remove(&self, number: u64) {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    fn replies(&self) -> Vec<Subject> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Sends the server a progress sign for each, until the intake was dropped and none is left.
    pub(crate) async fn keep_alive(self: Arc<Self>, bus: Bus, every: Duration, stop: CancellationToken) {
        let every = every.max(Duration::from_millis(100));
        loop {
            tokio::time::sleep(every).await;
            let replies = self.replies();
            if replies.is_empty() && stop.is_cancelled() {
                return;
            }
            for reply in replies {
                if bus.client().publish(reply, Bytes::from(AckKind::Progress)).await.is_err() {
                    break;
                }
            }
        }
    }
}
