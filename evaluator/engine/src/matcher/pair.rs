//! Labels and annotations.

use super::error::ValueError;
use crate::go_regex::{self, Pattern};

/// Matches one entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PairMatcher {
    key: Pattern,
    value: Pattern,
}

impl PairMatcher {
    /// Reads `key=value`, two patterns. An empty one matches anything, and so does a missing value.
    ///
    /// # Errors
    /// The key or value is not a pattern.
    pub(crate) fn parse(source: &str) -> Result<Self, ValueError> {
        let (key, value) = source.split_once('=').unwrap_or((source, ""));
        Ok(Self { key: go_regex::whole(key)?, value: go_regex::whole(value)? })
    }

    /// Whether an entry matches.
    pub(crate) fn matches(&self, key: &str, value: &str) -> bool {
        self.key.is_match(key) && self.value.is_match(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: &[(&str, &str)] = &[("team", "core"), ("owner", "a=b"), ("Env", "prod\n")];

    #[test]
    fn pairs_match_one_entry_as_a_whole() {
        let finds = |value: &str| {
            let matcher = PairMatcher::parse(value).unwrap();
            LABELS.iter().copied().find(|(key, value)| matcher.matches(key, value))
        };
        assert_eq!(finds("TEAM=c.*"), Some(("team", "core")));
        assert_eq!(finds("tea=core"), None);
        assert_eq!(finds("team=a=b"), None);
        assert_eq!(finds("owner=a=b"), Some(("owner", "a=b")));
        assert_eq!(finds("owner"), Some(("owner", "a=b")));
        assert_eq!(finds("env=.*"), None);
        assert_eq!(finds("env="), Some(("Env", "prod\n")));
        assert_eq!(finds("=core"), Some(("team", "core")));
        assert!(PairMatcher::parse("a=(").is_err());
    }
}
