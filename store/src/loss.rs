//! Notices while the store runs that the server lost what the store stands on.

use std::sync::Arc;
use std::time::Duration;

use lictor_bus::Bus;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{Health, Ledger, StoreError};

/// How often it is looked whether all streams are there: a question for each, and people read the answer.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Ends the role, with the error that a start would give, when the policy log does not belong to the ledger's
/// installation any more.
pub(crate) async fn watch_installation(
    bus: Bus,
    ledger: Ledger,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    let Some(known) = ledger.installation().map_err(StoreError::Open)? else {
        stop.cancelled().await;
        return Ok(());
    };
    match stop.run_until_cancelled(bus.installation_lost(&known)).await {
        Some(lost) => Err(lost.into()),
        None => Ok(()),
    }
}

/// Keeps in the health report which streams and buckets are missing.
pub(crate) async fn watch_topology(
    bus: Bus,
    health: Arc<Health>,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = look.tick() => {}
        }
        // Without an answer nothing is known; that the server is away is in the log.
        let Some(Ok(report)) = stop.run_until_cancelled(bus.report()).await else { continue };
        let missing = report.streams.into_iter().filter(|stream| !stream.exists).map(|stream| stream.name);
        health.missing(missing.collect());
    }
}
