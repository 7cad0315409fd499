//! Tokens of subjects and keys: any text becomes one token.
//!
//! NATS splits subjects at `.` and reserves `*`, `>` and white space; JetStream bucket keys allow still less. Anything
//! outside `[A-Za-z0-9_-]` is written `=XX`, two upper-case hexadecimal digits per byte of its UTF-8 form. `=` itself
//! is outside this set and is escaped too, so the encoding is one-to-one. The empty text, which would vanish from a
//! subject, is `=`.
//!
//! Texts from outside have no bound of their own: the namespace in a request that was refused may have any length, and
//! a subject longer than the server's `max_control_line` ends the connection. A token longer than [`LONGEST`] bytes
//! becomes its beginning, `==` and a hash of the whole text; `==` is in no other token.

use crate::Fingerprint;

/// The longest token, in bytes. The longest Kubernetes name that is used in a subject, a namespace name, has 63.
pub const LONGEST: usize = 64;

/// Writes a text as one token of at most [`LONGEST`] bytes.
pub fn token(text: &str) -> String {
    if text.is_empty() {
        return "=".to_owned();
    }
    let mut token = String::with_capacity(LONGEST);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            token.push(char::from(byte));
        } else {
            token.push('=');
            for nibble in [byte >> 4, byte & 15] {
                token.extend(char::from_digit(u32::from(nibble), 16).map(|digit| digit.to_ascii_uppercase()));
            }
        }
        if token.len() > LONGEST {
            return shortened(&token, text);
        }
    }
    token
}

/// The beginning of a token that is too long, up to what its hash leaves room for, and the hash.
fn shortened(token: &str, text: &str) -> String {
    let hash = Fingerprint::new("token").part(text).finish();
    let room = LONGEST - "==".len() - hash.len();
    // Not in the middle of `=XX`.
    let end = (0..=room).rev().find(|end| {
        let before = token.get(end.saturating_sub(2)..*end).unwrap_or_default();
        !before.contains('=')
    });
    format!("{}=={hash}", token.get(..end.unwrap_or_default()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn writes_what_subjects_cannot_hold() {
        assert_eq!(token("kube-system_1"), "kube-system_1");
        assert_eq!(token("a.b c"), "a=2Eb=20c");
        assert_eq!(token("é>*"), "=C3=A9=3E=2A");
        assert_eq!(token(""), "=");
    }

    #[test]
    fn a_long_text_is_cut_and_hashed() {
        let longest = "a".repeat(LONGEST);
        assert_eq!(token(&longest), longest);
        let (one, other) = (token(&"a".repeat(LONGEST + 1)), token(&"a".repeat(5_000)));
        assert_ne!(one, other);
        for long in [one, other] {
            assert_eq!(long.len(), LONGEST);
            assert!(long.starts_with(&format!("{}==", "a".repeat(30))), "{long}");
        }
        // 27 letters, and `=2E` up to byte 30; with 28 it would be cut in the middle.
        for (letters, kept) in [(27, 30), (28, 28), (29, 29)] {
            let long = token(&format!("{}.{}", "a".repeat(letters), "b".repeat(LONGEST)));
            assert_eq!(long.find("=="), Some(kept), "{long}");
        }
    }

    /// The texts a short token was written for: the writing is one to one.
    fn read(token: &str) -> Option<String> {
        if token == "=" {
            return Some(String::new());
        }
        let mut bytes = Vec::new();
        let mut rest = token.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'=' => {
                    let digits = [rest.next()?, rest.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                _ => byte,
            });
        }
        String::from_utf8(bytes).ok()
    }

    proptest! {
        #[test]
        fn is_one_token_and_differs_for_each_text(text in "\\PC{0,80}|[a-z.]{0,80}") {
            let token = token(&text);
            prop_assert!(!token.is_empty() && token.len() <= LONGEST);
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-=".contains(&b)));
            if token.contains("==") {
                prop_assert!(token.ends_with(&Fingerprint::new("token").part(&text).finish()));
            } else {
                prop_assert_eq!(read(&token), Some(text));
            }
        }
    }
}
