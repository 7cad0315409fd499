//! Detects messages of the event streams that were acknowledged but are missing, and turns that into an event.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lictor_bus::{Bus, BusError, Gap, ReadFrom, Stream};

use crate::{Health, Ledger, Log, StoreError};
use tokio_util::sync::CancellationToken;

/// Between attempts to publish what was found.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Watches until `stop`. All headers there are are read at each start: a message that went missing while
/// nobody looked is found too, and one that was reported before is not reported again.
pub(crate) async fn watch_streams(
    bus: Bus,
    ledger: Ledger,
    health: Arc<Health>,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    for kind in lictor_wire::Kind::ALL {
        health.continuity(&bus.topology().stream_name(Stream::Events(kind)), |_| {});
    }
    let mut watching = bus.watch_continuity(ReadFrom::First);
    loop {
        let found = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            found = watching.next() => found,
        };
        match found {
            Some(Ok(gap)) => {
                let stream = bus.topology().stream_name(Stream::Events(gap.kind));
                health.continuity(&stream, |of| of.missing += 1);
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    reported = report(&bus, &ledger, &gap) => reported?,
                }
            }
            Some(Err(error)) => {
                tracing::error!(%error, "an event stream lost messages or was recreated; check it");
                if let BusError::PositionLost { stream, .. } = &error {
                    health.continuity(stream, |of| of.broken = Some(error.to_string()));
                }
            }
            None => {
                // Its readers never end before it does.
                stop.cancelled().await;
                return Ok(());
            }
        }
    }
}

async fn report(bus: &Bus, ledger: &Ledger, gap: &Gap) -> Result<(), StoreError> {
    let event = gap.to_event(Timestamp::now());
    let known = ledger.knows_coverage(&event.id);
    if known.map_err(|source| StoreError::Apply { log: Log::Coverage, source })? {
        return Ok(());
    }
    while let Err(error) = bus.publish_event(&event).await {
        tracing::warn!(%error, "cannot report a missing message; retrying");
        tokio::time::sleep(AGAIN_AFTER).await;
    }
    Ok(())
}
