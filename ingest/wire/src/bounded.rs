//! Lists from outside: a short text may hold millions of items.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A list of at most `MOST` items: of a longer one only the first are kept, so that its length can be refused without
/// holding it. `null` is an empty list, as Go writes it.
#[derive(Debug)]
pub struct Bounded<T, const MOST: usize> {
    kept: Vec<T>,
    length: usize,
}

/// A list is longer than its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the list has {length} items, and {limit} is the limit")]
pub struct TooMany {
    /// The list's length.
    pub length: usize,
    /// The bound.
    pub limit: usize,
}

impl<T, const MOST: usize> Bounded<T, MOST> {
    /// All items.
    ///
    /// # Errors
    /// When there are more than `MOST`.
    pub fn all(self) -> Result<Vec<T>, TooMany> {
        let Self { kept, length } = self;
        if length > kept.len() { Err(TooMany { length, limit: MOST }) } else { Ok(kept) }
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Bounded<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(List(PhantomData))
    }
}

struct List<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
    type Value = Bounded<T, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Bounded { kept: Vec::new(), length: 0 })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < MOST {
            let Some(item) = seq.next_element()? else { return Ok(Bounded { length: kept.len(), kept }) };
            kept.push(item);
        }
        let mut length = kept.len();
        while seq.next_element::<IgnoredAny>()?.is_some() {
            length += 1;
        }
        Ok(Bounded { kept, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_kept_up_to_its_bound() {
        let read = |text: &str| serde_json::from_str::<Bounded<u8, 3>>(text).unwrap().all();
        assert_eq!(read("[]"), Ok(vec![]));
        assert_eq!(read("null"), Ok(vec![]));
        assert_eq!(read("[1,2,3]"), Ok(vec![1, 2, 3]));
        assert_eq!(read("[1,2,3,4,{}]"), Err(TooMany { length: 5, limit: 3 }));
        assert!(serde_json::from_str::<Bounded<u8, 3>>("[7").is_err());
        assert!(serde_json::from_str::<Bounded<u8, 3>>("{}").is_err());
    }
}
