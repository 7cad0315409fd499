//! A file of lines: read from where it was left, followed where wanted, through truncation and replacement.
//!
//! Chunks are published side by side and settled in order, so a checkpoint never runs ahead of an acknowledgement:
//! whatever is behind it is in the stream, whatever is not yet acknowledged is read again after a crash.

mod identity;
mod place;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use lictor_normalize::{Format, Origin};
use lictor_wire::token::token;
use lictor_wire::topology::Bucket;
use lictor_wire::{ClusterId, SourceCheckpoint};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::IngestError;
use crate::forward::Forward;
use crate::lines::{Line, Lines};
use crate::outlet::Outlet;
use crate::reading::Parsed;
use identity::Identity;
use place::State;

/// Read and parsed at once: some 300 audit records, a few milliseconds of work between two awaits.
const CHUNK: usize = 256 * 1024;

/// Chunks published and not acknowledged: 2 MiB of text, enough to keep a stream busy over a 10 ms round trip.
const IN_FLIGHT: usize = 8;

/// How often a followed file is polled. Audit batches are up to 30 s old anyway; a poll costs a `stat`.
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
    offset: u64,
    events: u64,
    last_event: Option<Timestamp>,
}

/// A file being read.
struct Reading {
    file: File,
    identity: Identity,
    lines: Lines,
    /// It has another name by now: read to its end, then go on with the one that took its place.
    moved: bool,
    /// Its size and time of change at the last poll.
    polled: Option<(u64, Option<SystemTime>)>,
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
        let failed = |path: &Path, source| IngestError::Read { path: path.to_owned(), source };
        let Some(started) = stop.run_until_cancelled(self.start()).await else { return Ok(()) };
        let mut reading = started.map_err(|source| failed(&self.path, source))?;
        loop {
            match stop.run_until_cancelled(self.step(&mut reading)).await {
                None | Some(Ok(false)) => break,
                Some(Ok(true)) => {}
                Some(Err(source)) => return Err(failed(&self.path, source)),
            }
        }
        while !self.in_flight.is_empty() {
            self.settle().await.map_err(|source| failed(&self.path, source))?;
        }
        if self.unwritten {
            self.checkpoint().await;
        }
        Ok(())
    }

    /// One chunk, or what follows a file's end. `false` when there is nothing more to read.
    async fn step(&mut self, reading: &mut Reading) -> io::Result<bool> {
        self.wait_for_room().await;
        while self.in_flight.len() >= IN_FLIGHT {
            self.settle().await?;
        }
        let mut chunk = Vec::with_capacity(CHUNK);
        (&mut reading.file).take(CHUNK as u64).read_to_end(&mut chunk).await?;
        if !chunk.is_empty() {
            let mut lines = Vec::new();
            reading.lines.push(&chunk, &mut lines);
            self.submit(lines, reading);
            return Ok(true);
        }
        if !self.source.follow && !reading.moved {
            self.submit(reading.lines.finish().into_iter().collect(), reading);
            return Ok(false);
        }
        while !self.in_flight.is_empty() {
            self.settle().await?;
        }
        let state = if reading.moved { State::Rewritten } else { reading.state(&self.path).await? };
        match state {
            State::Same => tokio::time::sleep(POLL_EVERY).await,
            // What was written between the last poll and the move is still to be read.
            State::Moved => reading.moved = true,
            State::Rewritten => {
                self.submit(reading.lines.finish().into_iter().collect(), reading);
                *reading = self.open_when_there().await?;
                tracing::info!(path = self.path_text, "the file was replaced, reading the new one");
            }
        }
        Ok(true)
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

    async fn checkpoint(&mut self) {
        match self.forward.outlet.put(Bucket::Presence, &self.key, &self.settled).await {
            Ok(_) => self.unwritten = false,
            // It costs a repetition, no more.
            Err(error) => tracing::warn!(%error, path = self.path_text, "the checkpoint was not written"),
        }
    }
}
