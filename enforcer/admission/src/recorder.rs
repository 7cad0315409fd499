//! Publishes what was judged: the request as an event, and its verdict. No response waits for this.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use lictor_bus::{Bus, Publisher};
use lictor_wire::{ClusterId, CoverageEvent, CoverageNotice, Event, EventData, Fingerprint, Kind, Verdict};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

/// Records queued for the bus. At about ten kilobytes each this is some 10 MB at most, and a second of a busy API server;
/// what does not fit is counted, and the count is published when the bus is back.
const QUEUED: usize = 1024;

/// Records in flight at once: enough for one round trip of a few milliseconds at a thousand a second.
const IN_FLIGHT: usize = 32;

/// Wait before a verdict that was not published is retried.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// A request that was judged.
#[derive(Debug)]
pub(crate) struct Record {
    /// The request.
    pub(crate) event: Event,
    /// Its verdict, if it is to be published.
    pub(crate) verdict: Option<Verdict>,
}

/// Queues records; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    records: mpsc::Sender<Record>,
    dropped: Arc<AtomicU64>,
}

/// Publishes queued records.
#[derive(Debug)]
pub(crate) struct Recording {
    records: mpsc::Receiver<Record>,
    dropped: Arc<AtomicU64>,
    cluster: ClusterId,
    instance: String,
}

/// A recorder, and the task that publishes for it.
pub(crate) fn recorder(cluster: ClusterId, instance: &str) -> (Recorder, Recording) {
    let (sender, records) = mpsc::channel(QUEUED);
    let dropped = Arc::new(AtomicU64::new(0));
    let recording = Recording { records, dropped: dropped.clone(), cluster, instance: instance.to_owned() };
    (Recorder { records: sender, dropped }, recording)
}

impl Recorder {
    /// Queues a record. When the queue is full it is dropped, and counted.
    pub(crate) fn record(&self, record: Record) {
        if self.records.try_send(record).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Recording {
    /// Publishes until every recorder is dropped and the queue is empty, or until `deadline`, which may be set later.
    pub(crate) async fn run(
        mut self,
        mut bus: watch::Receiver<Option<Bus>>,
        deadline: watch::Receiver<Option<Instant>>,
    ) {
        let connected = async {
            let ready = bus.wait_for(Option::is_some).await.ok()?;
            ready.clone()
        };
        let Some(bus) = until(deadline.clone(), connected).await.flatten() else {
            let waiting = self.records.len();
            if waiting > 0 {
                tracing::warn!(waiting, "requests were not published: the bus was never reachable");
            }
            return;
        };
        let producer = format!("admission-{}", self.instance);
        let started = Publisher::start(bus.clone(), &producer);
        let Some(Ok(publisher)) = until(deadline.clone(), started).await else { return };
        if until(deadline, self.publish_all(&bus, &publisher)).await.is_none() {
            tracing::warn!(waiting = self.records.len(), "not all requests were published before shutdown");
        }
        publisher.close().await;
    }

    async fn publish_all(&mut self, bus: &Bus, publisher: &Publisher) {
        let mut in_flight = FuturesUnordered::new();
        loop {
            tokio::select! {
                record = self.records.recv(), if in_flight.len() < IN_FLIGHT => match record {
                    Some(record) => in_flight.push(publish(bus, publisher, record)),
                    None => break,
                },
                Some(()) = in_flight.next() => {}
            }
            let lost = self.dropped.swap(0, Ordering::Relaxed);
            if lost > 0 {
                let record = Record { event: self.not_published(lost), verdict: None };
                in_flight.push(publish(bus, publisher, record));
            }
        }
        while in_flight.next().await.is_some() {}
    }

    fn not_published(&self, lost: u64) -> Event {
        let now = Timestamp::now();
        let notice = CoverageEvent {
            notice: CoverageNotice::NotPublished { kind: Kind::Request },
            lost,
            node: String::new(),
            detail: "requests were answered and could not be published while the bus was away".to_owned(),
        };
        let id =
            Fingerprint::new("not published").part(&self.instance).part(now.as_nanosecond().to_le_bytes());
        Event {
            id: id.into(),
            source: "/admission".to_owned(),
            time: now,
            cluster: self.cluster.clone(),
            traceparent: None,
            extensions: std::collections::BTreeMap::new(),
            data: EventData::Coverage(Box::new(notice)),
        }
    }
}

/// Publishes one record: the event first, so that no verdict names an event that does not exist. Both are retried until
/// they are published; their ids make a repeat harmless.
async fn publish(bus: &Bus, publisher: &Publisher, record: Record) {
    let Record { event, verdict } = record;
    if let Err(error) = publisher.publish(vec![event]).await {
        tracing::warn!(%error, "cannot publish a request");
        return;
    }
    let Some(verdict) = verdict else { return };
    while let Err(error) = bus.publish_verdict(&verdict).await {
        tracing::debug!(%error, "cannot publish a verdict; retrying");
        sleep(RETRY_AFTER).await;
    }
}

/// Waits for `work` until a deadline that may be set later; `None` when the deadline came first.
async fn until<T>(
    mut deadline: watch::Receiver<Option<Instant>>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let late = async {
        let at = deadline.wait_for(Option::is_some).await.ok().and_then(|at| *at);
        match at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        done = work => Some(done),
        () = late => None,
    }
}
