//! Files to replay: opened once, recognised by their content; recordings then read line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use lictor_normalize::{Format, FormatError, json};

/// The longest line that is read: an audit record with both bodies can have some megabytes.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

/// The longest text that is read as a whole, unpacked: `kubectl get -o json` of a hundred thousand pods is about half.
const LONGEST_TEXT: u64 = 1 << 30;

/// How many lines that are not blank are looked at to tell what a file holds. A log may begin with a comment, or in
/// the middle of a record.
const LOOKED_AT: usize = 16;

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {source}")]
pub(crate) struct SourceError {
    name: String,
    #[source]
    source: io::Error,
}

/// What a file holds.
pub(crate) enum Contents {
    /// Nothing but blank lines.
    Empty { name: String },
    /// What happened.
    Recording(Recording),
    /// Kubernetes objects: the whole text.
    Manifest { name: String, text: String },
}

/// A file that tells what happened.
pub(crate) struct Recording {
    path: PathBuf,
    /// What its lines are.
    pub(crate) format: Format,
    /// `None` once it was closed.
    lines: Option<Lines>,
}

/// The lines of a recording; where a record takes several, its records.
pub(crate) enum Lines {
    /// Line by line.
    Read { name: String, reader: Box<dyn BufRead>, buffer: Vec<u8>, number: u64 },
    /// Records over several lines: read as a whole.
    Values(std::vec::IntoIter<Line>),
}

/// One line, or one record over several.
#[derive(Debug)]
pub(crate) struct Line {
    /// The number of its first line, from 1.
    pub(crate) number: u64,
    /// Its text; what is not UTF-8 is replaced.
    pub(crate) text: String,
}

/// A file's name for people.
fn name(path: &Path) -> String {
    if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() }
}

impl Contents {
    /// Opens a file, or standard input for `-`, and tells what it holds; what is packed with gzip is unpacked.
    /// What was read to tell is kept, so a pipe loses nothing. `wrap` sees the bytes as they lie on the disk.
    pub(crate) fn open(
        path: &Path,
        wrap: impl FnOnce(Box<dyn Read>) -> Box<dyn Read>,
    ) -> Result<Self, SourceError> {
        let failed = |source| SourceError { name: name(path), source };
        let mut reader = open(path, wrap).map_err(failed)?;
        let mut head = Vec::new();
        match look(&mut reader, &mut head).map_err(failed)? {
            Look::Nothing => Ok(Self::Empty { name: name(path) }),
            Look::Lines(format) => {
                let lines = Lines::new(path, Box::new(Cursor::new(head).chain(reader)));
                Ok(Self::Recording(Recording { path: path.to_owned(), format, lines: Some(lines) }))
            }
            Look::Whole => {
                let text = whole(head, reader).map_err(failed)?;
                match Format::detect(&text) {
                    Ok(Format::Manifest) | Err(_) => Ok(Self::Manifest { name: name(path), text }),
                    Ok(format) => {
                        // What is not JSON is for the format to refuse.
                        let values = json::values(&text).map(|part| part.unwrap_or_else(|rest| rest));
                        let values = values.map(|(number, text)| Line { number, text: text.to_owned() });
                        let lines = Lines::Values(values.collect::<Vec<_>>().into_iter());
                        Ok(Self::Recording(Recording { path: path.to_owned(), format, lines: Some(lines) }))
                    }
                }
            }
        }
    }
}

impl Recording {
    /// The file's name for people.
    pub(crate) fn name(&self) -> String {
        name(&self.path)
    }

    /// Closes a file that can be opened again when its turn comes; a pipe stays open.
    pub(crate) fn close(&mut self) {
        let is_file = std::fs::metadata(&self.path).is_ok_and(|metadata| metadata.is_file());
        if is_file && matches!(self.lines, Some(Lines::Read { .. })) {
            self.lines = None;
        }
    }

