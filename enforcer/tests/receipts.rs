//! What an enforcer knows when it begins, on a real nats-server.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::unreachable,
    reason = "all of this is test code, helpers included, and stops at the first surprise"
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Command, FromArgMatches};
use jiff::{SignedDuration, Timestamp};
use lictor_bus::{Bus, BusOptions, LogReader, PolicyState, PolicyWrite, ReadFrom};
use lictor_enforcer::{Config, run};
use lictor_tests::NatsServer;
use lictor_wire::topology::{Stream, Topology};
use lictor_wire::{Decision, Policy, PolicyChange, Receipt, ReceiptStep, Refusal, TransactionId, Verdict};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Several batches of a reader: with one, the verdict would come behind all of them on the same connection.
const RECEIPTS: usize = 600;

fn config(blast_radius: usize) -> Config {
    let command = Config::augment_args(Command::new("test"));
    let matches = command.get_matches_from(["test", "--blast-radius", &blast_radius.to_string()]);
    Config::from_arg_matches(&matches).unwrap()
}

async fn connect(address: &str) -> Bus {
    Bus::connect_new(BusOptions::new(&format!("nats://{address}"), Topology::default(), "test"))
        .await
        .unwrap()
}

fn policy() -> Value {
    json!({"id": "p-1", "name": "No shells", "revision": 1, "severity": "HIGH_SEVERITY"})
}

fn entity() -> Value {
    json!({"type": "DEPLOYMENT", "id": "d-1", "name": "web", "kind": "Deployment", "namespace": "shop", "cluster": "c1",
        "pod": {"namespace": "shop", "name": "web-1", "uid": "u-1"}})
}

fn receipt(number: usize, at: Timestamp) -> Receipt {
    let receipt = json!({
        "id": format!("r-{number}"), "actionKey": format!("k-{number}"), "violation": format!("x-{number}"),
        "verdict": format!("v-{number}"), "policy": policy(), "entity": entity(),
        "action": "KILL_POD_ENFORCEMENT", "decision": {"verdict": "dryRun"}, "at": at, "enforcer": "another",
    });
    serde_json::from_value(receipt).unwrap()
}

fn verdict(now: Timestamp) -> Verdict {
    let verdict = json!({
        "id": "v", "event": {"id": "e", "kind": "process", "time": now, "stream": "S", "sequence": 1},
        "cause": "observed", "stage": "RUNTIME", "entity": entity(),
        "revisions": {"deployment": 1, "images": 1, "policies": 1}, "judgedAt": now,
        "violations": [{"id": "x", "policy": policy(), "sections": [], "enforcement": ["KILL_POD_ENFORCEMENT"]}],
    });
    serde_json::from_value(verdict).unwrap()
}

/// A link to a server on which answers come at some 60 KB a second.
async fn slow_link(server: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (mut from_server, mut to_server) = TcpStream::connect(&server).await.unwrap().into_split();
            let (mut from_client, mut to_client) = client.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                let mut buffer = [0; 2048];
                while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
                    if to_client.write_all(&buffer[..read]).await.is_err() {
                        break;
                    }
                    sleep(Duration::from_millis(33)).await;
                }
            });
        }
    });
    address
}

/// A change that may follow any state of the log.
struct Unchecked([PolicyChange; 1]);

impl PolicyWrite for Unchecked {
    type Refusal = Infallible;

    fn changes(&self) -> &[PolicyChange] {
        &self.0
    }

    fn check(&self, _: &PolicyState) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The policy that the verdict is about.
fn kill() -> Policy {
    let kill = json!({
        "id": "p-1", "name": "No shells", "severity": "HIGH_SEVERITY", "categories": ["x"],
        "lifecycleStages": ["RUNTIME"], "eventSource": "DEPLOYMENT_EVENT",
        "enforcementActions": ["KILL_POD_ENFORCEMENT"],
        "policySections": [{"policyGroups": [{"fieldName": "Process Name", "values": [{"value": "sh"}]}]}],
    });
    serde_json::from_value(kill).unwrap()
}

async fn write(bus: &Bus, policy: Policy) {
    let transaction = TransactionId::new(format!("{} {:?}", policy.name, policy.enforcement_actions));
    let change = PolicyChange::Put { policy: Box::new(policy) };
    bus.policy_log().write(&Unchecked([change]), "test", &transaction).await.unwrap();
}

/// The first decision that a reader of receipts finds.
async fn decision(mut receipts: LogReader) -> Decision {
    let entry = timeout(Duration::from_secs(60), receipts.next()).await.unwrap().unwrap().unwrap();
    let receipt: Receipt = serde_json::from_slice(&entry.body().unwrap()).unwrap();
    let ReceiptStep::Decision(decision) = receipt.step else { unreachable!("{receipt:?}") };
    decision
}

/// The policy in force has the last word. A revision that cannot be used is not in force, whatever actions it has.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_acts_by_the_last_good_revision() {
    let server = NatsServer::start().await;
    let bus = connect(server.url().trim_start_matches("nats://")).await;
    write(&bus, kill()).await;
    write(&bus, Policy { categories: Vec::new(), enforcement_actions: Vec::new(), ..kill() }).await;
    bus.publish_verdict(&verdict(Timestamp::now())).await.unwrap();
    let enforcer = tokio::spawn(run(config(1), bus.clone(), CancellationToken::new()));
    let decision = decision(bus.read(Stream::Receipts, ReadFrom::First, false)).await;
    assert!(!matches!(decision, Decision::Refuse { .. }), "{decision:?}");
    enforcer.abort();
}

/// The blast radius counts every receipt of the window, however long it takes to read them.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_counts_every_receipt_of_the_window() {
    let server = NatsServer::start().await;
    let address = server.url().trim_start_matches("nats://").to_owned();
    let bus = connect(&address).await;
    let now = Timestamp::now();
    write(&bus, kill()).await;
    for number in 0..RECEIPTS {
        let at = now - SignedDuration::from_secs(60);
        bus.publish_receipt(&receipt(number, at)).await.unwrap();
    }
    bus.publish_verdict(&verdict(now)).await.unwrap();

    let slow = connect(&slow_link(address).await.to_string()).await;
    let enforcer = tokio::spawn(run(config(RECEIPTS), slow, CancellationToken::new()));
    let decided = ReadFrom::Sequence(RECEIPTS as u64 + 1);
    let decision = decision(bus.read(Stream::Receipts, decided, false)).await;
    assert!(
        matches!(decision, Decision::Refuse { refusal: Refusal::BlastRadius, .. }),
        "{RECEIPTS} actions were decided for in the window; {decision:?}"
    );
    enforcer.abort();
}
