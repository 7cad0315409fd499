//! One line of a message, and reading it.

use bytes::Bytes;
use lictor_wire::topology::Consumer;
use lictor_wire::{Command, Event, PolicyDocument, PolicyLogKey, Verdict};

use crate::offload::Fetched;

/// One line of a message, not parsed yet: the judging task parses it, so that messages are parsed in parallel.
#[derive(Debug, Clone)]
pub struct LineText {
    original: Bytes,
    /// The same with its body fetched from the object store, or why there is none.
    whole: Fetched,
    holds: Holds,
}

/// What the lines of a subject are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Holds {
    Event,
    Verdict,
    Policy,
    Command,
    Installation,
    Document,
}

/// One line of a message, read.
#[derive(Debug, Clone)]
pub enum Line {
    /// An event, with its body.
    Event(Box<Event>),
    /// A verdict.
    Verdict(Box<Verdict>),
    /// A policy document.
    Policy(Box<PolicyDocument>),
    /// A command.
    Command(Box<Command>),
    /// The policy log names the installation it belongs to.
    Installation,
    /// A document of another sort, such as a policy category: its JSON.
    Document(String),
}

/// A line that is not what it should be. Made into a [`crate::LineOutcome`] it is dead-lettered with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// What came.
    pub raw: Bytes,
    /// Why it cannot be read.
    pub reason: String,
}

impl Holds {
    /// What a consumer's messages of a subject hold.
    pub(crate) fn of(consumer: Consumer, subject: &str) -> Self {
        match consumer {
            Consumer::Judge(_) | Consumer::Retry => Self::Event,
            Consumer::Enforce => Self::Verdict,
            Consumer::EvaluatorCommands => Self::Command,
            Consumer::PolicyChanges => match PolicyLogKey::of_subject(subject) {
                Some(PolicyLogKey::Policy(_)) => Self::Policy,
                Some(PolicyLogKey::Installation) => Self::Installation,
                Some(PolicyLogKey::Category(_)) | None => Self::Document,
            },
        }
    }
}

impl LineText {
    pub(crate) const fn new(original: Bytes, whole: Fetched, holds: Holds) -> Self {
        Self { original, whole, holds }
    }

    /// As it came.
    pub(crate) const fn original(&self) -> &Bytes {
        &self.original
    }

    /// Reads the line.
    ///
    /// # Errors
    /// When it is not what it should be: retrying never helps, the line is dead-lettered.
    pub fn read(&self) -> Result<Line, BadLine> {
        let text = self.text()?;
        match self.holds {
            Holds::Event => self.understood(Event::parse(text)).map(|event| Line::Event(Box::new(event))),
            Holds::Verdict => self.understood(serde_json::from_str(text)).map(Line::Verdict),
            Holds::Policy => self.understood(serde_json::from_str(text)).map(Line::Policy),
            Holds::Command => self.understood(serde_json::from_str(text)).map(Line::Command),
            Holds::Installation => Ok(Line::Installation),
            Holds::Document => Ok(Line::Document(text.to_owned())),
        }
    }

    /// Reads the line as an event.
    pub(crate) fn event(&self) -> Result<Event, BadLine> {
        self.understood(Event::parse(self.text()?))
    }

    /// The text of the line.
    ///
    /// # Errors
    /// When it is not UTF-8, or its body could not be fetched from the object store.
    pub fn text(&self) -> Result<&str, BadLine> {
        match &self.whole {
            Ok(whole) => {
                self.understood(std::str::from_utf8(whole).map_err(|error| format!("not UTF-8: {error}")))
            }
            Err(reason) => Err(BadLine { raw: self.original.clone(), reason: reason.clone() }),
        }
    }

    fn understood<T>(&self, read: Result<T, impl ToString>) -> Result<T, BadLine> {
        read.map_err(|error| {
            let raw = self.whole.as_ref().unwrap_or(&self.original).clone();
            BadLine { raw, reason: error.to_string() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LineOutcome;

    #[test]
    fn lines_that_are_no_events_say_why() {
        let line = |bytes: &'static [u8]| {
            let bytes = Bytes::from_static(bytes);
            LineText::new(bytes.clone(), Ok(bytes), Holds::Event)
        };
        let BadLine { reason, raw } = line(b"\xff\xfe").read().unwrap_err();
        assert!(reason.starts_with("not UTF-8"), "{reason}");
        assert_eq!(raw, Bytes::from_static(b"\xff\xfe"));
        assert_eq!(line(b"{}").read().unwrap_err().raw, Bytes::from_static(b"{}"));
        let gone = LineText::new(Bytes::from_static(b"{}"), Err("it is gone".to_owned()), Holds::Event);
        assert_eq!(LineOutcome::from(gone.read().unwrap_err()), LineOutcome::dead("it is gone"));
    }
}
