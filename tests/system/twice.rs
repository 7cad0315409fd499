//! What comes twice counts once: in two messages, after an edit, and after a pause longer than any memory of ids.

use std::time::Duration;

use lictor_bus::Publisher;
use lictor_store::ReceiptFilter;
use lictor_wire::topology::{Bucket, Sizes, Stream, deployment_key};
use lictor_wire::{Decision, ReceiptStep, Verdict};
use tokio::time::sleep;

use crate::MACHINE;
use crate::support::{Cluster, EVERY_PROCESS, alerts, compare, policy, process, violation, workload};

const NAMESPACES: usize = 4;
/// Far shorter than what is usual, so that a test can outlast it.
const WINDOW: Duration = Duration::from_secs(2);

/// Matches every process and asks for the pod to be deleted.
fn killing(name: &str) -> String {
    let actions = ["KILL_POD_ENFORCEMENT"];
    policy(EVERY_PROCESS, name, &["RUNTIME"], "DEPLOYMENT_EVENT", &actions, &[("Process Name", ".*")])
}

async fn cluster() -> Cluster {
    let cluster = Cluster::start(Sizes { duplicate_window: WINDOW, ..Cluster::quick() }).await;
    let bus = cluster.bus().await;
    for number in 0..NAMESPACES {
        let workload = workload(number);
        bus.put(Bucket::Deployments, &deployment_key(&workload.id), &workload).await.unwrap();
    }
    cluster
}

async fn publish(bus: &lictor_bus::Bus, numbers: std::ops::Range<usize>) {
    let publisher = Publisher::start(bus.clone(), "test").await.unwrap();
    publisher.publish(numbers.map(|number| process(number, NAMESPACES)).collect()).await.unwrap();
    publisher.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_verdict_at_two_sequences_and_after_an_edit_is_one_alert_and_one_receipt() {
    let _machine = MACHINE.lock().await;
    let cluster = cluster().await;
    let bus = cluster.bus().await;
    cluster.apply(&killing("First name")).await;
    let (store, _enforcer, evaluator) = (cluster.store(), cluster.enforcer(), cluster.evaluator());
    publish(&bus, 0..1).await;
    cluster.settled(&bus, Duration::from_secs(30)).await;
    let before = bus.last_sequence(Stream::Verdicts).await.unwrap();

    // The verdict again, when the stream has forgotten its id.
    let verdict = last_violation(&bus).await;
    sleep(WINDOW * 2).await;
    let again = bus.publish_verdict(&verdict).await.unwrap();
    assert!(again > before, "the verdict lies at two sequences");
    cluster.settled(&bus, Duration::from_secs(30)).await;

    // The policy is edited, and the event comes again, in another packing.
    cluster.apply(&killing("Second name")).await;
    sleep(Duration::from_secs(1)).await;
    publish(&bus, 0..1).await;
    cluster.settled(&bus, Duration::from_secs(30)).await;
    drop(evaluator);

    let ledger = cluster.ledger(&bus, store).await;
    compare("twice", &ledger, (0..1).map(|number| violation(number, NAMESPACES)));
    let found = alerts(&ledger);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0.starts_with("Second name"), "the newer revision is kept: {found:?}");
    let receipts = ledger.receipts(&ReceiptFilter::default(), None, 10).unwrap().items;
    let decisions: Vec<_> = receipts
        .iter()
        .filter(|stored| matches!(stored.receipt.step, ReceiptStep::Decision(Decision::DryRun)))
        .collect();
    println!("one alert, {} decision, {} receipts", decisions.len(), receipts.len());
    assert_eq!((decisions.len(), receipts.len()), (1, 2), "{receipts:?}");
}

async fn last_violation(bus: &lictor_bus::Bus) -> Verdict {
    let mut reader = bus.read(Stream::Verdicts, lictor_bus::ReadFrom::First, false);
    loop {
        let entry = reader.next().await.unwrap().unwrap();
        let verdict: Verdict = serde_json::from_slice(&entry.body().unwrap()).unwrap();
        if !verdict.violations.is_empty() {
            return verdict;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_longer_than_the_window_doubles_nothing() {
    let _machine = MACHINE.lock().await;
    let cluster = cluster().await;
    let bus = cluster.bus().await;
    cluster.apply(&killing("Every process")).await;
    let (store, evaluator) = (cluster.store(), cluster.evaluator());
    const EVENTS: usize = 20_000;
    let publishing = tokio::spawn({
        let bus = bus.clone();
        async move { publish(&bus, 0..EVENTS).await }
    });
    // Stopped in the middle of its work, with messages in hand; they are given to the other one, and when it wakes
    // up it writes and acknowledges what it had in hand then.
    while bus.last_sequence(Stream::Verdicts).await.unwrap() < 1_000 {
        sleep(Duration::from_millis(10)).await;
    }
    evaluator.signal("STOP");
    let other = cluster.evaluator();
    sleep(WINDOW * 3).await;
    evaluator.signal("CONT");
    publishing.await.unwrap();
    cluster.settled(&bus, Duration::from_secs(60)).await;
    let verdicts = bus.last_sequence(Stream::Verdicts).await.unwrap();
    drop((evaluator, other));
    let ledger = cluster.ledger(&bus, store).await;
    println!("{verdicts} verdicts were written about {EVENTS} events");
    compare("a pause", &ledger, (0..EVENTS).map(|number| violation(number, NAMESPACES)));
}
