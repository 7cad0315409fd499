//! Masking: what is shown of secret values.
//!
//! Policies are judged by clear values. Before a text that holds values of an event leaves as part of a verdict, or a
//! dead letter is served, what looks like a secret is replaced by `***`: the secret part only, so that
//! `--password=***`, `ghp_***` and `Authorization: Bearer ***` still say what they were, and always three stars, so that
//! lengths are not revealed.
//!
//! ```
//! use lictor_wire::masked;
//!
//! assert_eq!(masked("mysql --password=hunter2 shop"), "mysql --password=*** shop");
//! assert_eq!(masked("kubectl get secret -n shop"), "kubectl get secret -n shop");
//! ```

mod patterns;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use regex::{Regex, RegexSet, RegexSetBuilder};

/// What a secret is replaced by.
const MASK: &str = "***";

/// Bytes that all patterns together may compile to; a test compiles them.
const COMPILED_AT_MOST: usize = 32 << 20;

/// How often a masked text is looked at again: what a mask is put next to may look like a secret in turn. The patterns
/// are through after the second time.
const ROUNDS: usize = 4;

/// All patterns, compiled once.
static PATTERNS: LazyLock<Patterns> =
    LazyLock::new(|| Patterns::new(&patterns::built_in()).unwrap_or_default());

#[derive(Default)]
struct Patterns {
    /// All at once: a text without secrets is read a single time.
    any: RegexSet,
    each: Vec<Pattern>,
}

struct Pattern {
    regex: Regex,
    /// The groups that are masked: those that have a name.
    secrets: Vec<usize>,
}

/// A text with its secrets masked. A text without any is read once and not copied.
///
/// Deterministic, and idempotent: a masked text stays as it is. Takes time in proportion to the text's length.
pub fn masked(text: &str) -> Cow<'_, str> {
    let mut masked = Cow::Borrowed(text);
    for _ in 0..ROUNDS {
        match PATTERNS.mask_once(&masked) {
            Some(changed) => masked = Cow::Owned(changed),
            None => break,
        }
    }
    masked
}

/// Masks the secrets of a text in place.
pub fn mask(text: &mut String) {
    if let Cow::Owned(masked) = masked(text) {
        *text = masked;
    }
}

// === impl Patterns ===

impl Patterns {
    fn new(patterns: &[(&str, String)]) -> Result<Self, regex::Error> {
        let each = patterns.iter().map(|(_, pattern)| Pattern::new(pattern)).collect::<Result<_, _>>()?;
        let all = patterns.iter().map(|(_, pattern)| pattern);
        Ok(Self { any: RegexSetBuilder::new(all).size_limit(COMPILED_AT_MOST).build()?, each })
    }

    /// The text with what is found in it masked; `None` where that changes nothing.
    fn mask_once(&self, text: &str) -> Option<String> {
        if !self.any.is_match(text) {
            return None;
        }
        let found = self.any.matches(text);
        let patterns = found.iter().filter_map(|index| self.each.get(index));
        let mut spans: Vec<Range<usize>> = patterns.flat_map(|pattern| pattern.secrets_in(text)).collect();
        spans.sort_by_key(|span| (span.start, span.end));
        let mut masked = String::with_capacity(text.len());
        let mut end = 0;
        for span in spans {
            let span = with_stars(text, span);
            if span.start < end || (span.start == end && end > 0) {
                // It is, at least in part, masked already.
                end = end.max(span.end);
                continue;
            }
            masked.push_str(text.get(end..span.start).unwrap_or_default());
            masked.push_str(MASK);
            end = span.end;
        }
        masked.push_str(text.get(end..).unwrap_or_default());
        (masked != text).then_some(masked)
    }
}

// === impl Pattern ===

impl Pattern {
    fn new(pattern: &str) -> Result<Self, regex::Error> {
        let regex = Regex::new(pattern)?;
        let named = regex.capture_names().enumerate().filter(|(_, name)| name.is_some());
        let secrets = named.map(|(index, _)| index).collect();
        Ok(Self { regex, secrets })
    }

    /// Where the secrets of a text are; never empty spans.
    fn secrets_in(&self, text: &str) -> impl Iterator<Item = Range<usize>> {
        self.regex.captures_iter(text).flat_map(|captures| {
            let of = |index: &usize| captures.get(*index).map(|found| found.range());
            self.secrets.iter().filter_map(of).filter(|span| !span.is_empty()).collect::<Vec<_>>()
        })
    }
}

