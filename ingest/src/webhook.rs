//! The API server's audit webhook: batches come as HTTP posts, and are answered when the stream has them.
//!
//! The API server waits 30 s for an answer, repeats a batch for about 80 s, then drops it; meanwhile it holds 10,000
//! events in memory. So the answer must be soon, or say plainly that it cannot be: 429 when evaluators are behind or
//! too much is in flight, 503 when the bus is unavailable. A repeated batch has the ids of the first.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use flate2::read::MultiGzDecoder;
use http_body_util::LengthLimitError;
use jiff::Timestamp;
use lictor_normalize::{Batch, Format, Origin};
use lictor_wire::{ClusterId, DeadLetter, Event};
use tokio::sync::Semaphore;

use crate::forward::{Forward, unreadable};
use crate::outlet::Outlet;

/// The bounds of the receiver.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// A body as it is sent. The API server cuts batches at 10 MiB where truncation is on; without it a batch of
    /// 400 whole objects may be larger.
    pub(crate) body: usize,
    /// A body unpacked: a smaller one that claims to be larger is a bomb.
    pub(crate) unpacked: usize,
    /// Unpacked bytes of all requests in flight. Parsed they take some three times that.
    pub(crate) in_flight: usize,
    /// Until the stream has acknowledged: less than the 30 s the API server waits.
    pub(crate) patience: Duration,
}

const MIB: usize = 1024 * 1024;

impl Default for Bounds {
    fn default() -> Self {
        Self { body: 32 * MIB, unpacked: 64 * MIB, in_flight: 128 * MIB, patience: Duration::from_secs(20) }
    }
}

/// When to try again, in seconds: pressure changes within seconds, and the API server's own pause is 10 s.
const RETRY_AFTER: &str = "5";

/// The semaphore counts in these.
const UNIT: usize = 1024;

struct Receiver<O> {
    forward: Forward<O>,
    cluster: ClusterId,
    bounds: Bounds,
    free: Arc<Semaphore>,
}

/// Why a batch was not taken: the answer's status, and a sentence.
struct Refused(StatusCode, String);

impl Refused {
    fn too_large(most: usize) -> Self {
        let why = format!("the body is larger than {most} bytes; lower --audit-webhook-batch-max-size");
        Self(StatusCode::PAYLOAD_TOO_LARGE, why)
    }

    fn not_understood(why: String) -> Self {
        Self(StatusCode::BAD_REQUEST, why)
    }

    fn busy(why: &str) -> Self {
        Self(StatusCode::TOO_MANY_REQUESTS, why.to_owned())
    }

    fn unavailable(why: impl fmt::Display) -> Self {
        tracing::warn!(%why, "an audit batch could not be published; the API server will repeat it");
        Self(StatusCode::SERVICE_UNAVAILABLE, format!("the bus is unavailable: {why}"))
    }
}

/// The routes: a post to `/` or `/audit`.
pub(crate) fn router<O: Outlet>(forward: Forward<O>, cluster: ClusterId, bounds: Bounds) -> Router {
    let free = Arc::new(Semaphore::new(bounds.in_flight / UNIT));
    let receiver = Arc::new(Receiver { forward, cluster, bounds, free });
    let routes =
        Router::new().route("/", post(take::<O>)).route("/audit", post(take::<O>)).with_state(receiver);
    // The body and the time are bounded here, where the answer can say why; the layers are the last resort.
    let time = bounds.patience.saturating_mul(2);
    lictor_serve::limited(routes, lictor_serve::Limits { body: bounds.body, time })
}

async fn take<O: Outlet>(
    State(receiver): State<Arc<Receiver<O>>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match receiver.take(&headers, body).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refused) => {
            let response = refused.into_response();
            tracing::debug!(status = %response.status(), "audit batch refused");
            response
        }
    }
}

impl<O: Outlet> Receiver<O> {
    async fn take(&self, headers: &HeaderMap, body: Body) -> Result<(), Refused> {
        if self.forward.outlet.is_closed() {
            return Err(Refused::busy("evaluators are behind"));
        }
        let encoding =
            headers.get(header::CONTENT_ENCODING).map_or("", |value| value.to_str().unwrap_or("?"));
        let packed = match encoding.to_ascii_lowercase().as_str() {
            "" | "identity" => false,
            "gzip" | "x-gzip" => true,
            other => {
                let why = format!("content encoding `{other}` is not supported; send gzip or none");
                return Err(Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
            }
        };
        let announced = headers.get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|bytes| bytes > self.bounds.body) {
            return Err(Refused::too_large(self.bounds.body));
        }
        let mut reserved = self.reserve(announced.unwrap_or(self.bounds.body))?;
        let body = axum::body::to_bytes(body, self.bounds.body).await.map_err(|error| self.unread(&error))?;
        let body = if packed {
            let most = self.bounds.unpacked;
            let unpacked = tokio::task::spawn_blocking(move || unpack(&body, most)).await;
            unpacked.map_err(Refused::unavailable)??
        } else {
            body.into()
        };
        let more = body.len().saturating_sub(reserved.num_permits() * UNIT);
        reserved.merge(self.reserve(more)?);
        let origin = Origin {
            cluster: self.cluster.clone(),
            source: "/audit/webhook".to_owned(),
            received: Timestamp::now(),
        };
        let read = tokio::task::spawn_blocking(move || read(body, &origin)).await;
        let (events, unreadable) = read.map_err(Refused::unavailable)??;
        match tokio::time::timeout(self.bounds.patience, self.forward.once(events, unreadable)).await {
            Ok(published) => published.map_err(Refused::unavailable),
            Err(_) => Err(Refused::unavailable("no acknowledgement in time")),
        }
    }

    fn reserve(&self, bytes: usize) -> Result<tokio::sync::OwnedSemaphorePermit, Refused> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        Arc::clone(&self.free)
            .try_acquire_many_owned(units)
            .map_err(|_| Refused::busy("too many batches are in flight"))
    }

    fn unread(&self, error: &axum::Error) -> Refused {
        let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
        if causes.into_iter().any(|cause| cause.is::<LengthLimitError>()) {
            return Refused::too_large(self.bounds.body);
        }
        Refused::not_understood(format!("the body broke off: {error}"))
    }
}

fn unpack(packed: &[u8], most: usize) -> Result<Vec<u8>, Refused> {
    let mut body = Vec::new();
    let read = MultiGzDecoder::new(packed).take(most as u64 + 1).read_to_end(&mut body);
    read.map_err(|error| Refused::not_understood(format!("the body is not gzip: {error}")))?;
    if body.len() > most { Err(Refused::too_large(most)) } else { Ok(body) }
}

fn read(body: Vec<u8>, origin: &Origin) -> Result<(Vec<Event>, Vec<DeadLetter>), Refused> {
    let text = String::from_utf8(body)
        .map_err(|error| Refused::not_understood(format!("the body is not UTF-8: {}", error.utf8_error())))?;
    let mut batch = Batch::default();
    Format::Audit
        .read(&text, origin, &mut batch)
        .map_err(|error| Refused::not_understood(format!("{error}; {}", error.hint())))?;
    let letters = batch.rejected.into_iter().map(|item| {
        unreadable(item.error.to_string(), &origin.source, item.index as u64, item.original, false)
    });
    Ok((batch.events, letters.collect()))
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(status, why) = self;
        let body = format!("{why}\n");
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                (status, [(header::RETRY_AFTER, RETRY_AFTER)], body).into_response()
            }
            _ => (status, body).into_response(),
        }
    }
}
