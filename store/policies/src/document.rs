//! Documents with the places of their parts: JSON and YAML, one or several in a text.

use std::collections::HashMap;

use lictor_normalize::yaml::{self, Item, Position, YamlErrorKind};
use serde_json::Value;

/// One document of a text.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) value: Value,
    places: Places,
}

/// Where each part of a document is.
type Places = HashMap<String, Position>;

/// Why a text is not a document.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    /// The rule that it breaks.
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) position: Option<Position>,
}

/// Reads a text. A first character `{` or `[` means JSON; YAML may hold several documents.
pub(crate) fn read(text: &str) -> Result<Vec<Document>, SyntaxError> {
    let is_json = text.trim_start().starts_with(['{', '[']);
    if is_json {
        // Read as JSON, which YAML is a superset of in all but a few escapes; those cost the places only.
        let document = yaml::read_json(text).map_err(|error| {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            let position = Position { line: error.line() as u64, column: error.column() as u64 };
            not_understood(message, Some(position))
        })?;
        let written = yaml::read(text);
        if let Some(key) = document.root().duplicate_key() {
            return Err(duplicate_key(key, written.err().and_then(|error| error.position)));
        }
        let places = written.ok().and_then(|documents| documents.first().map(places));
        return Ok(vec![Document { value: document.into_json(), places: places.unwrap_or_default() }]);
    }
    let documents = yaml::read(text).map_err(|error| match &error.kind {
        YamlErrorKind::DuplicateKey(key) => duplicate_key(key, error.position),
        YamlErrorKind::Syntax(message) => not_understood(message, error.position),
    })?;
    let documents = documents.into_iter().map(|document| {
        let places = places(&document);
        Document { value: document.into_json(), places }
    });
    Ok(documents.collect())
}

fn not_understood(message: &str, position: Option<Position>) -> SyntaxError {
    SyntaxError { code: "syntax", message: format!("neither JSON nor YAML: {message}"), position }
}

fn duplicate_key(key: &str, position: Option<Position>) -> SyntaxError {
    SyntaxError { code: "duplicate-key", message: format!("duplicate key `{key}`"), position }
}

impl Document {
    /// Where a part is; for one that is not written, the nearest part around it.
    pub(crate) fn place(&self, path: &str) -> Option<Position> {
        let mut path = path;
        loop {
            if let Some(position) = self.places.get(path) {
                return Some(*position);
            }
            if path.is_empty() {
                return None;
            }
            path = path.rfind(['.', '[']).and_then(|end| path.get(..end)).unwrap_or_default();
        }
    }
}

fn places(document: &yaml::Document<'_>) -> Places {
    let mut places = Places::new();
    add(&mut places, String::new(), document.root());
    places
}

fn add(places: &mut Places, path: String, item: Item<'_>) {
    for (i, item) in item.items().into_iter().flatten().enumerate() {
        add(places, format!("{path}[{i}]"), item);
    }
    for (key, value) in item.entries().into_iter().flatten() {
        let key = lower_camel_case(key);
        add(places, if path.is_empty() { key } else { format!("{path}.{key}") }, value);
    }
    places.extend(item.position().map(|position| (path, position)));
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
        let message = "neither JSON nor YAML: expected value";
        assert_eq!((error.message.as_str(), error.position.unwrap().column), (message, 7));
        let error = read("a: [1\nb: 2\n").unwrap_err();
        assert!(error.position.is_some(), "{error:?}");
    }
}
