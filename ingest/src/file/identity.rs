//! What distinguishes a file from another of its name.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use lictor_wire::Fingerprint;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

/// How many of the first bytes count. Within them an audit record has its id and a sensor's event its time.
const PREFIX: u64 = 256;

/// Files compared when one that was read has moved: rotation keeps a handful.
const COMPARED: usize = 256;

/// A fingerprint of the first bytes, as many as there were when it was taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Identity {
    bytes: u64,
    hash: String,
}

impl Identity {
    /// Of a file as it is now.
    pub(super) async fn of(path: &Path) -> io::Result<Self> {
        Self::of_first(path, PREFIX).await
    }

    async fn of_first(path: &Path, bytes: u64) -> io::Result<Self> {
        let mut first = Vec::new();
        File::open(path).await?.take(bytes.min(PREFIX)).read_to_end(&mut first).await?;
        Ok(Self { bytes: first.len() as u64, hash: Fingerprint::new("file").part(&first).finish() })
    }

    /// As a checkpoint has it; `None` when the text is not one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (bytes, hash) = text.split_once(':')?;
        Some(Self { bytes: bytes.parse().ok()?, hash: hash.to_owned() })
    }

    /// Whether the file under a path begins as this one did. An empty file is not distinguished.
    pub(super) async fn is_at(&self, path: &Path) -> io::Result<bool> {
        Ok(self.bytes > 0 && Self::of_first(path, self.bytes).await? == *self)
    }

    /// Whether more bytes would distinguish it better.
    pub(super) const fn can_grow(&self) -> bool {
        self.bytes < PREFIX
    }

    /// Whether the file was empty when this was taken.
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The file's new name beside its old one, after a rotation.
    pub(super) async fn find_beside(&self, path: &Path) -> Option<PathBuf> {
        let mut folder = tokio::fs::read_dir(path.parent()?).await.ok()?;
        for _ in 0..COMPARED {
            let entry = folder.next_entry().await.ok()??;
            let candidate = entry.path();
            let is_file = entry.file_type().await.is_ok_and(|kind| kind.is_file());
            if is_file && candidate != path && self.is_at(&candidate).await.unwrap_or_default() {
                return Some(candidate);
            }
        }
        None
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.bytes, self.hash)
    }
}
