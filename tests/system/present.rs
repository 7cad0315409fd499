//! Who runs: every role says so while it does, and `lictor doctor` lists it.

use std::time::Duration;

use lictor_wire::topology::Role;
use tokio::time::{Instant, sleep};

use crate::support::Cluster;

/// The roles that doctor lists, sorted. Without an evaluator it finds fault.
fn listed(cluster: &Cluster) -> Vec<String> {
    let doctor = ["doctor", "--output", "json", "--nats-url", &cluster.nats.url()];
    let output = cluster.nats.command(Role::Viewer, &doctor).output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let roles = said["presence"].as_array().unwrap().iter();
    let roles: Vec<_> = roles.map(|who| who["role"].as_str().unwrap().to_owned()).collect();
    let in_order = roles.iter().any(|role| role == "evaluator");
    assert_eq!(output.status.code(), Some(i32::from(!in_order)), "{said:#}");
    roles
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_lists_every_role_while_it_runs() {
    let cluster = Cluster::start(Cluster::quick()).await;
    let events = cluster.path("events.ndjson");
    std::fs::write(&events, "").unwrap();
    // One of the files is not there yet.
    let follow = [
        "ingest",
        "--cluster",
        "test",
        "--follow",
        "--events",
        events.to_str().unwrap(),
        "--tetragon",
        "later.log",
    ];
    let mut roles =
        [cluster.store(), cluster.evaluator(), cluster.enforcer(), cluster.role("ingest", &follow)];
    let deadline = Instant::now() + Duration::from_secs(30);
    while listed(&cluster) != ["enforcer", "evaluator", "ingest", "store"] {
        assert!(Instant::now() < deadline, "{:?}; logs: {}", listed(&cluster), cluster.logs());
        sleep(Duration::from_millis(100)).await;
    }
    for role in &mut roles {
        role.signal("TERM");
        assert_eq!(role.ended(Duration::from_secs(20)).await, Some(0), "{}", cluster.logs());
    }
    assert_eq!(listed(&cluster), Vec::<String>::new());
    let said = std::fs::read_to_string(&roles[3].log).unwrap();
    let waits: Vec<&str> = said.lines().filter(|line| line.contains("waiting for it to appear")).collect();
    assert!(matches!(waits[..], [line] if line.contains("later.log")), "{said}");
}

/// Whoever follows a stream hears of a disk that is full at once, not with the next message.
#[tokio::test(flavor = "multi_thread")]
async fn following_ends_when_the_output_cannot_be_written() {
    let cluster = Cluster::start(Cluster::quick()).await;
    for stream in ["events", "verdicts", "receipts"] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let tail = [stream, "tail", "--nats-url", &cluster.nats.url()];
        let output = cluster.nats.command(Role::Auditor, &tail).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{stream}: {said}");
        assert!(said.contains("cannot write to standard output"), "{stream}: {said}");
    }
}
