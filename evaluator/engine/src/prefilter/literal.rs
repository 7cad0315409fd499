//! What every text that a pattern matches holds.

use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use super::fold::{fold, fold_one};
use crate::go_regex::Pattern;

/// The fewest bytes of a literal worth searching for. Shorter ones are in every other text.
pub(super) const MIN_LITERAL: usize = 3;

/// The most texts that a part of a pattern is multiplied out to.
const MAX_TEXTS: usize = 64;

/// The longest text that is put together, in bytes.
const MAX_TEXT: usize = 128;

/// The most characters of a class that are looked at one by one.
const MAX_CLASS: u32 = 24;

/// Texts, folded, of which one is needed.
pub(super) type Texts = BTreeSet<String>;

/// What is known about every text that a pattern matches, both folded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Needed {
    /// It is one of these.
    Whole(Texts),
    /// It holds one of these somewhere. Each has [`MIN_LITERAL`] bytes or more.
    Part(Texts),
}

/// What is needed; `None` when nothing is certain.
pub(super) fn needed(pattern: &Pattern) -> Option<Needed> {
    let hir = &pattern.hir();
    let looks = hir.properties();
    let whole = looks.look_set_prefix().contains(Look::Start) && looks.look_set_suffix().contains(Look::End);
    match walk(hir) {
        Known::Exactly(texts) if whole => Some(Needed::Whole(texts)),
        known => known.part().map(Needed::Part),
    }
}

/// What is known about the texts that a part of a pattern matches.
enum Known {
    /// Each is one of these.
    Exactly(Texts),
    /// Each holds one of these, which are long enough.
    Holds(Texts),
    /// Nothing.
    Nothing,
}

impl Known {
    fn part(self) -> Option<Texts> {
        match self {
            Self::Exactly(texts) => long_enough(texts),
            Self::Holds(texts) => Some(texts),
            Self::Nothing => None,
        }
    }

    fn empty_text() -> Self {
        Self::Exactly(just(String::new()))
    }
}

fn just(text: String) -> Texts {
    BTreeSet::from([text])
}

fn long_enough(texts: Texts) -> Option<Texts> {
    texts.iter().all(|text| text.len() >= MIN_LITERAL).then_some(texts)
}

fn walk(hir: &Hir) -> Known {
    match hir.kind() {
        // SearchSpace a text must hold more than the characters say, taking less for granted is safe.
        HirKind::Empty | HirKind::Look(_) => Known::empty_text(),
        HirKind::Literal(literal) => match str::from_utf8(&literal.0) {
            Ok(text) => Known::Exactly(just(fold(text))),
            Err(_) => Known::Nothing,
        },
        HirKind::Class(Class::Unicode(class)) => {
            let size = |start: char, end: char| u32::from(end).saturating_sub(u32::from(start)) + 1;
            let total: u32 = class.iter().map(|range| size(range.start(), range.end())).sum();
            if total > MAX_CLASS {
                return Known::Nothing;
            }
            let characters = class.iter().flat_map(|range| range.start()..=range.end());
            Known::Exactly(characters.map(fold_one).collect())
        }
        HirKind::Class(Class::Bytes(_)) => Known::Nothing,
        HirKind::Repetition(repetition) => repeated(repetition),
        HirKind::Capture(capture) => walk(&capture.sub),
        HirKind::Concat(parts) => in_a_row(parts),
        HirKind::Alternation(parts) => either(parts),
    }
}

fn repeated(repetition: &Repetition) -> Known {
    match (repetition.min, repetition.max) {
        (_, Some(0)) => Known::empty_text(),
        (0, Some(1)) => match walk(&repetition.sub) {
            Known::Exactly(mut texts) => {
                texts.insert(String::new());
                Known::Exactly(texts)
            }
            _ => Known::Nothing,
        },
        (0, _) => Known::Nothing,
        (1, Some(1)) => walk(&repetition.sub),
        (_, _) => walk(&repetition.sub).part().map_or(Known::Nothing, Known::Holds),
    }
}

