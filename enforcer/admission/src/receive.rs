//! Takes reviews in within bounds. What exceeds one is refused with the reason and what the review said of itself until
//! then, so that it can still be answered: an HTTP error would let it pass where the failure policy is `Ignore`.

use std::time::Duration;

use axum::body::Body;
use jiff::Timestamp;
use lictor_normalize::admission::{self, Review, ReviewError};
use lictor_normalize::manifest::ObjectProblem;
use lictor_serve::{BodyReader, Budget, BudgetLimits, Share};
use lictor_wire::{ClusterId, RequestEvent};
use tokio::time::Instant;

const MIB: usize = 1024 * 1024;

/// Bytes of a review. The API server takes objects of up to 3 MiB as they are sent; Go writes `<` as `\u003c`, six times
/// as long, and the review of an update holds the object twice.
const LARGEST: usize = 48 * MIB;

/// Bytes of an ordinary review. Larger ones wait for each other, so that they do not take the ordinary ones' memory.
const ORDINARY: usize = MIB;

/// Ordinary reviews being read: as many as an API server sends at once by default, twice over.
const ORDINARY_LIMITS: BudgetLimits =
    BudgetLimits { requests: 1_024, requests_per_client: 1_024, bytes: 64 * MIB, bytes_per_client: 64 * MIB };

/// Larger reviews being read: two, of different users, so that one user's leave a place for somebody else's.
const LARGE_LIMITS: BudgetLimits = BudgetLimits {
    requests: 2,
    requests_per_client: 1,
    bytes: 2 * LARGEST + MIB,
    bytes_per_client: LARGEST + MIB,
};

/// Reviews being judged, by what [`admission::cost`] says; clients are users.
const JUDGED_LIMITS: BudgetLimits =
    BudgetLimits { requests: 1_024, requests_per_client: 512, bytes: 256 * MIB, bytes_per_client: 192 * MIB };

/// What is kept of a review that is refused: all that stands before its objects.
const HEAD: usize = 64 * 1024;

/// Texts of at least this size are read on a thread of their own: it takes longer than the runtime may be kept busy.
const WORTH_A_THREAD: usize = 256 * 1024;

/// Takes reviews in.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    ordinary: Budget,
    large: Budget,
    judged: Budget,
}

/// A review, and what it holds of the budget until it is answered.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) review: Result<Review, ReviewError>,
    _held: Share,
}

/// A review that was not taken in.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Which bound it exceeds, in a sentence.
    pub(crate) reason: String,
    /// What it said of itself; `None` when not even its uid is known.
    pub(crate) head: Option<Box<RequestEvent>>,
}

impl Default for Receiver {
    fn default() -> Self {
        Self {
            ordinary: Budget::new(ORDINARY_LIMITS),
            large: Budget::new(LARGE_LIMITS),
            judged: Budget::new(JUDGED_LIMITS),
        }
    }
}

impl Receiver {
    /// Reads a review. It waits for its turn, at most until `deadline`.
    pub(crate) async fn receive(
        &self,
        peer: &str,
        body: Body,
        cluster: &ClusterId,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Received, Refused> {
        let time = deadline.saturating_duration_since(Instant::now());
        let mut reader = BodyReader::new(body, time);
        let mut bytes = Vec::new();
        let shares = match self.read(&mut reader, &mut bytes, peer, time, deadline).await {
            Ok(shares) => shares,
            Err(reason) => {
                let head = head(&bytes);
                drop(bytes);
                reader.discard().await;
                return Err(Refused { reason, head });
            }
        };
        let head = head(&bytes);
        let refused = |reason: String, head| Err(Refused { reason, head });
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => return refused(format!("it is not UTF-8: {}", error.utf8_error()), head),
        };
        let user = head.as_ref().map_or("", |head| head.user.username.as_str());
        let judged = async {
            let mut held = self.judged.enter_before(user, deadline).await?;
            held.take_before(admission::cost(&text), deadline).await?;
            Ok::<_, lictor_serve::Exceeded>(held)
        };
        let held = match judged.await {
            Ok(held) => held,
            Err(exceeded) => return refused(format!("it is too large to be judged: {exceeded}"), head),
        };
        let review = parse(text, cluster.clone(), now).await;
        drop(shares);
        match review {
            // It breaks off, or nests deeper than anything that is read here.
            Err(
                error
                @ (ReviewError::Json(_) | ReviewError::Object { problem: ObjectProblem::Syntax(_), .. }),
            ) if head.is_some() => refused(error.to_string(), head),
            review => Ok(Received { review, _held: held }),
        }
    }

    async fn read(
        &self,
        reader: &mut BodyReader,
        bytes: &mut Vec<u8>,
        peer: &str,
        time: Duration,
        deadline: Instant,
    ) -> Result<Vec<Share>, String> {
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let mut ordinary = self.ordinary.enter_before(peer, deadline).await.map_err(|error| said(&error))?;
        if reader.read(bytes, ORDINARY, &mut ordinary).await.map_err(|error| said(&error))? {
            return Ok(vec![ordinary]);
        }
        let user = head(bytes).map(|head| head.user.username).unwrap_or_default();
        let large = self.large.enter_before(&user, deadline).await;
        let mut large =
            large.map_err(|_| format!("it waited {time:?} for other large reviews to be answered"))?;
        if reader.read(bytes, LARGEST + 1, &mut large).await.map_err(|error| said(&error))? {
            return Ok(vec![ordinary, large]);
        }
        Err(format!("it is larger than {LARGEST} bytes"))
    }
}

fn head(bytes: &[u8]) -> Option<Box<RequestEvent>> {
    admission::head(bytes.get(..HEAD).unwrap_or(bytes)).map(Box::new)
}

async fn parse(text: String, cluster: ClusterId, now: Timestamp) -> Result<Review, ReviewError> {
    if text.len() < WORTH_A_THREAD {
        return admission::read(&text, &cluster, now);
    }
    match tokio::task::spawn_blocking(move || admission::read(&text, &cluster, now)).await {
        Ok(review) => review,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
