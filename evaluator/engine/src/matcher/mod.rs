//! Values of criteria: what may be written, and what it then matches.
//!
//! A [`Form`] says which values a criterion accepts. A matcher is made from an accepted value once, and evaluated
//! often through `&self`. Nothing here knows which criterion it serves or where in the
//! model the compared facts come from.
//!
//! The two steps are kept apart because they are apart in StackRox, and do not agree: a form looks for *some line*
//! that is right, a matcher reads the whole value. A value can pass its form and still make no matcher.

mod age;
mod boolean;
mod composite;
mod enumeration;
mod error;
mod form;
mod glob;
mod number;
mod pair;
mod text;

pub(crate) use age::AgeMatcher;
pub(crate) use boolean::BoolMatcher;
pub(crate) use composite::CompositeMatcher;
pub(crate) use composite::join_parts;
pub(crate) use enumeration::{EnumMatcher, EnumNames};
pub(crate) use error::ValueError;
pub(crate) use form::{CAPABILITIES, Form};
pub(crate) use glob::PathGlob;
pub(crate) use number::{Comparator, FloatMatcher, IntMatcher, UintMatcher};
pub(crate) use pair::PairMatcher;
pub(crate) use text::{TextMatcher, TextTest};
