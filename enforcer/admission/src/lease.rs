//! Which replica does the writing. Pure.
//!
//! The clocks of replicas may differ, so no replica compares its own with the times that another wrote: a lease has
//! expired when it has not changed for its duration, by the clock of the replica that reads it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tokio::time::Instant;

/// How long a holder that does not renew keeps the lease. A registration that was changed while the holder died is
/// repaired this much later.
pub(crate) const DURATION: Duration = Duration::from_secs(10);

/// How often the holder renews: two renewals may be lost.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(3);

/// One replica in the election of the one that writes.
#[derive(Debug)]
pub(crate) struct Candidate {
    identity: String,
    observed: Option<(LeaseSpec, Instant)>,
}

/// What to do about the lease.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LeaseAction {
    /// Write this, to acquire or to renew it.
    Write(LeaseSpec),
    /// Nothing: this replica holds it, and has renewed it lately.
    Lead,
    /// Nothing: another replica holds it.
    Follow,
}

impl Candidate {
    /// The candidate `identity`, a name that no other replica has.
    pub(crate) fn new(identity: &str) -> Self {
        Self { identity: identity.to_owned(), observed: None }
    }

    /// Decides about the lease as it was read at `clock`; `now` is what is written.
    pub(crate) fn decide(
        &mut self,
        found: Option<&LeaseSpec>,
        now: Timestamp,
        clock: Instant,
    ) -> LeaseAction {
        let Some(found) = found else { return LeaseAction::Write(self.spec(None, now)) };
        let holder = found.holder_identity.as_deref().unwrap_or_default();
        let since = match &self.observed {
            Some((seen, since)) if seen == found => *since,
            _ => {
                self.observed = Some((found.clone(), clock));
                clock
            }
        };
        let unchanged = clock.duration_since(since);
        if holder == self.identity {
            return if unchanged < RENEW_EVERY {
                LeaseAction::Lead
            } else {
                LeaseAction::Write(self.spec(Some(found), now))
            };
        }
        let duration = found.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = duration.map_or(DURATION, Duration::from_secs);
        if holder.is_empty() || unchanged >= duration {
            return LeaseAction::Write(self.spec(Some(found), now));
        }
        LeaseAction::Follow
    }

    /// The lease without a holder, so that the next one need not wait; `None` when another replica holds it.
    pub(crate) fn released(&self, found: &LeaseSpec) -> Option<LeaseSpec> {
        let own = found.holder_identity.as_deref() == Some(&self.identity);
        own.then(|| LeaseSpec { holder_identity: Some(String::new()), ..found.clone() })
    }

    fn spec(&self, before: Option<&LeaseSpec>, now: Timestamp) -> LeaseSpec {
        let kept = before.is_some_and(|before| before.holder_identity.as_deref() == Some(&self.identity));
        let transitions = before.and_then(|before| before.lease_transitions).unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
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

    fn written(action: LeaseAction) -> LeaseSpec {
        match action {
            LeaseAction::Write(spec) => spec,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_holds_and_the_other_takes_over() {
        let (mut a, mut b) = (Candidate::new("a"), Candidate::new("b"));
        let (now, clock) = (Timestamp::UNIX_EPOCH, Instant::now());
        let held = written(a.decide(None, now, clock));
        assert_eq!(a.decide(Some(&held), now, clock), LeaseAction::Lead);
        assert_eq!(b.decide(Some(&held), now, clock), LeaseAction::Follow);
        let later = now + RENEW_EVERY;
        let renewed = written(a.decide(Some(&held), later, clock + RENEW_EVERY));
        assert_eq!(renewed.acquire_time, held.acquire_time);
        // A renewal counts for its duration from the moment it was read.
        let seen = clock + RENEW_EVERY;
        assert_eq!(b.decide(Some(&renewed), now, seen), LeaseAction::Follow);
        assert_eq!(
            b.decide(Some(&renewed), now, seen + DURATION - Duration::from_millis(1)),
            LeaseAction::Follow
        );
        let taken = written(b.decide(Some(&renewed), now, seen + DURATION));
        assert_eq!((taken.holder_identity.as_deref(), taken.lease_transitions), (Some("b"), Some(1)));
        assert_eq!(a.decide(Some(&taken), now, seen + DURATION), LeaseAction::Follow);
    }

    #[test]
    fn a_released_lease_is_free_at_once() {
        let (mut a, mut b) = (Candidate::new("a"), Candidate::new("b"));
        let (now, clock) = (Timestamp::UNIX_EPOCH, Instant::now());
        let held = written(a.decide(None, now, clock));
        assert_eq!(b.released(&held), None);
        let free = a.released(&held).unwrap();
        assert_eq!(written(b.decide(Some(&free), now, clock)).holder_identity.as_deref(), Some("b"));
    }
}
