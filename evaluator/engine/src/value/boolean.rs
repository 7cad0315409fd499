//! Yes and no.

use std::fmt;

use super::error::ValueError;

/// Compares yes with yes and no with no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BoolMatcher {
    wanted: bool,
}

impl BoolMatcher {
    /// Reads `true` or `false` in any case.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(value: &str) -> Result<Self, ValueError> {
        if value.eq_ignore_ascii_case("true") {
            Ok(Self { wanted: true })
        } else if value.eq_ignore_ascii_case("false") {
            Ok(Self { wanted: false })
        } else {
            Err(ValueError::Bool)
        }
    }

    /// Reads `true` or `false` as Go does, which takes lower case, upper case and one capital. StackRox reads values
    /// so where it rewrites them.
    ///
    /// # Errors
    /// It is neither, or in another case.
    pub fn parse_go(value: &str) -> Result<Self, ValueError> {
        match value {
            "true" | "TRUE" | "True" => Ok(Self { wanted: true }),
            "false" | "FALSE" | "False" => Ok(Self { wanted: false }),
            _ => Err(ValueError::Bool),
        }
    }

    /// Whether `found` matches.
    #[must_use]
    pub const fn matches(&self, found: bool) -> bool {
        self.wanted == found
    }

    /// What is wanted.
    #[must_use]
    pub const fn wanted(&self) -> bool {
        self.wanted
    }

    /// The same question about the opposite fact.
    #[must_use]
    pub const fn inverted(self) -> Self {
        Self { wanted: !self.wanted }
    }
}

impl fmt::Display for BoolMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.wanted, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        assert!(BoolMatcher::parse("tRue").unwrap().matches(true));
        assert!(BoolMatcher::parse("FALSE").unwrap().matches(false));
        assert!(!BoolMatcher::parse("false").unwrap().matches(true));
        assert_eq!(BoolMatcher::parse("yes"), Err(ValueError::Bool));
        assert_eq!(BoolMatcher::parse("true\nx"), Err(ValueError::Bool));
        assert!(BoolMatcher::parse_go("True").unwrap().matches(true));
        assert_eq!(BoolMatcher::parse_go("tRue"), Err(ValueError::Bool));
        assert!(BoolMatcher::parse_go("true").unwrap().inverted().matches(false));
    }
}
