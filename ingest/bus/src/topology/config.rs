//! The table as the server's configurations. Pure.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, pull};
use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy, StorageType};
use lictor_wire::topology::{BucketSpec, ConsumerSpec, Retention, StreamSpec, Topology};

/// The server keeps ids of a stream no longer than the stream's own age.
const BUCKET_DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

pub(super) fn wanted_streams(topology: &Topology) -> Vec<(stream::Config, &'static str)> {
    let replicas = usize::from(topology.sizes().replicas);
    let mut wanted: Vec<_> =
        topology.streams().iter().map(|spec| (stream_config(spec, replicas), spec.purpose)).collect();
    wanted.extend(topology.buckets().iter().map(|spec| (bucket_config(spec, replicas), spec.purpose)));
    let large = object_store_config(&topology.object_store(), Some(topology.sizes().event_age), replicas);
    wanted.push((large, "event bodies too large for a message"));
    let snapshots = object_store_config(&topology.snapshot_store(), None, replicas);
    wanted.push((snapshots, "snapshots of the store"));
    wanted
}

fn stream_config(spec: &StreamSpec, replicas: usize) -> stream::Config {
    stream::Config {
        name: spec.name.clone(),
        description: Some(spec.purpose.to_owned()),
        subjects: spec.subjects.clone(),
        retention: match spec.retention {
            Retention::Limits => RetentionPolicy::Limits,
            Retention::WorkQueue => RetentionPolicy::WorkQueue,
        },
        discard: DiscardPolicy::Old,
        max_bytes: limit(spec.max_bytes),
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        max_age: spec.max_age.unwrap_or_default(),
        storage: StorageType::File,
        num_replicas: replicas,
        duplicate_window: spec.duplicate_window,
        deny_delete: spec.append_only,
        deny_purge: spec.append_only,
        allow_direct: true,
        allow_atomic_publish: spec.atomic_batches,
        ..stream::Config::default()
    }
}

fn bucket_config(spec: &BucketSpec, replicas: usize) -> stream::Config {
    let max_age = spec.max_age.unwrap_or_default();
    stream::Config {
        name: spec.stream_name(),
        description: Some(spec.purpose.to_owned()),
        subjects: vec![format!("$KV.{}.>", spec.name)],
        // A value per key: these are facts in force, and their history is in the events.
        max_messages_per_subject: 1,
        max_bytes: -1,
        max_messages: -1,
        max_consumers: -1,
        max_age,
        storage: StorageType::File,
        num_replicas: replicas,
        duplicate_window: BUCKET_DUPLICATE_WINDOW,
        discard: DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        ..stream::Config::default()
    }
}

fn object_store_config(name: &str, max_age: Option<Duration>, replicas: usize) -> stream::Config {
    stream::Config {
        name: format!("OBJ_{name}"),
        subjects: vec![format!("$O.{name}.C.>"), format!("$O.{name}.M.>")],
        max_bytes: -1,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        max_age: max_age.unwrap_or_default(),
        storage: StorageType::File,
        num_replicas: replicas,
        duplicate_window: BUCKET_DUPLICATE_WINDOW,
        discard: DiscardPolicy::New,
        allow_rollup: true,
        allow_direct: true,
        ..stream::Config::default()
    }
}

pub(super) fn consumer_config(spec: &ConsumerSpec) -> pull::Config {
    pull::Config {
        durable_name: Some(spec.name.clone()),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: spec.ack_wait,
        // Without end: who gives up is decided by us, with a reason, and never by a counter on the server.
        max_deliver: -1,
        filter_subject: spec.filter.clone().unwrap_or_default(),
        replay_policy: ReplayPolicy::Instant,
        max_ack_pending: i64::from(spec.max_ack_pending),
        ..pull::Config::default()
    }
}

fn limit(limit: Option<u64>) -> i64 {
    limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX))
}
