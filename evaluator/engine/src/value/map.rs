//! Labels and annotations.

use std::fmt;

use super::Combine;
use super::error::ValueError;
use crate::go_regex::{self, Pattern};

/// Looks for entries of a map.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MapMatcher {
    rule: MapRule,
    combine: Combine,
    pairs: Vec<PairMatcher>,
}

/// Whether entries have to be there or must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MapRule {
    /// It is a violation when they are missing.
    Required,
    /// It is a violation when they are there.
    Disallowed,
}

/// Matches one entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PairMatcher {
    source: Box<str>,
    key: Pattern,
    value: Pattern,
}

// === impl MapMatcher ===

impl MapMatcher {
    /// Reads the values of a criterion.
    ///
    /// # Errors
    /// A key or value is no pattern.
    pub fn parse<'a>(
        rule: MapRule,
        combine: Combine,
        values: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ValueError> {
        let pairs = values.into_iter().map(PairMatcher::parse).collect::<Result<_, _>>()?;
        Ok(Self { rule, combine, pairs })
    }

    /// Whether a map violates the rule.
    ///
    /// Required entries are violated when *none* of them is there, however the values go together: StackRox negates
    /// each value and joins them the other way round only for disallowed ones.
    #[must_use]
    pub fn violates<'a>(&self, entries: &(impl Iterator<Item = (&'a str, &'a str)> + Clone)) -> bool {
        let mut present = self.pairs.iter().map(|pair| pair.find(entries.clone()).is_some());
        match (self.rule, self.combine) {
            (MapRule::Required, _) => !present.any(|present| present),
            (MapRule::Disallowed, Combine::Any) => present.any(|present| present),
            (MapRule::Disallowed, Combine::All) => present.all(|present| present),
        }
    }

    /// Whether entries have to be there or must not.
    #[must_use]
    pub const fn rule(&self) -> MapRule {
        self.rule
    }

    /// The values.
    #[must_use]
    pub fn pairs(&self) -> &[PairMatcher] {
        &self.pairs
    }
}

impl fmt::Display for MapMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pair) in self.pairs.iter().enumerate() {
            let joint = match self.combine {
                _ if index == 0 => "",
                Combine::Any => " or ",
                Combine::All => " and ",
            };
            write!(f, "{joint}{pair}")?;
        }
        Ok(())
    }
}

// === impl PairMatcher ===

impl PairMatcher {
    /// Reads `key=value`, two patterns. An empty one matches anything, and so does a missing value.
    ///
    /// # Errors
    /// The key or value is no pattern.
    pub fn parse(source: &str) -> Result<Self, ValueError> {
        let (key, value) = source.split_once('=').unwrap_or((source, ""));
        Ok(Self { source: Box::from(source), key: go_regex::whole(key)?, value: go_regex::whole(value)? })
    }

    /// Makes one of a pattern for keys and one for values.
    ///
    /// # Errors
    /// One of them is no pattern.
    pub fn new(key: &str, value: &str) -> Result<Self, ValueError> {
        let source = format!("{key}={value}").into_boxed_str();
        Ok(Self { source, key: go_regex::whole(key)?, value: go_regex::whole(value)? })
    }

    /// Whether an entry matches.
    #[must_use]
    pub fn matches(&self, key: &str, value: &str) -> bool {
        self.key.is_match(key) && self.value.is_match(value)
    }

    /// The first entry that matches.
    pub fn find<'a>(
        &self,
        mut entries: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Option<(&'a str, &'a str)> {
        entries.find(|(key, value)| self.matches(key, value))
    }
}

/// The value as it was written.
impl fmt::Display for PairMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: &[(&str, &str)] = &[("team", "core"), ("owner", "a=b"), ("Env", "prod\n")];

    fn violates(rule: MapRule, combine: Combine, values: &[&str]) -> bool {
        let matcher = MapMatcher::parse(rule, combine, values.iter().copied()).unwrap();
        matcher.violates(&LABELS.iter().copied())
    }

    #[test]
    fn pairs_match_one_entry_as_a_whole() {
        let finds = |value: &str| PairMatcher::parse(value).unwrap().find(LABELS.iter().copied());
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

    #[test]
    fn required_means_that_none_is_there() {
        for combine in [Combine::Any, Combine::All] {
            assert!(violates(MapRule::Required, combine, &["email="]));
            assert!(!violates(MapRule::Required, combine, &["team="]));
            assert!(!violates(MapRule::Required, combine, &["team=", "email="]));
            assert!(violates(MapRule::Required, combine, &["email=", "phone="]));
        }
    }

    #[test]
    fn disallowed_means_that_one_or_all_are_there() {
        assert!(violates(MapRule::Disallowed, Combine::Any, &["team=", "email="]));
        assert!(!violates(MapRule::Disallowed, Combine::All, &["team=", "email="]));
        assert!(violates(MapRule::Disallowed, Combine::All, &["team=", "owner"]));
        assert!(!violates(MapRule::Disallowed, Combine::Any, &["email="]));
    }

    #[test]
    fn empty_maps_violate_what_is_required() {
        let required = MapMatcher::parse(MapRule::Required, Combine::Any, ["a="]).unwrap();
        let disallowed = MapMatcher::parse(MapRule::Disallowed, Combine::Any, ["a="]).unwrap();
        assert!(required.violates(&std::iter::empty()));
        assert!(!disallowed.violates(&std::iter::empty()));
    }
}
