//! One message of 64 lines, three of them trouble: the others are judged once, and each trouble has its own fate.

use std::time::Duration;

use lictor_bus::{PreparedLine, Publisher};
use lictor_wire::topology::{Bucket, Stream, deployment_key};
use lictor_wire::{EventId, Kind};

use crate::MACHINE;
use crate::support::{Cluster, compare, every_process, process, workload};

const LINES: usize = 64;
/// One workload is known from the start; the other becomes known while an event waits for it.
const NAMESPACES: usize = 2;
const MALFORMED: usize = 10;
const ABORTS: usize = 20;
const WAITS: usize = 31;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_in_one_line_is_that_lines_alone() {
    let _machine = MACHINE.lock().await;
    let cluster = Cluster::start(Cluster::quick()).await;
    let bus = cluster.bus().await;
    cluster.apply(&every_process()).await;
    let known = workload(0);
    bus.put(Bucket::Deployments, &deployment_key(&known.id), &known).await.unwrap();
    let store = cluster.store();

    let aborting = EventId::new(format!("process-{ABORTS}"));
    let args = ["evaluator", "--abort-on", aborting.as_str()];
    let mut evaluator = cluster.role("evaluator", &args);
    let publisher = Publisher::start(bus.clone(), "test").await.unwrap();
    let lines: Vec<PreparedLine> = (0..LINES).map(line).collect();
    publisher.publish(lines).await.unwrap();
    publisher.close().await;
    assert_eq!(
        bus.last_sequence(Stream::Events(Kind::Process)).await.unwrap(),
        1,
        "one message holds all lines"
    );

    // Somebody keeps starting the evaluator again, as Kubernetes does, until the line that ends it is found out.
    let mut crashes = 0;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(90);
    let has = async |stream, messages| bus.last_sequence(stream).await.unwrap() >= messages;
    while !has(Stream::DeadLetters, 2).await || !has(Stream::Parked, 1).await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "no line is a dead letter, or none waits; {}",
            cluster.logs()
        );
        if !evaluator.runs() {
            crashes += 1;
            evaluator = cluster.role("evaluator", &args);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What the third line waits for comes.
    let late = workload(1);
    bus.put(Bucket::Deployments, &deployment_key(&late.id), &late).await.unwrap();
    cluster.settled(&bus, Duration::from_secs(60)).await;
    let parked = bus.last_sequence(Stream::Parked).await.unwrap();

    let ledger = cluster.ledger(&bus, store).await;
    let letters = ledger.dead_letters(None, 10).unwrap().items;
    let mut dead: Vec<u32> = letters.iter().map(|letter| letter.letter.line).collect();
    dead.sort_unstable();
    println!("crashes {crashes}; parked {parked}; dead lines {dead:?}");
    assert_eq!(dead.iter().map(|line| *line as usize).collect::<Vec<_>>(), [MALFORMED, ABORTS]);
    assert!(letters.iter().any(|letter| letter.letter.reason.contains("crashed the evaluator")));
    assert_eq!(parked, 1, "one line waited");
    let judged = (0..LINES).filter(|number| *number != MALFORMED && *number != ABORTS);
    compare("a pack with trouble", &ledger, judged.map(id));
}

/// All lines are of the workload that is known, but for the one that waits.
fn line(number: usize) -> PreparedLine {
    let namespace = usize::from(number == WAITS);
    // The number's remainder chooses the workload; the id stays the number's.
    let mut event = process(namespace, NAMESPACES);
    event.id = EventId::new(format!("process-{number}"));
    let line = if number == MALFORMED {
        r#"{"specversion":"1.0","id":"#.to_owned()
    } else {
        event.to_line().unwrap()
    };
    PreparedLine { kind: Kind::Process, cluster: event.cluster, id: event.id, line }
}

fn id(number: usize) -> lictor_wire::ViolationId {
    let namespace = usize::from(number == WAITS);
    let entity = format!("deployment/{}/workload-{namespace}", crate::support::CLUSTER);
    let policy = lictor_wire::PolicyId::new(crate::support::EVERY_PROCESS);
    lictor_wire::ViolationId::of(&EventId::new(format!("process-{number}")), &entity, &policy)
}
