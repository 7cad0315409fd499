//! From a text to objects, each with the line it begins at.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use serde_saphyr::{Options, Spanned};

use super::{ManifestError, Place, Problem, Text};
use crate::json::{self, Lines};

/// Objects nest this deep at most: a custom resource definition's schema, the deepest thing `kubectl` prints, needs
/// about 60 levels.
const MAX_DEPTH: usize = 200;

/// Nodes of one YAML document, after aliases are followed. `kubectl get --all-namespaces` of ten thousand pods has
/// about three million; a text that multiplies itself by aliases has more.
const MAX_NODES: usize = 10_000_000;

/// An object whose kind and place are known and whose fields are not read yet.
pub(super) struct Document<'a> {
    pub(super) place: Place,
    pub(super) api_version: String,
    pub(super) kind: String,
    body: Body<'a>,
    /// Present for a list.
    pub(super) items: Option<Vec<Found<'a>>>,
}

enum Body<'a> {
    Yaml(&'a str),
    Json(&'a str),
    Value(Value),
}

/// One item that cannot be read does not spoil its neighbours.
pub(super) type Found<'a> = Result<Document<'a>, ManifestError>;

impl Document<'_> {
    /// Reads the object's fields.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, ManifestError> {
        match &self.body {
            Body::Yaml(text) => serde_saphyr::from_str_with_options(text, options())
                .map_err(|error| self.misfit(yaml_line(&error), yaml_message(&error))),
            Body::Json(text) => serde_json::from_str(text)
                .map_err(|error| self.misfit(error.line() as u64, plain(&error.to_string()))),
            Body::Value(value) => T::deserialize(value).map_err(|error| self.misfit(1, error.to_string())),
        }
    }

    fn misfit(&self, line: u64, message: String) -> ManifestError {
        ManifestError {
            place: below(&self.place, line),
            problem: Problem::Field { kind: self.kind.clone(), message },
        }
    }
}

/// A line counted from `start`'s own, which is 1.
fn below(start: &Place, line: u64) -> Place {
    Place { file: start.file.clone(), line: start.line + line.saturating_sub(1) }
}

/// The documents of a text, in order. Empty ones and ones of comments alone are left out.
pub(super) fn split(text: Text<'_>) -> Vec<Found<'_>> {
    let body = text.text.strip_prefix('\u{feff}').unwrap_or(text.text);
    if body.trim_start().starts_with('{')
        && let Some(documents) = json_objects(text.name, body)
    {
        return documents;
    }
    let mut documents = Vec::new();
    let (mut start, mut start_line) = (0, 1);
    let mut at = 0;
    for (i, line) in body.split_inclusive('\n').enumerate() {
        let line_number = i as u64 + 1;
        if is_marker(line) && line_number > 1 {
            documents.push((start_line, body.get(start..at).unwrap_or_default()));
            (start, start_line) = (at, line_number);
        }
        at += line.len();
    }
    documents.push((start_line, body.get(start..).unwrap_or_default()));
    documents
        .into_iter()
        .filter(|(_, document)| !is_empty(document))
        .map(|(line, document)| without_head(line, document))
        .map(|(line, document)| yaml(Place { file: text.name.to_owned(), line }, document))
        .collect()
}

/// A document from its first line on, without the marker, comments and blank lines above: that is where its object
/// begins for people.
fn without_head(line: u64, document: &str) -> (u64, &str) {
    let is_head = |line: &str| {
        let line = line.trim();
        line.is_empty() || line == "---" || line.starts_with('#')
    };
    let head: Vec<&str> = document.split_inclusive('\n').take_while(|line| is_head(line)).collect();
    let bytes: usize = head.iter().map(|line| line.len()).sum();
    (line + head.len() as u64, document.get(bytes..).unwrap_or(document))
}

/// `---` at a line's start divides documents wherever it stands, inside a block of text too: YAML says so.
fn is_marker(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn is_empty(document: &str) -> bool {
    document.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line == "---" || line == "..." || line.starts_with(['#', '%'])
    })
}

// --- YAML --------------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    items: Option<Value>,
}

#[derive(Deserialize)]
struct YamlItems {
    #[serde(default)]
    items: Option<Vec<Spanned<Value>>>,
}

fn yaml(place: Place, text: &str) -> Found<'_> {
    let outline: Outline = match serde_saphyr::from_str_with_options(text, options()) {
        Ok(outline) => outline,
        Err(error) => {
            return Err(ManifestError {
                place: below(&place, yaml_line(&error)),
                problem: Problem::Syntax(yaml_message(&error)),
            });
        }
    };
    let (api_version, kind) = identity(&place, outline.api_version, outline.kind)?;
    let items = if is_list(&kind, outline.items.as_ref()) {
        let list: YamlItems = serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
            let problem = Problem::Field { kind: kind.clone(), message: yaml_message(&error) };
            ManifestError { place: below(&place, yaml_line(&error)), problem }
        })?;
        let items = list.items.unwrap_or_default().into_iter();
        let items = items.map(|item| (below(&place, item.referenced.line()), item.value)).collect();
        Some(values(items, &place, (&api_version, &kind), 0)?)
    } else {
        None
    };
    Ok(Document { place, api_version, kind, body: Body::Yaml(text), items })
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: MAX_NODES * 2,
            max_total_scalar_bytes: usize::MAX,
        },
        with_snippet: false,
    }
}

