//! Roles and the server are killed at seeded moments while events flow; the ids are compared afterwards.

use std::io::Write;
use std::time::Duration;

use lictor_bus::Bus;
use lictor_wire::topology::Stream;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep};

use crate::MACHINE;
use crate::support::{Cluster, Process, compare, every_process, process, violation_read};

/// Events of one run.
const EVENTS: usize = 120_000;
/// Workloads, one per namespace.
const NAMESPACES: usize = 200;
/// What the source writes per second.
const RATE: usize = 20_000;
/// Kills of one run.
const KILLS: usize = 10;
/// How long a run may take in all.
const WITHIN: Duration = Duration::from_secs(90);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Evaluator,
    Store,
    Ingest,
    Server,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_evaluator_loses_and_doubles_nothing() {
    survives(Victim::Evaluator, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_store_loses_and_doubles_nothing() {
    survives(Victim::Store, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_ingest_loses_and_doubles_nothing() {
    survives(Victim::Ingest, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_and_doubles_nothing() {
    survives(Victim::Server, 4).await;
}

struct Run {
    cluster: Cluster,
    evaluator: Process,
    store: Process,
    ingest: Process,
}

impl Run {
    async fn start() -> Self {
        let cluster = Cluster::start(Cluster::quick()).await;
        cluster.apply(&every_process()).await;
        cluster.ingest_workloads(NAMESPACES).await;
        std::fs::write(cluster.path("events.ndjson"), "").unwrap();
        let (evaluator, store, ingest) = (cluster.evaluator(), cluster.store(), Self::ingest(&cluster));
        Self { cluster, evaluator, store, ingest }
    }

    fn ingest(cluster: &Cluster) -> Process {
        let file = cluster.path("events.ndjson");
        cluster
            .role("ingest", &["ingest", "--cluster", "test", "--events", file.to_str().unwrap(), "--follow"])
    }

    async fn kill(&mut self, victim: Victim) {
        match victim {
            Victim::Evaluator => {
                self.evaluator.kill();
                self.evaluator = self.cluster.evaluator();
            }
            Victim::Store => {
                self.store.kill();
                self.store = self.cluster.store();
            }
            Victim::Ingest => {
                self.ingest.kill();
                self.ingest = Self::ingest(&self.cluster);
            }
            Victim::Server => {
                self.cluster.nats.server.kill();
                self.cluster.nats.server.restart().await;
            }
        }
    }
}

async fn survives(victim: Victim, seed: u64) {
    let _machine = MACHINE.lock().await;
    let mut run = Run::start().await;
    let bus = run.cluster.bus().await;
    let writer = write_events(run.cluster.path("events.ndjson"));

    // One kill in each tenth of what lies between 10 % and 90 %, at a seeded place of it.
    let mut random = StdRng::seed_from_u64(seed);
    #[expect(clippy::cast_precision_loss, reason = "ten kills")]
    let moments: Vec<f64> = (0..KILLS)
        .map(|kill| 0.1 + (kill as f64 + random.random_range(0.1..0.6)) * 0.8 / KILLS as f64)
        .collect();
    let mut killed = Vec::new();
    let deadline = Instant::now() + WITHIN;
    for moment in moments {
        let judged = loop {
            assert!(Instant::now() < deadline, "no progress; {}", run.cluster.logs());
            if let Some(judged) = judged_share(&bus).await
                && judged >= moment
            {
                break judged;
            }
            sleep(Duration::from_millis(5)).await;
        };
        assert!((0.1..0.9).contains(&judged), "killed at {judged:.3}");
        run.kill(victim).await;
        killed.push(judged);
    }
    writer.join().unwrap();
    while judged_share(&bus).await.is_none_or(|judged| judged < 1.0) {
        assert!(Instant::now() < deadline, "not all judged; {}", run.cluster.logs());
        sleep(Duration::from_millis(100)).await;
    }
    run.cluster.settled(&bus, Duration::from_secs(60)).await;
    run.ingest.signal("TERM");
    let Run { cluster, store, .. } = &mut run;
    let store = std::mem::replace(store, cluster.role("none", &["doctor"]));
    let ledger = cluster.ledger(&bus, store).await;
    let moments: Vec<String> = killed.iter().map(|judged| format!("{:.0} %", judged * 100.0)).collect();
    println!("{victim:?} killed {} times, with judged: {}", killed.len(), moments.join(", "));
    compare(&format!("{victim:?}"), &ledger, (0..EVENTS).map(|number| violation_read(number, NAMESPACES)));
}

/// Share of the events whose verdict is published; `None` while the server is away.
async fn judged_share(bus: &Bus) -> Option<f64> {
    let verdicts =
        tokio::time::timeout(Duration::from_millis(500), bus.last_sequence(Stream::Verdicts)).await;
    let verdicts = verdicts.ok()?.ok()?.saturating_sub(NAMESPACES as u64);
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = verdicts as f64 / EVENTS as f64;
    Some(share)
}

/// Appends the events to a file at the rate, as a sensor would.
fn write_events(path: std::path::PathBuf) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
        let began = std::time::Instant::now();
        let chunk = RATE / 100;
        for first in (0..EVENTS).step_by(chunk) {
            let mut lines = String::with_capacity(chunk * 600);
            for number in first..(first + chunk).min(EVENTS) {
                lines.push_str(&process(number, NAMESPACES).to_line().unwrap());
                lines.push('\n');
            }
            file.write_all(lines.as_bytes()).unwrap();
            let due = Duration::from_secs_f64(first as f64 / RATE as f64);
            if let Some(early) = due.checked_sub(began.elapsed()) {
                std::thread::sleep(early);
            }
        }
    })
}
