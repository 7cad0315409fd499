//! YAML, read in one place and by one set of rules: those by which `kubectl` turns it into JSON, and where a type is
//! read, more: a manifest that the API server would refuse for a missing pair of quotes is judged all the same.
//!
//! A text becomes a tree first, whatever it is about, and JSON or a type is made of the tree. So the YAML reader is
//! compiled once, not once for every Kubernetes type, and its rules are here and nowhere else. What is JSON already
//! becomes such a tree without it, by [`read_json`]: Kubernetes types are made of trees alone.
//!
//! | written | read |
//! |---|---|
//! | `0644`, `0o644`, `0x1a4` | 420 |
//! | `3.0`, `1e3` | 3, 1000 |
//! | `yes`, `on`, `no`, `off` | true, false |
//! | an integer or boolean in quotes where a type wants one | what is in the quotes |
//! | any of these where a type wants text | the text as written: a label `tier: on`, a quantity `cpu: 0.50` |
//! | a key twice in one mapping | an error with the second one's place |
//! | a key that is not text | the text of it |
//! | `<<: *base` | the mapping it names, below the keys written beside it |
//!
//! Aliases are followed within bounds, so a text that multiplies itself ends in an error.

mod typed;

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::{Options, Spanned};

use crate::path::Text;
pub use typed::TypeError;

/// Mappings and lists nest this deep at most: a custom resource definition's schema, the deepest thing `kubectl`
/// prints, needs about 60 levels.
const MAX_DEPTH: usize = 200;

/// Nodes of one text, after aliases are followed. `kubectl get --all-namespaces` of ten thousand pods has about three
/// million; a text that multiplies itself by aliases has more.
const MAX_NODES: usize = 10_000_000;

/// Bytes of all scalars of one text, after aliases are followed.
const MAX_SCALAR_BYTES: usize = 1 << 30;

/// Floating-point numbers are whole up to here, and those beyond may be any of several whole numbers.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// A document of a text.
#[derive(Debug)]
pub struct Document<'a> {
    source: &'a str,
    root: Node<'a>,
}

/// A part of a document. Deserialize types from it as from any other deserializer.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    source: &'a str,
    node: &'a Node<'a>,
}

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Position {
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

/// Why a text cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct YamlError {
    /// What is wrong.
    pub kind: YamlErrorKind,
    /// Where, as far as that is known.
    pub position: Option<Position>,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum YamlErrorKind {
    /// A mapping has a key twice.
    #[error("duplicate key `{0}`")]
    DuplicateKey(String),
    /// Not YAML, or beyond the bounds.
    #[error("{0}")]
    Syntax(String),
}

/// Reads the documents of a text; one that is empty, or null, is left out.
///
/// # Errors
/// When the text is not YAML, has a key twice, or is beyond the bounds.
pub fn read(text: &str) -> Result<Vec<Document<'_>>, YamlError> {
    match serde_saphyr::from_multiple_with_options::<Node<'_>>(text, options()) {
        Ok(roots) => Ok(roots.into_iter().map(|root| Document { source: text, root }).collect()),
        Err(error) => Err(YamlError::from(&error)),
    }
}

/// Reads one value of JSON, a key that an object has twice included. Its parts do not know where they are written.
///
/// # Errors
/// When the text is not JSON.
pub fn read_json(text: &str) -> Result<Document<'_>, serde_json::Error> {
    serde_json::from_str(text).map(|Json(root)| Document { source: "", root })
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_reader_input_bytes: None,
            max_documents: usize::MAX,
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: MAX_NODES * 2,
            max_total_scalar_bytes: MAX_SCALAR_BYTES,
        },
        legacy_octal_numbers: true,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    }
}

// === impl Document ===

impl<'a> Document<'a> {
    /// All of it.
    pub fn root(&'a self) -> Item<'a> {
        Item { source: self.source, node: &self.root }
    }

    /// The document as JSON.
    pub fn into_json(self) -> Value {
        // A value takes whatever is in a tree.
        Value::deserialize(self.root()).unwrap_or_default()
    }
}

// === impl Item ===

impl<'a> Item<'a> {
    /// Where it is written, as far as that is known; for an alias, where the alias is.
    pub const fn position(self) -> Option<Position> {
        self.node.position
    }

    /// The value of a key, if it is a mapping that has it.
    pub fn get(self, key: &str) -> Option<Self> {
        self.entries()?.find(|(found, _)| *found == key).map(|(_, value)| value)
    }

    /// Its keys and their values, if it is a mapping.
    pub fn entries(self) -> Option<impl Iterator<Item = (&'a str, Self)>> {
        let NodeValue::Map(entries) = &self.node.value else { return None };
        Some(entries.iter().map(move |(Text(key), node)| (&**key, Self { node, ..self })))
    }

    /// Its items, if it is a list.
    pub fn items(self) -> Option<impl Iterator<Item = Self>> {
        let NodeValue::List(items) = &self.node.value else { return None };
        Some(items.iter().map(move |node| Self { node, ..self }))
    }

