//! Keeps what reviews are judged by up to date while the bus is there, and from the last good copy while it is not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lictor_bus::{Bus, BusOptions, FeedItem};
use lictor_wire::topology::{Bucket, cluster_key};
use lictor_wire::{ClusterId, ClusterRecord};
use tokio::sync::watch;
use tokio::time::sleep;

/// Wait before the bus is tried again.
const CONNECT_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Connects, trying for ever: admission works without the bus.
pub(crate) async fn connect(options: BusOptions, connected: watch::Sender<Option<Bus>>) {
    let mut reported = false;
    loop {
        match Bus::connect(options.clone()).await {
            Ok(bus) => {
                tracing::info!("connected to the bus");
                connected.send_replace(Some(bus));
                return;
            }
            Err(error) if reported => tracing::debug!(%error, "the bus is unreachable"),
            Err(error) => {
                reported = true;
                tracing::warn!(%error, "the bus is unreachable; reviews are judged by the last good policies");
            }
        }
        sleep(CONNECT_AGAIN_AFTER).await;
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
                    Err(error) => tracing::warn!(%error, "cannot read the cluster's record"),
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
