//! Makes the table of streams, buckets and consumers so, and reads back what is there.
//!
//! Nothing that exists is ever changed. A difference in a field that changes what a stream means (subjects,
//! retention, discard, acknowledgement, denials, filters) stops the start with its name; sizes, ages and copies are
//! an installer's to change with NATS' own tools, and are only shown.

use std::fmt;
use std::time::Duration;

use async_nats::jetstream::consumer::{self, AckPolicy, DeliverPolicy, ReplayPolicy, pull};
use async_nats::jetstream::context::{CreateStreamErrorKind, RequestErrorKind};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{Context, ErrorCode};
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use lictor_wire::topology::{BucketSpec, ConsumerSpec, Retention, StreamSpec, Topology};
use serde::Serialize;

use crate::error::BusError;
use crate::time::timestamp;

/// How many things are made or read at once: enough to hide the round trips, few enough not to crowd a small server.
const AT_ONCE: usize = 8;

/// The server keeps ids of a stream no longer than the stream's own age.
const BUCKET_DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// Something on the server that is not as the table says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is: ``stream `LICTOR_VERDICTS` ``.
    pub what: String,
    /// Which of its fields.
    pub field: &'static str,
    /// What the table says.
    pub wanted: String,
    /// What is there.
    pub found: String,
    /// Whether it changes what the thing means; then nothing starts.
    pub changes_meaning: bool,
}

/// What is on the server, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopologyReport {
    /// The server's version.
    pub server: String,
    /// Streams, then buckets, then object stores, as the table lists them.
    pub streams: Vec<StreamReport>,
    /// Consumers.
    pub consumers: Vec<ConsumerReport>,
    /// Everything that is not as the table says.
    pub differences: Vec<Difference>,
}

/// One stream, bucket or object store.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamReport {
    /// Its name on the server.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// Whether it is there. Everything below is zero when it is not.
    pub exists: bool,
    /// Messages in it.
    pub messages: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// Greatest size; `None` has no bound.
    pub max_bytes: Option<u64>,
    /// Sequence of the first message.
    pub first_sequence: u64,
    /// Sequence of the last message.
    pub last_sequence: u64,
    /// Time of the last message.
    pub last_time: Option<Timestamp>,
    /// Copies.
    pub replicas: usize,
}

/// One durable consumer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerReport {
    /// Its name on the server.
    pub name: String,
    /// The stream it reads.
    pub stream: String,
    /// Whether it is there. Everything below is zero when it is not.
    pub exists: bool,
    /// Everything up to this sequence is done.
    pub ack_floor: u64,
    /// Messages handed out and not done.
    pub in_flight: u64,
    /// Messages not yet handed out.
    pub pending: u64,
    /// Messages handed out more than once and not done.
    pub redelivered: u64,
    /// Pulls that wait.
    pub waiting: u64,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, field, wanted, found, .. } = self;
        write!(f, "{what} has {field} `{found}` where lictor needs `{wanted}`")
    }
}