    /// It as text, if it is a scalar and not null: numbers and booleans as they are written, where that is known.
    pub fn text(self) -> Option<&'a str> {
        match &self.node.value {
            NodeValue::Text(Text(text)) => Some(text),
            NodeValue::Bool(_) | NodeValue::Number(_) => {
                self.source.get(self.node.start..self.node.end).filter(|text| !text.is_empty())
            }
            NodeValue::Null | NodeValue::List(_) | NodeValue::Map(_) => None,
        }
    }

    /// A key that a mapping in it has twice, which only JSON lets through.
    pub fn duplicate_key(self) -> Option<&'a str> {
        let mut keys = HashSet::new();
        let twice = |(key, value): (&'a str, Self)| {
            if keys.insert(key) { value.duplicate_key() } else { Some(key) }
        };
        let in_entries = self.entries().and_then(|mut entries| entries.find_map(twice));
        in_entries.or_else(|| self.items()?.find_map(Self::duplicate_key))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

// === impl YamlError ===

impl From<&serde_saphyr::Error> for YamlError {
    fn from(error: &serde_saphyr::Error) -> Self {
        let error = error.without_snippet();
        let kind = match error {
            serde_saphyr::Error::DuplicateMappingKey { key, .. } => {
                YamlErrorKind::DuplicateKey(key.clone().unwrap_or_default())
            }
            // The message on one line, without the place it repeats.
            _ => {
                let message = error.to_string();
                let line = message.lines().next().unwrap_or_default();
                let line = line.rsplit_once(" at line ").map_or(line, |(line, _)| line);
                YamlErrorKind::Syntax(line.to_owned())
            }
        };
        let position = error.location().map(|at| Position { line: at.line(), column: at.column() });
        Self { kind, position }
    }
}

// === the tree ===

#[derive(Debug)]
struct Node<'a> {
    position: Option<Position>,
    /// The bytes of the text that a scalar is written in; none where that is not known.
    start: usize,
    end: usize,
    value: NodeValue<'a>,
}

#[derive(Debug)]
enum NodeValue<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Text<'a>),
    List(Vec<Node<'a>>),
    Map(Vec<(Text<'a>, Node<'a>)>),
}

/// A node of JSON, which does not say where it is written.
struct Json<'a>(Node<'a>);

impl<'a> From<Json<'a>> for Node<'a> {
    fn from(Json(node): Json<'a>) -> Self {
        node
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, defined } = Spanned::deserialize(deserializer)?;
        let (start, length) = (defined.span().byte_offset(), defined.span().byte_len());
        let offset = |bytes: Option<u64>| usize::try_from(bytes.unwrap_or_default()).unwrap_or_default();
        let start = offset(start);
        Ok(Self {
            position: Some(Position { line: referenced.line(), column: referenced.column() }),
            start,
            end: start.saturating_add(offset(length)),
            value,
        })
    }
}

impl<'de> Deserialize<'de> for NodeValue<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor::<Node<'de>>(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_any(NodeVisitor::<Self>(PhantomData))?;
        Ok(Self(Node { position: None, start: 0, end: 0, value }))
    }
}

/// Makes a node's value; `N` reads the nodes below.
struct NodeVisitor<N>(PhantomData<N>);

