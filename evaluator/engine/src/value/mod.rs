//! Values of criteria: what may be written, and what it then matches.
//!
//! A [`Form`] says which values a criterion accepts. A matcher is made from an accepted value once, asked often
//! through `&self`, and printed to show what was wanted. Nothing here knows which criterion it serves or where in the
//! model the compared facts come from.
//!
//! The two steps are kept apart because they are apart in StackRox, and do not agree: a form looks for *some line*
//! that is right, a matcher reads the whole value. A value can pass its form and still make no matcher.

mod age;
mod boolean;
mod capability;
mod composite;
mod enumeration;
mod error;
mod form;
mod glob;
mod map;
mod number;
mod signature;
mod text;

pub use age::AgeMatcher;
pub use boolean::BoolMatcher;
pub use capability::{AddCapabilitiesMatcher, DropCapabilitiesMatcher};
pub use composite::CompositeMatcher;
pub(crate) use composite::join_parts;
pub use enumeration::{EnumMatcher, EnumNames, is_unset};
pub use error::{Unaccepted, ValueError};
pub use form::{CAPABILITIES, DOCKER_INSTRUCTIONS, Form};
pub use glob::{GlobError, PathGlob};
pub use map::{MapMatcher, MapRule, PairMatcher};
pub use number::{Comparator, FloatMatcher, IntMatcher, UintMatcher};
pub use signature::SignatureMatcher;
pub use text::{TextMatcher, TextTest};

/// How several values of a criterion that looks at a set go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Combine {
    /// One of them is enough.
    #[default]
    Any,
    /// Each of them counts.
    All,
}