/// Makes what is missing and reads everything back: what is there and different, worst first.
pub(crate) async fn ensure(jetstream: &Context, topology: &Topology) -> Result<Vec<Difference>, BusError> {
    let mut differences = Vec::new();
    let streams: Vec<_> = wanted_streams(topology).into_iter().map(|(config, _)| config).collect();
    let found: Vec<_> = futures_util::stream::iter(streams)
        .map(|config| async move {
            let found = ensure_stream(jetstream, &config).await?;
            Ok::<_, BusError>(stream_differences(&config, &found))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    differences.extend(found.into_iter().flatten());
    // A consumer on a stream that means something else would only add noise.
    if !differences.iter().any(|difference| difference.changes_meaning) {
        let found: Vec<_> = futures_util::stream::iter(topology.consumers())
            .map(|spec| async move {
                let found = ensure_consumer(jetstream, topology, &spec).await?;
                Ok::<_, BusError>(consumer_differences(topology, &spec, &found))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        differences.extend(found.into_iter().flatten());
    }
    differences.sort_by_key(|difference| !difference.changes_meaning);
    Ok(differences)
}

/// Reads everything and changes nothing.
pub(crate) async fn report(jetstream: &Context, topology: &Topology) -> Result<TopologyReport, BusError> {
    let mut report = TopologyReport::default();
    for (config, purpose) in wanted_streams(topology) {
        let info = read_stream(jetstream, &config.name).await?;
        if let Some(info) = &info {
            report.differences.extend(stream_differences(&config, info));
        }
        report.streams.push(stream_report(&config.name, purpose, info.as_ref()));
    }
    for spec in topology.consumers() {
        let stream = topology.stream_name(spec.stream);
        let info = read_consumer(jetstream, &stream, &spec.name).await?;
        if let Some(info) = &info {
            report.differences.extend(consumer_differences(topology, &spec, info));
        }
        report.consumers.push(consumer_report(&spec.name, stream, info.as_ref()));
    }
    report.differences.sort_by_key(|difference| !difference.changes_meaning);
    Ok(report)
}

// --- what the table says, in the server's words ------------------------------------------------------------------

fn wanted_streams(topology: &Topology) -> Vec<(stream::Config, &'static str)> {
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
        name: bucket_stream(&spec.name),
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

fn consumer_config(spec: &ConsumerSpec) -> pull::Config {
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

/// The stream behind a bucket.
pub(crate) fn bucket_stream(bucket: &str) -> String {
    format!("KV_{bucket}")
}

fn limit(limit: Option<u64>) -> i64 {
    limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX))
}

// --- making and reading ------------------------------------------------------------------------------------------

async fn ensure_stream(jetstream: &Context, config: &stream::Config) -> Result<stream::Info, BusError> {
    if let Some(info) = read_stream(jetstream, &config.name).await? {
        return Ok(info);
    }
    let what = format!("stream `{}`", config.name);
    match jetstream.create_stream(config).await {
        Ok(made) => Ok(made.cached_info().clone()),
        // Somebody else made it meanwhile, with other limits: what counts is what is there.
        Err(error) => match error.kind() {
            CreateStreamErrorKind::JetStream(refusal)
                if refusal.error_code() == ErrorCode::STREAM_NAME_EXIST =>
            {
                read_stream(jetstream, &config.name).await?.ok_or_else(|| BusError::missing(what))
            }
            CreateStreamErrorKind::JetStream(refusal)
                if refusal.error_code() == ErrorCode::STORAGE_RESOURCES_EXCEEDED =>
            {
                Err(BusError::api(what, &refusal))
            }
            CreateStreamErrorKind::TimedOut | CreateStreamErrorKind::JetStreamUnavailable => {
                Err(BusError::unanswered(what, error))
            }
            _ => Err(BusError::refused(what, error)),
        },
    }
}

pub(crate) async fn read_stream(jetstream: &Context, name: &str) -> Result<Option<stream::Info>, BusError> {
    let what = || format!("stream `{name}`");
    let found: Result<Response<stream::Info>, _> =
        jetstream.request(format!("STREAM.INFO.{name}"), &NOTHING).await;
    match found {
        Ok(Response::Ok(info)) => Ok(Some(info)),
        Ok(Response::Err { error }) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
        Ok(Response::Err { error }) => Err(BusError::api(what(), &error)),
        Err(error) => Err(unanswered_request(what(), &error)),
    }
}

/// The last sequence of a stream that is there.
pub(crate) async fn last_sequence(jetstream: &Context, name: &str) -> Result<u64, BusError> {
    match read_stream(jetstream, name).await? {
        Some(info) => Ok(info.state.last_sequence),
        None => Err(BusError::missing(format!("stream `{name}`"))),
    }
}

/// An empty request: the server takes `{}` for nothing, and `null` not.
const NOTHING: Nothing = Nothing {};

#[derive(Serialize)]
struct Nothing {}

fn unanswered_request(what: String, error: &async_nats::jetstream::context::RequestError) -> BusError {
    match error.kind() {
        RequestErrorKind::TimedOut | RequestErrorKind::NoResponders | RequestErrorKind::Other => {
            BusError::unanswered(what, error)
        }
        RequestErrorKind::InvalidSubject => BusError::refused(what, error),
    }
}

pub(crate) async fn ensure_consumer(
    jetstream: &Context,
    topology: &Topology,
    spec: &ConsumerSpec,
) -> Result<consumer::Info, BusError> {
    let stream = topology.stream_name(spec.stream);
    if let Some(info) = read_consumer(jetstream, &stream, &spec.name).await? {
        return Ok(info);
    }
    let what = format!("consumer `{}` of stream `{stream}`", spec.name);
    match jetstream.create_consumer_strict_on_stream(consumer_config(spec), &stream).await {
        Ok(made) => Ok(made.cached_info().clone()),
        Err(error) => {
            use async_nats::jetstream::stream::ConsumerCreateStrictErrorKind as Kind;
            match error.kind() {
                Kind::AlreadyExists => read_consumer(jetstream, &stream, &spec.name)
                    .await?
                    .ok_or_else(|| BusError::missing(what)),
                Kind::TimedOut | Kind::Request => Err(BusError::unanswered(what, error)),
                _ => Err(BusError::refused(what, error)),
            }
        }
    }
}

pub(crate) async fn read_consumer(
    jetstream: &Context,
    stream: &str,
    name: &str,
) -> Result<Option<consumer::Info>, BusError> {
    let what = || format!("consumer `{name}` of stream `{stream}`");
    let found: Result<Response<consumer::Info>, _> =
        jetstream.request(format!("CONSUMER.INFO.{stream}.{name}"), &NOTHING).await;
    match found {
        Ok(Response::Ok(info)) => Ok(Some(info)),
        Ok(Response::Err { error })
            if [ErrorCode::CONSUMER_NOT_FOUND, ErrorCode::STREAM_NOT_FOUND].contains(&error.error_code()) =>
        {
            Ok(None)
        }
        Ok(Response::Err { error }) => Err(BusError::api(what(), &error)),
        Err(error) => Err(unanswered_request(what(), &error)),
    }
}

// --- comparing ---------------------------------------------------------------------------------------------------

fn stream_differences(wanted: &stream::Config, found: &stream::Info) -> Vec<Difference> {
    let found = &found.config;
    let sorted = |subjects: &[String]| {
        let mut subjects = subjects.to_vec();
        subjects.sort();
        subjects
    };
    let mut compare = Compare::new(format!("stream `{}`", wanted.name));
    compare.meaning("subjects", &sorted(&wanted.subjects), &sorted(&found.subjects));
    compare.meaning("retention", &wanted.retention, &found.retention);
    compare.meaning("discard", &wanted.discard, &found.discard);
    compare.meaning("deny_delete", &wanted.deny_delete, &found.deny_delete);
    compare.meaning("deny_purge", &wanted.deny_purge, &found.deny_purge);
    compare.meaning("allow_rollup_hdrs", &wanted.allow_rollup, &found.allow_rollup);
    compare.meaning("allow_atomic", &wanted.allow_atomic_publish, &found.allow_atomic_publish);
    compare.meaning(
        "max_msgs_per_subject",
        &wanted.max_messages_per_subject,
        &found.max_messages_per_subject,
    );
    compare.meaning("no_ack", &wanted.no_ack, &found.no_ack);
    compare.meaning("sealed", &wanted.sealed, &found.sealed);
    compare.limit("storage", &wanted.storage, &found.storage);
    compare.limit("max_bytes", &wanted.max_bytes, &found.max_bytes);
    compare.limit("max_age", &wanted.max_age, &found.max_age);
    compare.limit("duplicate_window", &wanted.duplicate_window, &found.duplicate_window);
    compare.limit("num_replicas", &wanted.num_replicas, &found.num_replicas);
    compare.differences
}

fn consumer_differences(topology: &Topology, spec: &ConsumerSpec, found: &consumer::Info) -> Vec<Difference> {
    let wanted = consumer_config(spec);
    let found = &found.config;
    let stream = topology.stream_name(spec.stream);
    let filters = |one: &str, many: &[String]| {
        let mut filters = many.to_vec();
        filters.extend((!one.is_empty()).then(|| one.to_owned()));
        filters.sort();
        filters
    };
    let mut compare = Compare::new(format!("consumer `{}` of stream `{stream}`", spec.name));
    compare.meaning("ack_policy", &wanted.ack_policy, &found.ack_policy);
    compare.meaning("deliver_policy", &wanted.deliver_policy, &found.deliver_policy);
    compare.meaning("deliver_subject", &None, &found.deliver_subject);
    compare.meaning(
        "filter_subjects",
        &filters(&wanted.filter_subject, &[]),
        &filters(&found.filter_subject, &found.filter_subjects),
    );
    compare.meaning("max_deliver", &wanted.max_deliver, &found.max_deliver);
    compare.meaning("headers_only", &wanted.headers_only, &found.headers_only);
    compare.limit("ack_wait", &wanted.ack_wait, &found.ack_wait);
    compare.limit("max_ack_pending", &wanted.max_ack_pending, &found.max_ack_pending);
    compare.differences
}

struct Compare {
    what: String,
    differences: Vec<Difference>,
}

impl Compare {
    const fn new(what: String) -> Self {
        Self { what, differences: Vec::new() }
    }

    fn meaning<T: PartialEq + fmt::Debug>(&mut self, field: &'static str, wanted: &T, found: &T) {
        self.add(field, wanted, found, true);
    }

    fn limit<T: PartialEq + fmt::Debug>(&mut self, field: &'static str, wanted: &T, found: &T) {
        self.add(field, wanted, found, false);
    }

    fn add<T: PartialEq + fmt::Debug>(
        &mut self,
        field: &'static str,
        wanted: &T,
        found: &T,
        changes_meaning: bool,
    ) {
        if wanted != found {
            self.differences.push(Difference {
                what: self.what.clone(),
                field,
                wanted: format!("{wanted:?}"),
                found: format!("{found:?}"),
                changes_meaning,
            });
        }
    }
}

// --- reporting ---------------------------------------------------------------------------------------------------

fn stream_report(name: &str, purpose: &str, info: Option<&stream::Info>) -> StreamReport {
    let report =
        StreamReport { name: name.to_owned(), purpose: purpose.to_owned(), ..StreamReport::default() };
    let Some(info) = info else { return report };
    StreamReport {
        exists: true,
        messages: info.state.messages,
        bytes: info.state.bytes,
        max_bytes: u64::try_from(info.config.max_bytes).ok(),
        first_sequence: info.state.first_sequence,
        last_sequence: info.state.last_sequence,
        last_time: (info.state.messages > 0).then(|| timestamp(&info.state.last_timestamp)),
        replicas: info.config.num_replicas,
        ..report
    }
}

fn consumer_report(name: &str, stream: String, info: Option<&consumer::Info>) -> ConsumerReport {
    let report = ConsumerReport { name: name.to_owned(), stream, ..ConsumerReport::default() };
    let Some(info) = info else { return report };
    ConsumerReport {
        exists: true,
        ack_floor: info.ack_floor.stream_sequence,
        in_flight: info.num_ack_pending as u64,
        pending: info.num_pending,
        redelivered: info.num_redelivered as u64,
        waiting: info.num_waiting as u64,
        ..report
    }
}