impl<'de, N: Deserialize<'de> + Into<Node<'de>>> Visitor<'de> for NodeVisitor<N> {
    type Value = NodeValue<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(NodeValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(NodeValue::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(NodeValue::Number(value.into()))
    }

    #[expect(clippy::cast_possible_truncation, reason = "whole, and far within the range")]
    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        if value.fract() == 0.0 && value.abs() < LARGEST_WHOLE {
            return Ok(NodeValue::Number((value as i64).into()));
        }
        Ok(Number::from_f64(value).map_or(NodeValue::Null, NodeValue::Number))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(NodeValue::Text(Text(value.into())))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(NodeValue::Text(Text(value.to_owned().into())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(NodeValue::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<N>()? {
            items.push(item.into());
        }
        Ok(NodeValue::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, node)) = map.next_entry::<_, N>()? {
            entries.push((key, node.into()));
        }
        Ok(NodeValue::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    fn json(text: &str) -> Value {
        read(text).unwrap().pop().unwrap().into_json()
    }

    #[test]
    fn scalars_are_what_kubectl_makes_of_them() {
        let cases = [
            ("0644", json!(420)),
            ("0o644", json!(420)),
            ("0400", json!(256)),
            ("0x1A", json!(26)),
            ("0", json!(0)),
            ("-7", json!(-7)),
            ("1.0", json!(1)),
            ("1e3", json!(1000)),
            ("-2.0", json!(-2)),
            ("0.5", json!(0.5)),
            ("08", json!(8)),
            ("18446744073709551615", json!(u64::MAX)),
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("'yes'", json!("yes")),
            ("\"0644\"", json!("0644")),
            ("~", json!(null)),
            ("2026-01-01T00:00:00Z", json!("2026-01-01T00:00:00Z")),
            (".inf", json!(".inf")),
            ("abc", json!("abc")),
        ];
        for (text, expected) in cases {
            assert_eq!(json(&format!("a: {text}\n")), json!({"a": expected}), "{text}");
        }
    }

    #[test]
    fn keys_are_texts_and_merged_keys_are_overridden() {
        assert_eq!(json("{1: a, true: b, 0x10: c}"), json!({"1": "a", "true": "b", "0x10": "c"}));
        let merged = "base: &base {a: 1, b: 2}\nuse: {<<: *base, b: 3}\n";
        assert_eq!(json(merged)["use"], json!({"a": 1, "b": 3}));
    }

    #[test]
    fn a_key_twice_is_an_error_with_its_place() {
        let error = read("a: 1\nb:\n  c: 1\n  c: 2\n").unwrap_err();
        assert_eq!(error.kind, YamlErrorKind::DuplicateKey("c".to_owned()));
        assert_eq!(error.position, Some(Position { line: 4, column: 3 }));
    }

    #[test]
    fn a_key_twice_in_json_is_found_in_whatever_depth() {
        let twice = "{\"a\": 1,\n \"b\": [{\"c\": 1, \"d\": {\"c\": 2}}, {\"c\": 1,\n \"\\u0063\": 2}]}";
        assert_eq!(read_json(twice).unwrap().root().duplicate_key(), Some("c"));
        assert_eq!(read(twice).unwrap_err().position.unwrap().line, 3);
        for text in ["{\"a\": {\"a\": null}}", "[1, -2, 3.5, \"x\", true]"] {
            assert_eq!(read_json(text).unwrap().root().duplicate_key(), None, "{text}");
        }
    }

    #[test]
    fn documents_know_their_lines_and_empty_ones_are_none() {
        let documents = read("# none\n--- # a comment\n---\na: 1\n---\n- b\n").unwrap();
        let lines: Vec<u64> =
            documents.iter().map(|document| document.root().position().unwrap().line).collect();
        assert_eq!(lines, [4, 6]);
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Typed {
        #[serde(default)]
        mode: Option<i32>,
        #[serde(default)]
        on: bool,
        #[serde(default)]
        labels: BTreeMap<String, String>,
        #[serde(default)]
        list: Vec<Typed>,
        #[serde(default)]
        variant: Option<Variant>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Variant {
        Plain,
        With(Vec<u8>),
    }

    fn typed(text: &str) -> Result<Typed, TypeError> {
        Typed::deserialize(read(text).unwrap()[0].root())
    }

    #[test]
    fn a_type_that_wants_text_gets_what_is_written() {
        let labels = "labels: {a: on, b: 1.10, c: 0644, d: 'x', e: &e 1_000, f: *e, g: !!str 7, h: ü}";
        let typed = typed(labels).unwrap();
        let labels: Vec<&str> = typed.labels.values().map(String::as_str).collect();
        assert_eq!(labels, ["on", "1.10", "0644", "x", "1_000", "1_000", "7", "ü"]);
    }

    #[test]
    fn what_does_not_fit_a_type_is_named_with_its_path_and_line() {
        assert_eq!(typed("{mode: 0o644, on: yes}").unwrap().mode, Some(420));
        assert_eq!(typed("mode: ~").unwrap().mode, None);
        assert_eq!(typed("variant: plain").unwrap().variant, Some(Variant::Plain));
        assert_eq!(typed("variant: {with: [1]}").unwrap().variant, Some(Variant::With(vec![1])));
        // The API server refuses these; what they would be is judged.
        let quoted = typed("{mode: '7', on: 'yes', labels: {a: ~}}").unwrap();
        assert_eq!((quoted.mode, quoted.on, quoted.labels["a"].as_str()), (Some(7), true, ""));
        let cases = [
            ("list:\n- mode: 1\n- labels:\n    a: [1]\n", "list[1].labels.a", 4, "sequence"),
            ("mode: 7.5\n", "mode", 1, "7.5"),
            ("mode: 3000000000\n", "mode", 1, "3000000000"),
            ("\non: 'maybe'\n", "on", 2, "string"),
            ("\n\non: 1\n", "on", 3, "integer `1`"),
            ("mode: x\n", "mode", 1, "string"),
            ("variant:\n  with:\n  - x\n", "variant.with[0]", 3, "string"),
            ("variant: other\n", "variant", 1, "unknown variant"),
            ("list: {}\n", "list", 1, "map"),
            ("[1]", "", 1, "sequence"),
        ];
        for (text, path, line, found) in cases {
            let error = typed(text).unwrap_err();
            assert_eq!(
                (error.path().as_str(), error.position.map(|at| at.line)),
                (path, Some(line)),
                "{text}"
            );
            assert!(error.message.contains(found), "{text}: {error}");
        }
    }

    #[test]
    fn a_text_that_multiplies_itself_ends_in_an_error() {
        let mut aliases = "a0: &a0 [x]\n".to_owned();
        for i in 1..40 {
            aliases.push_str(&format!("a{i}: &a{i} [*a{0},*a{0},*a{0},*a{0}]\n", i - 1));
        }
        assert!(matches!(read(&aliases).unwrap_err().kind, YamlErrorKind::Syntax(_)));
        assert!(read(&"[".repeat(100_000)).is_err());
    }
}
