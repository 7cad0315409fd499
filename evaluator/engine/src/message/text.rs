//! How values are written in sentences.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::criterion::Value;
use crate::evidence;
use crate::predicate::Predicate;

/// The longest value of a label that is shown, and the longest line of a Dockerfile, in bytes.
const LABEL: usize = 64;
const LINE: usize = 32;

/// How many labels are shown when none of them is what was looked for.
const LABELS: usize = 3;

/// A value that was found.
pub(super) fn value(predicate: &Predicate, found: &Value<'_>) -> String {
    match found {
        Value::Float(found) => number(*found),
        Value::Time(found) => time(*found),
        Value::Map(found) => labels(found, |key, value| predicate.is_met_by_entry(key, value)),
        Value::List(_) => list(&items(predicate, found)),
        found => evidence::found(predicate, found),
    }
}

/// The items of a list that was found: those that met the policy, else all; sorted.
pub(super) fn items(predicate: &Predicate, found: &Value<'_>) -> Vec<String> {
    let Value::List(found) = found else { return Vec::new() };
    let met: Vec<&str> = found.iter().copied().filter(|item| predicate.is_met_by_item(item)).collect();
    let shown = if met.is_empty() { found } else { &met };
    let mut items: Vec<String> = shown.iter().map(|item| (*item).to_owned()).collect();
    items.sort();
    items
}

/// `a`; `a and b`; `a, b, and c`.
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [one, other] => format!("{one} and {other}"),
        [first @ .., last] => format!("{}, and {last}", first.join(", ")),
    }
}

/// At most three decimals, without zeros at the end.
pub(super) fn number(number: f32) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `2026-01-31 00:00:00`, in UTC.
fn time(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Labels or annotations that were found: those that met the policy, else the first few and how many more.
fn labels(map: &BTreeMap<String, String>, is_met: impl Fn(&str, &str) -> bool) -> String {
    let pair = |(key, value): (&String, &String)| format!("{key}={}", cut(value, LABEL));
    let met: Vec<String> = map.iter().filter(|(key, value)| is_met(key, value)).map(pair).collect();
    if !met.is_empty() {
        return met.join(", ");
    }
    if map.is_empty() {
        return "<empty>".to_owned();
    }
    let shown: Vec<String> = map.iter().take(LABELS).map(pair).collect();
    match map.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A Dockerfile's line, as far as it is shown.
pub(super) fn line(text: &str) -> String {
    cut(text, LINE)
}

fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes);
    format!("{}...", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_numbers_times_and_cuts() {
        let items = |n: usize| ["a", "b", "c"].iter().take(n).map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert_eq!([list(&items(1)), list(&items(2)), list(&items(3))], ["a", "a and b", "a, b, and c"]);
        assert_eq!([number(10.0), number(7.1), number(0.0), number(0.1234)], ["10", "7.1", "0", "0.123"]);
        assert_eq!(time("2026-01-31T01:02:03.5Z".parse().unwrap()), "2026-01-31 01:02:03");
        assert_eq!(line(&"x".repeat(33)), format!("{}...", "x".repeat(32)));
        assert_eq!(cut("aü", 2), "a...");
    }
}
