//! Texts.

use super::error::ValueError;
use super::glob::PathGlob;
use crate::go_regex::{self, Pattern};

/// Compares texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TextMatcher {
    inverted: bool,
    test: TextTest,
}

/// What a text is tested for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum TextTest {
    /// Whether it matches a pattern.
    Pattern(Pattern),
    /// Whether it is this text. Case does not matter; this one is in lower case.
    Equals(Box<str>),
    /// Whether it is such a path.
    Glob(PathGlob),
    /// Nothing.
    Anything,
    /// Whether it starts with this text. Case does not matter; this one is in lower case.
    Prefix(Box<str>),
}

// === impl TextMatcher ===

impl TextMatcher {
    /// Reads a value of a criterion that compares plain texts: a prefix, unless a mark before it says otherwise.
    ///
    /// # Errors
    /// The value says that it is a pattern or a glob, and is not.
    pub(crate) fn parse(value: &str) -> Result<Self, ValueError> {
        let (inverted, rest) = value.strip_prefix('!').map_or((false, value), |rest| (true, rest));
        let test = if let Some(pattern) = rest.strip_prefix("r/") {
            TextTest::pattern(pattern)?
        } else if let Some(rest) = rest.strip_prefix('"') {
            match rest.strip_suffix('"') {
                // StackRox counts bytes, and takes a single one for no text.
                Some(quoted) if quoted.len() >= 2 => TextTest::Equals(lower_case(quoted)),
                _ => TextTest::prefix(rest),
            }
        } else if let Some(glob) = rest.strip_prefix("g/") {
            TextTest::Glob(PathGlob::parse(glob)?)
        } else {
            TextTest::prefix(rest)
        };
        Ok(Self { inverted, test })
    }

    /// Reads a value of a criterion whose values are patterns for whole texts. The mark of a pattern may precede
    /// it; any other mark is part of the pattern.
    ///
    /// # Errors
    /// The value is not a pattern.
    pub(crate) fn whole(value: &str) -> Result<Self, ValueError> {
        let test = TextTest::pattern(value.strip_prefix("r/").unwrap_or(value))?;
        Ok(Self { inverted: false, test })
    }

    /// Reads a value of a criterion whose values are patterns for some part of a text.
    ///
    /// # Errors
    /// The value is not a pattern.
    pub(crate) fn contains(value: &str) -> Result<Self, ValueError> {
        let test = TextTest::Pattern(go_regex::contains(value)?);
        Ok(Self { inverted: false, test })
    }

    /// Whether `text` matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.test.matches(text) != self.inverted
    }

    /// What a text is tested for.
    pub(crate) const fn test(&self) -> &TextTest {
        &self.test
    }

    /// Whether it matches what does not pass the test.
    pub(crate) const fn is_inverted(&self) -> bool {
        self.inverted
    }
}

// === impl TextTest ===

impl TextTest {
    fn pattern(value: &str) -> Result<Self, ValueError> {
        Ok(Self::Pattern(match value.strip_prefix("c/") {
            Some(pattern) => go_regex::contains(pattern)?,
            None => go_regex::whole(value)?,
        }))
    }

    fn prefix(value: &str) -> Self {
        if value == "*" { Self::Anything } else { Self::Prefix(lower_case(value)) }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.is_match(text),
            Self::Equals(wanted) => text.chars().map(lower).eq(wanted.chars()),
            Self::Glob(glob) => glob.matches(text),
            Self::Anything => true,
            Self::Prefix(wanted) => {
                let mut found = text.chars().map(lower);
                wanted.chars().all(|wanted| found.next() == Some(wanted))
            }
        }
    }
}

/// The lower case of a character by Go's rule: one character for one.
fn lower(c: char) -> char {
    let mut lower = c.to_lowercase();
    // Only the capital I with a dot has more than one here, and it starts with the one that Go has.
    lower.next().unwrap_or(c)
}

/// A text in lower case by Go's rule, which has no special case for a final sigma.
pub(super) fn lower_case(text: &str) -> Box<str> {
    text.chars().map(lower).collect::<String>().into_boxed_str()
}

/// Whether texts are the same in lower case; the second already is.
pub(super) fn equals_lower(text: &str, lowered: &str) -> bool {
    text.chars().map(lower).eq(lowered.chars())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn matches(value: &str, yes: &[&str], no: &[&str]) {
        let matcher = TextMatcher::parse(value).unwrap();
        for text in yes {
            assert!(matcher.matches(text), "{value:?} {text:?}");
        }
        for text in no {
            assert!(!matcher.matches(text), "{value:?} {text:?}");
        }
    }

    #[test]
    fn plain_values_are_prefixes() {
        matches("Admin", &["admin", "ADMINISTRATOR"], &["adm", "", "xadmin"]);
        matches("", &["", "x"], &[]);
        matches("*", &["", "x"], &[]);
        matches("*a", &["*ab"], &["ba", ""]);
        matches("ΣΑΣ", &["σασ", "σασx"], &["σας"]);
        matches("i", &["İ", "Ix"], &["ı"]);
    }

    #[test]
    fn marks_change_the_test() {
        matches("r/ab?", &["a", "AB"], &["abc", ""]);
        matches("r/c/ab", &["xaby"], &["a"]);
        matches("r/", &["", "a\nb"], &[]);
        matches("\"ab\"", &["AB"], &["abc", "a"]);
        matches("g/a*", &["ab"], &["Ab", "a/b"]);
    }

    #[test]
    fn short_or_open_quotes_are_prefixes() {
        matches("\"ab", &["abc"], &["\"ab"]);
        matches("\"a\"", &["a\"b"], &["a"]);
        matches("\"", &["", "x"], &[]);
        matches("\"\"", &["\"x"], &["", "x"]);
    }

    #[test]
    fn a_leading_mark_inverts() {
        matches("!ab", &["x", ""], &["abc"]);
        matches("!r/ab", &["abc"], &["ab"]);
        matches("!*", &[], &["", "x"]);
        matches("!", &[], &["", "x"]);
        matches("!!a", &["a"], &["!a"]);
    }

    #[test]
    fn whole_patterns_take_one_mark() {
        let whole = |value: &str, text: &str| TextMatcher::whole(value).unwrap().matches(text);
        assert!(whole("foo", "FOO"));
        assert!(!whole("foo", "food"));
        assert!(whole("r/foo", "foo"));
        assert!(whole("!foo", "!foo"));
        assert!(whole("c/foo", "a food"));
        assert!(whole("", "anything"));
        assert!(TextMatcher::whole("(").is_err());
    }

    #[test]
    fn contained_patterns_take_no_mark() {
        let matcher = TextMatcher::contains("r/x").unwrap();
        assert!(matcher.matches("a r/x b"));
        assert!(!matcher.matches("x"));
        assert_eq!(matcher.test(), &TextTest::Pattern(go_regex::contains("r/x").unwrap()));
    }

    proptest! {
        #[test]
        fn prefixes_are_those_of_lower_case(value in "[a-zA-ZſKéÉΣσς]{0,3}", text in "[a-zA-ZſKéÉΣσς]{0,5}") {
            let naive = lower_case(&text).starts_with(&*lower_case(&value));
            prop_assert_eq!(TextMatcher::parse(&value).unwrap().matches(&text), naive);
        }

        #[test]
        fn no_value_panics(value in ".{0,12}", text in ".{0,12}") {
            if let Ok(matcher) = TextMatcher::parse(&value) {
                let _ = matcher.matches(&text);
            }
        }
    }
}
