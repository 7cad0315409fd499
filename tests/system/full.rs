//! Streams at their bound: with evaluators up much more flows through than fits; with evaluators down sources are
//! held back before anything unjudged falls out.

use std::io::Write;
use std::time::Duration;

use lictor_bus::Bus;
use lictor_wire::topology::{Sizes, Stream};
use lictor_wire::{Event, EventData, Kind};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep};

use crate::MACHINE;
use crate::support::{Cluster, Process, compare, every_process, process, violation_of};

const NAMESPACES: usize = 20;
/// About a kilobyte each: several times what the stream holds.
const EVENTS: usize = 60_000;
const BOUND: u64 = 16 * 1024 * 1024;

async fn cluster() -> (Cluster, Bus) {
    let cluster = Cluster::start(Sizes { event_bytes: BOUND, ..Cluster::quick() }).await;
    let bus = cluster.bus().await;
    cluster.apply(&every_process()).await;
    cluster.ingest_workloads(NAMESPACES).await;
    let mut file = std::fs::File::create(cluster.path("events.ndjson")).unwrap();
    for event in events() {
        writeln!(file, "{}", event.to_line().unwrap()).unwrap();
    }
    (cluster, bus)
}

/// The same events each time, with arguments that do not compress, so that the bytes of the stream are those of the
/// file.
fn events() -> impl Iterator<Item = Event> {
    let mut random = StdRng::seed_from_u64(5);
    (0..EVENTS).map(move |number| {
        let mut event = process(number, NAMESPACES);
        if let EventData::Process(body) = &mut event.data {
            body.args = (0..400).map(|_| random.sample(rand::distr::Alphanumeric) as char).collect();
        }
        event
    })
}

fn ingest(cluster: &Cluster) -> Process {
    let file = cluster.path("events.ndjson");
    cluster.role("ingest", &["ingest", "--cluster", "test", "--events", file.to_str().unwrap()])
}

async fn finish(title: &str, cluster: Cluster, bus: Bus, store: Process, mut ingest: Process) {
    assert_eq!(ingest.ended(Duration::from_secs(120)).await, Some(0), "{}", cluster.logs());
    cluster.settled(&bus, Duration::from_secs(60)).await;
    let report = bus.report().await.unwrap();
    let name = bus.topology().stream_name(Stream::Events(Kind::Process));
    let stream = report.streams.iter().find(|stream| stream.name == name).unwrap();
    println!(
        "{title}: bound {BOUND}, held {} bytes, sequences {} to {}",
        stream.bytes, stream.first_sequence, stream.last_sequence
    );
    assert!(stream.first_sequence > 1, "the stream has turned over");
    let ledger = cluster.ledger(&bus, store).await;
    let read = events().map(|event| event.outside_id().unwrap());
    compare(title, &ledger, read.enumerate().map(|(number, id)| violation_of(&id, number % NAMESPACES)));
    assert_eq!(ledger.totals().unwrap().coverage_notices, 0, "nothing fell out unjudged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_stream_with_consumers_up_loses_nothing() {
    let _machine = MACHINE.lock().await;
    let (cluster, bus) = cluster().await;
    let (store, _evaluator) = (cluster.store(), cluster.evaluator());
    sleep(Duration::from_secs(1)).await;
    let ingest = ingest(&cluster);
    finish("full, consumers up", cluster, bus, store, ingest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_stream_with_consumers_down_holds_its_sources_back() {
    let _machine = MACHINE.lock().await;
    let (cluster, bus) = cluster().await;
    let store = cluster.store();
    let mut ingest = ingest(&cluster);
    // With nobody to judge, reading stops short of the bound and stays there.
    let name = bus.topology().stream_name(Stream::Events(Kind::Process));
    let held = || async {
        let report = bus.report().await.unwrap();
        let stream = report.streams.iter().find(|stream| stream.name == name).unwrap();
        (stream.bytes, stream.first_sequence)
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    let (mut before, mut steady) = (0, 0);
    while steady < 5 {
        assert!(Instant::now() < deadline, "sources are not held back");
        let (bytes, first) = held().await;
        assert!(first <= 1, "something unjudged fell out");
        steady = if bytes > 0 && bytes == before { steady + 1 } else { 0 };
        before = bytes;
        sleep(Duration::from_millis(500)).await;
    }
    println!("full, consumers down: sources held back at {before} of {BOUND} bytes");
    assert!(ingest.runs(), "it waits, it does not give up");
    let _evaluator = cluster.evaluator();
    finish("full, consumers down at first", cluster, bus, store, ingest).await;
}
