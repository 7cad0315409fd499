//! From a text to objects, each with the line it begins at.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{ManifestError, Place, Problem, Text};
use crate::json::{self, Lines};
use crate::yaml::{self, Item, YamlErrorKind};

/// A list in a list is written by tools that gather their own outputs; one in that is written by nobody.
const MAX_LISTS: usize = 8;

/// An object whose kind and place are known and whose fields are not read yet.
pub(super) struct Document<'a> {
    pub(super) place: Place,
    pub(super) api_version: String,
    pub(super) kind: String,
    body: Body<'a>,
}

enum Body<'a> {
    /// In a text that begins at this line.
    Yaml(u64, Item<'a>),
    Json(&'a str),
}

/// One item that cannot be read does not spoil its neighbours.
pub(super) type Found<'a> = Result<Document<'a>, ManifestError>;

type Take<'t> = &'t mut dyn FnMut(Found<'_>);

/// A list's version and kind, for its items that do not say theirs; and how many lists are around.
#[derive(Clone, Copy)]
struct Within<'a> {
    list: Option<(&'a str, &'a str)>,
    level: usize,
}

const TOP: Within<'_> = Within { list: None, level: 0 };

impl Document<'_> {
    /// Reads the object's fields.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, ManifestError> {
        match self.body {
            Body::Yaml(first, item) => self.read_item(first, item),
            Body::Json(text) => serde_json::from_str(text).map_err(|error| {
                // JSON is YAML, whose reader can name the field.
                let document = yaml::read(text).ok().and_then(|mut documents| documents.pop());
                let named =
                    document.and_then(|document| self.read_item::<T>(self.place.line, document.root()).err());
                named.unwrap_or_else(|| self.misfit(below(&self.place, &error), plain(&error)))
            }),
        }
    }

    fn read_item<T: DeserializeOwned>(&self, first: u64, item: Item<'_>) -> Result<T, ManifestError> {
        T::deserialize(item).map_err(|error| {
            let line = error.position.map_or(1, |position| position.line);
            self.misfit(Place { file: self.place.file.clone(), line: nth(first, line) }, error.to_string())
        })
    }

    fn misfit(&self, place: Place, message: String) -> ManifestError {
        ManifestError { place, problem: Problem::Field { kind: self.kind.clone(), message } }
    }
}

/// A line counted from another, both from 1.
const fn nth(first: u64, line: u64) -> u64 {
    first + line.saturating_sub(1)
}

/// Hands on the objects of a text, those of lists one by one. Documents that are empty are left out.
pub(super) fn each(text: Text<'_>, take: Take<'_>) {
    let body = text.text.strip_prefix('\u{feff}').unwrap_or(text.text);
    // What begins like JSON and is not may be YAML in flow style.
    if body.trim_start().starts_with('{')
        && let Ok(values) = json::values(body).collect::<Result<Vec<_>, _>>()
    {
        for (line, value) in values {
            json_object(Place { file: text.name.to_owned(), line }, value, TOP, take);
        }
        return;
    }
    for (first, part) in parts(body) {
        match yaml::read(part) {
            Ok(documents) => {
                for document in &documents {
                    yaml_object(text.name, first, document.root(), TOP, take);
                }
            }
            Err(error) => {
                let line = nth(first, error.position.map_or(1, |position| position.line));
                let problem = match error.kind {
                    YamlErrorKind::DuplicateKey(key) => Problem::DuplicateKey { key },
                    YamlErrorKind::Syntax(message) => Problem::Syntax(message),
                };
                take(Err(ManifestError { place: Place { file: text.name.to_owned(), line }, problem }));
            }
        }
    }
}

/// The parts of a text that markers divide, each with its first line: what is wrong in one spoils no other.
fn parts(text: &str) -> Vec<(u64, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut first, mut at) = (0, 1, 0);
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        if is_marker(line) && number > 1 {
            parts.push((first, text.get(start..at).unwrap_or_default()));
            (start, first) = (at, number);
        }
        at += line.len();
    }
    parts.push((first, text.get(start..).unwrap_or_default()));
    parts.retain(|(_, part)| !is_empty(part));
    parts
}

/// `---` at a line's start divides documents wherever it is, inside a block of text too: YAML says so.
fn is_marker(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Whether there is nothing but comments, markers and directives, which alone are not YAML.
fn is_empty(part: &str) -> bool {
    part.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line == "---" || line == "..." || line.starts_with(['#', '%'])
    })
}

