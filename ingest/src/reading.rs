//! What a line of a file becomes.

use lictor_normalize::{Origin, audit, line, tetragon};
use lictor_wire::Event;

use crate::forward::Misread;
use crate::lines::Line;

/// The format of a file's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// The API server's audit log.
    Audit,
    /// Tetragon's export.
    Tetragon,
    /// lictor's own events.
    Events,
}

impl Format {
    /// The format's name in the source of events.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Tetragon => "tetragon",
            Self::Events => "events",
        }
    }
}

/// Events and what was not understood.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) events: Vec<Event>,
    pub(crate) misread: Vec<Misread>,
}

impl Read {
    /// Takes a line of the file `path`.
    pub(crate) fn line(&mut self, format: Format, line: Line, path: &str, origin: &Origin) {
        let misread = |reason: String, position: u64, original: String, lossy: bool| Misread {
            reason,
            origin: path.to_owned(),
            position,
            original,
            lossy,
        };
        let (number, bytes) = match line {
            Line::Whole { number, bytes } => (number, bytes),
            Line::TooLong { number, head } => {
                let reason = format!("the line is longer than {} bytes", crate::lines::LONGEST_LINE);
                let head = String::from_utf8_lossy(&head).into_owned();
                self.misread.push(misread(reason, number, head, true));
                return;
            }
        };
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let reason = format!("the line is not UTF-8: {}", error.utf8_error());
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                self.misread.push(misread(reason, number, text, true));
                return;
            }
        };
        let failed = match format {
            Format::Audit => match audit::read(&text, origin) {
                Ok(batch) => {
                    self.events.extend(batch.events);
                    for item in batch.rejected {
                        let reason = format!("item {}: {}", item.index, item.error);
                        self.misread.push(misread(reason, number, item.original, false));
                    }
                    return;
                }
                Err(error) => format!("{error}; {}", error.hint()),
            },
            Format::Tetragon => match tetragon::read(&text, origin) {
                Ok(event) => return self.events.push(event),
                Err(error) => format!("{error}; {}", error.hint()),
            },
            Format::Events => match line::read(&text) {
                Ok(event) => return self.events.push(event),
                Err(error) => format!("{error}; {}", error.hint()),
            },
        };
        self.misread.push(misread(failed, number, text, false));
    }
}
