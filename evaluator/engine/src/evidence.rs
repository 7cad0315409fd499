//! Evidence: what the policy wanted, what was found, and where.

use lictor_wire::policy::{BooleanOperator, Group};

use crate::criterion::Value;
use crate::predicate::Predicate;
use crate::section::Path;
use crate::view::Element;

/// How many entries of a map are shown when none of them is what was looked for.
const SHOWN_ENTRIES: usize = 3;

/// How many characters of an entry's value are shown.
const SHOWN_CHARACTERS: usize = 64;

/// Where an element is, for people: `container web, volume data`.
#[derive(Debug, Clone)]
pub(crate) struct Location(Vec<String>);

impl Location {
    /// The root.
    pub(crate) const fn start() -> Self {
        Self(Vec::new())
    }

    /// The location of the element at the end of a path.
    pub(crate) fn along(path: &Path<'_, '_>) -> Self {
        path.above.map_or_else(Self::start, |above| Self::along(above).to(&path.element))
    }

    /// One element further. What is found says enough of a process, an ancestor, an environment variable and a line
    /// of history, so they are not a step of their own.
    pub(crate) fn to(&self, element: &Element<'_>) -> Self {
        let step = match element {
            Element::Container(container) => match (container.name, container.image_name) {
                (Some(name), _) => Some(format!("container {name}")),
                (None, Some(image)) => Some(format!("image {image}")),
                (None, None) => None,
            },
            Element::Volume(volume) => Some(format!("volume {}", volume.name)),
            Element::Component(component) => {
                Some(format!("component {} {}", component.name, component.version).trim_end().to_owned())
            }
            Element::Vulnerability(vulnerability) => Some(format!("vulnerability {}", vulnerability.cve)),
            Element::Port(port) => Some(format!("port {}/{}", port.container_port, port.protocol)),
            Element::Exposure(exposure) if !exposure.service_name.is_empty() => {
                Some(format!("service {}", exposure.service_name))
            }
            _ => None,
        };
        Self(self.0.iter().cloned().chain(step).collect())
    }

    /// The text.
    pub(crate) fn text(&self) -> String {
        self.0.join(", ")
    }
}

/// What a group wants, in the policy's own words: `not docker\.io`, `a or b`.
pub(crate) fn wanted(group: &Group) -> String {
    let joint = match group.boolean_operator {
        BooleanOperator::Or => " or ",
        BooleanOperator::And => " and ",
    };
    let values: Vec<&str> = group.values.iter().map(|value| value.value.as_str()).collect();
    let values_text = values.join(joint);
    match (group.negate, values.len()) {
        (false, _) => values_text,
        (true, 0 | 1) => format!("not {values_text}"),
        (true, _) => format!("not ({values_text})"),
    }
}

/// What was found, as text. Of lists and maps only what took part is shown, where something did.
pub(crate) fn found(predicate: &Predicate, value: &Value<'_>) -> String {
    match value {
        Value::Missing | Value::Unknown(_) => String::new(),
        Value::Text(text) | Value::CutText(text, _) => (*text).to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        Value::Enum(_, name) => (*name).to_owned(),
        Value::Time(time) => time.to_string(),
        Value::List(items) => {
            let there = items.iter().copied().filter(|item| !item.is_empty());
            let matching: Vec<&str> = there.clone().filter(|item| predicate.is_met_by_item(item)).collect();
            let shown = if matching.is_empty() { there.collect() } else { matching };
            joined(shown.into_iter().map(str::to_owned).collect(), usize::MAX)
        }
        Value::Map(map) => {
            let is_met = |(key, value): &(&String, &String)| predicate.is_met_by_entry(key, value);
            let pair = |(key, value): (&String, &String)| format!("{key}={}", beginning(value));
            let matching: Vec<String> = map.iter().filter(is_met).map(pair).collect();
            if matching.is_empty() {
                joined(map.iter().map(pair).collect(), SHOWN_ENTRIES)
            } else {
                joined(matching, usize::MAX)
            }
        }
        Value::Parts { parts, secret } => {
            let shown = if *secret { parts.len().saturating_sub(1) } else { parts.len() };
            let shown: Vec<&str> = parts.iter().take(shown).copied().collect();
            shown.join("=")
        }
    }
}

/// Sorts items, and shows so many of them.
fn joined(mut items: Vec<String>, most: usize) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    items.sort();
    items.dedup();
    let more = items.len().saturating_sub(most);
    items.truncate(most);
    let text = items.join(", ");
    if more == 0 { text } else { format!("{text} and {more} more") }
}

/// The beginning of a label's or annotation's value, which may be a whole manifest.
fn beginning(value: &str) -> String {
    if value.chars().count() <= SHOWN_CHARACTERS {
        return value.to_owned();
    }
    value.chars().take(SHOWN_CHARACTERS).chain(['…']).collect()
}
