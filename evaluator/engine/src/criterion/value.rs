//! What an extractor takes from an element for a criterion to compare.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::truth::Fact;

/// One value of an element, borrowed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    /// StackRox's null: there is nothing to compare, and nothing matches, not even negated.
    Missing,
    /// Nobody knows yet.
    Unknown(Fact<'a>),
    /// Text.
    Text(&'a str),
    /// Text whose end was cut off: it can match for certain, not fail to.
    CutText(&'a str, Fact<'a>),
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    Uint(u64),
    /// A number in single precision.
    Float(f32),
    /// Yes or no.
    Bool(bool),
    /// A value of an enum: StackRox's number and name.
    Enum(i64, &'static str),
    /// A moment.
    Time(Timestamp),
    /// A list that is compared as one: a value matches when any item does.
    List(Vec<&'a str>),
    /// Labels or annotations.
    Map(&'a BTreeMap<String, String>),
    /// Parts that are compared as one text, tab between them. The last is not shown in evidence when `secret`.
    Parts {
        /// The parts.
        parts: Vec<&'a str>,
        /// Whether the last part stays out of evidence.
        secret: bool,
    },
}

impl<'a> Value<'a> {
    /// A list of texts.
    pub(crate) fn list(items: impl IntoIterator<Item = &'a String>) -> Self {
        Self::List(items.into_iter().map(String::as_str).collect())
    }

    /// A moment, or null.
    pub(crate) fn time(time: Option<Timestamp>) -> Self {
        time.map_or(Self::Missing, Self::Time)
    }
}
