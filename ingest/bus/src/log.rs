//! Reading a stream as the log it is: in order, from anywhere, touching nobody's progress.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use lictor_wire::Event;
use lictor_wire::topology::Stream;

use crate::bus::Bus;
use crate::cursor::{Cursor, Read, Reading, Start, Step};
use crate::error::BusError;
use crate::headers::Headers;
use crate::intake::MESSAGE_AT_MOST;
use crate::line::{BadLine, Holds, LineText};
use crate::pack::{self, UnpackError};
use crate::topology;

/// How often the server is queried for what is left of the backlog. Only matters when its last messages left the
/// stream before they were sent: then no message says so.
const ASK_WHETHER_READ: Duration = Duration::from_secs(1);

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// With the first message there is.
    First,
    /// With this sequence, or the first after it that is still there.
    Sequence(u64),
    /// With the first message published at this time or later.
    Time(Timestamp),
    /// With the first message published after reading began.
    New,
}

/// A message of a log.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the stream stored it.
    pub time: Timestamp,
    /// Its subject.
    pub subject: String,
    /// Its headers.
    pub headers: Headers,
    /// Its payload as it is stored; empty when only headers were requested.
    pub payload: Bytes,
}

/// Reads a stream in order, for ever: at the end it waits for more.
pub struct LogReader {
    cursor: Cursor,
    backlog: Backlog,
    ended: bool,
}

/// What the stream held when reading began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backlog {
    /// The server was not reached yet.
    Unknown,
    /// It ends with this sequence.
    UpTo(u64),
    /// All of it has been handed out.
    Read,
}

impl Bus {
    /// Reads a stream in order from a place, without acknowledgements. With `headers_only` no payloads are sent.
    pub fn read(&self, stream: Stream, from: ReadFrom, headers_only: bool) -> LogReader {
        let reading = Reading {
            stream: self.topology().stream_name(stream),
            filter: None,
            start: match from {
                ReadFrom::First => Start::First,
                ReadFrom::Sequence(sequence) => Start::Sequence(sequence),
                ReadFrom::Time(time) => Start::Time(time),
                ReadFrom::New => Start::New,
            },
            headers_only,
        };
        LogReader { cursor: Cursor::new(self.clone(), reading), backlog: Backlog::Unknown, ended: false }
    }

    /// The last sequence of a stream.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn last_sequence(&self, stream: Stream) -> Result<u64, BusError> {
        topology::last_sequence(self.jetstream(), &self.topology().stream_name(stream)).await
    }

    /// As [`Bus::read`], only the messages of one subject, which may have wildcards.
    pub fn read_subject(&self, stream: Stream, subject: &str, from: ReadFrom) -> LogReader {
        let mut reader = self.read(stream, from, false);
        let reading = Reading { filter: Some(subject.to_owned()), ..reader.cursor.reading().clone() };
        reader.cursor = Cursor::new(self.clone(), reading);
        reader
    }

    /// The events of a message of an event stream: offloaded bodies are fetched, and a line that is not an
    /// event is an error with the reason.
    ///
    /// # Errors
    /// When a body was offloaded and the server does not answer.
    pub async fn events(&self, entry: &LogEntry) -> Result<Vec<Result<Event, BadLine>>, BusError> {
        let lines = match entry.lines() {
            Ok(lines) => lines,
            Err(error) => {
                return Ok(vec![Err(BadLine { raw: entry.payload.clone(), reason: error.to_string() })]);
            }
        };
        let mut events = Vec::with_capacity(lines.len());
        for line in lines {
            let whole = self.with_body(line.clone(), MESSAGE_AT_MOST).await?;
            events.push(LineText::new(line, whole, Holds::Event).event());
        }
        Ok(events)
    }
}

impl LogReader {
    /// The next message; waits for one at the end of the stream. May be dropped while it waits.
    ///
    /// Reconnects are handled transparently. [`BusError::PositionLost`] is returned once, when the stream ends before
    /// what was read; after it comes `None`, since reading on would hide the loss.
    pub async fn next(&mut self) -> Option<Result<LogEntry, BusError>> {
        while !self.ended {
            let step = self.cursor.step().await;
            if let Some(entry) = self.take(step) {
                return Some(entry);
            }
        }
        None
    }

    /// The next message of those that the stream held when reading began. `None` when all of them were handed out or
    /// have left the stream since: then [`LogReader::next`] reads on. May be dropped while it waits.
    ///
    /// As [`LogReader::next`] it returns [`BusError::PositionLost`] once, then `None`.
    pub async fn next_of_backlog(&mut self) -> Option<Result<LogEntry, BusError>> {
        while !self.ended && self.backlog != Backlog::Read {
            let Some(step) = self.cursor.step_of_backlog(ASK_WHETHER_READ).await else {
                self.backlog = Backlog::Read;
                break;
            };
            if let Some(entry) = self.take(step) {
                return Some(entry);
            }
        }
        None
    }

    fn take(&mut self, step: Step) -> Option<Result<LogEntry, BusError>> {
        match step {
            Step::Opened { pending, last } => {
                if self.backlog != Backlog::Read {
                    self.backlog = if pending == 0 { Backlog::Read } else { Backlog::UpTo(last) };
                }
                None
            }
            Step::Message(read) => {
                if let Backlog::UpTo(last) = self.backlog
                    && (read.sequence >= last || read.pending == 0)
                {
                    self.backlog = Backlog::Read;
                }
                Some(Ok(read.into()))
            }
            Step::Lost { position, last } => {
                self.ended = true;
                let stream = self.cursor.reading().stream.clone();
                Some(Err(BusError::PositionLost { stream, position, last }))
            }
        }
    }
}

impl LogEntry {
    /// The lines of an event message; see [`pack::unpack`].
    ///
    /// # Errors
    /// When the message cannot be unpacked at all.
    pub fn lines(&self) -> Result<Vec<Bytes>, UnpackError> {
        pack::unpack(&self.headers, &self.payload)
    }

    /// The payload as it was before it was compressed: verdicts, receipts and other documents are JSON here.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn body(&self) -> Result<Bytes, UnpackError> {
        pack::decode_payload(&self.headers, &self.payload)
    }
}

impl From<Read> for LogEntry {
    fn from(read: Read) -> Self {
        Self {
            sequence: read.sequence,
            time: read.time,
            subject: read.subject,
            headers: Headers(read.headers),
            payload: read.payload,
        }
    }
}
