//! What a line of a file becomes.

use lictor_normalize::{Batch, Format, Origin};
use lictor_wire::{DeadLetter, Event};

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
            let head = format.kept(&String::from_utf8_lossy(&bytes)).into_owned();
            self.unreadable.push(unreadable(reason, path, number, head, true));
            return;
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let reason = format!("the line is not UTF-8: {}", error.utf8_error());
                let text = format.kept(&String::from_utf8_lossy(error.as_bytes())).into_owned();
                self.unreadable.push(unreadable(reason, path, number, text, true));
                return;
            }
        };
        match format.read(&text, origin, &mut self.batch) {
            Ok(()) if format == Format::Events => self.batch.events.iter_mut().last().map_or((), identify),
            Ok(()) => {}
            Err(error) => {
                let reason = format!("{error}; {}", error.hint());
                let kept = format.kept(&text).into_owned();
                self.unreadable.push(unreadable(reason, path, number, kept, false));
            }
        }
        for item in self.batch.rejected.drain(..) {
            let reason = item.reason();
            self.unreadable.push(unreadable(reason, path, number, item.original, false));
        }
    }
}

/// Gives an event that somebody else wrote an id of our own.
fn identify(event: &mut Event) {
    if let Ok(id) = event.outside_id() {
        event.id = id;
    }
}
