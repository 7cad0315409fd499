//! A file of lines: read from where it was left, followed where wanted, through every rotation.
//!
//! What the file is rotated into is found beside reading ([`watch`]) and read in the order in which it was written.
//! Chunks are published side by side and settled in order, so a checkpoint never runs ahead of an acknowledgement:
//! whatever is behind it is in the stream, whatever is not yet acknowledged is read again after a crash.

mod contents;
mod family;
mod identity;
mod place;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lictor_normalize::{Format, Origin};
use lictor_wire::token::token;
use lictor_wire::topology::Bucket;
use lictor_wire::{
    ClusterId, CoverageEvent, CoverageNotice, Event, EventData, Fingerprint, SourceCheckpoint,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::IngestError;
use crate::forward::Forward;
use crate::lines::Line;
use crate::outlet::Outlet;
use crate::reading::Parsed;
use contents::Contents;
use identity::Identity;
use place::{Reading, blocking, keep_watching};
use watch::{Found, Watch};

/// Read and parsed at once: some 300 audit records, a few milliseconds of work between two awaits.
const CHUNK: u64 = 256 * 1024;

/// Chunks published and not acknowledged: 2 MiB of text, enough to keep a stream busy over a 10 ms round trip.
const IN_FLIGHT: usize = 8;

/// How often a followed file and its folder are polled. Audit batches are up to 30 s old anyway; a poll costs a listing
/// of the folder.
const POLL_EVERY: Duration = Duration::from_millis(200);

/// A file to read.
#[derive(Debug, Clone)]
pub(crate) struct FileSource {
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
    pub(crate) follow: bool,
    pub(crate) cluster: ClusterId,
    pub(crate) node: Option<String>,
}

/// The end of a chunk, as the checkpoint has it once the chunk is acknowledged.
struct Mark {
    identity: Identity,
    inode: Option<(u64, u64)>,
    modified: Option<Timestamp>,
    offset: u64,
    events: u64,
    last_event: Option<Timestamp>,
}

/// Reads a file: to its end, or when it is followed until `stop`.
pub(crate) async fn run<O: Outlet>(
    source: FileSource,
    forward: Forward<O>,
    stop: CancellationToken,
) -> Result<(), IngestError> {
    let path = std::path::absolute(&source.path).unwrap_or_else(|_| source.path.clone());
    let name = source.name(&path);
    let tail = Tail {
        key: format!("source.{}", token(&name)),
        path_text: path.display().to_string(),
        settled: SourceCheckpoint { source: name, ..SourceCheckpoint::default() },
        unwritten: false,
        in_flight: VecDeque::new(),
        waited: false,
        path,
        source,
        forward,
    };
    tail.run(&stop).await
}

impl FileSource {
    /// Names the file among those of all nodes and clusters.
    fn name(&self, path: &Path) -> String {
        let node = self.node.as_deref().unwrap_or_default();
        format!("{}/{node}{}", self.cluster, path.display())
    }

    fn origin(&self, path: &str) -> Origin {
        let node = self.node.as_deref().map(|node| format!("/{node}")).unwrap_or_default();
        Origin {
            cluster: self.cluster.clone(),
            source: format!("/{}{node}{path}", self.format.name()),
            received: Timestamp::now(),
        }
    }
}

struct Tail<O> {
    source: FileSource,
    path: PathBuf,
    path_text: String,
    key: String,
    forward: Forward<O>,
    settled: SourceCheckpoint,
    /// The checkpoint on the bus is older than `settled`.
    unwritten: bool,
    in_flight: VecDeque<AbortOnDropHandle<Mark>>,
    /// Whether the log says that reading waits.
    waited: bool,
}

impl<O: Outlet> Tail<O> {
    async fn run(mut self, stop: &CancellationToken) -> Result<(), IngestError> {
        let read = match stop.run_until_cancelled(self.read()).await {
            Some(Err(source)) => Err(IngestError::Read { path: self.path.clone(), source }),
            _ => Ok(()),
        };
        if read.is_ok() {
            let settled = self.settle_all().await;
            settled.map_err(|source| IngestError::Read { path: self.path.clone(), source })?;
        }
        if self.unwritten {
            self.checkpoint().await;
        }
        read
    }

    /// Reads what there is, in order, and where the file is followed what comes.
    async fn read(&mut self) -> io::Result<()> {
        let path = self.path.clone();
        blocking(move || refuse_pipes(&path)).await?;
        let watch = Arc::new(Watch::default());
        if self.start(Arc::clone(&watch)).await? {
            self.gap("the file that was read before no longer exists").await;
        }
        let watching = keep_watching(Arc::clone(&watch), self.path.clone(), POLL_EVERY);
        let _watching = self.source.follow.then(|| AbortOnDropHandle::new(tokio::spawn(watching)));
        let mut logged = false;
        let mut next = watch.next();
        if next.is_none() && !self.source.follow {
            // The system says why.
            let path = self.path.clone();
            blocking(move || Contents::open(&path, false).map(drop)).await?;
        }
        loop {
            let Some(found) = next.take().or_else(|| watch.next()) else {
                if !self.source.follow {
                    return Ok(());
                }
                if !std::mem::replace(&mut logged, true) {
                    tracing::warn!(path = self.path_text, "the file is not there; waiting for it to appear");
                }
                tokio::time::sleep(POLL_EVERY).await;
                continue;
            };
            let (file, is_live) = (found.path.display().to_string(), found.path == self.path);
            match self.read_file(found, &watch).await {
                Ok(again) => next = again,
                // A compressed file that is damaged, say; the others are not affected.
                Err(error) if self.source.follow || !is_live => {
                    tracing::warn!(path = file, %error, "cannot read a file to its end");
                    self.gap(&format!("`{file}` cannot be read to its end: {error}")).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads one file until writers have gone on to the next. Returns it again when it was cut.
    async fn read_file(&mut self, found: Found, watch: &Watch) -> io::Result<Option<Found>> {
        let mut reading = Reading::open(found).await?;
        loop {
            self.wait_for_room().await;
            while self.in_flight.len() >= IN_FLIGHT {
                self.settle().await?;
            }
            if self.source.follow && reading.at_end && reading.was_cut().await? {
                self.submit(reading.lines.finish().into_iter().collect(), &reading);
                self.gap("the file was truncated; what was written just before may not have been read").await;
                return Ok(Some(reading.again()));
            }
            let chunk = reading.chunk().await?;
            reading.at_end = chunk.is_empty();
            if !chunk.is_empty() {
                reading.last_look = false;
                let mut lines = Vec::new();
                reading.lines.push(&chunk, &mut lines);
                self.submit(lines, &reading);
                continue;
            }
            if self.source.follow {
                self.settle_all().await?;
                if !watch.has_next() {
                    reading.last_look = false;
                    tokio::time::sleep(POLL_EVERY).await;
                    continue;
                }
                // What was written before the newer file was found is still to be read.
                if !std::mem::replace(&mut reading.last_look, true) {
                    continue;
                }
                tracing::info!(path = self.path_text, "the file was rotated, reading the next one");
            }
            self.submit(reading.lines.finish().into_iter().collect(), &reading);
            return Ok(None);
        }
    }

    /// Reports that records may be missing.
    async fn gap(&mut self, why: &str) {
        tracing::warn!(path = self.path_text, why, "records may be missing");
        let origin = self.source.origin(&self.path_text);
        let (path, node) = (self.path_text.clone(), self.source.node.clone().unwrap_or_default());
        let SourceCheckpoint { source, identity, offset, .. } = &self.settled;
        let id = Fingerprint::new("file-gap").part(source).part(identity).number(*offset).part(why);
        let notice = CoverageNotice::FileGap { path };
        let event = Event {
            id: id.into(),
            source: origin.source,
            time: origin.received,
            cluster: origin.cluster,
            traceparent: None,
            extensions: std::collections::BTreeMap::new(),
            data: EventData::Coverage(Box::new(CoverageEvent {
                notice,
                lost: 0,
                node,
                detail: why.to_owned(),
            })),
        };
        self.forward.until_acknowledged(vec![event], Vec::new()).await;
    }

    async fn wait_for_room(&mut self) {
        if self.forward.outlet.is_closed() {
            if !self.waited {
                tracing::warn!(path = self.path_text, "evaluators are behind; reading is paused");
                self.waited = true;
            }
            self.forward.outlet.open().await;
        } else if self.waited {
            tracing::info!(path = self.path_text, "reading resumes");
            self.waited = false;
        }
    }

    fn submit(&mut self, lines: Vec<Line>, reading: &Reading) {
        let origin = self.source.origin(&self.path_text);
        let mut parsed = Parsed::default();
        for line in lines {
            parsed.line(self.source.format, line, &self.path_text, &origin);
        }
        let mark = Mark {
            identity: reading.identity.clone(),
            inode: Some(reading.stat.inode),
            modified: reading.modified(),
            offset: reading.lines.consumed(),
            events: parsed.batch.events.len() as u64,
            last_event: parsed.batch.events.last().map(|event| event.time),
        };
        let forward = self.forward.clone();
        let published = async move {
            forward.until_acknowledged(parsed.batch.events, parsed.unreadable).await;
            mark
        };
        // On a task of its own, so that it goes on while the next chunk is read.
        self.in_flight.push_back(AbortOnDropHandle::new(tokio::spawn(published)));
    }

    /// Waits for the oldest chunk, takes what is done behind it, and writes the checkpoint.
    async fn settle(&mut self) -> io::Result<()> {
        let Some(oldest) = self.in_flight.front_mut() else { return Ok(()) };
        let mut mark = oldest.await.map_err(io::Error::other)?;
        loop {
            self.in_flight.pop_front();
            self.settled.identity = mark.identity.to_string();
            (self.settled.inode, self.settled.modified) = (mark.inode, mark.modified);
            self.settled.offset = mark.offset;
            self.settled.events += mark.events;
            self.settled.last_event = mark.last_event.or(self.settled.last_event);
            self.unwritten = true;
            match self.in_flight.front_mut().filter(|next| next.is_finished()) {
                Some(next) => mark = next.await.map_err(io::Error::other)?,
                None => break,
            }
        }
        self.checkpoint().await;
        Ok(())
    }

    async fn settle_all(&mut self) -> io::Result<()> {
        while !self.in_flight.is_empty() {
            self.settle().await?;
        }
        Ok(())
    }

    async fn checkpoint(&mut self) {
        match self.forward.outlet.put(Bucket::Presence, &self.key, &self.settled).await {
            Ok(_) => self.unwritten = false,
            // It costs a repetition, no more.
            Err(error) => tracing::warn!(%error, path = self.path_text, "the checkpoint was not written"),
        }
    }
}

/// A pipe cannot be resumed: whoever reads it takes what is in it.
fn refuse_pipes(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() && !found.is_dir() => Contents::open(path, false).map(drop),
        // What is not there, or is something else for a moment, may become a file.
        _ => Ok(()),
    }
}
