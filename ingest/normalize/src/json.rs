//! JSON as tools write it: values one after another, over as many lines as they like.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A part of a text and the line it begins at, from 1.
pub type Part<'a> = (u64, &'a str);

/// The values of a text, in order. What is not JSON ends them: all that is left is the error.
pub fn values(text: &str) -> impl Iterator<Item = Result<Part<'_>, Part<'_>>> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let mut lines = Lines::new(text);
    let mut behind = 0;
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        match stream.next()? {
            Ok(value) => {
                behind = stream.byte_offset();
                Some(Ok((lines.of(value.get()), value.get())))
            }
            Err(_) => {
                ended = true;
                let rest = text.get(behind..).unwrap_or_default().trim_start();
                Some(Err((lines.of(rest), rest)))
            }
        }
    })
}

/// Counts lines up to parts of a text, which must be requested in order.
pub(crate) struct Lines<'a> {
    text: &'a str,
    counted: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, counted: 0, line: 1 }
    }

    /// The line that a part begins at. A part outside the text, or before the previous one, gets the previous one's
    /// line.
    pub(crate) fn of(&mut self, part: &str) -> u64 {
        let offset = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        if let Some(between) = self.text.get(self.counted..offset) {
            self.line += between.bytes().filter(|byte| *byte == b'\n').count() as u64;
            self.counted = offset;
        }
        self.line
    }
}

/// A key that an object has twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateKey {
    /// The key.
    pub key: String,
    /// The second one's line, from 1.
    pub line: u64,
    /// The second one's column, from 1, behind the key.
    pub column: u64,
}

/// The first key that an object of a JSON text has twice. `None` too where what is before it is not JSON.
#[must_use]
pub fn duplicate_key(text: &str) -> Option<DuplicateKey> {
    let mut found = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let error = Unique(&mut found).deserialize(&mut deserializer).err()?;
    found.map(|key| DuplicateKey { key, line: error.line() as u64, column: error.column() as u64 })
}

/// Reads any value; stops at a key that its object has already, and keeps it.
struct Unique<'a>(&'a mut Option<String>);

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Unique(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if keys.contains(&key) {
                *self.0 = Some(key);
                return Err(A::Error::custom("a key is there twice"));
            }
            keys.insert(key);
            map.next_value_seed(Unique(self.0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_lines_and_what_is_left_is_an_error() {
        let text = "\n{\"a\":\n1} {}\n\n[2]\n {\"b\": \n";
        let all: Vec<_> = values(text).collect();
        assert_eq!(all, [Ok((2, "{\"a\":\n1}")), Ok((3, "{}")), Ok((5, "[2]")), Err((6, "{\"b\": \n"))]);
        assert_eq!(values(" \n").count(), 0);
    }

    #[test]
    fn a_key_twice_is_found_in_whatever_depth() {
        let twice = duplicate_key(
            "{\"a\": 1,\n \"b\": [{\"c\": 1, \"d\": {\"c\": 2}}, {\"c\": 1,\n \"\\u0063\": 2}]}",
        )
        .unwrap();
        assert_eq!((twice.key.as_str(), twice.line), ("c", 3));
        for text in ["{\"a\": {\"a\": null}}", "[1, -2, 3.5, \"x\", true]", "{\"a\": ", ""] {
            assert_eq!(duplicate_key(text), None, "{text}");
        }
    }
}
