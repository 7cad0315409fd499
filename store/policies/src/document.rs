//! Documents with the places of their parts: JSON and YAML, one or several in a text.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use crate::finding::Position;

/// One document of a text.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) value: Value,
    places: Places,
}

/// Where each part of a document stands.
#[derive(Debug, Default)]
struct Places(HashMap<String, Position>);

/// Why a text is no document.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub(crate) message: String,
    pub(crate) position: Option<Position>,
}

/// Reads a text. JSON is told from YAML by its first character; YAML may hold several documents.
pub(crate) fn read(text: &str) -> Result<Vec<Document>, SyntaxError> {
    let json = text.trim_start().starts_with(['{', '[']);
    if json {
        // Read as JSON, which YAML is a superset of in all but a few escapes; those cost the places only.
        let value = serde_json::from_str(text).map_err(|error| SyntaxError {
            message: plain(&error.to_string()),
            position: Some(Position { line: error.line() as u64, column: error.column() as u64 }),
        })?;
        let places = serde_saphyr::from_str_with_options::<Spanned<Node>>(text, options())
            .map(|node| Places::of(&node))
            .unwrap_or_default();
        return Ok(vec![Document { value, places }]);
    }
    let nodes: Vec<Spanned<Node>> =
        serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| SyntaxError {
            position: error.location().map(|place| Position { line: place.line(), column: place.column() }),
            message: plain(&error.to_string()),
        })?;
    let documents = nodes.into_iter().map(|node| {
        let places = Places::of(&node);
        Document { value: node.value.into_value(), places }
    });
    Ok(documents.collect())
}

/// The first line of an error, without the place it repeats.
fn plain(message: &str) -> String {
    let line = message.lines().next().unwrap_or(message);
    let line = line.strip_prefix("error: ").unwrap_or(line);
    line.split(" at line ").next().unwrap_or(line).to_owned()
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_reader_input_bytes: None,
            // A set of a thousand policies with long texts and hundreds of exclusions each is far below.
            max_events: 20_000_000,
            max_nodes: 10_000_000,
            max_total_scalar_bytes: 1 << 30,
        },
    }
}

impl Document {
    /// Where a part stands; for one that is not written, the nearest part around it.
    pub(crate) fn place(&self, path: &str) -> Option<Position> {
        let mut path = path;
        loop {
            if let Some(position) = self.places.0.get(path) {
                return Some(*position);
            }
            if path.is_empty() {
                return None;
            }
            path = path.rfind(['.', '[']).and_then(|end| path.get(..end)).unwrap_or_default();
        }
    }
}

impl Places {
    fn of(root: &Spanned<Node>) -> Self {
        let mut places = Self::default();
        places.add(String::new(), root);
        places
    }

    fn add(&mut self, path: String, node: &Spanned<Node>) {
        match &node.value {
            Node::Scalar(_) => {}
            Node::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.add(format!("{path}[{i}]"), item);
                }
            }
            Node::Map(entries) => {
                for (key, value) in entries {
                    let key = lower_camel_case(&key.value);
                    self.add(if path.is_empty() { key } else { format!("{path}.{key}") }, value);
                }
            }
        }
        let place = node.referenced;
        self.0.insert(path, Position { line: place.line(), column: place.column() });
    }
}

/// Fields may be written in `snake_case`; paths name them in `lowerCamelCase`.
fn lower_camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut raise = false;
    for letter in name.chars() {
        match letter {
            '_' if !camel.is_empty() => raise = true,
            letter if raise => {
                camel.extend(letter.to_uppercase());
                raise = false;
            }
            letter => camel.push(letter),
        }
    }
    camel
}

/// A value that knows where its parts are.
#[derive(Debug)]
enum Node {
    Scalar(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl Node {
    fn into_value(self) -> Value {
        match self {
            Self::Scalar(value) => value,
            Self::List(items) => items.into_iter().map(|item| item.value.into_value()).collect(),
            Self::Map(entries) => {
                let entries = entries.into_iter().map(|(key, value)| (key.value, value.value.into_value()));
                Value::Object(entries.collect::<Map<String, Value>>())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a policy or a list of policies")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, path: &str) -> Option<(u64, u64)> {
        read(text).unwrap()[0].place(path).map(|position| (position.line, position.column))
    }

    #[test]
    fn parts_have_places() {
        let json = "{\n  \"a\": [\n    {\"lifecycle_stages\": \"x\"}\n  ]\n}";
        assert_eq!(place(json, "a[0].lifecycleStages"), Some((3, 26)));
        assert_eq!(place(json, "a[0].other.inner"), Some((3, 5)), "the nearest part around");
        let yaml = "a:\n- b: ü\n- c: {d: 1}\n";
        assert_eq!(place(yaml, "a[1].c.d"), Some((3, 10)));
        assert_eq!(place("{\"tabs\":\t\"\\ud83d\\ude00\", \"b\": 1}", "b"), Some((1, 31)));
    }

    #[test]
    fn several_documents_are_several() {
        let documents = read("a: 1\n---\nb: 2\n").unwrap();
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[1].place("b").unwrap().line, 3);
    }

    #[test]
    fn errors_have_places() {
        let error = read("{\"a\": }").unwrap_err();
        assert_eq!((error.message.as_str(), error.position.unwrap().column), ("expected value", 7));
        let error = read("a: [1\nb: 2\n").unwrap_err();
        assert!(error.position.is_some(), "{error:?}");
    }
}
