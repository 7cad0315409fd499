//! Why a value makes no matcher.

use thiserror::Error;

use super::form::Form;
use super::glob::GlobError;
use crate::go_regex::PatternError;

/// A value that makes no matcher. It has to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum ValueError {
    /// It is not a regular expression.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// It is not a path glob.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// It is not a signed whole number.
    #[error("not a whole number")]
    Int,
    /// It is not an unsigned whole number.
    #[error("not a whole number of 0 or more")]
    Uint,
    /// It is not a decimal number.
    #[error("not a decimal number")]
    Float,
    /// It is neither true nor false, or not in a spelling that is understood.
    #[error("neither `true` nor `false`")]
    Bool,
    /// It has too few parts.
    #[error("needs {} equals signs, as in `{example}`", .parts - 1)]
    Parts {
        /// How many parts it needs.
        parts: usize,
        /// What it looks like.
        example: &'static str,
    },
}

impl ValueError {
    /// What to do about it; empty when the message says it.
    pub(crate) const fn hint(&self) -> &'static str {
        match self {
            Self::Pattern(error) => error.hint(),
            Self::Int | Self::Uint => "a comparator may precede it, as in `>= 10`",
            Self::Float => "a comparator may precede it, as in `>= 7.5`",
            Self::Bool => "write it in lower case",
            Self::Glob(_) | Self::Parts { .. } => "",
        }
    }
}

/// A value that its criterion does not accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("accepts {form}")]
pub(crate) struct Unaccepted {
    /// What the criterion accepts.
    pub(crate) form: Form,
}
