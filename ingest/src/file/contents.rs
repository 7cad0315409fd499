//! The bytes of an open file, compressed or not, from any position on.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use flate2::read::MultiGzDecoder;

use super::family::inode;

/// An open file. It stays readable when it gets another name, and when it is deleted.
#[derive(Debug, Clone)]
pub(super) struct Contents(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: File,
    unpacked: Option<Mutex<Unpacked>>,
}

/// What the system says of an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    /// The number of bytes; `None` where that is only known by unpacking.
    pub(super) bytes: Option<u64>,
    /// When it was last written.
    pub(super) modified: Option<SystemTime>,
    /// Device and inode.
    pub(super) inode: (u64, u64),
}

/// Tells whether a file is still open for a reader.
#[derive(Debug)]
pub(super) struct Held(Weak<Inner>);

impl Held {
    pub(super) fn is_held(&self) -> bool {
        self.0.strong_count() > 0
    }

    pub(super) fn contents(&self) -> Option<Contents> {
        self.0.upgrade().map(Contents)
    }
}

/// A compressed file is read in order; whoever goes back begins again.
#[derive(Debug)]
struct Unpacked {
    decoder: MultiGzDecoder<File>,
    position: u64,
}

impl Contents {
    /// Opens a regular file.
    ///
    /// # Errors
    /// When it cannot be opened, or is something else, such as a folder or a FIFO.
    pub(super) fn open(path: &Path, gzip: bool) -> io::Result<Self> {
        // Checked first: opening a FIFO blocks until it has a writer.
        if !std::fs::metadata(path)?.is_file() {
            let message = "it is not a regular file; a FIFO or device cannot be resumed, so write to a file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let file = File::open(path)?;
        let unpacked = gzip.then(|| Unpacked::from_start(&file)).transpose()?.map(Mutex::new);
        Ok(Self(Arc::new(Inner { file, unpacked })))
    }

    pub(super) fn hold(&self) -> Held {
        Held(Arc::downgrade(&self.0))
    }

    /// At most so many bytes from a position on; fewer at the end.
    pub(super) fn read_at(&self, position: u64, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let Some(unpacked) = &self.0.unpacked else {
            At { file: &self.0.file, position }.take(most).read_to_end(&mut bytes)?;
            return Ok(bytes);
        };
        let mut unpacked = unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        if position < unpacked.position {
            *unpacked = Unpacked::from_start(&self.0.file)?;
        }
        let skip = position - unpacked.position;
        unpacked.position += io::copy(&mut (&mut unpacked.decoder).take(skip), &mut io::sink())?;
        if unpacked.position == position {
            unpacked.position += (&mut unpacked.decoder).take(most).read_to_end(&mut bytes)? as u64;
        }
        Ok(bytes)
    }

    /// How it is now.
    pub(super) fn stat(&self) -> io::Result<Stat> {
        let metadata = self.0.file.metadata()?;
        let bytes = self.0.unpacked.is_none().then_some(metadata.len());
        Ok(Stat { bytes, modified: metadata.modified().ok(), inode: inode(&metadata) })
    }
}

impl Unpacked {
    fn from_start(file: &File) -> io::Result<Self> {
        let mut file = file.try_clone()?;
        io::Seek::rewind(&mut file)?;
        Ok(Self { decoder: MultiGzDecoder::new(file), position: 0 })
    }
}

/// Reads without moving the file's own position, which clones share.
struct At<'a> {
    file: &'a File,
    position: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}
