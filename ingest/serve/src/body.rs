//! Reads a body within bounds: how long it is, how long it takes, and what it may hold of a budget.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use crate::budget::{Exceeded, Share};

/// The bounds of one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// Its bytes as it is sent.
    pub bytes: usize,
    /// How long it may take, to the last byte.
    pub time: Duration,
}

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is longer than it may be.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// It did not come in time.
    #[error("the body was not complete after {} s", time.as_secs_f32())]
    TooSlow {
        /// The bound.
        time: Duration,
    },
    /// The requests in flight hold too much.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    /// The connection broke.
    #[error("the body ended early: {0}")]
    Broken(#[source] axum::Error),
}

/// Up to here a buffer grows as any vector does.
const SHORT: usize = 1024 * 1024;

/// Adds bytes to a buffer that may have `most` in the end. They are taken from `share`.
///
/// A vector that doubles holds everything twice while it moves, and what it left stays resident for a while. So beyond
/// a mebibyte it gets room for all there may be at once: that is address space, and becomes memory only as it is used.
///
/// # Errors
/// When the bytes are not there; then nothing was added.
pub fn append(buffer: &mut Vec<u8>, bytes: &[u8], most: usize, share: &mut Share) -> Result<(), Exceeded> {
    share.take(bytes.len())?;
    let wanted = buffer.len() + bytes.len();
    if wanted > SHORT && wanted > buffer.capacity() {
        buffer.reserve_exact(wanted.max(most) - buffer.len());
    }
    buffer.extend_from_slice(bytes);
    Ok(())
}

/// A body that is read in steps.
pub struct BodyReader {
    chunks: BodyDataStream,
    time: Duration,
    deadline: Instant,
}

impl BodyReader {
    /// Begins to read; all of it may take `time`.
    pub fn new(body: Body, time: Duration) -> Self {
        Self { chunks: body.into_data_stream(), time, deadline: Instant::now() + time }
    }

    /// Reads on until there are at least `enough` bytes, or the body ends: then the answer is true. What is read is taken
    /// from `share` as it arrives, and stays taken.
    ///
    /// # Errors
    /// When the share or the time does not suffice, or the connection breaks. What was read until then is in `bytes`.
    pub async fn read(
        &mut self,
        bytes: &mut Vec<u8>,
        enough: usize,
        share: &mut Share,
    ) -> Result<bool, BodyError> {
        while bytes.len() < enough {
            let Some(chunk) = self.next().await? else { return Ok(true) };
            append(bytes, &chunk, enough, share)?;
        }
        Ok(false)
    }

    /// Reads the rest and keeps nothing of it, so that an answer reaches a client that is still sending.
    pub async fn discard(mut self) {
        while let Ok(Some(_)) = self.next().await {}
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let chunk = timeout_at(self.deadline, self.chunks.next()).await;
        chunk.map_err(|_| BodyError::TooSlow { time: self.time })?.transpose().map_err(BodyError::Broken)
    }
}

/// Reads a body to its end. What is read is taken from `share` as it arrives, and stays taken.
///
/// # Errors
/// When a bound is exceeded, or the connection breaks. What was taken until then stays taken until `share` is dropped.
pub async fn read_body(body: Body, limits: BodyLimits, share: &mut Share) -> Result<Vec<u8>, BodyError> {
    let mut reader = BodyReader::new(body, limits.time);
    let mut bytes = Vec::new();
    // One more than it may have: then it has not ended.
    if reader.read(&mut bytes, limits.bytes + 1, share).await? {
        return Ok(bytes);
    }
    Err(BodyError::TooLarge { limit: limits.bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{Budget, BudgetLimits};

    const LIMITS: BodyLimits = BodyLimits { bytes: 100, time: Duration::from_millis(50) };

    fn budget() -> Budget {
        Budget::new(BudgetLimits { requests: 9, requests_per_client: 9, bytes: 150, bytes_per_client: 150 })
    }

    fn chunks(sizes: &[usize]) -> Body {
        let chunks: Vec<_> = sizes.iter().map(|size| Ok::<_, std::io::Error>(vec![b'x'; *size])).collect();
        Body::from_stream(futures_util::stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_takes_what_it_holds_and_no_more_than_it_may() {
        let budget = budget();
        let mut share = budget.enter("a").unwrap();
        assert_eq!(read_body(chunks(&[60, 40]), LIMITS, &mut share).await.unwrap().len(), 100);
        assert_eq!(share.bytes(), 100);
        let mut other = budget.enter("b").unwrap();
        assert!(matches!(read_body(chunks(&[60]), LIMITS, &mut other).await, Err(BodyError::Exceeded(_))));
        drop(share);
        let too_large = read_body(chunks(&[60, 41]), LIMITS, &mut other).await;
        assert!(matches!(too_large, Err(BodyError::TooLarge { limit: 100 })));
    }

    #[test]
    fn a_buffer_moves_once_when_it_is_no_longer_short() {
        let limits = BudgetLimits {
            requests: 1,
            requests_per_client: 1,
            bytes: 9 * SHORT,
            bytes_per_client: 9 * SHORT,
        };
        let mut share = Budget::new(limits).enter("a").unwrap();
        let mut buffer = Vec::new();
        append(&mut buffer, &[1; 10], 8 * SHORT, &mut share).unwrap();
        assert!(buffer.capacity() < 100);
        append(&mut buffer, &vec![2; SHORT], 8 * SHORT, &mut share).unwrap();
        let place = buffer.as_ptr();
        append(&mut buffer, &vec![3; 7 * SHORT - 10], 8 * SHORT, &mut share).unwrap();
        assert_eq!((buffer.as_ptr(), buffer.len(), share.bytes()), (place, 8 * SHORT, 8 * SHORT));
        assert!(append(&mut buffer, &vec![4; 2 * SHORT], 8 * SHORT, &mut share).is_err());
        assert_eq!(buffer.len(), 8 * SHORT);
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let budget = budget();
        let mut share = budget.enter("a").unwrap();
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>(vec![b'x'; 5])]);
        let body = Body::from_stream(first.chain(futures_util::stream::pending()));
        assert!(matches!(read_body(body, LIMITS, &mut share).await, Err(BodyError::TooSlow { .. })));
        assert_eq!(budget.bytes_held(), 5);
    }
}
