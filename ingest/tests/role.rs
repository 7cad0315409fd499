//! The role against a real nats-server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "all of this is test code, helpers included, and stops at the first surprise"
)]

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use lictor_bus::{Bucket, Bus, BusOptions, ReadFrom, Stream};
use lictor_ingest::{Config, run};
use lictor_tests::{NatsServer, free_port};
use lictor_wire::topology::Topology;
use lictor_wire::{ClusterId, Deployment, Kind, NamespaceRecord, PodRecord};
use tokio_util::sync::CancellationToken;

async fn bus(server: &NatsServer) -> Bus {
    Bus::connect_new(BusOptions::new(&server.url(), Topology::default(), "test")).await.unwrap()
}

fn audit(id: usize, padding: usize) -> String {
    format!(
        r#"{{"auditID":"a{id}","stage":"ResponseComplete","verb":"get","requestURI":"/","userAgent":"{}","stageTimestamp":"2026-01-02T03:04:05Z"}}"#,
        "x".repeat(padding)
    )
}

fn config() -> Config {
    Config { cluster: ClusterId::new("c1"), ..Config::default() }
}

const MANIFESTS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: a}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, uid: d-1}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: nginx}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: loose, namespace: shop, uid: p-1}
spec: {containers: [{name: c, image: nginx}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
---
not: an object
";

#[tokio::test]
async fn every_source_arrives_and_a_second_run_repeats_nothing() {
    let server = NatsServer::start().await;
    let bus = bus(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    let config = Config {
        audit_log: vec![write(
            "audit.log",
            &format!("{}\nnot json\n{}\n{}\n", audit(1, 0), audit(2, 0), audit(1, 0)),
        )],
        tetragon: vec![write(
            "tetragon.json",
            r#"{"process_exec":{"process":{"exec_id":"e1","binary":"/bin/sh"}},"node_name":"n","time":"2026-01-02T03:04:05Z"}
{"process_new":{},"node_name":"n","time":"2026-01-02T03:04:05Z"}
"#,
        )],
        manifests: vec![write("all.yaml", MANIFESTS)],
        ..config()
    };
    let summary = run(config.clone(), bus.clone(), CancellationToken::new()).await.unwrap();
    let published = [(Kind::Deployment, 2), (Kind::Process, 1), (Kind::Audit, 2), (Kind::Coverage, 1)];
    assert_eq!(summary.published, published.into_iter().collect());
    assert_eq!(summary.folded, [(Kind::Audit, 1)].into_iter().collect());
    assert_eq!((summary.dead_letters, summary.ignored, summary.facts), (2, 1, 4));

    let (revision, model) = bus.get::<Deployment>(Bucket::Deployments, "d-1").await.unwrap().unwrap();
    assert_eq!(model.name, "web");
    let (_, pod) = bus.get::<PodRecord>(Bucket::Pods, "p-1").await.unwrap().unwrap();
    assert_eq!(pod.deployment.as_str(), "p-1");
    let (_, namespace) = bus.get::<NamespaceRecord>(Bucket::Namespaces, "c1.shop").await.unwrap().unwrap();
    assert_eq!(namespace.labels["team"], "a");
    assert_eq!(bus.last_sequence(Stream::DeadLetters).await.unwrap(), 2);

    let again = run(config, bus.clone(), CancellationToken::new()).await.unwrap();
    assert_eq!(again.published, [(Kind::Deployment, 2)].into_iter().collect());
    assert_eq!(bus.get::<Deployment>(Bucket::Deployments, "d-1").await.unwrap().unwrap().0, revision);
    assert_eq!(
        bus.last_sequence(Stream::DeadLetters).await.unwrap(),
        2,
        "the same letters have the same ids"
    );
}

#[tokio::test]
async fn the_webhook_takes_a_large_batch_and_says_when_the_bus_is_away() {
    let mut server = NatsServer::start().await;
    let bus = bus(&server).await;
    let port = free_port();
    let stop = CancellationToken::new();
    let config = Config { audit_webhook: Some(([127, 0, 0, 1], port).into()), ..config() };
    let role = tokio::spawn(run(config, bus.clone(), stop.clone()));
    let client = reqwest::Client::new();
    let url = format!("http://127.0.0.1:{port}/audit");
    let deadline = Instant::now() + Duration::from_secs(10);
    while client.get(&url).send().await.is_err() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let items: Vec<String> = (0..400).map(|id| audit(id, 30 * 1024)).collect();
    let body =
        format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{}]}}"#, items.join(","));
    assert!(body.len() > 12_000_000);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(body.as_bytes()).unwrap();
    let sent = client.post(&url).header("content-encoding", "gzip").body(gzip.finish().unwrap()).send();
    assert_eq!(sent.await.unwrap().status(), 200);
    let after_first = bus.last_sequence(Stream::Events(Kind::Audit)).await.unwrap();
    assert!(after_first > 0);

    // While the server is down there is no answer; when it is back, there is, and the events are there.
    server.kill();
    let small = format!(r#"{{"kind":"EventList","items":[{}]}}"#, audit(1_000, 0));
    let waiting = tokio::spawn(client.post(&url).body(small).send());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    server.restart().await;
    let answer = waiting.await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(bus.last_sequence(Stream::Events(Kind::Audit)).await.unwrap(), after_first + 1);

    stop.cancel();
    let summary = role.await.unwrap().unwrap();
    assert_eq!(summary.events(), 401);
}

#[tokio::test]
async fn a_followed_file_survives_a_crash_of_the_role() {
    let server = NatsServer::start().await;
    let bus = bus(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    append(&path, 0..2_000);
    let config = Config { audit_log: vec![path.clone()], follow: true, ..config() };
    let crashed = tokio::spawn(run(config.clone(), bus.clone(), CancellationToken::new()));
    until(&bus, 1).await;
    crashed.abort();
    let _ = crashed.await;

    append(&path, 2_000..3_000);
    let stop = CancellationToken::new();
    let role = tokio::spawn(run(config.clone(), bus.clone(), stop.clone()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    std::fs::rename(&path, folder.path().join("audit-old.log")).unwrap();
    append(&path, 3_000..4_000);
    tokio::time::sleep(Duration::from_secs(2)).await;
    stop.cancel();
    role.await.unwrap().unwrap();

    let once = run(Config { follow: false, ..config }, bus.clone(), CancellationToken::new()).await.unwrap();
    assert_eq!(once.events(), 0, "all was acknowledged and marked");
    let mut seen = std::collections::BTreeSet::new();
    let mut repeats = 0;
    for id in stored_audit_ids(&bus).await {
        if !seen.insert(id) {
            repeats += 1;
        }
    }
    assert_eq!(seen.len(), 4_000);
    assert!(repeats <= 3_000, "{repeats}");
}

fn append(path: &Path, ids: std::ops::Range<usize>) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    for id in ids {
        writeln!(file, "{}", audit(id, 0)).unwrap();
    }
}

async fn until(bus: &Bus, sequence: u64) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while bus.last_sequence(Stream::Events(Kind::Audit)).await.unwrap() < sequence {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Every audit event of the stream, in order.
async fn stored_audit_ids(bus: &Bus) -> Vec<String> {
    let last = bus.last_sequence(Stream::Events(Kind::Audit)).await.unwrap();
    let mut log = bus.read(Stream::Events(Kind::Audit), ReadFrom::First, false);
    let mut ids = Vec::new();
    while let Some(entry) = log.next().await {
        let entry = entry.unwrap();
        for line in entry.lines().unwrap() {
            let line = String::from_utf8(line.to_vec()).unwrap();
            ids.push(lictor_wire::Envelope::parse(&line).unwrap().id.to_string());
        }
        if entry.sequence >= last {
            break;
        }
    }
    ids
}