fn in_a_row(parts: &[Hir]) -> Known {
    // The texts that the parts since the last uncertain one make together.
    let mut run = just(String::new());
    let mut certain = true;
    let mut best: Option<Texts> = None;
    for part in parts {
        match walk(part) {
            Known::Exactly(texts) => match product(&run, &texts) {
                Some(longer) => run = longer,
                None => {
                    certain = false;
                    best = better(best, long_enough(run));
                    run = texts;
                }
            },
            known => {
                certain = false;
                best = better(better(best, long_enough(run)), known.part());
                run = just(String::new());
            }
        }
    }
    if certain {
        return Known::Exactly(run);
    }
    better(best, long_enough(run)).map_or(Known::Nothing, Known::Holds)
}

fn either(parts: &[Hir]) -> Known {
    let known: Vec<Known> = parts.iter().map(walk).collect();
    let exact = known.iter().all(|known| matches!(known, Known::Exactly(_)));
    let mut all = Texts::new();
    for known in known {
        let texts = match known {
            Known::Exactly(texts) if exact => texts,
            known => match known.part() {
                Some(texts) => texts,
                None => return Known::Nothing,
            },
        };
        all.extend(texts);
    }
    match (exact, all.len() <= MAX_TEXTS) {
        (true, true) => Known::Exactly(all),
        (true, false) => long_enough(all).map_or(Known::Nothing, Known::Holds),
        (false, _) => Known::Holds(all),
    }
}

/// Every text of the first with every text of the second behind it, unless that is too much.
fn product(first: &Texts, second: &Texts) -> Option<Texts> {
    let longest = |texts: &Texts| texts.iter().map(String::len).max().unwrap_or(0);
    if first.len() * second.len() > MAX_TEXTS || longest(first) + longest(second) > MAX_TEXT {
        return None;
    }
    Some(first.iter().flat_map(|start| second.iter().map(move |end| format!("{start}{end}"))).collect())
}

/// What is met less often: longer texts, then fewer.
fn better(a: Option<Texts>, b: Option<Texts>) -> Option<Texts> {
    let rank = |texts: &Texts| (texts.iter().map(String::len).min(), std::cmp::Reverse(texts.len()));
    match (a, b) {
        (Some(a), Some(b)) => Some(if rank(&b) > rank(&a) { b } else { a }),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_regex;

    fn whole(pattern: &str) -> Option<Needed> {
        needed(&go_regex::whole(pattern).unwrap())
    }

    fn contains(pattern: &str) -> Option<Needed> {
        needed(&go_regex::contains(pattern).unwrap())
    }

    fn texts(texts: &[&str]) -> Texts {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn lists_of_texts_are_known_whole() {
        let cases: [(&str, &[&str]); 6] = [
            ("Kill", &["kill"]),
            ("(ba|z)?sh", &["bash", "sh", "zsh"]),
            ("apt|apt-get", &["apt", "apt-get"]),
            ("python[23]", &["python2", "python3"]),
            ("(?-i:Kill)", &["kill"]),
            (r"a\.b", &["a.b"]),
        ];
        for (pattern, wanted) in cases {
            assert_eq!(whole(pattern), Some(Needed::Whole(texts(wanted))), "{pattern}");
        }
    }

    #[test]
    fn literals_are_known_in_part() {
        let cases: [(&str, &[&str]); 6] = [
            ("curl.*evil", &["curl"]),
            (".*(passwd|shadow).*", &["passwd", "shadow"]),
            ("a+secret", &["secret"]),
            ("(wget )+x*", &["wget "]),
            ("[a-z]+://.*/payload", &["/payload"]),
            ("(?m:^foo$)|bar.*", &["foo", "bar"]),
        ];
        for (pattern, wanted) in cases {
            assert_eq!(contains(pattern), Some(Needed::Part(texts(wanted))), "{pattern}");
        }
    }

    #[test]
    fn what_is_uncertain_is_left() {
        for pattern in ["", ".*", "[a-z]+", "ab", "(foo)?.*", "foo|.*", "foo|ab", "(foo)*", r"\d{4}"] {
            assert_eq!(contains(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn torn_groups_are_not_whole() {
        assert_eq!(whole("abc)|(?:def"), Some(Needed::Part(texts(&["abc", "def"]))));
    }
}