fn yaml_line(error: &serde_saphyr::Error) -> u64 {
    error.location().map_or(1, |location| location.line())
}

/// The message on one line, without the place: it counts from the document's beginning, and the error's own counts
/// from the text's.
fn yaml_message(error: &serde_saphyr::Error) -> String {
    plain(&error.without_snippet().to_string())
}

fn plain(message: &str) -> String {
    let message = message.lines().next().unwrap_or_default();
    message.rsplit_once(" at line ").map_or(message, |(message, _)| message).to_owned()
}

// --- JSON --------------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonOutline<'a> {
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(borrow, default)]
    items: Option<&'a RawValue>,
}

/// JSON objects, one after another. `None` when the text is no JSON; it may still be YAML in flow style.
fn json_objects<'a>(name: &str, text: &'a str) -> Option<Vec<Found<'a>>> {
    let values: Vec<(u64, &str)> = json::values(text).collect::<Result<_, _>>().ok()?;
    let object = |(line, text)| json_object(Place { file: name.to_owned(), line }, text, None, 0);
    Some(values.into_iter().map(object).collect())
}

fn json_object<'a>(place: Place, text: &'a str, list: Option<(&str, &str)>, level: usize) -> Found<'a> {
    let field = |place: Place, kind: &str, error: &serde_json::Error| ManifestError {
        place: below(&place, error.line() as u64),
        problem: Problem::Field { kind: kind.to_owned(), message: plain(&error.to_string()) },
    };
    let outline: JsonOutline<'_> =
        serde_json::from_str(text).map_err(|error| field(place.clone(), "the object", &error))?;
    let (api_version, kind) = of_list(outline.api_version, outline.kind, list);
    let (api_version, kind) = identity(&place, api_version, kind)?;
    let items = match outline.items.filter(|items| kind.ends_with("List") && items.get().starts_with('[')) {
        None => None,
        Some(_) if level >= MAX_LISTS => {
            return Err(ManifestError { place, problem: Problem::TooDeep(MAX_LISTS) });
        }
        Some(items) => {
            let items: Vec<&RawValue> =
                serde_json::from_str(items.get()).map_err(|error| field(place.clone(), &kind, &error))?;
            let mut lines = Lines::new(text);
            let list = (api_version.as_str(), kind.as_str());
            let mut documents = Vec::new();
            for item in items {
                let place = below(&place, lines.of(item.get()));
                documents.push(json_object(place, item.get(), Some(list), level + 1));
            }
            Some(documents)
        }
    };
    Ok(Document { place, api_version, kind, body: Body::Json(text), items })
}

// --- lists -------------------------------------------------------------------------------------------------------

/// A list in a list is written by tools that gather their own outputs; one in that is written by nobody.
const MAX_LISTS: usize = 8;

fn values<'a>(
    items: Vec<(Place, Value)>,
    list: &Place,
    (list_version, list_kind): (&str, &str),
    level: usize,
) -> Result<Vec<Found<'a>>, ManifestError> {
    if level >= MAX_LISTS {
        return Err(ManifestError { place: list.clone(), problem: Problem::TooDeep(MAX_LISTS) });
    }
    let item = |(place, mut value): (Place, Value)| {
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let (api_version, kind) = of_list(text("apiVersion"), text("kind"), Some((list_version, list_kind)));
        let (api_version, kind) = identity(&place, api_version, kind)?;
        let inner = match value.get_mut("items") {
            Some(Value::Array(inner)) if kind.ends_with("List") => Some(std::mem::take(inner)),
            _ => None,
        };
        let items = match inner {
            // Below the first level only the outermost item's line is known.
            Some(inner) => {
                let inner = inner.into_iter().map(|item| (place.clone(), item)).collect();
                Some(values(inner, &place, (&api_version, &kind), level + 1)?)
            }
            None => None,
        };
        Ok(Document { place, api_version, kind, body: Body::Value(value), items })
    };
    Ok(items.into_iter().map(item).collect())
}

fn is_list(kind: &str, items: Option<&Value>) -> bool {
    kind.ends_with("List") && items.is_some_and(Value::is_array)
}

/// The items of a `PodList` do not say that they are pods.
fn of_list(
    api_version: Option<String>,
    kind: Option<String>,
    list: Option<(&str, &str)>,
) -> (Option<String>, Option<String>) {
    let Some((list_version, list_kind)) = list else { return (api_version, kind) };
    let item_kind = list_kind.strip_suffix("List").filter(|kind| !kind.is_empty());
    match (kind, item_kind) {
        (None, Some(item_kind)) => {
            (api_version.or_else(|| Some(list_version.to_owned())), Some(item_kind.to_owned()))
        }
        (kind, _) => (api_version, kind),
    }
}

fn identity(
    place: &Place,
    api_version: Option<String>,
    kind: Option<String>,
) -> Result<(String, String), ManifestError> {
    let missing = |missing| ManifestError { place: place.clone(), problem: Problem::NoObject { missing } };
    let kind = kind.filter(|kind| !kind.is_empty()).ok_or_else(|| missing("kind"))?;
    let api_version =
        api_version.filter(|version| !version.is_empty()).ok_or_else(|| missing("apiVersion"))?;
    Ok((api_version, kind))
}
