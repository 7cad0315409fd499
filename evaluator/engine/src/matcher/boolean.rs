//! Yes and no.

use super::error::ValueError;

/// Compares yes with yes and no with no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BoolMatcher {
    wanted: bool,
}

impl BoolMatcher {
    /// Reads `true` or `false` in any case.
    ///
    /// # Errors
    /// It is neither.
    pub(crate) fn parse(value: &str) -> Result<Self, ValueError> {
        if value.eq_ignore_ascii_case("true") {
            Ok(Self { wanted: true })
        } else if value.eq_ignore_ascii_case("false") {
            Ok(Self { wanted: false })
        } else {
            Err(ValueError::Bool)
        }
    }

    /// Whether `found` matches.
    pub(crate) const fn matches(&self, found: bool) -> bool {
        self.wanted == found
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
    }
}
