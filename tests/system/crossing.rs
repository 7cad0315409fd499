//! A workload, its image's facts and a policy change in all six orders: the end is the same.

use std::time::Duration;

use jiff::Timestamp;
use lictor_bus::{Bus, Publisher};
use lictor_wire::topology::{Bucket, deployment_key, image_key};
use lictor_wire::{
    ClusterId, Container, ContainerImage, Deployment, DeploymentChange, DeploymentEvent, Event, EventData,
    EventId, ImageEvent, ImageFacts, ImageMetadata,
};

use crate::MACHINE;
use crate::support::{CLUSTER, Cluster, alerts, policy, workload};

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";
const POLICY: &str = "22222222-2222-4222-8222-222222222222";

#[derive(Debug, Clone, Copy)]
enum Change {
    Workload,
    Facts,
    Policy,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_in_any_order_end_in_the_same_alert() {
    use Change::{Facts, Policy, Workload};
    let _machine = MACHINE.lock().await;
    let orders = [
        [Workload, Facts, Policy],
        [Workload, Policy, Facts],
        [Facts, Workload, Policy],
        [Facts, Policy, Workload],
        [Policy, Workload, Facts],
        [Policy, Facts, Workload],
    ];
    for order in orders {
        let cluster = Cluster::start(Cluster::quick()).await;
        let bus = cluster.bus().await;
        // Before: a workload without the flaw, an image without the flaw, a policy that asks for something else.
        apply(&cluster, "labels").await;
        put_workload(&bus, false).await;
        put_facts(&bus, "nobody").await;
        let (store, _first, _second) = (cluster.store(), cluster.evaluator(), cluster.evaluator());
        cluster.settled(&bus, Duration::from_secs(30)).await;
        // The three changes, one right after the other: they cross on the way.
        for change in order {
            match change {
                Workload => put_workload(&bus, true).await,
                Facts => put_facts(&bus, "root").await,
                Policy => apply(&cluster, "privileged and root").await,
            }
        }
        cluster.settled(&bus, Duration::from_secs(30)).await;
        let ledger = cluster.ledger(&bus, store).await;
        let found = alerts(&ledger);
        println!("{order:?}: {found:?}");
        let active: Vec<&String> =
            found.iter().filter(|(name, _)| name.ends_with("Active")).map(|(name, _)| name).collect();
        assert_eq!(active, [&format!("Crossing deployment/{CLUSTER}/workload-0 Active")], "{order:?}");
    }
}

async fn apply(cluster: &Cluster, what: &str) {
    let groups: &[(&str, &str)] = match what {
        "labels" => &[("Container Name", "no such container")],
        _ => &[("Privileged Container", "true"), ("Image User", "root")],
    };
    cluster.apply(&policy(POLICY, "Crossing", &["DEPLOY"], "NOT_APPLICABLE", &[], groups)).await;
}

/// Facts first, then the event: as ingest does.
async fn put_workload(bus: &Bus, privileged: bool) {
    let mut container = Container {
        name: "web".to_owned(),
        image: ContainerImage { id: DIGEST.to_owned(), ..ContainerImage::default() },
        ..Container::default()
    };
    container.security_context.privileged = privileged;
    let deployment = Deployment { containers: vec![container], ..workload(0) };
    let revision = bus.put(Bucket::Deployments, &deployment_key(&deployment.id), &deployment).await.unwrap();
    let body = DeploymentEvent { change: DeploymentChange::Updated, deployment, revision };
    publish(bus, format!("deployment-{privileged}"), EventData::Deployment(Box::new(body))).await;
}

async fn put_facts(bus: &Bus, user: &str) {
    let metadata = ImageMetadata { user: user.to_owned(), ..ImageMetadata::default() };
    let facts = ImageFacts { digest: DIGEST.to_owned(), metadata: Some(metadata), ..ImageFacts::default() };
    let revision = bus.put(Bucket::Images, &image_key(DIGEST), &facts).await.unwrap();
    let body = ImageEvent { digest: DIGEST.to_owned(), revision, facts: Some(facts) };
    publish(bus, format!("facts-{user}"), EventData::Image(Box::new(body))).await;
}

async fn publish(bus: &Bus, id: String, data: EventData) {
    let event = Event {
        id: EventId::new(id),
        source: "/test".to_owned(),
        time: Timestamp::now(),
        cluster: ClusterId::new(CLUSTER),
        traceparent: None,
        extensions: std::collections::BTreeMap::new(),
        data,
    };
    let publisher = Publisher::start(bus.clone(), "test").await.unwrap();
    publisher.publish(vec![event]).await.unwrap();
    publisher.close().await;
}