/// A span with the stars next to it: they are of the same mask, and a mask that was found again stays as it is.
fn with_stars(text: &str, span: Range<usize>) -> Range<usize> {
    let stars = |text: &str| text.len() - text.trim_start_matches('*').len();
    let before = text.get(..span.start).unwrap_or_default();
    let start = before.trim_end_matches('*').len();
    let after = text.get(span.end..).unwrap_or_default();
    start..span.end + stars(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made-up values of the forms that are issued, joined so that no scanner takes them for real ones.
    fn made_up(parts: &[&str]) -> String {
        parts.concat()
    }

    #[test]
    fn the_patterns_compile() {
        let patterns = patterns::built_in();
        let compiled = Patterns::new(&patterns).unwrap();
        assert_eq!(compiled.each.len(), patterns.len());
        assert!(compiled.each.iter().all(|pattern| !pattern.secrets.is_empty()));
    }

    #[test]
    fn secrets_are_masked_and_what_they_were_stays() {
        let body = "q7Xm2Lp9Vt4Rz8Ks1Wd6Yb3Nc5Hf0Jg7Ae2U";
        let hex = "0123456789abcdef0123456789abcdef";
        let cases = [
            (made_up(&["aws s3 ls AKIA", "IOSFODNN7EXAMPLE"]), "aws s3 ls AKIA***"),
            (
                made_up(&["git clone https://ghp_", body, "@github.com/a/b"]),
                "git clone https://ghp_***@github.com/a/b",
            ),
            (
                made_up(&["curl -H 'PRIVATE-TOKEN: glpat-", "abcdefghijklmnopqrst", "'"]),
                "curl -H 'PRIVATE-TOKEN: ***'",
            ),
            (made_up(&["xoxb-", "1234567890-abcdefghij"]), "xoxb-***"),
            (
                made_up(&["https://hooks.slack.com/services/", "T000/B000/XXXXXXXX"]),
                "https://hooks.slack.com/services/***",
            ),
            (made_up(&["sk_live_", "4eC39HqLyjWDarjtT1zdp7dc"]), "sk_live_***"),
            (made_up(&["echo npm_", body]), "echo npm_***"),
            (made_up(&["hvs.", body]), "hvs.***"),
            (made_up(&["SK", hex]), "SK***"),
            (made_up(&["sk-ant-", body]), "sk-ant-***"),
            (made_up(&["hf_", body]), "hf_***"),
            (made_up(&["eyJ", "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"]), "eyJ***"),
            (made_up(&["Authorization: Bearer ", body]), "Authorization: Bearer ***"),
            ("curl -u admin:hunter2 https://h".to_owned(), "curl -u admin:*** https://h"),
            ("psql postgres://shop:hunter2@db/shop".to_owned(), "psql postgres://shop:***@db/shop"),
            ("mysql -u root -phunter2 shop".to_owned(), "mysql -u root -p*** shop"),
            ("app --password hunter2 --port 80".to_owned(), "app --password *** --port 80"),
            ("DB_PASSWORD=hunter2".to_owned(), "DB_PASSWORD=***"),
            ("API_KEY=abc TOKEN=def".to_owned(), "API_KEY=*** TOKEN=***"),
            (r#"{"password":"hunter2","user":"a"}"#.to_owned(), r#"{"password":"***","user":"a"}"#),
            (
                "AccountName=a;AccountKey=abc==;EndpointSuffix=b".to_owned(),
                "AccountName=a;AccountKey=***;EndpointSuffix=b",
            ),
        ];
        for (text, wanted) in cases {
            let once = masked(&text);
            assert_eq!(once, wanted);
            assert_eq!(masked(&once), wanted, "a masked text stays as it is");
        }
        let key = made_up(&["-----BEGIN RSA PRIVATE", " KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"]);
        assert!(!masked(&key).contains("MIIE"), "{}", masked(&key));
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "docker.io/library/nginx@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "registry.example.com:5000/team/token-reader:1.27@sha256:0123456789abcdef0123456789abcdef",
            "2254f6b9-b43f-409c-97a3-42eaa009358a",
            "9c1185a5c5e9fc54612808977ee8f548b2258d31",
            "kubectl get secret -n shop",
            "kubectl create token reader",
            "cat /var/run/secrets/kubernetes.io/serviceaccount/token",
            "/bin/sh -c echo $PASSWORD",
            "app --password-file /etc/secret --token-ttl 5m",
            "tar -p -x -f a.tar",
            "grep -r password .",
            "Secret 'shop/database' was read",
            "env: PASSWORD from secretKeyRef",
            "secret:1.2",
        ] {
            assert_eq!(masked(text), text);
            assert!(matches!(masked(text), Cow::Borrowed(_)));
        }
    }
}
