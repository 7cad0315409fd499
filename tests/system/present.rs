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
    let follow = ["ingest", "--cluster", "test", "--follow", "--events", events.to_str().unwrap()];
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
}
