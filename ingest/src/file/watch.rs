//! Finds the files of a log as they appear, whatever its reader is doing meanwhile.
//!
//! Each file is opened when it is first seen, so that what becomes of it later (another name, gzip, deletion) loses
//! nothing. Files are known by device and inode, and by their first bytes, since inodes are used again.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::contents::{Contents, Held};
use super::family::{Member, Rank, list};
use super::identity::Identity;

/// Files held open that wait to be read: as many rotations as a reader may be behind. The next ones are opened when
/// there is room.
const WAITING_AT_MOST: usize = 64;

/// Files that are gone and whose compressed copy may appear: rotation keeps a handful.
const GONE_AT_MOST: usize = 256;

/// The files of a log that wait to be read, oldest first.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    seen: Vec<Seen>,
    /// First bytes of files that are gone.
    gone: VecDeque<Identity>,
    waiting: VecDeque<Found>,
    /// Whether the log says that too many wait.
    full: bool,
    /// Whether the log says that the path cannot be opened.
    unusable: bool,
}

/// A file to be read.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) contents: Contents,
    pub(super) offset: u64,
    /// Up to where it was read; its reader says so.
    pub(super) read_to: Arc<AtomicU64>,
}

/// A file that was seen, whether it is to be read or not.
#[derive(Debug)]
struct Seen {
    member: Member,
    identity: Identity,
    held: Held,
    read_to: Arc<AtomicU64>,
}

impl Watch {
    /// Looks at the folder; `start` says of each file there whether it is to be read, and from which offset.
    pub(super) fn start(&self, path: &Path, members: Vec<Member>, start: impl Fn(&Member) -> Option<u64>) {
        let mut state = self.state();
        for member in members {
            let from = start(&member);
            state.add(path, member, from);
        }
    }

    /// Looks at the folder again.
    pub(super) fn poll(&self, path: &Path) {
        let members = list(path);
        let mut state = self.state();
        for member in &members {
            state.look(path, member);
        }
        let (there, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut state.seen)
            .into_iter()
            .partition(|seen| seen.held.is_held() || members.iter().any(|it| it.inode == seen.member.inode));
        state.seen = there;
        state.gone.extend(gone.into_iter().map(|seen| seen.identity));
        let surplus = state.gone.len().saturating_sub(GONE_AT_MOST);
        state.gone.drain(..surplus);
    }

    /// The next file to be read.
    pub(super) fn next(&self) -> Option<Found> {
        self.state().waiting.pop_front()
    }

    /// Whether a file waits to which writers have gone on. One that is still empty was made, and the writer may be
    /// at the one before.
    pub(super) fn has_next(&self) -> bool {
        let state = self.state();
        state.waiting.len() > 1
            || state.waiting.front().is_some_and(|found| {
                found.contents.stat().is_ok_and(|stat| stat.bytes.is_none_or(|bytes| bytes > found.offset))
            })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn look(&mut self, path: &Path, member: &Member) {
        let Some(i) = self.seen.iter().position(|seen| seen.member.inode == member.inode) else {
            self.add(path, member.clone(), Some(0));
            return;
        };
        let Some(seen) = self.seen.get_mut(i) else { return };
        let read_to = seen.read_to.load(Ordering::Acquire);
        let changed = (&seen.member.path, seen.member.bytes, seen.member.modified)
            != (&member.path, member.bytes, member.modified);
        if let Some(contents) = seen.held.contents() {
            // Its reader notices when it grows or is cut.
            if changed && seen.identity.can_grow() {
                seen.identity = Identity::of(&contents).unwrap_or_default();
            }
            seen.member = member.clone();
            return;
        }
        if !changed && member.bytes <= read_to {
            return;
        }
        // It got another name, was written to after it was left, or is another file with an inode used before.
        let from = if member.gzip || seen.member.gzip {
            let (one, other) = (&seen.member, member);
            let same = (one.gzip, one.bytes, one.modified) == (other.gzip, other.bytes, other.modified);
            if same { None } else { Some(0) }
        } else {
            let Ok(contents) = Contents::open(&member.path, false) else { return };
            let alike = seen.identity.is_empty() || seen.identity.is_of(&contents).unwrap_or_default();
            let from = if alike && member.bytes >= read_to { read_to } else { 0 };
            (member.bytes > from).then_some(from)
        };
        if from.is_some() {
            let seen = self.seen.remove(i);
            self.gone.push_back(seen.identity);
            self.add(path, member.clone(), from);
        } else {
            seen.member = member.clone();
        }
    }

    /// Notes a file, and has it read from an offset on; `None` for one that is not to be read.
    fn add(&mut self, path: &Path, member: Member, from: Option<u64>) {
        if from.is_some() && self.waiting.len() >= WAITING_AT_MOST {
            if !std::mem::replace(&mut self.full, true) {
                tracing::warn!(path = %path.display(), "reading is {WAITING_AT_MOST} rotated files behind");
            }
            return;
        }
        self.full = false;
        let opened = Contents::open(&member.path, member.gzip).and_then(|contents| {
            let identity = Identity::of(&contents);
            // One that is damaged is reported by its reader.
            Ok((if member.gzip { identity.unwrap_or_default() } else { identity? }, contents))
        });
        let (identity, contents) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                if !std::mem::replace(&mut self.unusable, true) {
                    tracing::warn!(path = %member.path.display(), %error, "cannot read the file; retrying");
                }
                return;
            }
        };
        self.unusable = false;
        // The copy of a file that was read: compressed, or made before the file itself was cut.
        let copied = member.rank != Rank::Live && !identity.is_empty() && from == Some(0) && {
            let seen = self.seen.iter().map(|seen| &seen.identity);
            seen.chain(&self.gone).any(|known| *known == identity)
        };
        let from = from.filter(|_| !copied);
        let read_to = Arc::new(AtomicU64::new(from.unwrap_or(member.bytes)));
        let held = contents.hold();
        if let Some(offset) = from {
            let read_to = Arc::clone(&read_to);
            self.waiting.push_back(Found { path: member.path.clone(), contents, offset, read_to });
        }
        self.seen.push(Seen { member, identity, held, read_to });
    }
}
