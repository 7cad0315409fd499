//! Who runs: written to a bucket while it lives, and deleted when it stops.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use lictor_wire::topology::Bucket;
use lictor_wire::{Fingerprint, PolicyProblems, Presence};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::Bus;

/// How often presence is written.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);

/// How long deleting it may delay a role that stops.
const DELETE_WITHIN: Duration = Duration::from_secs(2);

/// Tells apart the roles that one process starts at the same moment.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// The presence of a role that starts now: an instance of its own, and nothing loaded or counted yet.
pub fn new_presence(role: &str) -> Presence {
    let started = Timestamp::now();
    let instance = Fingerprint::new("instance")
        .number(u64::from(std::process::id()))
        .part(started.as_nanosecond().to_le_bytes())
        .number(STARTED.fetch_add(1, Ordering::Relaxed));
    Presence {
        role: role.to_owned(),
        instance: instance.finish().chars().take(8).collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started,
        seen: started,
        policies: 0,
        policy_problems: PolicyProblems::default(),
        problems: Vec::new(),
        counts: BTreeMap::new(),
        settings: BTreeMap::new(),
    }
}

impl Bus {
    /// Writes this instance's heartbeat every five seconds, under `role.<role>.<instance>`, until `stopped`; then
    /// deletes it.
    ///
    /// `refresh` brings up to date what changes meanwhile, policies and counts. What cannot be written is written the
    /// next time; what cannot be deleted expires.
    pub async fn heartbeat(
        &self,
        mut who: Presence,
        mut refresh: impl FnMut(&mut Presence),
        stopped: impl Future<Output = ()>,
    ) {
        let key = format!("role.{}.{}", who.role, who.instance);
        let mut stopped = std::pin::pin!(stopped);
        let mut beat = interval(HEARTBEAT_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut stopped => break,
                _ = beat.tick() => {}
            }
            refresh(&mut who);
            who.seen = Timestamp::now();
            tokio::select! {
                () = &mut stopped => break,
                written = self.put(Bucket::Presence, &key, &who) => if let Err(error) = written {
                    tracing::debug!(%error, "cannot write the heartbeat");
                }
            }
        }
        let deleted = timeout(DELETE_WITHIN, self.delete(Bucket::Presence, &key)).await;
        if !matches!(deleted, Ok(Ok(()))) {
            tracing::debug!(key, "cannot delete the heartbeat; it expires");
        }
    }
}
