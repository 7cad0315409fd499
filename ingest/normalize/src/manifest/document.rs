//! From a text to objects, each with the line it begins at.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{ManifestError, ObjectProblem, Place, Text};
use crate::json::{self, Lines};
use crate::yaml::{self, Item, Position, TypeError, YamlErrorKind};

/// A list in a list is written by tools that gather their own outputs; one in that is written by nobody.
const MAX_LISTS: usize = 8;

/// An object whose kind and place are known and whose fields are not read yet.
pub(super) struct Document<'a> {
    pub(super) place: Place,
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) item: Item<'a>,
    /// The line of the file that the item's lines are counted from.
    first: u64,
    /// All of an item of JSON, which does not know its lines.
    json: Option<&'a str>,
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
        T::deserialize(self.item).map_err(|error| self.misfit(&error))
    }

    /// What does not fit the object's kind, with its line.
    pub(super) fn misfit(&self, error: &TypeError) -> ManifestError {
        // JSON is YAML, whose reader can name the line.
        let named = |text| {
            let documents = yaml::read(text).ok()?;
            documents.first().and_then(|document| error.position_in(document.root()))
        };
        let position = self.json.map_or(error.position, named);
        misfit(&self.place.file, nth(self.first, position), &self.kind, error.to_string())
    }
}

fn misfit(file: &str, line: u64, kind: &str, message: String) -> ManifestError {
    at(file, line, ObjectProblem::Field { kind: kind.to_owned(), message })
}

fn at(file: &str, line: u64, problem: ObjectProblem) -> ManifestError {
    ManifestError { place: Place { file: file.to_owned(), line }, problem }
}

/// The line of a position counted from another line; that line where the position is not known.
fn nth(first: u64, position: Option<Position>) -> u64 {
    first + position.map_or(0, |position| position.line.saturating_sub(1))
}

/// Hands on the objects of a text, those of lists one by one. Documents that are empty are left out.
pub(super) fn each(text: Text<'_>, take: Take<'_>) {
    let body = text.text.strip_prefix('\u{feff}').unwrap_or(text.text);
    // What begins like JSON and is not may be YAML in flow style.
    if body.trim_start().starts_with('{')
        && let Ok(values) = json::values(body).collect::<Result<Vec<_>, _>>()
    {
        for (line, value) in values {
            let place = Place { file: text.name.to_owned(), line };
            json_object(place, value, TOP, take).unwrap_or_else(|error| take(Err(error)));
        }
        return;
    }
    for (first, part) in parts(body) {
        match yaml::read(part) {
            Ok(documents) => {
                for document in &documents {
                    let object = yaml_object(text.name, first, document.root(), TOP, take);
                    object.unwrap_or_else(|error| take(Err(error)));
                }
            }
            Err(error) => {
                let problem = match error.kind {
                    YamlErrorKind::DuplicateKey(key) => ObjectProblem::DuplicateKey { key },
                    YamlErrorKind::Syntax(message) => ObjectProblem::Syntax(message),
                };
                take(Err(at(text.name, nth(first, error.position), problem)));
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

fn yaml_object(
    file: &str,
    first: u64,
    item: Item<'_>,
    within: Within<'_>,
    take: Take<'_>,
) -> Result<(), ManifestError> {
    let place = Place { file: file.to_owned(), line: nth(first, item.position()) };
    if item.entries().is_none() {
        let problem = ObjectProblem::Syntax("expected a Kubernetes object".to_owned());
        return Err(ManifestError { place, problem });
    }
    let text = |key| item.get(key).and_then(Item::text).map(str::to_owned);
    let (api_version, kind) = within.identity(&place, text("apiVersion"), text("kind"))?;
    let Some(items) = item.get("items").and_then(Item::items).filter(|_| kind.ends_with("List")) else {
        take(Ok(Document { place, api_version, kind, item, first, json: None }));
        return Ok(());
    };
    let within = within.below(&place, &api_version, &kind)?;
    for item in items {
        yaml_object(file, first, item, within, take).unwrap_or_else(|error| take(Err(error)));
    }
    Ok(())
}

// --- JSON --------------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline<'a> {
    api_version: Option<String>,
    kind: Option<String>,
    #[serde(borrow)]
    items: Option<&'a RawValue>,
}

fn json_object(place: Place, text: &str, within: Within<'_>, take: Take<'_>) -> Result<(), ManifestError> {
    let unread = |kind: &str, error: &serde_json::Error| {
        let line = place.line + (error.line() as u64).saturating_sub(1);
        // The message without the place: it counts from the object's beginning, and the line from the text's.
        let message = error.to_string();
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        misfit(&place.file, line, kind, message.to_owned())
    };
    let outline: Outline<'_> = serde_json::from_str(text).map_err(|error| unread("the object", &error))?;
    let (api_version, kind) = within.identity(&place, outline.api_version, outline.kind)?;
    let Some(items) = outline.items.filter(|items| kind.ends_with("List") && items.get().starts_with('['))
    else {
        let document = yaml::read_json(text).map_err(|error| unread(&kind, &error))?;
        let item = document.root();
        if let Some(key) = item.duplicate_key() {
            let position = yaml::read(text).err().and_then(|error| error.position);
            let problem = ObjectProblem::DuplicateKey { key: key.to_owned() };
            return Err(at(&place.file, nth(place.line, position), problem));
        }
        take(Ok(Document { first: place.line, place, api_version, kind, item, json: Some(text) }));
        return Ok(());
    };
    let within = within.below(&place, &api_version, &kind)?;
    let items: Vec<&RawValue> = serde_json::from_str(items.get()).map_err(|error| unread(&kind, &error))?;
    let mut lines = Lines::new(text);
    for item in items {
        let line = place.line + lines.of(item.get()).saturating_sub(1);
        let place = Place { file: place.file.clone(), line };
        json_object(place, item.get(), within, take).unwrap_or_else(|error| take(Err(error)));
    }
    Ok(())
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
            return Err(ManifestError { place: place.clone(), problem: ObjectProblem::TooDeep(MAX_LISTS) });
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
            |missing| ManifestError { place: place.clone(), problem: ObjectProblem::NoObject { missing } };
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
