//! The bus against a real server, one of its own for each test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    missing_docs,
    unreachable_pub,
    reason = "all of this is test code, helpers included, and stops at the first surprise"
)]

mod continuity;
mod feed;
mod intake;
mod isolation;
mod log;
mod policies;
mod presence;
mod pressure;
mod publisher;
mod topology;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use lictor_bus::{Bus, BusOptions, LineOutcome, PreparedLine, ReadFrom, Stream};
use lictor_tests::NatsServer;
use lictor_wire::topology::{Sizes, Topology};
use lictor_wire::{ClusterId, EventId, Kind};

/// Nothing here takes nearly as long; what does, hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Short waits, so that a message nobody settled comes again within a test.
pub fn sizes() -> Sizes {
    Sizes { ack_wait: Duration::from_secs(1), ..Sizes::default() }
}

pub async fn connect(server: &NatsServer) -> Bus {
    connect_with(server, sizes()).await
}

pub async fn connect_with(server: &NatsServer, sizes: Sizes) -> Bus {
    let topology = Topology::new("lictor", sizes).unwrap();
    Bus::connect_new(BusOptions::new(&server.url(), topology, "test")).await.unwrap()
}

pub async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("took too long")
}

/// A process event of some cluster.
pub fn event_line(id: &str) -> PreparedLine {
    event_line_with(id, "bash")
}

pub fn event_line_with(id: &str, name: &str) -> PreparedLine {
    let line = serde_json::json!({
        "specversion": "1.0",
        "id": id,
        "source": "/test",
        "type": "io.lictor.process.v1",
        "time": "2026-01-02T03:04:05Z",
        "cluster": "c1",
        "data": { "action": "EXEC", "name": name, "execFilePath": "/bin/bash" },
    });
    PreparedLine {
        kind: Kind::Process,
        cluster: ClusterId::new("c1"),
        id: EventId::new(id),
        line: line.to_string(),
    }
}

pub fn event_lines(prefix: &str, range: std::ops::Range<usize>) -> Vec<PreparedLine> {
    range.map(|i| event_line(&format!("{prefix}{i}"))).collect()
}

/// Outcomes for a delivery's lines: all judged, nothing to say.
pub fn judged(lines: usize) -> Vec<LineOutcome> {
    vec![LineOutcome::judged(Vec::new()); lines]
}

/// Everything a stream holds now: each message's body, and its lines when it is an event message.
pub async fn all(bus: &Bus, stream: Stream) -> Vec<lictor_bus::LogEntry> {
    let last = bus.last_sequence(stream).await.unwrap();
    let mut reader = bus.read(stream, ReadFrom::First, false);
    let mut entries: Vec<lictor_bus::LogEntry> = Vec::new();
    while entries.last().map_or(0, |entry| entry.sequence) < last {
        entries.push(within(reader.next()).await.unwrap().unwrap());
    }
    entries
}

/// The ids of all events of a stream, in order, repeats included.
pub async fn ids(bus: &Bus, stream: Stream) -> Vec<String> {
    let mut ids = Vec::new();
    for entry in all(bus, stream).await {
        for line in entry.lines().unwrap() {
            ids.push(id_of(&line));
        }
    }
    ids
}

pub fn id_of(line: &Bytes) -> String {
    let value: serde_json::Value = serde_json::from_slice(line).unwrap();
    value["id"].as_str().unwrap().to_owned()
}

pub fn set<T: Ord + Clone>(list: &[T]) -> BTreeSet<T> {
    list.iter().cloned().collect()
}

/// A connection past the bus, for what no role does.
pub async fn raw(server: &NatsServer) -> (async_nats::Client, async_nats::jetstream::Context) {
    let client = async_nats::connect(server.url()).await.unwrap();
    (client.clone(), async_nats::jetstream::new(client))
}
