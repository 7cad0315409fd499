//! Globs for paths, by the rules of doublestar.

use std::iter::Peekable;
use std::str::Chars;

use thiserror::Error;

/// The most globs that the braces of one may stand for. Braces multiply: `{a,b}{a,b}…` doubles with every pair.
const MAX_ALTERNATIVES: usize = 1024;

/// The longest glob, in bytes. A path has at most 4096 on Linux.
const MAX_GLOB: usize = 4096;

/// The most tokens of all alternatives together.
const MAX_TOKENS: usize = 1 << 16;

/// Matches paths, case counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PathGlob {
    /// What the braces stand for. A path has to match one of them.
    alternatives: Vec<Flat>,
}

/// A text that is not a glob for paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub(crate) enum GlobError {
    /// A bracket, brace or escape is not finished, or a brace is closed that was never opened.
    #[error("invalid path glob")]
    Syntax,
    /// It is too long, or its braces stand for too many globs.
    #[error("path glob is too large")]
    TooLarge,
}

/// A glob without braces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Flat {
    tokens: Vec<Token>,
    /// For each token, and for the end, whether a path may end before it.
    may_end: Vec<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Token {
    /// This character.
    Char(char),
    /// Any character but a slash.
    One,
    /// One of these; or none of these. A slash counts as any other character.
    Class { negated: bool, ranges: Vec<(char, char)> },
    /// Any run of characters without a slash.
    Run,
    /// Any number of segments, each with its slash.
    Segments,
    /// Everything that is left.
    Rest,
}

// === impl PathGlob ===

impl PathGlob {
    /// Reads a glob.
    ///
    /// # Errors
    /// It is none, or too large.
    pub(crate) fn parse(source: &str) -> Result<Self, GlobError> {
        if source.len() > MAX_GLOB {
            return Err(GlobError::TooLarge);
        }
        if !Self::is_valid(source) {
            return Err(GlobError::Syntax);
        }
        let mut alternatives = Vec::new();
        let mut tokens = 0;
        for (flat, last_braces) in expand(source)? {
            let flat = Flat::parse(&flat, last_braces)?;
            tokens += flat.tokens.len();
            if tokens > MAX_TOKENS {
                return Err(GlobError::TooLarge);
            }
            alternatives.push(flat);
        }
        Ok(Self { alternatives })
    }

    /// Whether every bracket, brace and escape of a glob is finished.
    pub(crate) fn is_valid(source: &str) -> bool {
        let mut depth = 0_usize;
        let mut chars = source.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if chars.next().is_none() => return false,
                '[' => {
                    if matches!(chars.peek(), Some('^' | '!')) {
                        chars.next();
                    }
                    if matches!(chars.peek(), None | Some(']')) || !skip_class(&mut chars, |_| {}) {
                        return false;
                    }
                }
                '{' => depth += 1,
                '}' => match depth.checked_sub(1) {
                    Some(less) => depth = less,
                    None => return false,
                },
                _ => {}
            }
        }
        depth == 0
    }

    /// Whether a whole path matches.
    pub(crate) fn matches(&self, path: &str) -> bool {
        self.alternatives.iter().any(|flat| flat.matches(path))
    }

    /// The text that every path that matches starts with; empty when nothing is certain.
    pub(crate) fn literal_prefix(&self) -> String {
        // A glob can match a path that stops short of it: `/a/**` matches `/a`.
        let stops = |flat: &Flat| {
            let literal = |(token, may_end): (&Token, &bool)| match token {
                Token::Char(c) if !may_end => Some(*c),
                _ => None,
            };
            flat.tokens.iter().zip(&flat.may_end).map_while(literal).collect::<String>()
        };
        let mut prefixes = self.alternatives.iter().map(stops);
        let first = prefixes.next().unwrap_or_default();
        prefixes.fold(first, |common, other| {
            common.chars().zip(other.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
        })
    }
}

/// Reads the rest of a class up to its bracket, if there is one, and hands on what it reads.
fn skip_class(chars: &mut Peekable<Chars<'_>>, mut read: impl FnMut(char)) -> bool {
    while let Some(c) = chars.next() {
        read(c);
        match c {
            ']' => return true,
            '\\' => chars.next().into_iter().for_each(&mut read),
            _ => {}
        }
    }
    false
}

/// Multiplies the braces of a valid glob out. With each glob comes where the last of its braces started.
fn expand(source: &str) -> Result<Vec<(String, usize)>, GlobError> {
    let mut done = Vec::new();
    let mut waiting = vec![(source.to_owned(), 0)];
    while let Some((glob, last)) = waiting.pop() {
        match first_braces(&glob) {
            None => done.push((glob, last)),
            Some((before, alternatives, after)) => {
                let glob = |alternative| (format!("{before}{alternative}{after}"), before.len());
                waiting.extend(alternatives.iter().map(glob));
            }
        }
        if done.len() + waiting.len() > MAX_ALTERNATIVES {
            return Err(GlobError::TooLarge);
        }
    }
    Ok(done)
}

