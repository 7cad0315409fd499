//! Keeps what reviews are judged by up to date while the bus is there, and from the last good copy while it is not.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lictor_bus::{Bus, BusOptions, FeedItem};
use lictor_wire::topology::{Bucket, cluster_key};
use lictor_wire::{ClusterId, ClusterRecord};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::policies::{InForce, Policies};

/// Wait before the bus is tried again.
const CONNECT_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Documents that come this close together are compiled together.
const TOGETHER_WITHIN: Duration = Duration::from_millis(5);

/// Connects, trying for ever: admission works without the bus.
pub(crate) async fn connect(options: BusOptions, connected: watch::Sender<Option<Bus>>) {
    let mut told = false;
    loop {
        match Bus::connect(options.clone()).await {
            Ok(bus) => {
                tracing::info!("the bus is there");
                connected.send_replace(Some(bus));
                return;
            }
            Err(error) if told => tracing::debug!(%error, "the bus is not there"),
            Err(error) => {
                told = true;
                tracing::warn!(%error, "the bus is not there; reviews are judged by the last good policies");
            }
        }
        sleep(CONNECT_AGAIN_AFTER).await;
    }
}

/// Follows the policy log. `copy` is where the last good policies are kept for a start without the bus.
pub(crate) async fn policies(
    mut bus: watch::Receiver<Option<Bus>>,
    copy: Option<PathBuf>,
    in_force: watch::Sender<Option<Arc<Policies>>>,
) {
    if let Some(copy) = &copy {
        match InForce::load(copy) {
            Ok(Some(kept)) => {
                let policies = kept.compile();
                tracing::info!(
                    policies = policies.set.len(),
                    revision = policies.revision,
                    "the copy is in force"
                );
                in_force.send_replace(Some(Arc::new(policies)));
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "starting without policies until the bus is there"),
        }
    }
    let Some(bus) = ready(&mut bus).await else { return };
    let mut feed = bus.watch_policies();
    let mut read = InForce::default();
    let mut complete = false;
    while let Some(item) = feed.next().await {
        let mut next = Some(item);
        // A thousand policies written at once are compiled once, not a thousand times.
        while let Some(item) = next {
            match item {
                FeedItem::Put { key, revision, value, .. } => read.take(&key, revision, &value),
                FeedItem::Removed { key, revision } => read.remove(&key, revision),
                FeedItem::Unreadable { revision, .. } => read.reached(revision),
                FeedItem::Complete { revision } => {
                    read.reached(revision);
                    complete = true;
                }
                FeedItem::Reset => (read, complete) = (InForce::default(), false),
            }
            next = timeout(TOGETHER_WITHIN, feed.next()).await.ok().flatten();
        }
        if complete {
            put_in_force(&read, copy.clone(), &in_force).await;
        }
    }
}

async fn put_in_force(
    read: &InForce,
    copy: Option<PathBuf>,
    in_force: &watch::Sender<Option<Arc<Policies>>>,
) {
    let read = read.clone();
    let compiling = tokio::task::spawn_blocking(move || {
        let policies = read.compile();
        if let Some(copy) = copy
            && let Err(error) = read.save(&copy)
        {
            tracing::error!(%error, "a start without the bus will find older policies");
        }
        policies
    });
    match compiling.await {
        Ok(policies) => {
            tracing::info!(
                policies = policies.set.len(),
                revision = policies.revision,
                "policies are in force"
            );
            in_force.send_replace(Some(Arc::new(policies)));
        }
        Err(error) => {
            tracing::error!(%error, "compiling the policies failed; the last good ones stay in force");
        }
    }
}

/// Follows the labels of the cluster.
pub(crate) async fn cluster_labels(
    mut bus: watch::Receiver<Option<Bus>>,
    cluster: ClusterId,
    labels: watch::Sender<Option<Arc<BTreeMap<String, String>>>>,
) {
    let Some(bus) = ready(&mut bus).await else { return };
    let mut feed = bus.watch_bucket(Bucket::Clusters);
    let own = cluster_key(cluster.as_str());
    while let Some(item) = feed.next().await {
        match item {
            FeedItem::Put { key, value, .. } if key == own => {
                match serde_json::from_slice::<ClusterRecord>(&value) {
                    Ok(record) => {
                        labels.send_replace(Some(Arc::new(record.labels)));
                    }
                    Err(error) => tracing::warn!(%error, "the record of the cluster cannot be read"),
                }
            }
            FeedItem::Removed { key, .. } if key == own => {
                labels.send_replace(None);
            }
            _ => {}
        }
    }
}

/// The bus, once it is there; `None` when it never will be.
pub(super) async fn ready(bus: &mut watch::Receiver<Option<Bus>>) -> Option<Bus> {
    bus.wait_for(Option::is_some).await.ok()?.clone()
}
