//! How long to wait before the next attempt.

use std::time::Duration;

/// Exponential backoff: delays that double from the first to the longest while attempts fail, and start over after a
/// success.
///
/// Does no I/O: it computes the delay, and the caller sleeps. No jitter: what it spaces out is one process' own
/// request, and the server answers far more of those than there are processes.
///
/// ```
/// use std::time::Duration;
/// use lictor_bus::Backoff;
///
/// let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(150));
/// let waits = [backoff.fail(), backoff.fail(), backoff.fail()].map(|wait| wait.as_millis());
/// assert_eq!(waits, [50, 100, 150]);
/// backoff.reset();
/// assert_eq!(backoff.fail().as_millis(), 50);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits from `first` to `longest`; nothing has failed yet.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// Counts a failed attempt; returns how long to wait before the next one.
    pub fn fail(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.after(self.failures)
    }

    /// Forgets the failures: an attempt succeeded.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// How long to wait after this many failures in a row, for a caller that counts failures elsewhere. Zero after
    /// none.
    pub fn after(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        self.first.saturating_mul(2_u32.saturating_pow(doublings)).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));

    #[test]
    fn waits_double_to_the_longest_and_stay_there() {
        let waits: Vec<u64> = (0..=6).map(|failures| BACKOFF.after(failures).as_secs()).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 10, 10]);
        assert_eq!(BACKOFF.after(u32::MAX).as_secs(), 10);
    }

    #[test]
    fn a_success_starts_over() {
        let mut backoff = BACKOFF;
        assert_eq!((backoff.fail().as_secs(), backoff.fail().as_secs(), backoff.failures()), (1, 2, 2));
        backoff.reset();
        assert_eq!((backoff.failures(), backoff.fail().as_secs()), (0, 1));
    }

    #[test]
    fn failures_without_end_do_not_overflow() {
        let mut backoff = Backoff { failures: u32::MAX, ..BACKOFF };
        assert_eq!((backoff.fail().as_secs(), backoff.failures()), (10, u32::MAX));
    }
}
