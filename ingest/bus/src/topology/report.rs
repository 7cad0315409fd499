//! Shows what is on the server.

use async_nats::jetstream::{Context, consumer, stream};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use lictor_wire::topology::Topology;
use serde::Serialize;

use super::config::wanted_streams;
use super::difference::{Difference, consumer_differences, stream_differences};
use super::{read_consumer, read_stream};
use crate::error::BusError;
use crate::time::timestamp;

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
    /// Replicas.
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
    /// Every message up to this sequence is acknowledged.
    pub ack_floor: u64,
    /// Messages delivered and not yet acknowledged.
    pub in_flight: u64,
    /// Messages not yet delivered.
    pub pending: u64,
    /// Messages delivered more than once and not yet acknowledged.
    pub redelivered: u64,
    /// Waiting pull requests.
    pub waiting: u64,
}

/// Reads everything and changes nothing.
pub(crate) fn report<'a>(
    jetstream: &'a Context,
    topology: &'a Topology,
) -> BoxFuture<'a, Result<TopologyReport, BusError>> {
    Box::pin(async move {
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
    })
}

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
