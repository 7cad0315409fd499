//! One text for all that differ only in case.
//!
//! Texts are folded on both sides before they are compared. Folding may take more texts for one than matching does,
//! which costs a look at a policy that does not match; it must never take fewer.

/// The fold of a character: the same for every character that matches it case-insensitively.
///
/// By way of the upper case, because that is where most characters that fold to each other meet: `ſ` and `s`, `ς` and
/// `σ`. The Kelvin sign meets `k` in the lower case.
fn fold_char(c: char) -> char {
    // These fold to each other, and have no upper case of one character to meet in.
    let c = match c {
        '\u{1fd3}' => '\u{390}',
        '\u{1fe3}' => '\u{3b0}',
        '\u{fb05}' => '\u{fb06}',
        c => c,
    };
    let mut upper = c.to_uppercase();
    let upper = match (upper.next(), upper.next()) {
        (Some(upper), None) => upper,
        _ => c,
    };
    upper.to_lowercase().next().unwrap_or(upper)
}

/// Adds a text, folded.
pub(super) fn fold_into(text: &str, folded: &mut String) {
    if text.is_ascii() {
        let start = folded.len();
        folded.push_str(text);
        if let Some(added) = folded.get_mut(start..) {
            added.make_ascii_lowercase();
        }
    } else {
        folded.extend(text.chars().map(fold_char));
    }
}

/// A text, folded.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold_into(text, &mut folded);
    folded
}

/// A character, folded.
pub(super) fn fold_one(c: char) -> String {
    fold_char(c).to_string()
}

#[cfg(test)]
mod tests {
    use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

    use super::*;

    #[test]
    fn all_that_a_pattern_takes_for_one_is_one() {
        for c in '\0'..=char::MAX {
            let mut orbit = ClassUnicode::new([ClassUnicodeRange::new(c, c)]);
            orbit.try_case_fold_simple().unwrap();
            for other in orbit.iter().flat_map(|range| range.start()..=range.end()) {
                assert_eq!(fold_char(c), fold_char(other), "{c:?} {other:?}");
            }
        }
    }

    #[test]
    fn all_that_has_one_lower_case_is_one() {
        for c in '\0'..=char::MAX {
            let lower = c.to_lowercase().next().unwrap();
            assert_eq!(fold_char(c), fold_char(lower), "{c:?}");
        }
    }

    #[test]
    fn ascii_is_folded_as_any_text() {
        for c in '\0'..='\u{7f}' {
            assert_eq!(fold(&c.to_string()), fold_one(c));
        }
        assert_eq!(fold("KILL \u{212a}ill baſh ΣΑΣ"), fold("kill kill BASH σας"));
    }
}
