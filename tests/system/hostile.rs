//! Hostile input against the real executable: what it holds in memory stays within the bounds that are stated for it.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::join_all;
use lictor_bus::Stream;
use lictor_tests::free_address;
use lictor_wire::topology::Role;
use tokio::time::{Instant, sleep};

use crate::support::{Cluster, Process, every_process};

const MIB: usize = 1024 * 1024;

/// What a process may hold beside its budget, in a build without optimisation.
const BESIDE: usize = 100;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn list(items: &str) -> String {
    format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{items}]}}"#)
}

/// A record of a few bytes, padded to `bytes`.
fn padded(id: usize, bytes: usize) -> Vec<u8> {
    let record = format!(r#"{{"auditID":"a{id}","stage":"ResponseComplete","verb":"get","requestURI":"/"}}"#);
    let mut body = list(&record).into_bytes();
    body.resize(bytes.max(body.len()), b' ');
    body
}

async fn post(url: &str, gzipped: bool, body: Vec<u8>) -> u16 {
    let request = reqwest::Client::new().post(url).body(body);
    let request = if gzipped { request.header("Content-Encoding", "gzip") } else { request };
    // A connection that is closed while it still sends is an answer, too.
    request.send().await.map_or(0, |response| response.status().as_u16())
}

async fn listens(url: &str, process: &mut Process) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while post(url, false, padded(0, 0)).await != 200 {
        assert!(
            process.runs() && Instant::now() < deadline,
            "{}",
            std::fs::read_to_string(&process.log).unwrap()
        );
        sleep(Duration::from_millis(100)).await;
    }
}

/// The budget is 192 MiB; sixteen posts at once unpack to 480. Resident memory is more than the budget counts (328 to
/// 452 MiB were seen), so the bound here is above that, and far below what it was without a budget.
#[tokio::test(flavor = "multi_thread")]
async fn an_audit_webhook_holds_no_more_than_its_budget() {
    let _alone = super::MACHINE.lock().await;
    let cluster = Cluster::start(Cluster::quick()).await;
    let address = free_address().to_string();
    let mut ingest = cluster.role("ingest", &["ingest", "--cluster", "test", "--audit-webhook", &address]);
    let url = format!("http://{address}/");
    listens(&url, &mut ingest).await;

    let zeros = |items: usize| list(&vec!["0"; items].join(",")).into_bytes();
    assert_eq!(post(&url, true, gzip(&zeros(524_288))).await, 413);
    assert_eq!(post(&url, false, zeros(15 * MIB)).await, 413);
    assert_eq!(post(&url, false, list(&vec!["{}"; 400_000].join(",")).into_bytes()).await, 413);
    assert_eq!(post(&url, true, gzip(&vec![b' '; 80 * MIB])).await, 413);

    let plain = (0..8).map(|id| post(&url, false, padded(id, 30 * MIB)));
    let packed = (8..16).map(|id| post(&url, true, gzip(&padded(id, 30 * MIB))));
    let answers = join_all(
        plain
            .map(|post| Box::pin(post) as futures_util::future::BoxFuture<'_, u16>)
            .chain(packed.map(|post| Box::pin(post) as futures_util::future::BoxFuture<'_, u16>)),
    );
    let answers = answers.await;
    assert!(answers.contains(&200) && answers.contains(&429), "{answers:?}");
    assert!(answers.iter().all(|answer| [0, 200, 429].contains(answer)), "{answers:?}");
    assert_eq!(post(&url, false, padded(99, 0)).await, 200);

    let most = ingest.most_memory();
    println!("at most {most} MiB");
    assert!(ingest.runs() && most < 2 * 192 + 2 * BESIDE, "{most} MiB");
}

/// 60 MiB of two-byte objects are five kilobytes on the bus, and twenty million lines.
#[tokio::test(flavor = "multi_thread")]
async fn an_evaluator_outlives_messages_that_burst() {
    let _alone = super::MACHINE.lock().await;
    let cluster = Cluster::start(Cluster::quick()).await;
    cluster.apply(&every_process()).await;
    let mut evaluators = [cluster.evaluator(), cluster.evaluator()];
    let bus = cluster.bus().await;
    let client = cluster.nats.client(Role::Up, async_nats::ConnectOptions::new()).await;
    let jetstream = async_nats::jetstream::new(client);
    let lines = |bytes: usize| zstd::bulk::compress(&b"{}\n".repeat(bytes / 3), 1).unwrap();
    // As many lines as a message may have, each of them dead by itself, and more than it may have in two ways.
    let payloads =
        [lines(60 * MIB), lines(15 * MIB), zstd::bulk::compress(&vec![b'['; 60 * MIB], 1).unwrap()];
    for payload in payloads {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Content-Type", "application/x-ndjson");
        headers.insert("Content-Encoding", "zstd");
        let published =
            jetstream.publish_with_headers("lictor.events.process.c", headers, payload.into()).await;
        published.unwrap().await.unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while bus.last_sequence(Stream::DeadLetters).await.unwrap() < 3 {
        assert!(Instant::now() < deadline, "{}", cluster.logs());
        sleep(Duration::from_millis(100)).await;
    }
    cluster.settled(&bus, Duration::from_secs(60)).await;
    assert_eq!(bus.last_sequence(Stream::DeadLetters).await.unwrap(), 3);
    for evaluator in &mut evaluators {
        let most = evaluator.most_memory();
        println!("at most {most} MiB");
        assert!(evaluator.runs() && most < 128 + BESIDE, "{most} MiB");
    }
}
