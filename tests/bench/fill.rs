//! Fills buckets, the policy log and the event streams, before anybody consumes.

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use futures_util::StreamExt;
use lictor_bus::{ACKED, Bucket, Bus, CONTENT_TYPE, EVENTS, MESSAGE_ID, PreparedLine, Publisher};
use lictor_policies::ChangeSet;
use lictor_wire::TransactionId;
use lictor_wire::topology::{deployment_key, namespace_key, pod_key};

use crate::drain::Drainer;
use crate::ratio;
use crate::world::{CLUSTER, World};

/// Writes that wait for their acknowledgement.
const UNDER_WAY: usize = 512;
/// Events a source publishes in one call.
const CALL: usize = 256;

/// What is in the event streams.
#[derive(Clone, Copy)]
pub(crate) struct Filled {
    pub(crate) events: usize,
    pub(crate) messages: usize,
    /// Of the lines, not compressed.
    pub(crate) bytes: usize,
}

impl Filled {
    /// How many events are left after this many messages.
    pub(crate) fn events_after(&self, messages: u64) -> f64 {
        let gone = usize::try_from(messages).unwrap_or(self.messages);
        ratio(self.events, self.messages) * ratio(self.messages.saturating_sub(gone), 1)
    }
}

/// Policies, workloads, pods, namespaces; the last sequence of the policy log.
pub(crate) async fn knowledge(bus: &Bus, world: &World) -> u64 {
    let changes = ChangeSet::put(world.policies.iter().cloned()).expect("valid policies");
    let transaction = TransactionId::new("bench");
    let written = lictor_store::write_policies(&bus.policy_log(), &changes, "bench", &transaction).await;
    let puts = world.workloads.iter().map(|workload| async move {
        let key = deployment_key(&workload.deployment.id);
        bus.put(Bucket::Deployments, &key, &workload.deployment).await.expect("a bucket");
        bus.put(Bucket::Pods, &pod_key(&workload.pod.uid), &workload.pod).await.expect("a bucket");
    });
    futures_util::stream::iter(puts).buffer_unordered(UNDER_WAY).for_each(|()| async {}).await;
    for namespace in &world.namespaces {
        let key = namespace_key(CLUSTER, &namespace.name);
        bus.put(Bucket::Namespaces, &key, namespace).await.expect("a bucket");
    }
    written.expect("policies in force")
}

/// One event a message, with the headers a publisher gives it.
pub(crate) async fn one_by_one(drainer: &Drainer, world: &World, events: usize) -> Filled {
    let mut bytes = 0;
    let messages = world.events(events).enumerate().map(|(number, line)| {
        bytes += line.line.len();
        let subject = drainer.topology.events(line.kind, &line.cluster);
        let mut headers = HeaderMap::new();
        headers.insert(MESSAGE_ID, format!("bench.1.{number}"));
        headers.insert(ACKED, "0");
        headers.insert(EVENTS, "1");
        headers.insert(CONTENT_TYPE, "application/cloudevents+json");
        async move {
            let sent = drainer.jetstream.publish_with_headers(subject, headers, line.line.into()).await;
            sent.expect("a stream").await.expect("an acknowledgement");
        }
    });
    futures_util::stream::iter(messages).buffer_unordered(UNDER_WAY).for_each(|()| async {}).await;
    Filled { events, messages: events, bytes }
}

/// Lines of a message of [`plain_packs`]; about what a publisher gathers in 64 KB.
const PACK: usize = 64;

/// Several events a message as lines of text, as any NATS client can publish them.
pub(crate) async fn plain_packs(drainer: &Drainer, world: &World, events: usize) -> Filled {
    let (mut bytes, mut messages) = (0, 0);
    let mut lines = world.events(events);
    let mut gathered: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // Full packs as they come about, and what is left in the end.
    let packs = std::iter::from_fn(|| {
        for line in lines.by_ref() {
            bytes += line.line.len();
            let subject = drainer.topology.events(line.kind, &line.cluster);
            let pack = gathered.entry(subject.clone()).or_default();
            pack.push(line.line);
            if pack.len() == PACK {
                return gathered.remove_entry(&subject);
            }
        }
        gathered.pop_first()
    });
    let publish = packs.map(|(subject, pack)| {
        messages += 1;
        let mut headers = HeaderMap::new();
        headers.insert(MESSAGE_ID, format!("bench.2.{messages}"));
        headers.insert(ACKED, "0");
        headers.insert(EVENTS, pack.len().to_string());
        headers.insert(CONTENT_TYPE, "application/x-ndjson");
        async move {
            let sent = drainer.jetstream.publish_with_headers(subject, headers, pack.join("\n").into()).await;
            sent.expect("a stream").await.expect("an acknowledgement");
        }
    });
    futures_util::stream::iter(publish).buffer_unordered(16).for_each(|()| async {}).await;
    Filled { events, messages, bytes }
}

/// As lictor's own publisher packs and compresses them for a busy source.
pub(crate) async fn packed(bus: &Bus, world: &World, events: usize) -> Filled {
    let publisher = Publisher::start(bus.clone(), "bench").await.expect("a publisher");
    let mut bytes = 0;
    let mut lines = world.events(events);
    let calls = std::iter::from_fn(|| {
        let call: Vec<PreparedLine> = lines.by_ref().take(CALL).collect();
        bytes += call.iter().map(|line| line.line.len()).sum::<usize>();
        (!call.is_empty()).then_some(call)
    });
    let publish = |call| async { publisher.publish(call).await.expect("published") };
    futures_util::stream::iter(calls).map(publish).buffer_unordered(16).for_each(|_| async {}).await;
    publisher.close().await;
    let report = bus.report().await.expect("a report");
    let ours = |name: &str| name.starts_with("LICTOR_EVENTS_");
    let messages: u64 = report.streams.iter().filter(|it| ours(&it.name)).map(|it| it.messages).sum();
    Filled { events, messages: usize::try_from(messages).unwrap_or(usize::MAX), bytes }
}
