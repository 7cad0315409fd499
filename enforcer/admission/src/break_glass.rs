//! Break-glass: an emergency exception for a request that would be denied. Pure.
//!
//! Two annotations on the workload: a reason, and when the exception ends. They do nothing by themselves: the user
//! needs the verb [`VERB`] on [`RESOURCE`] of group [`GROUP`] in the namespace, which an administrator grants in a
//! role. StackRox's annotation is read, too; StackRox itself accepts it from anybody.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The annotation that gives the reason.
pub(crate) const REASON: &str = "lictor.io/break-glass";
/// StackRox's annotation; its value is the reason.
pub(crate) const STACKROX_REASON: &str = "admission.stackrox.io/break-glass";
/// The annotation with the end of the exception, as RFC 3339.
pub(crate) const UNTIL: &str = "lictor.io/break-glass-until";
/// API group of the permission.
pub(crate) const GROUP: &str = "lictor.io";
/// Resource of the permission.
pub(crate) const RESOURCE: &str = "workloads";
/// Verb of the permission.
pub(crate) const VERB: &str = "break-glass";

/// What a workload's annotations say about an exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BreakGlass {
    /// Nothing.
    Absent,
    /// They are not accepted, because of this.
    Invalid(String),
    /// The request is to be allowed, if the user has the permission.
    Valid {
        /// The reason that the annotation gives.
        reason: String,
        /// When the exception ends.
        until: Timestamp,
    },
}

/// Reads the annotations. An exception may end at most `longest` after `now`.
pub(crate) fn requested(
    annotations: &BTreeMap<String, String>,
    now: Timestamp,
    longest: Duration,
) -> BreakGlass {
    let Some(reason) = annotations.get(REASON).or_else(|| annotations.get(STACKROX_REASON)) else {
        return BreakGlass::Absent;
    };
    let reason = reason.trim();
    if reason.is_empty() {
        return BreakGlass::Invalid(format!("annotation `{REASON}` gives no reason"));
    }
    let Some(until) = annotations.get(UNTIL) else {
        return BreakGlass::Invalid(format!(
            "annotation `{UNTIL}` is missing; set it to when the exception ends, such as 2026-01-31T18:00:00Z"
        ));
    };
    let Ok(until) = until.trim().parse::<Timestamp>() else {
        return BreakGlass::Invalid(format!(
            "annotation `{UNTIL}` is not a time; write it as 2026-01-31T18:00:00Z"
        ));
    };
    if until <= now {
        return BreakGlass::Invalid(format!("the exception ended at {until}"));
    }
    let ahead = until.duration_since(now);
    if ahead > SignedDuration::try_from(longest).unwrap_or(SignedDuration::MAX) {
        let hours = longest.as_secs() / 3600;
        return BreakGlass::Invalid(format!("annotation `{UNTIL}` is more than {hours} h ahead"));
    }
    BreakGlass::Valid { reason: reason.to_owned(), until }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn says(annotations: &[(&str, &str)]) -> BreakGlass {
        let annotations =
            annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        requested(&annotations, "2026-01-02T12:00:00Z".parse().unwrap(), DAY)
    }

    #[test]
    fn a_reason_and_a_time_count() {
        let until = "2026-01-02T18:00:00Z";
        for key in [REASON, STACKROX_REASON] {
            let found = says(&[(key, " payments are down "), (UNTIL, until)]);
            let expected =
                BreakGlass::Valid { reason: "payments are down".to_owned(), until: until.parse().unwrap() };
            assert_eq!(found, expected);
        }
        assert_eq!(says(&[(UNTIL, until)]), BreakGlass::Absent);
    }

    #[test]
    fn less_does_not() {
        for annotations in [
            &[(REASON, "x")][..],
            &[(REASON, ""), (UNTIL, "2026-01-02T18:00:00Z")],
            &[(REASON, "x"), (UNTIL, "tomorrow")],
            &[(REASON, "x"), (UNTIL, "2026-01-02T12:00:00Z")],
            &[(REASON, "x"), (UNTIL, "2026-01-03T12:00:01Z")],
        ] {
            assert!(matches!(says(annotations), BreakGlass::Invalid(_)), "{annotations:?}");
        }
    }
}
