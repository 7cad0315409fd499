//! Patterns with the verdicts of Go regexp, as StackRox uses it.
//!
//! Policies are written for Go's dialect of regular expressions. It looks like that of the `regex` crate and differs
//! in dozens of small ways: classes such as `\d` are ASCII in Go and Unicode here, `\<` is a character there and a
//! word boundary here, `a**` is an error there and fine here. A pattern that silently means something else would be a
//! hole in a policy, so Go's syntax is parsed here, token by token, into a tree that has only one reading. The `regex`
//! crate then searches for that tree.
//!
//! Two things remain different. Go knows Unicode 15 and the `regex` crate Unicode 16, which matters to `\p` classes
//! and folding of characters that Unicode 15 does not assign. And Go accepts patterns that cost more memory or nest
//! deeper than is allowed here.

mod class;
mod cursor;
mod error;
mod names;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::Hir;

pub(crate) use error::{PatternError, PatternErrorKind};

/// The longest pattern, in bytes. Patterns people write are below 1 KiB; parsing and building take time that grows
/// with the length, and whoever may write a policy should not be able to spend minutes of it.
pub(crate) const MAX_PATTERN: usize = 4096;

/// The most memory a compiled pattern may take. Counted repetitions of large classes, as in `\pL{1000}`, multiply: a
/// few bytes of policy must not take all memory of a process that holds thousands of patterns. 1 MiB holds every
/// pattern of StackRox's default policies a hundred times over.
const MAX_COMPILED: usize = 1 << 20;

/// A pattern that was found good. Case never matters.
///
/// It is compiled when it is made, to know that it can be, and again when it is first matched: of the thousands that
/// a process holds most never are, because what an event must hold for them is not there, and compiled they take
/// tens of kilobytes each.
#[derive(Clone)]
pub(crate) struct Pattern {
    source: Box<str>,
    kind: PatternKind,
    /// `None` inside for the empty pattern, which matches every text, even one with line feeds.
    regex: OnceLock<Option<Regex>>,
}

/// How a pattern is laid on a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PatternKind {
    /// It has to match the whole text.
    Whole,
    /// It has to match somewhere in the text.
    Contains,
}

/// Compiles a pattern that has to match a whole text.
///
/// # Errors
/// The pattern is none for Go, or is too large.
pub(crate) fn whole(pattern: &str) -> Result<Pattern, PatternError> {
    Pattern::new(pattern, PatternKind::Whole)
}

/// Compiles a pattern that has to match somewhere in a text.
///
/// # Errors
/// The pattern is none for Go, or is too large.
pub(crate) fn contains(pattern: &str) -> Result<Pattern, PatternError> {
    Pattern::new(pattern, PatternKind::Contains)
}

// === impl Pattern ===

impl Pattern {
    fn new(source: &str, kind: PatternKind) -> Result<Self, PatternError> {
        if source.len() > MAX_PATTERN {
            return Err(PatternError::new(PatternErrorKind::TooLong, MAX_PATTERN));
        }
        let pattern = Self { source: Box::from(source), kind, regex: OnceLock::new() };
        pattern.compile()?;
        Ok(pattern)
    }

    fn parse(&self) -> Result<Hir, PatternError> {
        let (source, kind) = (&*self.source, self.kind);
        if source.is_empty() {
            return Ok(Hir::empty());
        }
        // StackRox puts the text of the pattern between these and compiles the sum. Doing the same gives the same
        // reading of patterns that tear the group open, such as `a)|(?:b`.
        let (prefix, suffix) = match kind {
            PatternKind::Whole => ("^(?i:", ")$"),
            PatternKind::Contains => ("(?i:", ")"),
        };
        parse::parse(&format!("{prefix}{source}{suffix}")).map_err(|error| {
            let offset = error.offset.saturating_sub(prefix.len()).min(source.len());
            PatternError::new(error.kind, offset)
        })
    }

    fn compile(&self) -> Result<Option<Regex>, PatternError> {
        if self.source.is_empty() {
            return Ok(None);
        }
        let regex = RegexBuilder::new(&self.parse()?.to_string())
            .size_limit(MAX_COMPILED)
            // Printing a tree adds groups; how deep it is was checked when it was parsed.
            .nest_limit(2000)
            .build()
            .map_err(|_| PatternError::new(PatternErrorKind::TooLarge, self.source.len()))?;
        Ok(Some(regex))
    }

    /// Whether `text` matches.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        // INVARIANT: it compiled when the pattern was made, and compiling depends on nothing else.
        let regex = self.regex.get_or_init(|| self.compile().unwrap_or_default());
        regex.as_ref().is_none_or(|regex| regex.is_match(text))
    }

    /// The tree that is searched for, anchors included: classes are explicit and folded, there are no captures. What
    /// it says about literals and lengths holds for every text that matches.
    pub(crate) fn hir(&self) -> Hir {
        // INVARIANT: it parsed when the pattern was made. The empty tree says nothing about any text.
        self.parse().unwrap_or_else(|_| Hir::empty())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.source == other.source
    }
}

impl Eq for Pattern {}

impl std::hash::Hash for Pattern {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
        self.source.hash(state);
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pattern")
            .field("source", &self.source)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
