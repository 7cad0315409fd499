//! JSON as tools write it: values one after another, over as many lines as they like.

use serde_json::value::RawValue;

/// A part of a text and the line it begins at, from 1.
pub type Part<'a> = (u64, &'a str);

/// The values of a text, in order. What is not JSON ends them: all that is left is the error.
pub fn values(text: &str) -> impl Iterator<Item = Result<Part<'_>, Part<'_>>> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let mut lines = Lines::new(text);
    let mut behind = 0;
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        match stream.next()? {
            Ok(value) => {
                behind = stream.byte_offset();
                Some(Ok((lines.of(value.get()), value.get())))
            }
            Err(_) => {
                ended = true;
                let rest = text.get(behind..).unwrap_or_default().trim_start();
                Some(Err((lines.of(rest), rest)))
            }
        }
    })
}

/// Counts lines up to parts of a text, which must be requested in order.
pub(crate) struct Lines<'a> {
    text: &'a str,
    counted: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, counted: 0, line: 1 }
    }

    /// The line that a part begins at. A part outside the text, or before the previous one, gets the previous one's
    /// line.
    pub(crate) fn of(&mut self, part: &str) -> u64 {
        let offset = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        if let Some(between) = self.text.get(self.counted..offset) {
            self.line += between.bytes().filter(|byte| *byte == b'\n').count() as u64;
            self.counted = offset;
        }
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_lines_and_what_is_left_is_an_error() {
        let text = "\n{\"a\":\n1} {}\n\n[2]\n {\"b\": \n";
        let all: Vec<_> = values(text).collect();
        assert_eq!(all, [Ok((2, "{\"a\":\n1}")), Ok((3, "{}")), Ok((5, "[2]")), Err((6, "{\"b\": \n"))]);
        assert_eq!(values(" \n").count(), 0);
    }
}
