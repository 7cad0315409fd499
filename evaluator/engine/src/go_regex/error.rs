//! Why a pattern is refused.

use thiserror::Error;

/// A pattern that cannot be used. The pattern has to be changed; trying again does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{kind} at byte {offset}")]
pub(crate) struct PatternError {
    /// What is wrong.
    pub(crate) kind: PatternErrorKind,
    /// Where it was noticed, in bytes from the start of the pattern.
    pub(crate) offset: usize,
}

/// What can be wrong with a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub(crate) enum PatternErrorKind {
    /// A class name is unknown, a range runs backwards.
    #[error("invalid character class range")]
    ClassRange,
    /// A backslash before something that is not an escape.
    #[error("invalid escape sequence")]
    Escape,
    /// The name of a group is empty, unfinished or has a character other than letters, digits and underscore.
    #[error("invalid group name")]
    GroupName,
    /// Something after `(?` that is neither a flag nor a name: look-around, for example.
    #[error("invalid or unsupported group syntax")]
    GroupSyntax,
    /// A nested repetition operator, as in `a**`.
    #[error("nested repetition operator")]
    NestedRepeat,
    /// A counted repetition above 1000, or one whose bounds are swapped.
    #[error("invalid repeat count")]
    RepeatCount,
    /// Nothing precedes a repetition.
    #[error("missing argument to repetition operator")]
    NothingToRepeat,
    /// A class is not closed.
    #[error("missing closing bracket")]
    MissingBracket,
    /// A group is not closed.
    #[error("missing closing parenthesis")]
    MissingParenthesis,
    /// A parenthesis is closed that was never opened.
    #[error("unexpected closing parenthesis")]
    UnexpectedParenthesis,
    /// The pattern ends in a backslash.
    #[error("trailing backslash")]
    TrailingBackslash,
    /// The pattern is longer than [`MAX_PATTERN`](super::MAX_PATTERN).
    #[error("pattern is too long")]
    TooLong,
    /// Groups stand in groups too often.
    #[error("pattern nests too deeply")]
    TooDeep,
    /// The pattern needs too much memory.
    #[error("pattern is too large")]
    TooLarge,
}

impl PatternError {
    pub(super) const fn new(kind: PatternErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// What to do about it; empty when the message says it.
    pub(crate) const fn hint(&self) -> &'static str {
        self.kind.hint()
    }
}

impl PatternErrorKind {
    /// What to do about it; empty when the message says it.
    pub(crate) const fn hint(self) -> &'static str {
        match self {
            Self::ClassRange => "write ranges from low to high; class names are those of Go regexp",
            Self::Escape => {
                "to match a backslash, write `\\\\`; back-references, `\\Z` and `\\C` do not exist"
            }
            Self::GroupName => "a name has letters, digits and underscores, as in `(?P<name>…)`",
            Self::GroupSyntax => "look-around does not exist; flags are `i`, `m`, `s` and `U`",
            Self::NestedRepeat => "put the inner repetition in a group, as in `(?:a*)*`",
            Self::RepeatCount => "a count is at most 1000, nested counts multiplied",
            Self::NothingToRepeat => "to match `*`, `+` or `?` itself, put a backslash before it",
            Self::MissingBracket => "to match `[` itself, put a backslash before it",
            Self::MissingParenthesis | Self::UnexpectedParenthesis => {
                "to match a parenthesis itself, put a backslash before it"
            }
            Self::TrailingBackslash => "to match a backslash, write `\\\\`",
            Self::TooLong => "split it into several values; a pattern has at most 4096 bytes",
            Self::TooDeep => "groups nest at most 100 deep",
            Self::TooLarge => "lower the repeat counts or use smaller character classes",
        }
    }
}
