//! Numbers, compared.

use super::error::ValueError;

/// How close numbers have to be to count as equal.
const TOLERANCE: f64 = 1e-4;

/// How a found number relates to the wanted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Comparator {
    /// They are the same.
    Equal,
    /// It is less.
    Less,
    /// It is not more.
    LessOrEqual,
    /// It is more.
    Greater,
    /// It is not less.
    GreaterOrEqual,
}

/// Compares signed whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct IntMatcher {
    comparator: Comparator,
    wanted: i64,
}

/// Compares whole numbers of 0 or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct UintMatcher {
    comparator: Comparator,
    wanted: u64,
}

/// Compares decimal numbers.
///
/// What is found is in single precision and is widened before it is compared, as in StackRox: 7.1 is then a little
/// less than the 7.1 of a policy, and not `>= 7.1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FloatMatcher {
    comparator: Comparator,
    wanted: f64,
}

// === impl Comparator ===

impl Comparator {
    /// Takes the comparator off a value, and the spaces after it. Without a comparator spaces stay: nothing reads
    /// them as a number.
    pub(crate) fn split(value: &str) -> (Option<Self>, &str) {
        const WRITTEN: [(&str, Comparator); 4] = [
            ("<=", Comparator::LessOrEqual),
            (">=", Comparator::GreaterOrEqual),
            ("<", Comparator::Less),
            (">", Comparator::Greater),
        ];
        let written =
            WRITTEN.iter().find_map(|(prefix, comparator)| Some((*comparator, value.strip_prefix(prefix)?)));
        written.map_or((None, value), |(comparator, rest)| (Some(comparator), rest.trim()))
    }

    /// Whether `found` relates to `wanted` as this says.
    pub(crate) fn holds<T: PartialOrd>(self, found: &T, wanted: &T) -> bool {
        match self {
            Self::Equal => found == wanted,
            Self::Less => found < wanted,
            Self::LessOrEqual => found <= wanted,
            Self::Greater => found > wanted,
            Self::GreaterOrEqual => found >= wanted,
        }
    }
}

/// Splits a value into comparator and number.
fn parts(value: &str) -> (Comparator, &str) {
    let (comparator, rest) = Comparator::split(value);
    (comparator.unwrap_or(Comparator::Equal), rest)
}

// === impl IntMatcher ===

impl IntMatcher {
    /// Reads a value.
    ///
    /// # Errors
    /// It is not a whole number, or one that does not fit.
    pub(crate) fn parse(value: &str) -> Result<Self, ValueError> {
        let (comparator, number) = parts(value);
        Ok(Self { comparator, wanted: number.parse().map_err(|_| ValueError::Int)? })
    }

    /// Whether `found` matches.
    pub(crate) fn matches(&self, found: i64) -> bool {
        self.comparator.holds(&found, &self.wanted)
    }
}

// === impl UintMatcher ===

impl UintMatcher {
    /// Reads a value.
    ///
    /// # Errors
    /// It is not a whole number of 0 or more, or one that does not fit.
    pub(crate) fn parse(value: &str) -> Result<Self, ValueError> {
        let (comparator, number) = parts(value);
        // Go takes no sign here, not even a plus.
        let number = if number.starts_with('+') { "" } else { number };
        Ok(Self { comparator, wanted: number.parse().map_err(|_| ValueError::Uint)? })
    }

    /// Whether `found` matches.
    pub(crate) fn matches(&self, found: u64) -> bool {
        self.comparator.holds(&found, &self.wanted)
    }

    /// The comparator and the number.
    pub(crate) const fn wanted(&self) -> (Comparator, u64) {
        (self.comparator, self.wanted)
    }
}

// === impl FloatMatcher ===

impl FloatMatcher {
    /// Reads a value.
    ///
    /// # Errors
    /// It is not a decimal number, or one that does not fit.
    pub(crate) fn parse(value: &str) -> Result<Self, ValueError> {
        let (comparator, number) = parts(value);
        let wanted: f64 = number.parse().map_err(|_| ValueError::Float)?;
        // Names such as `inf` never pass the form; numbers that only overflow are errors in Go.
        if wanted.is_finite() { Ok(Self { comparator, wanted }) } else { Err(ValueError::Float) }
    }

    /// Whether `found` matches.
    pub(crate) fn matches(&self, found: f32) -> bool {
        let found = f64::from(found);
        match self.comparator {
            Comparator::Equal => (found - self.wanted).abs() < TOLERANCE,
            comparator => comparator.holds(&found, &self.wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_are_trimmed_only_after_a_comparator() {
        assert!(IntMatcher::parse(">=  80 ").unwrap().matches(80));
        assert_eq!(IntMatcher::parse(" 80"), Err(ValueError::Int));
        assert_eq!(IntMatcher::parse("80 "), Err(ValueError::Int));
        assert_eq!(IntMatcher::parse(" > 80"), Err(ValueError::Int));
    }

    #[test]
    fn whole_numbers_have_no_fraction() {
        assert_eq!(IntMatcher::parse("80.5"), Err(ValueError::Int));
        assert_eq!(UintMatcher::parse("1.0"), Err(ValueError::Uint));
        assert_eq!(IntMatcher::parse("9223372036854775808"), Err(ValueError::Int));
    }

    #[test]
    fn user_ids_have_no_sign() {
        for value in ["-1", "+1", "root", "", ">"] {
            assert_eq!(UintMatcher::parse(value), Err(ValueError::Uint), "{value}");
        }
        assert!(UintMatcher::parse(">=1000").unwrap().matches(1000));
        assert!(!UintMatcher::parse("0").unwrap().matches(1));
    }

    #[test]
    fn comparators_compare() {
        for (value, matching) in [
            ("5", [false, true, false]),
            ("<5", [true, false, false]),
            ("<=5", [true, true, false]),
            (">5", [false, false, true]),
            (">= 5", [false, true, true]),
        ] {
            let matcher = IntMatcher::parse(value).unwrap();
            assert_eq!([4, 5, 6].map(|found| matcher.matches(found)), matching, "{value}");
        }
        assert_eq!(IntMatcher::parse("=5"), Err(ValueError::Int));
    }

    #[test]
    fn single_precision_is_widened() {
        let matches = |value: &str, found| FloatMatcher::parse(value).unwrap().matches(found);
        assert!(!matches(">= 7.1", 7.1));
        assert!(matches("< 7.1", 7.1));
        assert!(matches(">= 7.5", 7.5));
        assert!(!matches("<= 0.1", 0.1));
        assert!(matches("7.1", 7.1));
        assert!(matches("7.10005", 7.1));
        assert!(!matches("7.1002", 7.1));
        assert!(matches("0", 0.0));
        assert!(matches("< 1", 0.0));
    }

    #[test]
    fn floats_are_finite() {
        for value in ["inf", "NaN", "1e999", "", "> ", "x"] {
            assert_eq!(FloatMatcher::parse(value), Err(ValueError::Float), "{value}");
        }
    }
}
