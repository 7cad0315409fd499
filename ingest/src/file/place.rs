//! Where reading starts, and whether the file is still the same.

use std::io;
use std::path::Path;
use std::time::Duration;

use lictor_wire::SourceCheckpoint;
use lictor_wire::topology::Bucket;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};

use super::identity::Identity;
use super::{POLL_EVERY, Reading, Tail};
use crate::lines::{LONGEST_LINE, Lines};
use crate::outlet::Outlet;

/// Between attempts to read the checkpoint while the bus is unavailable.
const RETRY_EVERY: Duration = Duration::from_secs(1);

impl<O: Outlet> Tail<O> {
    /// Opens the file where the checkpoint says, or from its beginning.
    pub(super) async fn start(&mut self) -> io::Result<Reading> {
        let Some(checkpoint) = self.last_checkpoint().await else { return self.open_when_there().await };
        let Some(identity) = Identity::parse(&checkpoint.identity) else {
            return self.open_when_there().await;
        };
        self.settled.events = checkpoint.events;
        self.settled.last_event = checkpoint.last_event;
        let offset = checkpoint.offset;
        if is_file(&self.path, &identity, offset).await {
            return open(&self.path, offset).await;
        }
        // While nobody read, the file was rotated: its rest first.
        if let Some(moved) = identity.find_beside(&self.path).await
            && is_file(&moved, &identity, offset).await
        {
            tracing::info!(path = self.path_text, moved = %moved.display(), "reading the rest of a rotated file");
            let mut reading = open(&moved, offset).await?;
            reading.moved = true;
            return Ok(reading);
        }
        if !identity.is_empty() {
            tracing::warn!(path = self.path_text, offset, "the file that was read before no longer exists");
        }
        self.open_when_there().await
    }

    async fn last_checkpoint(&self) -> Option<SourceCheckpoint> {
        loop {
            match self.forward.outlet.get::<SourceCheckpoint>(Bucket::Presence, &self.key).await {
                Ok(found) => return found.map(|(_, checkpoint)| checkpoint),
                Err(crate::outlet::OutletError::Refused(reason)) => {
                    tracing::warn!(reason, path = self.path_text, "the checkpoint cannot be read");
                    return None;
                }
                Err(error) => tracing::warn!(%error, path = self.path_text, "waiting for the checkpoint"),
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    /// Opens the file at its beginning; one that is followed may yet have to come.
    pub(super) async fn open_when_there(&self) -> io::Result<Reading> {
        let mut logged = false;
        loop {
            match open(&self.path, 0).await {
                Err(error) if self.source.follow && error.kind() == io::ErrorKind::NotFound => {
                    if !logged {
                        tracing::info!(path = self.path_text, "waiting for the file to appear");
                        logged = true;
                    }
                    tokio::time::sleep(POLL_EVERY).await;
                }
                opened => return opened,
            }
        }
    }
}

/// What became of a file whose end was reached, by the next poll.
pub(super) enum State {
    /// It may grow.
    Same,
    /// It has another name by now; its end may not have been read.
    Moved,
    /// It was cut, or rewritten from its beginning.
    Rewritten,
}

impl Reading {
    /// Whether the path still leads to this file, and the file was not cut. Takes what the file has grown by into
    /// its identity.
    pub(super) async fn state(&mut self, path: &Path) -> io::Result<State> {
        let named = match tokio::fs::metadata(path).await {
            // Between the steps of a rotation there is no file of the name.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Same),
            named => named?,
        };
        let open = self.file.metadata().await?;
        if !same_file(&named, &open) {
            return Ok(State::Moved);
        }
        if open.len() < self.file.stream_position().await? {
            return Ok(State::Rewritten);
        }
        let polled = (open.len(), open.modified().ok());
        if self.polled == Some(polled) {
            return Ok(State::Same);
        }
        self.polled = Some(polled);
        if !self.identity.is_empty() && !self.identity.is_at(path).await? {
            return Ok(State::Rewritten);
        }
        if self.identity.can_grow() {
            self.identity = Identity::of(path).await?;
        }
        Ok(State::Same)
    }
}

#[cfg(unix)]
fn same_file(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Elsewhere only the first bytes are compared.
#[cfg(not(unix))]
fn same_file(_: &std::fs::Metadata, _: &std::fs::Metadata) -> bool {
    true
}

async fn is_file(path: &Path, identity: &Identity, offset: u64) -> bool {
    let long_enough = tokio::fs::metadata(path).await.is_ok_and(|metadata| metadata.len() >= offset);
    long_enough && identity.is_at(path).await.unwrap_or_default()
}

/// Opens a file behind `offset` bytes. The lines before are counted, so the ones behind have their true numbers.
async fn open(path: &Path, offset: u64) -> io::Result<Reading> {
    let identity = Identity::of(path).await?;
    let mut file = File::open(path).await?;
    let mut number = 0;
    let mut left = offset;
    let mut buffer = vec![0; super::CHUNK];
    while left > 0 {
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = file.read(buffer.get_mut(..wanted).unwrap_or_default()).await?;
        if read == 0 {
            break;
        }
        let passed = buffer.get(..read).unwrap_or_default();
        number += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        left = left.saturating_sub(read as u64);
    }
    file.seek(SeekFrom::Start(offset)).await?;
    Ok(Reading {
        file,
        identity,
        lines: Lines::new(LONGEST_LINE, offset, number),
        moved: false,
        polled: None,
    })
}
