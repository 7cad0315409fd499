//! Values out of a fixed list, which has an order.

use super::error::ValueError;
use super::number::Comparator;
use super::text::{TextMatcher, equals_lower, lower_case};

/// The names of an enum and their numbers.
pub(crate) type EnumNames = &'static [(&'static str, i64)];

/// Compares values of an enum.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum EnumMatcher {
    /// By number.
    Number {
        /// How the found number relates to the wanted one.
        comparator: Comparator,
        /// The wanted number.
        wanted: i64,
    },
    /// By name, because the value is not a name of the enum.
    Name(TextMatcher),
}

impl EnumMatcher {
    /// Reads a name, after a comparator or alone. What is not a name is compared with the names as a text; the comparator
    /// is then lost.
    ///
    /// # Errors
    /// The value is neither a name nor a text matcher.
    pub(crate) fn parse(value: &str, names: EnumNames) -> Result<Self, ValueError> {
        let (comparator, rest) = Comparator::split(value);
        let name = lower_case(rest);
        match names.iter().find(|(known, _)| equals_lower(known, &name)) {
            Some(&(_, wanted)) => {
                Ok(Self::Number { comparator: comparator.unwrap_or(Comparator::Equal), wanted })
            }
            None => Ok(Self::Name(TextMatcher::parse(rest)?)),
        }
    }

    /// Whether a value of the enum matches. One that is unset never does; see [`is_unset`].
    pub(crate) fn matches(&self, number: i64, name: &str) -> bool {
        if is_unset(number, name) {
            return false;
        }
        match self {
            Self::Number { comparator, wanted } => comparator.holds(&number, wanted),
            Self::Name(matcher) => matcher.matches(name),
        }
    }
}

/// Whether a value of an enum stands for no value. There is then nothing to compare, and a criterion does not match
/// even when it is negated.
pub(crate) fn is_unset(number: i64, name: &str) -> bool {
    number == 0 && name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("unset"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEVERITIES: EnumNames =
        &[("UNKNOWN", 0), ("LOW", 1), ("MODERATE", 2), ("IMPORTANT", 3), ("CRITICAL", 4)];
    const LEVELS: EnumNames = &[("UNSET", 0), ("EXTERNAL", 1), ("NODE", 2)];
    const PROPAGATIONS: EnumNames = &[("NONE", 0), ("HOST_TO_CONTAINER", 1), ("BIDIRECTIONAL", 2)];

    fn matching(value: &str, names: EnumNames) -> Vec<i64> {
        let matcher = EnumMatcher::parse(value, names).unwrap();
        names
            .iter()
            .filter(|(name, number)| matcher.matches(*number, name))
            .map(|(_, number)| *number)
            .collect()
    }

    #[test]
    fn names_are_compared_by_number() {
        assert_eq!(matching("low", SEVERITIES), [1]);
        assert_eq!(matching(">= important", SEVERITIES), [3, 4]);
        assert_eq!(matching("<= LOW", SEVERITIES), [0, 1]);
        assert_eq!(matching("<MODERATE", SEVERITIES), [0, 1]);
    }

    #[test]
    fn other_values_are_prefixes_of_names() {
        assert_eq!(matching("> im", SEVERITIES), [3]);
        assert_eq!(matching("HOSTTOCONTAINER", PROPAGATIONS), Vec::<i64>::new());
        assert_eq!(matching("HOST", PROPAGATIONS), [1]);
    }

    #[test]
    fn unset_never_matches_and_other_zeros_do() {
        assert_eq!(matching("UNSET", LEVELS), Vec::<i64>::new());
        assert_eq!(matching("<= NODE", LEVELS), [1, 2]);
        assert_eq!(matching("NONE", PROPAGATIONS), [0]);
        assert!(is_unset(0, "UNSET_LEVEL"));
        assert!(!is_unset(1, "UNSET"));
        assert!(!is_unset(0, "UNS"));
    }
}
