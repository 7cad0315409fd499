//! From a tree to a type.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::{Item, Node, NodeValue, Position};
use crate::path::Text;

/// Why a part of a document does not fit a type.
#[derive(Debug)]
pub struct TypeError {
    /// What does not fit.
    pub message: String,
    /// Where it is written.
    pub position: Option<Position>,
    /// The way to it, the last step first.
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Key(String),
    Index(usize),
}

impl TypeError {
    /// The path from the deserialized part to the field that does not fit, as `spec.containers[0].ports`; empty for the
    /// part itself.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for step in self.steps.iter().rev() {
            match step {
                Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Key(key) => path.extend([".", key]),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }

    /// Where it is in a document of the same content, one that knows where it is written.
    pub(crate) fn position_in(&self, document: Item<'_>) -> Option<Position> {
        let mut at = document;
        for step in self.steps.iter().rev() {
            at = match step {
                Step::Key(key) => at.get(key),
                Step::Index(index) => at.items()?.nth(*index),
            }?;
        }
        at.position()
    }

    fn at(mut self, node: &Node<'_>) -> Self {
        self.position = self.position.or(node.position);
        self
    }

    fn below(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path();
        if path.is_empty() { f.write_str(&self.message) } else { write!(f, "{path}: {}", self.message) }
    }
}

impl std::error::Error for TypeError {}

impl serde::de::Error for TypeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), position: None, steps: Vec::new() }
    }
}

impl<'de> Item<'de> {
    fn unexpected(self) -> Unexpected<'de> {
        match &self.node.value {
            NodeValue::Null => Unexpected::Other("null"),
            NodeValue::Bool(value) => Unexpected::Bool(*value),
            NodeValue::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => Unexpected::Unsigned(number),
                (_, Some(number)) => Unexpected::Signed(number),
                _ => Unexpected::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            NodeValue::Text(Text(text)) => Unexpected::Str(text),
            NodeValue::List(_) => Unexpected::Seq,
            NodeValue::Map(_) => Unexpected::Map,
        }
    }

    /// Integers in quotes are integers where a type wants them.
    fn integer<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match &self.node.value {
            NodeValue::Text(Text(text)) => match text.trim().parse() {
                Ok(number) => visitor.visit_i64(number),
                Err(_) => Err(self.misfit(&visitor)),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    fn entries_of(self, entries: &'de [(Text<'de>, Node<'de>)]) -> Entries<'de> {
        Entries { source: self.source, entries: entries.iter(), value: None }
    }

    fn misfit(self, expected: &dyn serde::de::Expected) -> TypeError {
        TypeError::invalid_type(self.unexpected(), expected).at(self.node)
    }
}

impl<'de> Deserializer<'de> for Item<'de> {
    type Error = TypeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match &self.node.value {
            NodeValue::Null => visitor.visit_unit(),
            NodeValue::Bool(value) => visitor.visit_bool(*value),
            NodeValue::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (_, Some(number)) => visitor.visit_i64(number),
                _ => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            NodeValue::Text(Text(text)) => visitor.visit_borrowed_str(text),
            NodeValue::List(_) => self.deserialize_seq(visitor),
            NodeValue::Map(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match &self.node.value {
            NodeValue::Text(Text(text)) => match boolean(text) {
                Some(value) => visitor.visit_bool(value),
                None => Err(self.misfit(&visitor)),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        self.integer(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        self.integer(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        let text = match self.node.value {
            // As Go does, in which text is never null.
            NodeValue::Null => "",
            _ => self.text().ok_or_else(|| self.misfit(&visitor))?,
        };
        visitor.visit_borrowed_str(text)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self.node.value {
            NodeValue::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        let NodeValue::List(items) = &self.node.value else { return Err(self.misfit(&visitor)) };
        let items = Items { source: self.source, items: items.iter().enumerate() };
        visitor.visit_seq(items).map_err(|error| error.at(self.node))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        let NodeValue::Map(entries) = &self.node.value else { return Err(self.misfit(&visitor)) };
        visitor.visit_map(self.entries_of(entries)).map_err(|error| error.at(self.node))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        match &self.node.value {
            NodeValue::Text(Text(variant)) => {
                let variant: StrDeserializer<'_, TypeError> = (&**variant).into_deserializer();
                visitor.visit_enum(variant)
            }
            NodeValue::Map(entries) => {
                visitor.visit_enum(MapAccessDeserializer::new(self.entries_of(entries)))
            }
            _ => Err(self.misfit(&visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
    }
}

/// A boolean in quotes.
fn boolean(text: &str) -> Option<bool> {
    let is_one_of = |words: [&str; 4]| words.into_iter().any(|word| word.eq_ignore_ascii_case(text.trim()));
    if is_one_of(["true", "yes", "on", "y"]) {
        Some(true)
    } else {
        is_one_of(["false", "no", "off", "n"]).then_some(false)
    }
}

struct Items<'de> {
    source: &'de str,
    items: std::iter::Enumerate<std::slice::Iter<'de, Node<'de>>>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = TypeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, TypeError> {
        let Some((index, node)) = self.items.next() else { return Ok(None) };
        let item = seed.deserialize(Item { source: self.source, node });
        item.map(Some).map_err(|error| error.at(node).below(Step::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'de> {
    source: &'de str,
    entries: std::slice::Iter<'de, (Text<'de>, Node<'de>)>,
    value: Option<&'de (Text<'de>, Node<'de>)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = TypeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, TypeError> {
        self.value = self.entries.next();
        let Some((Text(key), _)) = self.value else { return Ok(None) };
        let key: StrDeserializer<'_, TypeError> = (&**key).into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, TypeError> {
        let Some((Text(key), node)) = self.value.take() else {
            return Err(TypeError::custom("a value without a key"));
        };
        let value = seed.deserialize(Item { source: self.source, node });
        value.map_err(|error| error.at(node).below(Step::Key(key.clone().into_owned())))
    }
}
