//! What a line of a file becomes.

use lictor_normalize::{Batch, Format, Origin};
use lictor_wire::DeadLetter;

use crate::forward::unreadable;
use crate::lines::Line;

/// Events, and what could not be read.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) batch: Batch,
    pub(crate) unreadable: Vec<DeadLetter>,
}

impl Parsed {
    /// Takes a line of the file `path`.
    pub(crate) fn line(&mut self, format: Format, line: Line, path: &str, origin: &Origin) {
        let Line { number, too_long, bytes } = line;
        if too_long {
            let reason = format!("the line is longer than {} bytes", crate::lines::LONGEST_LINE);
            let head = String::from_utf8_lossy(&bytes).into_owned();
            self.unreadable.push(unreadable(reason, path, number, head, true));
            return;
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let reason = format!("the line is not UTF-8: {}", error.utf8_error());
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                self.unreadable.push(unreadable(reason, path, number, text, true));
                return;
            }
        };
        if let Err(error) = format.read(&text, origin, &mut self.batch) {
            let reason = format!("{error}; {}", error.hint());
            self.unreadable.push(unreadable(reason, path, number, text, false));
        }
        for item in self.batch.rejected.drain(..) {
            let reason = format!("item {}: {}", item.index, item.error);
            self.unreadable.push(unreadable(reason, path, number, item.original, false));
        }
    }
}
