//! What was asked and what it was found to be, published for everybody else: the request as an event, its verdict
//! beside it. No answer waits for this.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use lictor_bus::{Bus, Publisher};
use lictor_wire::{ClusterId, CoverageEvent, CoverageNotice, Event, EventData, Fingerprint, Kind, Verdict};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

/// Records waiting for the bus. At about ten kilobytes each this is some 10 MB at the most, and a second of a busy
/// API server; what does not fit is counted and told when the bus is back.
const WAITING: usize = 1024;

/// Records on their way at once: enough for one round trip of a few milliseconds at a thousand a second.
const UNDER_WAY: usize = 32;

/// Wait before a record that was not taken is published again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Something to be published.
#[derive(Debug)]
pub(crate) struct Record {
    /// The request.
    pub(crate) event: Event,
    /// What it was found to be, when there is something to say.
    pub(crate) verdict: Option<Verdict>,
}

/// Takes records; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    records: mpsc::Sender<Record>,
    let_go: Arc<AtomicU64>,
}

/// Publishes what recorders take.
#[derive(Debug)]
pub(crate) struct Recording {
    records: mpsc::Receiver<Record>,
    let_go: Arc<AtomicU64>,
    cluster: ClusterId,
    instance: String,
}

/// A recorder, and the task that publishes for it.
#[must_use]
pub(crate) fn recorder(cluster: ClusterId, instance: &str) -> (Recorder, Recording) {
    let (sender, records) = mpsc::channel(WAITING);
    let let_go = Arc::new(AtomicU64::new(0));
    let recording = Recording { records, let_go: let_go.clone(), cluster, instance: instance.to_owned() };
    (Recorder { records: sender, let_go }, recording)
}

impl Recorder {
    /// Takes a record. When too many wait it is let go, and counted.
    pub(crate) fn record(&self, record: Record) {
        if self.records.try_send(record).is_err() {
            self.let_go.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Recording {
    /// Publishes until every recorder is gone and nothing waits any more, or until `deadline` says it is too late.
    pub(crate) async fn run(
        mut self,
        mut bus: watch::Receiver<Option<Bus>>,
        deadline: watch::Receiver<Option<Instant>>,
    ) {
        let connected = async {
            let ready = bus.wait_for(Option::is_some).await.ok()?;
            ready.clone()
        };
        let Some(bus) = give_up_at(deadline.clone(), connected).await.flatten() else {
            let waiting = self.records.len();
            if waiting > 0 {
                tracing::warn!(waiting, "requests were not published: the bus was never there");
            }
            return;
        };
        let producer = format!("admission-{}", self.instance);
        let started = Publisher::start(bus.clone(), &producer);
        let Some(Ok(publisher)) = give_up_at(deadline.clone(), started).await else { return };
        if give_up_at(deadline, self.publish_all(&bus, &publisher)).await.is_none() {
            tracing::warn!(
                waiting = self.records.len(),
                "not everything was published in the time there was"
            );
        }
        publisher.close().await;
    }

    async fn publish_all(&mut self, bus: &Bus, publisher: &Publisher) {
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                record = self.records.recv(), if under_way.len() < UNDER_WAY => match record {
                    Some(record) => under_way.push(publish(bus, publisher, record)),
                    None => break,
                },
                Some(()) = under_way.next() => {}
            }
            let lost = self.let_go.swap(0, Ordering::Relaxed);
            if lost > 0 {
                let record = Record { event: self.not_published(lost), verdict: None };
                under_way.push(publish(bus, publisher, record));
            }
        }
        while under_way.next().await.is_some() {}
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

/// Publishes one record: the event first, so nobody reads a verdict about something that is nowhere. Both are
/// repeated until they are taken; their ids make that harmless.
async fn publish(bus: &Bus, publisher: &Publisher, record: Record) {
    let Record { event, verdict } = record;
    if let Err(error) = publisher.publish(vec![event]).await {
        tracing::warn!(%error, "a request is not published");
        return;
    }
    let Some(verdict) = verdict else { return };
    while let Err(error) = bus.publish_verdict(&verdict).await {
        tracing::debug!(%error, "a verdict is published again");
        sleep(AGAIN_AFTER).await;
    }
}

/// Waits for something until a deadline that may be set later; `None` when it came first.
async fn give_up_at<T>(
    mut deadline: watch::Receiver<Option<Instant>>,
    something: impl Future<Output = T>,
) -> Option<T> {
    let late = async {
        let at = deadline.wait_for(Option::is_some).await.ok().and_then(|at| *at);
        match at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        done = something => Some(done),
        () = late => None,
    }
}
