//! What unpacked messages hold together.
//!
//! A message on the bus may be small and unpack to megabytes, and an intake has a hundred in flight. What is unpacked
//! is therefore taken from one amount that all intakes of the process share; a puller waits until evaluators have let
//! go of enough of it, and messages already handed out never wait for it.

use std::sync::{Arc, LazyLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of all messages in flight of the process: more than a hundred full packs for each of its intakes.
const HELD_AT_MOST: usize = 128 * 1024 * 1024;

/// What one message may hold, bodies from the object store included: each of its lines may be large, all of them may
/// not. A publisher sends a line with such a body by itself.
pub(crate) const MESSAGE_AT_MOST: usize = HELD_AT_MOST / 2;

/// The semaphore counts in these.
const UNIT: usize = 4 * 1024;

static FREE: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(HELD_AT_MOST / UNIT)));

/// What one message holds; released when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    permit: OwnedSemaphorePermit,
    bytes: usize,
}

impl Held {
    /// Takes the bytes of a message, at most [`MESSAGE_AT_MOST`], as soon as they are there. All at once: a message
    /// that held some and waited for more could wait for another one that does the same.
    pub(crate) async fn take(bytes: usize) -> Option<Self> {
        let units = u32::try_from(bytes.min(MESSAGE_AT_MOST).div_ceil(UNIT)).unwrap_or(u32::MAX);
        let permit = FREE.clone().acquire_many_owned(units).await.ok()?;
        Some(Self { permit, bytes })
    }

    /// Lets go of what was taken beyond `bytes`.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let unused = self.bytes.saturating_sub(bytes) / UNIT;
        drop(self.permit.split(unused));
        self.bytes = self.bytes.min(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_let_go_of_is_there_for_others() {
        let mut first = Held::take(MESSAGE_AT_MOST).await.unwrap();
        let second = Held::take(usize::MAX).await.unwrap();
        assert_eq!(FREE.available_permits(), 0);
        first.shrink(UNIT);
        let third = Held::take(MESSAGE_AT_MOST - UNIT).await.unwrap();
        assert_eq!(FREE.available_permits(), 0);
        drop((first, second, third));
        assert_eq!(FREE.available_permits(), HELD_AT_MOST / UNIT);
    }
}
