//! The role with a real NATS server and a real socket.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lictor_bus::{Bus, BusOptions, Gap};
use lictor_store::{Config, Health, HealthReport, Ledger, LedgerError, Log, Record, StoreError, run};
use lictor_tests::NatsServer;
use lictor_wire::policy::EnforcementAction;
use lictor_wire::topology::Topology;
use lictor_wire::{
    CoverageEvent, CoverageNotice, DeadLetter, Decision, Event, EventData, EventId, Kind, ReceiptStep,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::support::{deploy, entry, minute, policy, receipt, runtime, with};

/// How long anything may take on a machine that compiles beside it, and how often it is looked for.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

struct Store {
    address: SocketAddr,
    stop: CancellationToken,
    running: JoinHandle<Result<(), StoreError>>,
    health: Arc<Health>,
}

async fn bus(server: &NatsServer) -> Bus {
    Bus::connect_new(BusOptions::new(&server.url(), Topology::default(), "store-test")).await.unwrap()
}

fn config(data: &Path) -> Config {
    let listen = "127.0.0.1:0".parse().unwrap();
    Config { data: data.to_owned(), listen, accept_loss: false, replace_installation: None }
}

async fn start(data: &Path, bus: &Bus) -> Store {
    let config = config(data);
    let listener = config.bind().await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let bus = bus.clone();
    let (stopped, health) = (stop.clone(), Arc::<Health>::default());
    let of_store = Arc::clone(&health);
    let running = tokio::spawn(async move { run(&config, bus, listener, of_store, &stopped).await });
    Store { address, stop, running, health }
}

impl Store {
    async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path).await.1).unwrap()
    }

    async fn ready(&self) {
        let until = Instant::now() + PATIENCE;
        while self.get("/readyz").await.0 != 200 {
            assert!(Instant::now() < until, "not ready: {}", self.get("/v1/health").await.1);
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until the number at `pointer` of `path` is `wanted`.
    async fn until(&self, path: &str, pointer: &str, wanted: u64) {
        let until = Instant::now() + PATIENCE;
        loop {
            let body = self.json(path).await;
            if body.pointer(pointer).and_then(Value::as_u64) == Some(wanted) {
                return;
            }
            assert!(Instant::now() < until, "{path} {pointer} is not {wanted}: {body}");
            sleep(LOOK_EVERY).await;
        }
    }

    async fn stop(self) -> HealthReport {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
        self.health.report()
    }
}

#[tokio::test]
async fn follows_answers_stops_and_goes_on() {
    let server = NatsServer::start().await;
    let bus = bus(&server).await;
    let verdict = with(runtime("web", "e1", 1), policy("p", 5), "a");
    bus.publish_verdict(&verdict).await.unwrap();
    bus.publish_verdict(&with(deploy("web", "d1", 2, [1, 1, 5]), policy("q", 5), "a")).await.unwrap();
    let acted = receipt(&verdict, EnforcementAction::KillPod, ReceiptStep::Decision(Decision::Act), 2);
    bus.publish_receipt(&acted).await.unwrap();

    let data = tempfile::tempdir().unwrap();
    let store = start(data.path(), &bus).await;
    store.ready().await;
    assert_eq!(store.json("/v1/alerts").await["total"], 2);
    let (letter, gap) = (
        DeadLetter {
            role: "evaluator".to_owned(),
            reason: "no".to_owned(),
            origin: "LICTOR_EVENTS_PROCESS".to_owned(),
            position: 1,
            line: 0,
            original: "mysqldump --password=hunter2".to_owned(),
            lossy: false,
            at: minute(1),
        },
        Gap { kind: Kind::Process, producer: "a".to_owned(), epoch: "b".to_owned(), first: 3, last: 3 },
    );
    bus.publish_dead_letter(&letter).await.unwrap();
    bus.publish_event(&gap.to_event(minute(3))).await.unwrap();
    store.until("/v1/deadletters", "/total", 1).await;
    // The stream keeps it as it came.
    let served = store.json("/v1/deadletters").await;
    assert_eq!(served["deadLetters"][0]["original"], "mysqldump --password=***");
    store.until("/v1/coverage", "/total", 1).await;
    // Messages that left unjudged turn health red.
    assert_eq!(store.json("/v1/health").await["healthy"], true);
    let notice = CoverageNotice::FellOut { kind: Kind::File, from: 3, to: 7, at: minute(3) };
    let fell_out = CoverageEvent { notice, lost: 0, node: String::new(), detail: String::new() };
    let body = EventData::Coverage(Box::new(fell_out));
    let fell_out = Event { id: EventId::new("fell-out"), data: body, ..gap.to_event(minute(4)) };
    bus.publish_event(&fell_out).await.unwrap();
    store.until("/v1/health", "/continuity/LICTOR_EVENTS_FILE/unjudged", 5).await;
    assert_eq!(store.json("/v1/health").await["healthy"], false);
    let logs = store.stop().await.logs;
    assert_eq!((logs[&Log::Verdicts].checkpoint, logs[&Log::Receipts].checkpoint), (2, 1));
    assert!(logs.values().all(|log| log.stopped.is_none()));

    // While it is away one resolves, one happens again, one is repeated under another sequence.
    bus.publish_verdict(&deploy("web", "d2", 4, [2, 1, 5])).await.unwrap();
    bus.publish_verdict(&with(runtime("web", "e2", 4), policy("p", 5), "b")).await.unwrap();
    let store = start(data.path(), &bus).await;
    store.ready().await;
    store.until("/v1/alerts", "/alerts/0/count", 2).await;
    let remembered = store.get("/v1/alerts?state=ALL").await;
    let health = store.json("/v1/health").await;
    assert_eq!((&health["healthy"], &health["logs"]["verdicts"]["lag"]), (&true.into(), &0.into()));
    store.stop().await;

    // A store from an empty file remembers the same, byte for byte.
    let empty = tempfile::tempdir().unwrap();
    let store = start(empty.path(), &bus).await;
    store.ready().await;
    assert_eq!(store.get("/v1/alerts?state=ALL").await, remembered);
    store.stop().await;
}

#[tokio::test]
async fn one_process_has_the_file() {
    let server = NatsServer::start().await;
    let bus = bus(&server).await;
    let data = tempfile::tempdir().unwrap();
    let store = start(data.path(), &bus).await;
    store.ready().await;
    let config = config(data.path());
    let listener = config.bind().await.unwrap();
    let second = run(&config, bus.clone(), listener, Arc::default(), &CancellationToken::new()).await;
    assert!(matches!(second, Err(StoreError::Open(LedgerError::InUse { .. }))), "{second:?}");
    store.stop().await;
}

#[tokio::test]
async fn a_stream_that_lost_its_end_stands_still_and_says_so() {
    let server = NatsServer::start().await;
    let bus = bus(&server).await;
    let data = tempfile::tempdir().unwrap();
    let verdict = with(runtime("web", "e1", 1), policy("p", 5), "a");
    let acted = receipt(&verdict, EnforcementAction::KillPod, ReceiptStep::Decision(Decision::Act), 2);
    {
        let ledger = Ledger::open(&data.path().join("ledger.redb")).unwrap();
        // Read up to 7, where the stream has nothing; and a receipt that is not the one the stream has.
        let entry_7 = entry(7, Record::Verdict(Box::new(verdict.clone())));
        ledger.apply(Log::Verdicts, &[entry_7]).unwrap();
        ledger.apply(Log::Receipts, &[entry(1, Record::Receipt(Box::new(acted.clone())))]).unwrap();
    }
    bus.publish_receipt(&acted).await.unwrap();
    let store = start(data.path(), &bus).await;
    let until = Instant::now() + PATIENCE;
    loop {
        let logs = store.json("/v1/health").await["logs"].clone();
        let stopped = |log: &str| logs[log]["stopped"].as_str().unwrap_or_default().to_owned();
        if stopped("verdicts").contains("ends at 0") && stopped("receipts").contains("made anew") {
            break;
        }
        assert!(Instant::now() < until, "{logs}");
        sleep(LOOK_EVERY).await;
    }
    assert_eq!(store.get("/readyz").await.0, 503);
    let logs = store.stop().await.logs;
    assert_eq!(logs.values().filter(|log| log.stopped.is_some()).count(), 2);
}

#[tokio::test]
async fn others_cannot_be_let_in_yet() {
    let config = Config { listen: "0.0.0.0:0".parse().unwrap(), ..config(Path::new("unused")) };
    let error = config.bind().await.unwrap_err();
    assert!(matches!(error, StoreError::NotLoopback(_)), "{error}");
}

/// The ledger is an index: what is damaged is kept aside and built anew, what is removed ends the store.
#[tokio::test]
async fn a_damaged_ledger_is_rebuilt_and_a_removed_one_is_noticed() {
    let server = NatsServer::start().await;
    let bus = bus(&server).await;
    bus.publish_verdict(&with(runtime("web", "e1", 1), policy("p", 5), "a")).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let store = start(data.path(), &bus).await;
    store.until("/v1/alerts", "/total", 1).await;
    store.stop().await;
    let file = data.path().join("ledger.redb");
    let whole = std::fs::read(&file).unwrap();
    let mut scrambled = whole.clone();
    scrambled[..512].fill(0x5a);
    for damaged in [&whole[..whole.len() / 3], &whole[..100], &scrambled, b"not a ledger"] {
        std::fs::write(&file, damaged).unwrap();
        let store = start(data.path(), &bus).await;
        store.until("/v1/alerts", "/total", 1).await;
        store.stop().await;
    }
    let kept = std::fs::read_dir(data.path()).unwrap().flatten();
    assert!(kept.filter(|entry| entry.file_name().to_string_lossy().contains("damaged")).count() > 0);

    let store = start(data.path(), &bus).await;
    store.ready().await;
    std::fs::remove_file(&file).unwrap();
    let ended = tokio::time::timeout(PATIENCE, store.running).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(ended, StoreError::Removed { .. }), "{ended}");
}
