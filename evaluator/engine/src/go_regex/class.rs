//! Character classes, resolved to explicit ranges.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind, Literal};

use super::names::SCRIPTS;

/// ASCII classes that Go knows by a bracketed name.
const POSIX: &[(&str, &[(char, char)])] = &[
    ("alnum", &[('0', '9'), ('A', 'Z'), ('a', 'z')]),
    ("alpha", &[('A', 'Z'), ('a', 'z')]),
    ("ascii", &[('\0', '\x7F')]),
    ("blank", &[('\t', '\t'), (' ', ' ')]),
    ("cntrl", &[('\0', '\x1F'), ('\x7F', '\x7F')]),
    ("digit", &[('0', '9')]),
    ("graph", &[('!', '~')]),
    ("lower", &[('a', 'z')]),
    ("print", &[(' ', '~')]),
    ("punct", &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
    ("space", &[('\t', '\r'), (' ', ' ')]),
    ("upper", &[('A', 'Z')]),
    ("word", &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
    ("xdigit", &[('0', '9'), ('A', 'F'), ('a', 'f')]),
];

/// Characters that fold to others since Unicode 15.1 or 16 only. Go has the tables of Unicode 15.
const FOLDED_SINCE: &[(char, char)] = &[
    ('\u{19B}', '\u{19B}'),
    ('\u{264}', '\u{264}'),
    ('\u{390}', '\u{390}'),
    ('\u{3B0}', '\u{3B0}'),
    ('\u{1C89}', '\u{1C8A}'),
    ('\u{1FD3}', '\u{1FD3}'),
    ('\u{1FE3}', '\u{1FE3}'),
    ('\u{A7CB}', '\u{A7CD}'),
    ('\u{A7DA}', '\u{A7DC}'),
    ('\u{FB05}', '\u{FB06}'),
    ('\u{10D50}', '\u{10D65}'),
    ('\u{10D70}', '\u{10D85}'),
];

/// A class as Go builds it: parts are folded when case does not matter, then negated, then added up.
#[derive(Debug, Clone)]
pub(super) struct ClassBuilder {
    class: ClassUnicode,
    fold: bool,
}

/// A class that has a name of its own.
#[derive(Debug, Clone)]
pub(super) struct NamedClass {
    class: ClassUnicode,
    negated: bool,
    /// Whether it grows when case does not matter.
    folds: bool,
}

impl ClassBuilder {
    pub(super) fn new(fold: bool) -> Self {
        Self { class: ClassUnicode::empty(), fold }
    }

    /// Adds the characters from `low` to `high`. They are code points: Go names surrogates too, which no text has.
    pub(super) fn push_range(&mut self, low: u32, high: u32) {
        let low = char::from_u32(low).unwrap_or('\u{E000}');
        let high = char::from_u32(high).unwrap_or('\u{D7FF}');
        let mut class = ClassUnicode::empty();
        if low <= high {
            class.push(ClassUnicodeRange::new(low, high));
        }
        self.push(NamedClass::new(class, false));
    }

    /// Adds a class.
    pub(super) fn push(&mut self, mut part: NamedClass) {
        if self.fold && part.folds {
            fold(&mut part.class);
        }
        if part.negated {
            negate(&mut part.class);
        }
        self.class.union(&part.class);
    }

    /// The class, or everything but it.
    pub(super) fn finish(mut self, negated: bool) -> ClassUnicode {
        if negated {
            negate(&mut self.class);
        }
        self.class
    }
}

impl NamedClass {
    const fn new(class: ClassUnicode, negated: bool) -> Self {
        Self { class, negated, folds: true }
    }

    /// Everything but it.
    pub(super) const fn inverted(mut self) -> Self {
        self.negated = !self.negated;
        self
    }
}

/// Turns a class into everything but it.
fn negate(class: &mut ClassUnicode) {
    // Ranges that meet across the surrogates are not merged by themselves, and negating needs them to be.
    let ends = class.ranges().iter().any(|range| range.end() == '\u{D7FF}');
    let starts = class.ranges().iter().any(|range| range.start() == '\u{E000}');
    if ends && starts {
        class.push(ClassUnicodeRange::new('\u{D7FF}', '\u{E000}'));
    }
    class.negate();
}

/// Adds what differs only in case, by Unicode 15's simple folding.
fn fold(class: &mut ClassUnicode) {
    let newer = ranges(FOLDED_SINCE);
    let mut kept = class.clone();
    kept.intersect(&newer);
    // The table is compiled in; where it is not, classes stay as they are and the vector test fails.
    let _ = class.try_case_fold_simple();
    class.difference(&newer);
    class.union(&kept);
}

/// The ASCII class of the letter after a backslash: `d`, `s` or `w`, in upper case negated.
pub(super) fn perl(letter: char) -> Option<NamedClass> {
    let class = match letter.to_ascii_lowercase() {
        'd' => posix_class("digit")?,
        // Unlike the bracketed class, this one has no vertical tab.
        's' => ranges(&[('\t', '\n'), ('\x0C', '\r'), (' ', ' ')]),
        'w' => posix_class("word")?,
        _ => return None,
    };
    Some(NamedClass::new(class, letter.is_ascii_uppercase()))
}

/// The class written `[:name:]`; a leading `^` negates.
pub(super) fn posix(name: &str) -> Option<NamedClass> {
    let (name, negated) = unprefixed(name);
    Some(NamedClass::new(posix_class(name)?, negated))
}

/// The class written `\p{name}`; a leading `^` negates.
pub(super) fn unicode(name: &str) -> Option<NamedClass> {
    let (name, negated) = unprefixed(name);
    let name = canonical(name);
    let class = match name.as_str() {
        "Any" => ranges(&[('\0', '\u{10FFFF}')]),
        "Ascii" => posix_class("ascii")?,
        "Assigned" => return Some(NamedClass::new(query(r"\p{gc=Cn}")?, !negated)),
        // No text has surrogates.
        "Cs" | "Surrogate" => ClassUnicode::empty(),
        // The one category that Go does not fold.
        "Lc" | "Casedletter" => {
            return Some(NamedClass { class: query(r"\p{gc=LC}")?, negated, folds: false });
        }
        name => match category(name) {
            Some(class) => class,
            None => {
                SCRIPTS.binary_search(&name).ok()?;
                query(&format!(r"\p{{sc={name}}}"))?
            }
        },
    };
    Some(NamedClass::new(class, negated))
}

/// The general category of a short or long name. `regex-syntax` knows them all, and would also take `IsL`, and skip
/// what is not ASCII.
fn category(name: &str) -> Option<ClassUnicode> {
    let is_name = !name.starts_with("Is") && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    if is_name { query(&format!(r"\p{{gc={name}}}")) } else { None }
}

fn unprefixed(name: &str) -> (&str, bool) {
    name.strip_prefix('^').map_or((name, false), |name| (name, true))
}

fn posix_class(name: &str) -> Option<ClassUnicode> {
    POSIX.iter().find(|(known, _)| *known == name).map(|(_, class)| ranges(class))
}

fn ranges(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|&(low, high)| ClassUnicodeRange::new(low, high)))
}

/// Asks `regex-syntax` for one of its tables.
fn query(pattern: &str) -> Option<ClassUnicode> {
    match regex_syntax::parse(pattern).ok()?.into_kind() {
        HirKind::Class(Class::Unicode(class)) => Some(class),
        // A class of one character.
        HirKind::Literal(Literal(bytes)) => {
            let mut chars = std::str::from_utf8(&bytes).ok()?.chars();
            let (only, None) = (chars.next()?, chars.next()) else { return None };
            Some(ranges(&[(only, only)]))
        }
        _ => None,
    }
}

/// Upper case first, lower case after, no spaces, dashes and underscores.
fn canonical(name: &str) -> String {
    let mut canonical = String::with_capacity(name.len());
    for (index, c) in name.chars().filter(|c| !matches!(c, ' ' | '-' | '_')).enumerate() {
        canonical.push(if index == 0 { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() });
    }
    canonical
}
