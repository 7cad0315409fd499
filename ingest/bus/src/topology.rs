//! Creates the streams, buckets and consumers of the table, and reads back what is there.
//!
//! Nothing that exists is ever changed. A difference in a field that changes what a stream means (subjects,
//! retention, discard, acknowledgement, denials, filters) stops the start with its name; sizes, ages and copies are
//! an installer's to change with NATS' own tools, and are only shown.

mod config;
mod difference;
mod report;

use async_nats::jetstream::context::{CreateStreamErrorKind, RequestError, RequestErrorKind};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{Context, ErrorCode, consumer, stream};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt};
use lictor_wire::topology::{ConsumerSpec, Topology};
use serde::Serialize;

use crate::error::BusError;
use config::{consumer_config, wanted_streams};
pub use difference::Difference;
use difference::{consumer_differences, stream_differences};
pub(crate) use report::report;
pub use report::{ConsumerReport, StreamReport, TopologyReport};

/// How many things are made or read at once: enough to hide the round trips, few enough not to crowd a small server.
const AT_ONCE: usize = 8;

/// What is done about a stream, bucket or consumer that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It is created.
    Create,
    /// A stream or bucket is an error; a consumer is left to whoever pulls from it.
    Report,
}

/// Reads everything back: what is there and different, worst first.
pub(crate) fn read_back<'a>(
    jetstream: &'a Context,
    topology: &'a Topology,
    missing: Missing,
) -> BoxFuture<'a, Result<Vec<Difference>, BusError>> {
    Box::pin(async move {
        let streams: Vec<_> = wanted_streams(topology).into_iter().map(|(config, _)| config).collect();
        let found: Vec<_> = futures_util::stream::iter(streams)
            .map(|config| async move {
                let found = match missing {
                    Missing::Create => ensure_stream(jetstream, &config).await?,
                    Missing::Report => read_stream(jetstream, &config.name)
                        .await?
                        .ok_or_else(|| BusError::missing(format!("stream `{}`", config.name)))?,
                };
                Ok::<_, BusError>(stream_differences(&config, &found))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let mut differences: Vec<_> = found.into_iter().flatten().collect();
        // A consumer on a stream that means something else would only add noise.
        if !differences.iter().any(|difference| difference.changes_meaning) {
            let found: Vec<_> = futures_util::stream::iter(topology.consumers())
                .map(|spec| async move {
                    let stream = topology.stream_name(spec.stream);
                    let found = match missing {
                        Missing::Create => Some(ensure_consumer(jetstream, topology, &spec).await?),
                        Missing::Report => read_consumer(jetstream, &stream, &spec.name).await?,
                    };
                    Ok::<_, BusError>(found.map(|found| consumer_differences(topology, &spec, &found)))
                })
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
            differences.extend(found.into_iter().flatten().flatten());
        }
        differences.sort_by_key(|difference: &Difference| !difference.changes_meaning);
        Ok(differences)
    })
}

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

pub(crate) fn read_stream<'a>(
    jetstream: &'a Context,
    name: &'a str,
) -> BoxFuture<'a, Result<Option<stream::Info>, BusError>> {
    Box::pin(async move {
        let what = || format!("stream `{name}`");
        let found: Result<Response<stream::Info>, _> =
            jetstream.request(format!("STREAM.INFO.{name}"), &NOTHING).await;
        match found {
            Ok(Response::Ok(info)) => Ok(Some(info)),
            Ok(Response::Err { error }) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            Ok(Response::Err { error }) => Err(BusError::api(what(), &error)),
            Err(error) => Err(unanswered_request(what(), &error)),
        }
    })
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

fn unanswered_request(what: String, error: &RequestError) -> BusError {
    match error.kind() {
        RequestErrorKind::TimedOut | RequestErrorKind::NoResponders | RequestErrorKind::Other => {
            BusError::unanswered(what, error)
        }
        RequestErrorKind::InvalidSubject => BusError::refused(what, error),
    }
}

pub(crate) fn ensure_consumer<'a>(
    jetstream: &'a Context,
    topology: &'a Topology,
    spec: &'a ConsumerSpec,
) -> BoxFuture<'a, Result<consumer::Info, BusError>> {
    Box::pin(async move {
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
    })
}

pub(crate) fn read_consumer<'a>(
    jetstream: &'a Context,
    stream: &'a str,
    name: &'a str,
) -> BoxFuture<'a, Result<Option<consumer::Info>, BusError>> {
    Box::pin(async move {
        let what = || format!("consumer `{name}` of stream `{stream}`");
        let found: Result<Response<consumer::Info>, _> =
            jetstream.request(format!("CONSUMER.INFO.{stream}.{name}"), &NOTHING).await;
        match found {
            Ok(Response::Ok(info)) => Ok(Some(info)),
            Ok(Response::Err { error })
                if [ErrorCode::CONSUMER_NOT_FOUND, ErrorCode::STREAM_NOT_FOUND]
                    .contains(&error.error_code()) =>
            {
                Ok(None)
            }
            Ok(Response::Err { error }) => Err(BusError::api(what(), &error)),
            Err(error) => Err(unanswered_request(what(), &error)),
        }
    })
}
