//! What distinguishes a file from another of its name.

use std::fmt;
use std::io;

use lictor_wire::Fingerprint;

use super::contents::Contents;

/// How many of the first bytes count: more than the banner that some programs begin every file with.
const PREFIX: u64 = 4096;

/// A fingerprint of the first bytes, as many as there were when it was taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Identity {
    bytes: u64,
    hash: String,
}

impl Identity {
    /// Of a file as it is now.
    pub(super) fn of(contents: &Contents) -> io::Result<Self> {
        Self::of_first(contents, PREFIX)
    }

    fn of_first(contents: &Contents, bytes: u64) -> io::Result<Self> {
        let first = contents.read_at(0, bytes.min(PREFIX))?;
        Ok(Self { bytes: first.len() as u64, hash: Fingerprint::new("file").part(&first).finish() })
    }

    /// As a checkpoint has it; `None` when the text is not one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (bytes, hash) = text.split_once(':')?;
        Some(Self { bytes: bytes.parse().ok()?, hash: hash.to_owned() })
    }

    /// Whether a file begins as this one did. An empty file is not distinguished.
    pub(super) fn is_of(&self, contents: &Contents) -> io::Result<bool> {
        Ok(self.bytes > 0 && Self::of_first(contents, self.bytes)? == *self)
    }

    /// Whether more bytes would distinguish it better.
    pub(super) const fn can_grow(&self) -> bool {
        self.bytes < PREFIX
    }

    /// Whether the file was empty when this was taken.
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes == 0
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.bytes, self.hash)
    }
}
