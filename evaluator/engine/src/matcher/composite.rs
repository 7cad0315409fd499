//! Facts of several parts that are compared as one text.

use super::error::ValueError;
use crate::go_regex::{self, Pattern};

/// Compares several parts at once. They are laid in a row with tabs between them, and one pattern has to match the
/// row: a part of the pattern can reach over a tab, as it can in StackRox.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct CompositeMatcher {
    pattern: Pattern,
}

impl CompositeMatcher {
    /// Reads patterns with equals signs between them; `example` shows what it looks like. The last one keeps any
    /// further equals sign. An empty one matches everything but line feeds.
    ///
    /// # Errors
    /// There are fewer than `parts`, or they make no pattern.
    pub(crate) fn parse(value: &str, parts: usize, example: &'static str) -> Result<Self, ValueError> {
        let mut pattern = String::with_capacity(value.len() + 4 * parts);
        let mut found = 0;
        for part in value.splitn(parts, '=') {
            if found > 0 {
                pattern.push('\t');
            }
            pattern.push('(');
            pattern.push_str(if part.is_empty() { ".*" } else { part });
            pattern.push(')');
            found += 1;
        }
        if found < parts {
            return Err(ValueError::Parts { parts, example });
        }
        Ok(Self { pattern: go_regex::whole(&pattern)? })
    }

    /// Whether the parts match. The buffer is written over; keeping it spares an allocation for each element.
    pub(crate) fn matches(&self, parts: &[&str], buffer: &mut String) -> bool {
        join_parts(parts, buffer);
        self.pattern.is_match(buffer)
    }

    /// The pattern for the row.
    pub(crate) const fn pattern(&self) -> &Pattern {
        &self.pattern
    }
}

/// The row that parts make. The buffer is written over.
pub(crate) fn join_parts(parts: &[&str], row: &mut String) {
    row.clear();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            row.push('\t');
        }
        row.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_regex::PatternErrorKind;

    fn matches(value: &str, parts: &[&str]) -> bool {
        CompositeMatcher::parse(value, parts.len(), "A=B").unwrap().matches(parts, &mut String::new())
    }

    #[test]
    fn parts_match_as_a_whole() {
        assert!(matches("RAW=.*PASS.*=.+", &["raw", "DB_PASSWORD", "x"]));
        assert!(!matches("RAW=.*PASS.*=.+", &["RAW", "DB_PASSWORD", ""]));
        assert!(matches("==", &["RAW", "", ""]));
        assert!(matches("RUN=a=b", &["RUN", "a=b"]));
        assert!(!matches("RUN=curl", &["RUN", "apt install curl"]));
        assert!(matches("a|b=1", &["b", "1"]));
    }

    #[test]
    fn line_feeds_never_match_an_empty_part() {
        assert!(!matches("RAW=K=", &["RAW", "K", "a\nb"]));
    }

    #[test]
    fn patterns_reach_over_tabs() {
        assert!(matches("a.*=c", &["a\tb", "c"]));
        assert!(matches("=", &["a\tb\tc", ""]));
    }

    #[test]
    fn marks_are_part_of_the_pattern() {
        assert!(matches("r/a=b", &["r/a", "b"]));
    }

    #[test]
    fn parts_are_counted() {
        let error = CompositeMatcher::parse("RUN", 2, "INSTRUCTION=text").unwrap_err();
        assert_eq!(error.to_string(), "needs 1 equals signs, as in `INSTRUCTION=text`");
        let Err(ValueError::Pattern(error)) = CompositeMatcher::parse(")=x", 2, "") else {
            panic!("no pattern")
        };
        assert_eq!(error.kind, PatternErrorKind::UnexpectedParenthesis);
    }
}
