//! Where reading starts, and whether the file is still what was read.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use lictor_wire::SourceCheckpoint;
use lictor_wire::topology::Bucket;

use super::contents::{Contents, Stat};
use super::family::{Member, Rank, list};
use super::identity::Identity;
use super::watch::{Found, Watch};
use super::{CHUNK, Tail};
use crate::lines::{LONGEST_LINE, Lines};
use crate::outlet::{Outlet, OutletError};

/// Between attempts to read the checkpoint while the bus is unavailable.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// A file being read.
pub(super) struct Reading {
    pub(super) path: PathBuf,
    pub(super) contents: Contents,
    pub(super) identity: Identity,
    pub(super) lines: Lines,
    /// Where the next chunk begins.
    pub(super) position: u64,
    read_to: Arc<AtomicU64>,
    /// The last read found nothing.
    pub(super) at_end: bool,
    /// Its end was reached after a newer file was found.
    pub(super) last_look: bool,
    /// As it was at the last read.
    pub(super) stat: Stat,
    /// As it was when its identity was last compared.
    compared: Option<Stat>,
}

impl<O: Outlet> Tail<O> {
    /// Which files are read first: behind the checkpoint, those that were rotated while nobody read, then the path.
    /// Whether records may be missing between them and the checkpoint.
    pub(super) async fn start(&mut self, watch: Arc<Watch>) -> io::Result<bool> {
        let checkpoint = self.last_checkpoint().await;
        if let Some(checkpoint) = &checkpoint {
            self.settled.events = checkpoint.events;
            self.settled.last_event = checkpoint.last_event;
        }
        let path = self.path.clone();
        blocking(move || {
            let members = list(&path);
            let Some(checkpoint) = checkpoint else {
                watch.start(&path, members, |member| (member.rank == Rank::Live).then_some(0));
                return Ok(false);
            };
            let Some(found) = find(&members, &checkpoint) else {
                let before = checkpoint.modified.map(SystemTime::from);
                let newer = |member: &Member| before.is_some_and(|before| member.modified >= Some(before));
                watch.start(&path, members, |member| {
                    (member.rank == Rank::Live || newer(member)).then_some(0)
                });
                return Ok(Identity::parse(&checkpoint.identity).is_some_and(|identity| !identity.is_empty()));
            };
            let newest_read = members.get(found).map(|member| member.rank.clone());
            watch.start(&path, members, |member| match Some(&member.rank).cmp(&newest_read.as_ref()) {
                std::cmp::Ordering::Less => None,
                std::cmp::Ordering::Equal => Some(checkpoint.offset),
                std::cmp::Ordering::Greater => Some(0),
            });
            Ok(false)
        })
        .await
    }

    async fn last_checkpoint(&self) -> Option<SourceCheckpoint> {
        loop {
            match self.forward.outlet.get::<SourceCheckpoint>(Bucket::Presence, &self.key).await {
                Ok(found) => return found.map(|(_, checkpoint)| checkpoint),
                Err(OutletError::Refused(reason)) => {
                    tracing::warn!(reason, path = self.path_text, "the checkpoint cannot be read");
                    return None;
                }
                Err(error) => tracing::warn!(%error, path = self.path_text, "waiting for the checkpoint"),
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }
}

/// The file that a checkpoint is about: its inode if that begins alike, else any that does.
fn find(members: &[Member], checkpoint: &SourceCheckpoint) -> Option<usize> {
    let identity = Identity::parse(&checkpoint.identity)?;
    let is_it = |member: &&Member| {
        Contents::open(&member.path, member.gzip).is_ok_and(|contents| {
            let bytes = contents.stat().map(|stat| stat.bytes);
            bytes.is_ok_and(|bytes| bytes.is_none_or(|bytes| bytes >= checkpoint.offset))
                && identity.is_of(&contents).unwrap_or_default()
        })
    };
    let same_inode = members.iter().filter(|member| checkpoint.inode == Some(member.inode)).find(is_it);
    let found = same_inode.or_else(|| members.iter().rev().find(is_it))?;
    members.iter().position(|member| member.inode == found.inode)
}

impl Reading {
    /// Opens a file behind its offset. The lines before are counted, so the ones behind have their true numbers.
    pub(super) async fn open(found: Found) -> io::Result<Self> {
        blocking(move || {
            let Found { path, contents, offset, read_to } = found;
            let (identity, stat) = (Identity::of(&contents)?, contents.stat()?);
            let (mut number, mut position) = (0, 0);
            while position < offset {
                let passed = contents.read_at(position, (offset - position).min(CHUNK))?;
                if passed.is_empty() {
                    break;
                }
                number += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
                position += passed.len() as u64;
            }
            let lines = Lines::new(LONGEST_LINE, position, number);
            let (at_end, last_look, compared) = (false, false, None);
            Ok(Self { path, contents, identity, lines, position, read_to, at_end, last_look, stat, compared })
        })
        .await
    }

    /// The next bytes; none at the end.
    pub(super) async fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let (contents, position) = (self.contents.clone(), self.position);
        let read = move || Ok((contents.read_at(position, CHUNK)?, contents.stat()?));
        let (chunk, stat) = blocking(read).await?;
        self.stat = stat;
        self.position += chunk.len() as u64;
        self.read_to.store(self.position, Ordering::Release);
        Ok(chunk)
    }

    /// Whether the file was cut, or rewritten from its beginning, since it was read. Takes what it has grown by into
    /// its identity.
    pub(super) async fn was_cut(&mut self) -> io::Result<bool> {
        let (contents, identity) = (self.contents.clone(), self.identity.clone());
        let (position, compared) = (self.position, self.compared);
        // The file's identity, and when that was compared; `None` when the file was cut.
        let compare = move || {
            let stat = contents.stat()?;
            if stat.bytes.is_some_and(|bytes| bytes < position) {
                return Ok(None);
            }
            if compared == Some(stat) {
                return Ok(Some((identity, stat)));
            }
            if !identity.is_empty() && !identity.is_of(&contents)? {
                return Ok(None);
            }
            let identity = if identity.can_grow() { Identity::of(&contents)? } else { identity };
            Ok(Some((identity, stat)))
        };
        let Some((identity, stat)) = blocking(compare).await? else { return Ok(true) };
        (self.identity, self.compared) = (identity, Some(stat));
        Ok(false)
    }

    /// The same file from its beginning.
    pub(super) fn again(&self) -> Found {
        self.read_to.store(0, Ordering::Release);
        Found {
            path: self.path.clone(),
            contents: self.contents.clone(),
            offset: 0,
            read_to: Arc::clone(&self.read_to),
        }
    }

    /// When the file was last written.
    pub(super) fn modified(&self) -> Option<Timestamp> {
        self.stat.modified.and_then(|modified| Timestamp::try_from(modified).ok())
    }
}

/// Runs what reads files, on a thread where it may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Looks at the folder for as long as it is polled.
pub(super) async fn keep_watching(watch: Arc<Watch>, path: PathBuf, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let (watch, path) = (Arc::clone(&watch), path.clone());
        let _ = tokio::task::spawn_blocking(move || watch.poll(&path)).await;
    }
}