fn yaml_object(file: &str, first: u64, item: Item<'_>, within: Within<'_>, take: Take<'_>) {
    let place = Place { file: file.to_owned(), line: nth(first, item.position().line) };
    if item.entries().is_none() {
        let problem = Problem::Syntax("expected a Kubernetes object".to_owned());
        return take(Err(ManifestError { place, problem }));
    }
    let text = |key| item.get(key).and_then(Item::text).map(str::to_owned);
    let (api_version, kind) = match within.identity(&place, text("apiVersion"), text("kind")) {
        Ok(identity) => identity,
        Err(error) => return take(Err(error)),
    };
    match item.get("items").and_then(Item::items).filter(|_| kind.ends_with("List")) {
        None => take(Ok(Document { place, api_version, kind, body: Body::Yaml(first, item) })),
        Some(items) => match within.below(&place, &api_version, &kind) {
            Ok(within) => items.for_each(|item| yaml_object(file, first, item, within, take)),
            Err(error) => take(Err(error)),
        },
    }
}

// --- JSON --------------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline<'a> {
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(borrow, default)]
    items: Option<&'a RawValue>,
}

fn json_object(place: Place, text: &str, within: Within<'_>, take: Take<'_>) {
    let misfit = |kind: &str, error: &serde_json::Error| ManifestError {
        place: below(&place, error),
        problem: Problem::Field { kind: kind.to_owned(), message: plain(error) },
    };
    let outline: Outline<'_> = match serde_json::from_str(text) {
        Ok(outline) => outline,
        Err(error) => return take(Err(misfit("the object", &error))),
    };
    let (api_version, kind) = match within.identity(&place, outline.api_version, outline.kind) {
        Ok(identity) => identity,
        Err(error) => return take(Err(error)),
    };
    let Some(items) = outline.items.filter(|items| kind.ends_with("List") && items.get().starts_with('['))
    else {
        return take(match json::duplicate_key(text) {
            Some(twice) => {
                let place = Place { line: nth(place.line, twice.line), ..place };
                Err(ManifestError { place, problem: Problem::DuplicateKey { key: twice.key } })
            }
            None => Ok(Document { place, api_version, kind, body: Body::Json(text) }),
        });
    };
    let within = match within.below(&place, &api_version, &kind) {
        Ok(within) => within,
        Err(error) => return take(Err(error)),
    };
    let items: Vec<&RawValue> = match serde_json::from_str(items.get()) {
        Ok(items) => items,
        Err(error) => return take(Err(misfit(&kind, &error))),
    };
    let mut lines = Lines::new(text);
    for item in items {
        let place = Place { file: place.file.clone(), line: nth(place.line, lines.of(item.get())) };
        json_object(place, item.get(), within, take);
    }
}

/// Where in a text that begins at `start` reading stopped.
fn below(start: &Place, error: &serde_json::Error) -> Place {
    Place { file: start.file.clone(), line: nth(start.line, error.line() as u64) }
}

/// The message without the place: it counts from the object's beginning, and the error's own counts from the text's.
fn plain(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message).to_owned()
}

// --- lists -------------------------------------------------------------------------------------------------------

impl<'a> Within<'a> {
    /// What items of a list are within.
    fn below<'b>(
        self,
        place: &Place,
        api_version: &'b str,
        kind: &'b str,
    ) -> Result<Within<'b>, ManifestError> {
        if self.level >= MAX_LISTS {
            return Err(ManifestError { place: place.clone(), problem: Problem::TooDeep(MAX_LISTS) });
        }
        Ok(Within { list: Some((api_version, kind)), level: self.level + 1 })
    }

    /// An object's version and kind. The items of a `PodList` do not say that they are pods.
    fn identity(
        self,
        place: &Place,
        api_version: Option<String>,
        kind: Option<String>,
    ) -> Result<(String, String), ManifestError> {
        let missing =
            |missing| ManifestError { place: place.clone(), problem: Problem::NoObject { missing } };
        let list = self.list.filter(|_| kind.is_none());
        let of_list = list.and_then(|(version, kind)| {
            kind.strip_suffix("List").filter(|kind| !kind.is_empty()).map(|kind| (version, kind))
        });
        let kind = kind.or_else(|| of_list.map(|(_, kind)| kind.to_owned()));
        let api_version = api_version.or_else(|| of_list.map(|(version, _)| version.to_owned()));
        let kind = kind.filter(|kind| !kind.is_empty()).ok_or_else(|| missing("kind"))?;
        let api_version =
            api_version.filter(|version| !version.is_empty()).ok_or_else(|| missing("apiVersion"))?;
        Ok((api_version, kind))
    }
}
