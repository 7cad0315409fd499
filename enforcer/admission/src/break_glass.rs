//! Breaking glass: letting a request through that would be denied, said and dated by somebody who may. Pure.
//!
//! Two annotations on the workload: a reason, and until when. They do nothing by themselves: who asks must be allowed
//! the verb [`VERB`] on [`RESOURCE`] of group [`GROUP`] in the namespace, which an administrator grants like any
//! other right. StackRox's own key is read too; there anybody's annotation was enough.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The annotation that gives the reason.
pub(crate) const REASON: &str = "lictor.io/break-glass";
/// StackRox's annotation, whose value is taken for the reason.
pub(crate) const STACKROX_REASON: &str = "admission.stackrox.io/break-glass";
/// The annotation that says until when, as RFC 3339.
pub(crate) const UNTIL: &str = "lictor.io/break-glass-until";
/// API group of the right.
pub(crate) const GROUP: &str = "lictor.io";
/// Resource of the right.
pub(crate) const RESOURCE: &str = "workloads";
/// Verb of the right.
pub(crate) const VERB: &str = "break-glass";

/// What the annotations say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nothing.
    None,
    /// Something, and it does not count.
    Invalid(String),
    /// To be let through, if who asks may.
    Valid {
        /// Why.
        reason: String,
        /// Until when.
        until: Timestamp,
    },
}

/// Reads the annotations. A claim may reach `longest` ahead at the most.
#[must_use]
pub(crate) fn claim(annotations: &BTreeMap<String, String>, now: Timestamp, longest: Duration) -> Claim {
    let Some(reason) = annotations.get(REASON).or_else(|| annotations.get(STACKROX_REASON)) else {
        return Claim::None;
    };
    let reason = reason.trim();
    if reason.is_empty() {
        return Claim::Invalid(format!("annotation `{REASON}` gives no reason"));
    }
    let Some(until) = annotations.get(UNTIL) else {
        return Claim::Invalid(format!(
            "annotation `{UNTIL}` is missing; it says until when, as 2026-01-31T18:00:00Z"
        ));
    };
    let Ok(until) = until.trim().parse::<Timestamp>() else {
        return Claim::Invalid(format!("annotation `{UNTIL}` is no time; write it as 2026-01-31T18:00:00Z"));
    };
    if until <= now {
        return Claim::Invalid(format!("it ended at {until}"));
    }
    let ahead = until.duration_since(now);
    if ahead > SignedDuration::try_from(longest).unwrap_or(SignedDuration::MAX) {
        let hours = longest.as_secs() / 3600;
        return Claim::Invalid(format!("annotation `{UNTIL}` is more than {hours} h ahead"));
    }
    Claim::Valid { reason: reason.to_owned(), until }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn says(annotations: &[(&str, &str)]) -> Claim {
        let annotations =
            annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        claim(&annotations, "2026-01-02T12:00:00Z".parse().unwrap(), DAY)
    }

    #[test]
    fn a_reason_and_a_time_count() {
        let until = "2026-01-02T18:00:00Z";
        for key in [REASON, STACKROX_REASON] {
            let claim = says(&[(key, " payments are down "), (UNTIL, until)]);
            let expected =
                Claim::Valid { reason: "payments are down".to_owned(), until: until.parse().unwrap() };
            assert_eq!(claim, expected);
        }
        assert_eq!(says(&[(UNTIL, until)]), Claim::None);
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
            assert!(matches!(says(annotations), Claim::Invalid(_)), "{annotations:?}");
        }
    }
}