/// Splits a glob at its first braces: what is before, the alternatives in them, what is after.
fn first_braces(glob: &str) -> Option<(&str, Vec<&str>, &str)> {
    let mut before = None;
    let mut alternatives = Vec::new();
    // Where the current alternative starts.
    let mut start = 0;
    let mut depth = 0_usize;
    let mut in_class = false;
    let mut chars = glob.char_indices();
    while let Some((at, c)) = chars.next() {
        match (c, depth) {
            ('\\', _) => {
                chars.next();
            }
            (']', _) => in_class = false,
            _ if in_class => {}
            ('[', _) => in_class = true,
            ('{', 0) => {
                before = glob.get(..at);
                start = at + 1;
                depth = 1;
            }
            ('{', _) => depth += 1,
            (',' | '}', 1) => {
                alternatives.push(glob.get(start..at)?);
                start = at + 1;
                if c == '}' {
                    return Some((before?, alternatives, glob.get(start..)?));
                }
            }
            ('}', _) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

// === impl Flat ===

impl Flat {
    /// Reads a valid glob without braces; the last of those it had started at `last_braces`.
    fn parse(glob: &str, last_braces: usize) -> Result<Self, GlobError> {
        let mut tokens = Vec::new();
        let mut may_end = Vec::new();
        let mut rest = glob;
        let mut segment_starts = true;
        while !rest.is_empty() {
            // Doublestar looks only at braces that come next: `/a/{**,b}` does not match `/a`.
            may_end.push(glob.len() - rest.len() >= last_braces && matches_nothing(rest));
            let mut chars = rest.chars().peekable();
            let token = match chars.next() {
                Some('*') if rest == "**" && segment_starts => {
                    chars.next();
                    Token::Rest
                }
                Some('*') if rest.starts_with("**/") && segment_starts => {
                    chars.by_ref().take(2).for_each(drop);
                    Token::Segments
                }
                Some('*') => {
                    chars.next_if_eq(&'*');
                    Token::Run
                }
                Some('?') => Token::One,
                Some('[') => class(&mut chars)?,
                Some('\\') => Token::Char(chars.next().ok_or(GlobError::Syntax)?),
                Some(c) => Token::Char(c),
                None => break,
            };
            segment_starts = matches!(token, Token::Char('/') | Token::Segments);
            tokens.push(token);
            let read = rest.len() - chars.map(char::len_utf8).sum::<usize>();
            rest = rest.get(read..).unwrap_or_default();
        }
        may_end.push(true);
        Ok(Self { tokens, may_end })
    }

    /// Walks path and tokens side by side. Where they part, the last run takes one more character, or, if that is a
    /// slash, the last segments take one more. Earlier ones are not tried again: what they could take, the last one can
    /// take as well. Only where a class takes a slash a match can be missed so, and doublestar misses it too.
    fn matches(&self, path: &str) -> bool {
        let mut at = 0;
        let mut rest = path.chars();
        let mut run: Option<(usize, Chars<'_>)> = None;
        let mut segments: Option<(usize, Chars<'_>)> = None;
        loop {
            let before = rest.clone();
            let Some(c) = rest.next() else { return self.may_end.get(at).copied().unwrap_or(false) };
            let matches = match self.tokens.get(at) {
                Some(Token::Rest) => return true,
                Some(Token::Segments) => {
                    at += 1;
                    rest = before;
                    segments = Some((at, rest.clone()));
                    run = None;
                    continue;
                }
                Some(Token::Run) => {
                    at += 1;
                    rest = before;
                    run = Some((at, rest.clone()));
                    continue;
                }
                Some(Token::Char(wanted)) => c == *wanted,
                Some(Token::One) => c != '/',
                Some(Token::Class { negated, ranges }) => {
                    ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
                }
                None => false,
            };
            if matches {
                at += 1;
                continue;
            }
            if let Some((after, from)) = &mut run
                && from.next().is_some_and(|c| c != '/')
            {
                at = *after;
                rest = from.clone();
                continue;
            }
            run = None;
            match &mut segments {
                Some((after, from)) => {
                    if !from.any(|c| c == '/') {
                        return false;
                    }
                    at = *after;
                    rest = from.clone();
                }
                None => return false,
            }
        }
    }
}

/// Whether the rest of a glob lets a path end before it. A directory matches what is in it: `/a/**` matches `/a`.
fn matches_nothing(rest: &str) -> bool {
    matches!(rest, "*" | "**" | "/**" | "**/" | "/**/")
}

/// Reads the rest of a class.
fn class(chars: &mut Peekable<Chars<'_>>) -> Result<Token, GlobError> {
    let negated = chars.next_if(|c| matches!(c, '!' | '^')).is_some();
    let mut ranges = Vec::new();
    // The character that a dash after it would make a range of.
    let mut last = None;
    loop {
        match (chars.next().ok_or(GlobError::Syntax)?, last) {
            (']', _) => return Ok(Token::Class { negated, ranges }),
            ('-', Some(low)) if chars.peek() != Some(&']') => {
                let high = chars.next().ok_or(GlobError::Syntax)?;
                let high = if high == '\\' { chars.next().ok_or(GlobError::Syntax)? } else { high };
                ranges.push((low, high));
                last = None;
            }
            (c, _) => {
                let c = if c == '\\' { chars.next().ok_or(GlobError::Syntax)? } else { c };
                ranges.push((c, c));
                last = Some(c);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// Says the same by trying everything.
    fn naive(tokens: &[Token], may_end: &[bool], path: &[char]) -> bool {
        let Some((c, left)) = path.split_first() else { return may_end[0] };
        let Some((token, tokens)) = tokens.split_first() else { return false };
        let next = &may_end[1..];
        match token {
            Token::Rest => true,
            Token::Run => {
                let run = path.iter().take_while(|c| **c != '/').count();
                (0..=run).any(|taken| naive(tokens, next, &path[taken..]))
            }
            Token::Segments => {
                let starts = (1..=path.len()).filter(|at| path[at - 1] == '/');
                [0].into_iter().chain(starts).any(|at| naive(tokens, next, &path[at..]))
            }
            Token::Char(wanted) => c == wanted && naive(tokens, next, left),
            Token::One => *c != '/' && naive(tokens, next, left),
            Token::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| low <= c && c <= high) != *negated
                    && naive(tokens, next, left)
            }
        }
    }

    #[test]
    fn braces_multiply() {
        let expanded = |glob| {
            let mut all: Vec<String> = expand(glob).unwrap().into_iter().map(|(glob, _)| glob).collect();
            all.sort();
            all
        };
        assert_eq!(expanded("/a{b,c{d,e}}f"), ["/abf", "/acdf", "/acef"]);
        assert_eq!(expanded("{,a}{}"), ["", "a"]);
        assert_eq!(expanded(r"\{a,[{,}]{x,\,}"), Vec::from([r"\{a,[{,}]\,", r"\{a,[{,}]x"]));
        assert_eq!(PathGlob::parse(&"{a,b}".repeat(11)), Err(GlobError::TooLarge));
        assert!(PathGlob::parse(&"{a,b}".repeat(10)).is_ok());
        assert_eq!(PathGlob::parse(&"a".repeat(4097)), Err(GlobError::TooLarge));
    }

    #[test]
    fn prefixes_are_certain() {
        let prefix = |glob| PathGlob::parse(glob).unwrap().literal_prefix();
        assert_eq!(prefix("/etc/passwd"), "/etc/passwd");
        assert_eq!(prefix("/etc/*.conf"), "/etc/");
        assert_eq!(prefix("/etc/**"), "/etc");
        assert_eq!(prefix("/etc/{passwd,pam}"), "/etc/pa");
        assert_eq!(prefix("/**"), "");
        assert_eq!(prefix("/**/x"), "/");
    }

    /// Verdicts on many globs and paths, taken with `tests/vectors/path_glob.go`.
    #[test]
    fn verdicts_are_those_of_doublestar() {
        let mut lines = include_str!("../../tests/vectors/path_glob.jsonl").lines();
        let paths: Vec<String> = serde_json::from_str(lines.next().unwrap()).unwrap();
        let mut differences = Vec::new();
        for line in lines {
            let row: Value = serde_json::from_str(line).unwrap();
            let glob = row["glob"].as_str().unwrap();
            let compiled = PathGlob::parse(glob);
            let Some(wanted) = row["paths"].as_array() else {
                assert!(compiled.is_err(), "{glob:?} is accepted");
                continue;
            };
            let compiled = compiled.unwrap();
            let wanted: Vec<u64> = wanted.iter().map(|place| place.as_u64().unwrap()).collect();
            for (place, path) in paths.iter().enumerate() {
                let wanted = wanted.contains(&(place as u64));
                if compiled.matches(path) != wanted {
                    differences.push(format!("{glob:?} on {path:?} should be {wanted}"));
                }
            }
        }
        assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        // The globs end in a character: what doublestar does with stars at the end, and where, is its own.
        #[test]
        fn walking_is_as_good_as_trying_everything(glob in "/?([ab]|/|\\*|\\*\\*|\\?|\\*\\*/|\\[ab\\]){0,8}[ab]", path in "/?[ab/]{0,7}[ab]") {
            let glob = PathGlob::parse(&glob).unwrap();
            let chars: Vec<char> = path.chars().collect();
            let wanted = glob.alternatives.iter().any(|flat| naive(&flat.tokens, &flat.may_end, &chars));
            prop_assert_eq!(glob.matches(&path), wanted);
            prop_assert!(!wanted || path.starts_with(&glob.literal_prefix()));
        }

        #[test]
        fn what_is_valid_can_be_read(glob in "[a/*?{},!^\\[\\]\\\\-]{0,10}", path in "[a/,{}-]{0,6}") {
            match PathGlob::parse(&glob) {
                Ok(glob) => {
                    let _ = glob.matches(&path);
                }
                Err(error) => prop_assert!(error == GlobError::Syntax && !PathGlob::is_valid(&glob)),
            }
        }
    }
}
