//! Subject tokens: any text becomes one token, and comes back.
//!
//! NATS splits subjects at `.` and reserves `*`, `>` and white space; JetStream bucket keys allow still less.
//! Anything outside `[A-Za-z0-9_-]` is written `=XX`, two upper-case hexadecimal digits per byte of its UTF-8 form.
//! `=` itself is outside, so the writing is one to one. The empty text, which would vanish from a subject, is `=`.

/// Writes a text as one token.
pub fn escape(text: &str) -> String {
    if text.is_empty() {
        return "=".to_owned();
    }
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            token.push(char::from(byte));
        } else {
            token.push('=');
            for nibble in [byte >> 4, byte & 15] {
                token.extend(char::from_digit(u32::from(nibble), 16).map(|digit| digit.to_ascii_uppercase()));
            }
        }
    }
    token
}

/// Reads a token back.
///
/// # Errors
/// When the token was not written by [`escape`]: every text has exactly one token.
pub fn unescape(token: &str) -> Result<String, NotAToken> {
    if token == "=" {
        return Ok(String::new());
    }
    let refuse = || NotAToken { token: token.to_owned() };
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'=' => {
                let (Some(high), Some(low)) = (rest.next(), rest.next()) else { return Err(refuse()) };
                let digit = |digit: u8| match digit {
                    b'0'..=b'9' => Some(digit - b'0'),
                    b'A'..=b'F' => Some(digit - b'A' + 10),
                    _ => None,
                };
                let (Some(high), Some(low)) = (digit(high), digit(low)) else { return Err(refuse()) };
                bytes.push(high << 4 | low);
            }
            _ => bytes.push(byte),
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| refuse())?;
    if escape(&text) == token { Ok(text) } else { Err(refuse()) }
}

/// A text that is not a token of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{token}` is not an escaped subject token")]
pub struct NotAToken {
    /// The text.
    pub token: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn writes_what_subjects_cannot_hold() {
        assert_eq!(escape("kube-system_1"), "kube-system_1");
        assert_eq!(escape("a.b c"), "a=2Eb=20c");
        assert_eq!(escape("é>*"), "=C3=A9=3E=2A");
        assert_eq!(escape(""), "=");
    }

    #[test]
    fn refuses_what_it_would_not_write() {
        for token in ["a.b", "=2e", "=2", "=41", "", "=FF"] {
            assert!(unescape(token).is_err(), "{token}");
        }
    }

    proptest! {
        #[test]
        fn comes_back(text in any::<String>()) {
            let token = escape(&text);
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-=".contains(&b)));
            prop_assert_eq!(unescape(&token).unwrap(), text);
        }
    }
}