    /// Its lines.
    pub(crate) fn lines(
        self,
        wrap: impl FnOnce(Box<dyn Read>) -> Box<dyn Read>,
    ) -> Result<Lines, SourceError> {
        match self.lines {
            Some(lines) => Ok(lines),
            None => match open(&self.path, wrap) {
                Ok(reader) => Ok(Lines::new(&self.path, reader)),
                Err(source) => Err(SourceError { name: name(&self.path), source }),
            },
        }
    }
}

impl Lines {
    fn new(path: &Path, reader: Box<dyn BufRead>) -> Self {
        Self::Read { name: name(path), reader, buffer: Vec::new(), number: 0 }
    }

    /// The next line that is not blank; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Line>, SourceError> {
        let (name, reader, buffer, number) = match self {
            Self::Values(values) => return Ok(values.next()),
            Self::Read { name, reader, buffer, number } => (name, reader, buffer, number),
        };
        loop {
            buffer.clear();
            *number += 1;
            let read = read_line(reader, buffer, *number);
            if read.map_err(|source| SourceError { name: name.clone(), source })? == 0 {
                return Ok(None);
            }
            let text = String::from_utf8_lossy(buffer);
            let text = text.trim_matches(['\n', '\r', ' ', '\t', '\u{feff}']);
            if !text.is_empty() {
                return Ok(Some(Line { number: *number, text: text.to_owned() }));
            }
        }
    }
}

// === bytes ===

fn open(path: &Path, wrap: impl FnOnce(Box<dyn Read>) -> Box<dyn Read>) -> io::Result<Box<dyn BufRead>> {
    let raw: Box<dyn Read> =
        if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
    let mut raw = BufReader::with_capacity(1 << 16, wrap(raw));
    let packed = raw.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if packed { Box::new(BufReader::new(MultiGzDecoder::new(raw))) } else { Box::new(raw) })
}

/// Adds a line with its end to `buffer`; 0 at the end of the file.
fn read_line(reader: &mut dyn BufRead, buffer: &mut Vec<u8>, number: u64) -> io::Result<u64> {
    let read = reader.take(LONGEST_LINE).read_until(b'\n', buffer)? as u64;
    if read == LONGEST_LINE {
        let message = format!("line {number} is longer than {LONGEST_LINE} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(read)
}

/// What the first lines of a file say about it.
enum Look {
    Nothing,
    /// Each line is of this format.
    Lines(Format),
    /// Only the whole text tells.
    Whole,
}

/// Reads as many lines into `head` as it takes to tell what a file holds.
fn look(reader: &mut dyn BufRead, head: &mut Vec<u8>) -> io::Result<Look> {
    let (mut looked_at, mut number, mut objects) = (0, 0, false);
    while looked_at < LOOKED_AT && (head.len() as u64) < LONGEST_LINE {
        let start = head.len();
        number += 1;
        if read_line(reader, head, number)? == 0 {
            break;
        }
        let line = String::from_utf8_lossy(head.get(start..).unwrap_or_default());
        looked_at += usize::from(!line.trim().is_empty());
        if line.starts_with([' ', '\t']) {
            // A part of something that began above.
            continue;
        }
        match Format::detect(&line) {
            Ok(Format::Manifest) => return Ok(Look::Whole),
            Ok(format) => return Ok(Look::Lines(format)),
            Err(FormatError::UnknownObject) => objects = true,
            Err(_) => {}
        }
    }
    Ok(match (looked_at, objects) {
        (0, _) => Look::Nothing,
        // What clouds wrap audit records in has no form in common.
        (_, true) => Look::Lines(Format::Audit),
        (_, false) => Look::Whole,
    })
}

fn whole(head: Vec<u8>, reader: Box<dyn BufRead>) -> io::Result<String> {
    let mut bytes = head;
    reader.take(LONGEST_TEXT).read_to_end(&mut bytes)?;
    let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
    if bytes.len() as u64 >= LONGEST_TEXT {
        return Err(invalid(format!("the text is longer than {LONGEST_TEXT} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| invalid(format!("not UTF-8: {}", error.utf8_error())))
}
