//! Ages in days.

use jiff::{SignedDuration, Timestamp};

use super::error::ValueError;

/// Matches moments that are more than some days ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct AgeMatcher {
    days: u64,
}

impl AgeMatcher {
    /// Reads a number of days.
    ///
    /// # Errors
    /// It is not a whole number, or one that does not fit.
    pub(crate) fn parse(value: &str) -> Result<Self, ValueError> {
        if value.starts_with('+') {
            return Err(ValueError::Uint);
        }
        Ok(Self { days: value.parse().map_err(|_| ValueError::Uint)? })
    }

    /// Whether `moment` was longer ago at `now`, a day being 24 hours. What is exactly that old does not match.
    pub(crate) fn matches(&self, moment: Timestamp, now: Timestamp) -> bool {
        // Nothing is older than time itself.
        self.limit(now).is_some_and(|limit| moment < limit)
    }

    /// The moment before which everything matches, when there is one.
    pub(crate) fn limit(&self, now: Timestamp) -> Option<Timestamp> {
        let hours = i64::try_from(self.days).ok()?.checked_mul(24)?;
        let age = SignedDuration::from_secs(hours.checked_mul(3600)?);
        now.checked_sub(age).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_strictly_older_matches() {
        let now: Timestamp = "2026-03-31T12:00:00Z".parse().unwrap();
        let matcher = AgeMatcher::parse("30").unwrap();
        let limit: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        assert!(!matcher.matches(limit, now));
        assert!(matcher.matches(limit - SignedDuration::from_nanos(1), now));
        assert!(!matcher.matches(now, now));
        assert!(AgeMatcher::parse("0").unwrap().matches(limit, now));
    }

    #[test]
    fn nothing_is_older_than_time() {
        let matcher = AgeMatcher::parse("18446744073709551615").unwrap();
        assert!(!matcher.matches(Timestamp::MIN, Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn days_are_whole_numbers() {
        for value in ["", "30d", ">30", " 30", "-1", "+1", "1.5", "18446744073709551616"] {
            assert_eq!(AgeMatcher::parse(value), Err(ValueError::Uint), "{value}");
        }
    }
}
