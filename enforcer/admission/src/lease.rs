//! Which replica does the writing. Pure.
//!
//! The clocks of replicas may differ, so nobody compares their own with the times another wrote: a lease has run out
//! when it was not seen to change for its duration, by one's own clock.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tokio::time::Instant;

/// How long a holder that is not heard of keeps the lease. A registration that was damaged while its holder died is
/// repaired this much later.
pub(crate) const DURATION: Duration = Duration::from_secs(10);

/// How often the holder says that it lives: two may be lost.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(3);

/// What one replica knows about the lease.
#[derive(Debug)]
pub(crate) struct Watching {
    own: String,
    seen: Option<(LeaseSpec, Instant)>,
}

/// What to do about the lease.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Turn {
    /// Write this: to take it, or to keep it.
    Write(LeaseSpec),
    /// It is one's own, and was renewed a moment ago.
    Holding,
    /// Somebody else has it.
    Waiting,
}

impl Watching {
    /// A replica under a name of its own.
    #[must_use]
    pub(crate) fn new(own: &str) -> Self {
        Self { own: own.to_owned(), seen: None }
    }

    /// Decides about the lease as it was read.
    pub(crate) fn turn(&mut self, found: Option<&LeaseSpec>, now: Timestamp, clock: Instant) -> Turn {
        let Some(found) = found else { return Turn::Write(self.spec(None, now)) };
        let holder = found.holder_identity.as_deref().unwrap_or_default();
        let since = match &self.seen {
            Some((seen, since)) if seen == found => *since,
            _ => {
                self.seen = Some((found.clone(), clock));
                clock
            }
        };
        let unchanged = clock.duration_since(since);
        if holder == self.own {
            return if unchanged < RENEW_EVERY {
                Turn::Holding
            } else {
                Turn::Write(self.spec(Some(found), now))
            };
        }
        let given = found.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = given.map_or(DURATION, Duration::from_secs);
        if holder.is_empty() || unchanged >= duration {
            return Turn::Write(self.spec(Some(found), now));
        }
        Turn::Waiting
    }

    /// The lease given back, so that the next one need not wait; `None` when it is not one's own.
    #[must_use]
    pub(crate) fn given_back(&self, found: &LeaseSpec) -> Option<LeaseSpec> {
        let own = found.holder_identity.as_deref() == Some(&self.own);
        own.then(|| LeaseSpec { holder_identity: Some(String::new()), ..found.clone() })
    }

    fn spec(&self, before: Option<&LeaseSpec>, now: Timestamp) -> LeaseSpec {
        let kept = before.is_some_and(|before| before.holder_identity.as_deref() == Some(&self.own));
        let transitions = before.and_then(|before| before.lease_transitions).unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.own.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: before
                .filter(|_| kept)
                .map_or(Some(MicroTime(now)), |before| before.acquire_time.clone()),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(transitions.saturating_add(i32::from(!kept && before.is_some()))),
            ..LeaseSpec::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(turn: Turn) -> LeaseSpec {
        match turn {
            Turn::Write(spec) => spec,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_holds_and_the_other_takes_over() {
        let (mut a, mut b) = (Watching::new("a"), Watching::new("b"));
        let (now, clock) = (Timestamp::UNIX_EPOCH, Instant::now());
        let held = written(a.turn(None, now, clock));
        assert_eq!(a.turn(Some(&held), now, clock), Turn::Holding);
        assert_eq!(b.turn(Some(&held), now, clock), Turn::Waiting);
        let later = now + RENEW_EVERY;
        let renewed = written(a.turn(Some(&held), later, clock + RENEW_EVERY));
        assert_eq!(renewed.acquire_time, held.acquire_time);
        // Seen to live, it lives for its duration from then on.
        let seen = clock + RENEW_EVERY;
        assert_eq!(b.turn(Some(&renewed), now, seen), Turn::Waiting);
        assert_eq!(b.turn(Some(&renewed), now, seen + DURATION - Duration::from_millis(1)), Turn::Waiting);
        let taken = written(b.turn(Some(&renewed), now, seen + DURATION));
        assert_eq!((taken.holder_identity.as_deref(), taken.lease_transitions), (Some("b"), Some(1)));
        assert_eq!(a.turn(Some(&taken), now, seen + DURATION), Turn::Waiting);
    }

    #[test]
    fn what_is_given_back_is_free_at_once() {
        let (mut a, mut b) = (Watching::new("a"), Watching::new("b"));
        let (now, clock) = (Timestamp::UNIX_EPOCH, Instant::now());
        let held = written(a.turn(None, now, clock));
        assert_eq!(b.given_back(&held), None);
        let free = a.given_back(&held).unwrap();
        assert_eq!(written(b.turn(Some(&free), now, clock)).holder_identity.as_deref(), Some("b"));
    }
}
