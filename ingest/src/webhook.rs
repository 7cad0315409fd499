//! The API server's audit webhook: batches come as HTTP posts, and are answered when the stream has them.
//!
//! The API server waits 30 s for an answer, repeats a batch for about 80 s, then drops it; meanwhile it holds 10,000
//! events in memory. So the answer must be soon, or say plainly that it cannot be: 429 when evaluators are behind or
//! too much is in flight, 503 when the bus is unavailable. A repeated batch has the ids of the first.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use lictor_normalize::{Batch, Format, FormatError, Origin};
use lictor_serve::{BodyError, BodyLimits, Budget, BudgetLimits, Exceeded, Share, read_body};
use lictor_wire::{ClusterId, DeadLetter, Event};

use crate::forward::{Forward, unreadable};
use crate::outlet::Outlet;

/// The bounds of the receiver.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// A body as it is sent. The API server cuts batches at 10 MiB where truncation is on; without it a batch of
    /// 400 whole objects may be larger.
    pub(crate) body: BodyLimits,
    /// A body unpacked: a smaller one that claims to be larger is a bomb.
    pub(crate) unpacked: usize,
    /// All batches in flight together.
    pub(crate) budget: BudgetLimits,
    /// Until the stream has acknowledged: less than the 30 s the API server waits.
    pub(crate) patience: Duration,
}

const MIB: usize = 1024 * 1024;

impl Default for Bounds {
    fn default() -> Self {
        Self {
            // The API server sends a batch at once; who needs longer than this only holds a place.
            body: BodyLimits { bytes: 32 * MIB, time: Duration::from_secs(10) },
            unpacked: 32 * MIB,
            // Two of the largest batches, or sixty of 1 MiB. API servers send from one address each, so most of it is
            // for one client. It counts buffers, not resident memory, of which up to 452 MiB were seen under attack.
            budget: BudgetLimits {
                requests: 256,
                requests_per_client: 128,
                bytes: 192 * MIB,
                bytes_per_client: 160 * MIB,
            },
            patience: Duration::from_secs(20),
        }
    }
}

/// What a text takes beside itself once it is read, in its own bytes: events hold most of it a second time, and are
/// written as lines to be sent.
const READ_FACTOR: usize = 2;

/// When to try again, in seconds: pressure changes within seconds, and the API server's own pause is 10 s.
const RETRY_AFTER: &str = "5";

struct Receiver<O> {
    forward: Forward<O>,
    cluster: ClusterId,
    bounds: Bounds,
    budget: Budget,
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

    fn busy(why: impl fmt::Display) -> Self {
        Self(StatusCode::TOO_MANY_REQUESTS, why.to_string())
    }

    fn unavailable(why: impl fmt::Display) -> Self {
        tracing::warn!(%why, "an audit batch could not be published; the API server will repeat it");
        Self(StatusCode::SERVICE_UNAVAILABLE, format!("the bus is unavailable: {why}"))
    }
}

impl From<BodyError> for Refused {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { limit } => Self::too_large(limit),
            BodyError::TooSlow { .. } => Self(StatusCode::REQUEST_TIMEOUT, error.to_string()),
            BodyError::Exceeded(exceeded) => Self::busy(exceeded),
            BodyError::Broken(_) => Self::not_understood(error.to_string()),
        }
    }
}

impl From<Exceeded> for Refused {
    fn from(exceeded: Exceeded) -> Self {
        Self::busy(exceeded)
    }
}

/// The routes: a post to `/` or `/audit`.
pub(crate) fn router<O: Outlet>(forward: Forward<O>, cluster: ClusterId, bounds: Bounds) -> Router {
    let receiver = Arc::new(Receiver { forward, cluster, bounds, budget: Budget::new(bounds.budget) });
    let routes =
        Router::new().route("/", post(take::<O>)).route("/audit", post(take::<O>)).with_state(receiver);
    // The body and the time are bounded here, where the answer can say why; the layers are the last resort.
    let time = bounds.body.time + bounds.patience.saturating_mul(2);
    lictor_serve::limited(routes, lictor_serve::Limits { body: bounds.body.bytes.saturating_mul(2), time })
}

async fn take<O: Outlet>(
    State(receiver): State<Arc<Receiver<O>>>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let client = peer.map(|Extension(ConnectInfo(peer))| peer.ip().to_string()).unwrap_or_default();
    match receiver.take(&client, &headers, body).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refused) => {
            let response = refused.into_response();
            tracing::debug!(status = %response.status(), client, "audit batch refused");
            response
        }
    }
}

impl<O: Outlet> Receiver<O> {
    async fn take(&self, client: &str, headers: &HeaderMap, body: Body) -> Result<(), Refused> {
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
        if announced.is_some_and(|bytes| bytes > self.bounds.body.bytes) {
            return Err(Refused::too_large(self.bounds.body.bytes));
        }
        let mut share = self.budget.enter(client)?;
        let body = read_body(body, self.bounds.body, &mut share).await?;
        let origin = Origin {
            cluster: self.cluster.clone(),
            source: "/audit/webhook".to_owned(),
            received: Timestamp::now(),
        };
        let most = self.bounds.unpacked;
        let reading = move || {
            let body = if packed { unpack(body, most, &mut share)? } else { body };
            let bytes = body.len();
            share.take(bytes.saturating_mul(READ_FACTOR))?;
            let read = read(body, &origin)?;
            share.give_back(bytes);
            Ok::<_, Refused>((read, share))
        };
        let read = tokio::task::spawn_blocking(reading).await;
        let ((events, unreadable), _held) = read.map_err(Refused::unavailable)??;
        match tokio::time::timeout(self.bounds.patience, self.forward.once(events, unreadable)).await {
            Ok(published) => published.map_err(Refused::unavailable),
            Err(_) => Err(Refused::unavailable("no acknowledgement in time")),
        }
    }
}

/// How much is unpacked at once.
const UNPACK_STEP: usize = 64 * 1024;

fn unpack(packed: Vec<u8>, most: usize, share: &mut Share) -> Result<Vec<u8>, Refused> {
    let packed_bytes = packed.capacity();
    let mut decoder = MultiGzDecoder::new(packed.as_slice());
    let mut body = Vec::new();
    let mut buffer = vec![0; UNPACK_STEP];
    loop {
        let read = decoder.read(&mut buffer);
        let read = read.map_err(|error| Refused::not_understood(format!("the body is not gzip: {error}")))?;
        let Some(unpacked) = buffer.get(..read).filter(|unpacked| !unpacked.is_empty()) else { break };
        lictor_serve::append(&mut body, unpacked, most, share)?;
        if body.len() > most {
            return Err(Refused::too_large(most));
        }
    }
    drop(packed);
    share.give_back(packed_bytes);
    Ok(body)
}

fn read(body: Vec<u8>, origin: &Origin) -> Result<(Vec<Event>, Vec<DeadLetter>), Refused> {
    let text = String::from_utf8(body)
        .map_err(|error| Refused::not_understood(format!("the body is not UTF-8: {}", error.utf8_error())))?;
    let mut batch = Batch::default();
    Format::Audit.read(&text, origin, &mut batch).map_err(|error| {
        let status = match error {
            FormatError::TooMany(_) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Refused(status, format!("{error}; {}", error.hint()))
    })?;
    let letters = batch
        .rejected
        .into_iter()
        .map(|item| unreadable(item.reason(), &origin.source, item.index as u64, item.original, false));
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
