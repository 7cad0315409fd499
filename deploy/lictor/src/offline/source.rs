//! Files of recorded events, told apart by their content, read line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use lictor_normalize::{Origin, audit, line, tetragon};
use lictor_wire::Event;
use serde_json::Value;

/// The longest line that is read: an audit record with both bodies can have some megabytes.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Audit records, in whatever coat.
    Audit,
    /// Tetragon's export.
    Tetragon,
    /// Our own lines.
    Events,
    /// Kubernetes objects.
    Manifest,
}

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub(crate) struct SourceError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The lines of a file.
pub(crate) struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    buffer: Vec<u8>,
    number: u64,
}

/// One line.
#[derive(Debug)]
pub(crate) struct Line {
    /// Its number, from 1.
    pub(crate) number: u64,
    /// Its text; what is no UTF-8 is replaced.
    pub(crate) text: String,
}

impl Format {
    /// Tells what a file holds by its first line that is not blank.
    pub(crate) fn of(first: &str) -> Self {
        let Ok(Value::Object(map)) = serde_json::from_str::<Value>(first) else { return Self::Manifest };
        let version = map.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        if map.contains_key("specversion") {
            Self::Events
        } else if version.starts_with("audit.k8s.io/") {
            Self::Audit
        } else if map.contains_key("apiVersion") {
            Self::Manifest
        } else if map.contains_key("node_name") || map.keys().any(|key| key.starts_with("process_")) {
            Self::Tetragon
        } else {
            // What clouds wrap audit records in has no form in common.
            Self::Audit
        }
    }

    /// Reads a line: its events, or why there are none, with what to do about it.
    pub(crate) fn read(self, text: &str, origin: &Origin) -> Result<Vec<Event>, (String, &'static str)> {
        match self {
            Self::Audit => match audit::read(text, origin) {
                Ok(batch) => match batch.rejected.first() {
                    None => Ok(batch.events),
                    Some(rejected) => {
                        Err((format!("item {}: {}", rejected.index, rejected.error), rejected.error.hint()))
                    }
                },
                Err(error) => Err((error.to_string(), error.hint())),
            },
            Self::Tetragon => {
                tetragon::read(text, origin).map(|event| vec![event]).map_err(|e| (e.to_string(), e.hint()))
            }
            Self::Events => line::read(text).map(|event| vec![event]).map_err(|e| (e.to_string(), e.hint())),
            Self::Manifest => Ok(Vec::new()),
        }
    }
}

impl Lines {
    /// Opens a file, or standard input for `-`; what is packed with gzip is unpacked. `wrap` sees the bytes as they
    /// lie on the disk.
    pub(crate) fn open(
        path: &Path,
        wrap: impl FnOnce(Box<dyn Read>) -> Box<dyn Read>,
    ) -> Result<Self, SourceError> {
        let failed = |source| SourceError { path: path.to_owned(), source };
        let raw: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).map_err(failed)?)
        };
        let mut raw = BufReader::with_capacity(1 << 16, wrap(raw));
        let packed = raw.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn BufRead> =
            if packed { Box::new(BufReader::new(MultiGzDecoder::new(raw))) } else { Box::new(raw) };
        Ok(Self { path: path.to_owned(), reader, buffer: Vec::new(), number: 0 })
    }

    /// The next line that is not blank; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Line>, SourceError> {
        let failed = |source| SourceError { path: self.path.clone(), source };
        loop {
            self.buffer.clear();
            let mut reader = (&mut self.reader).take(LONGEST_LINE);
            let read = reader.read_until(b'\n', &mut self.buffer).map_err(failed)?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if read as u64 == LONGEST_LINE {
                let message = format!("line {} is longer than {LONGEST_LINE} bytes", self.number);
                return Err(failed(io::Error::new(io::ErrorKind::InvalidData, message)));
            }
            let text = String::from_utf8_lossy(&self.buffer);
            let text = text.trim_matches(['\n', '\r', ' ', '\t', '\u{feff}']);
            if !text.is_empty() {
                return Ok(Some(Line { number: self.number, text: text.to_owned() }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_line() {
        let cases = [
            (r#"{"specversion":"1.0"}"#, Format::Events),
            (r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1"}"#, Format::Audit),
            (r#"{"category":"kube-audit"}"#, Format::Audit),
            (r#"{"process_exec":{},"node_name":"n"}"#, Format::Tetragon),
            (r#"{"apiVersion":"v1","kind":"Pod"}"#, Format::Manifest),
            ("apiVersion: v1", Format::Manifest),
            ("{", Format::Manifest),
        ];
        for (line, format) in cases {
            assert_eq!(Format::of(line), format, "{line}");
        }
    }
}
