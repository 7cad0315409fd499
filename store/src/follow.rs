//! Follows one log from its checkpoint, batch by batch.

use std::sync::Arc;
use std::time::Duration;

use lictor_bus::{BadLine, Bus, LogEntry, LogReader, ReadFrom};
use lictor_serve::Handle;
use lictor_wire::Event;
use lictor_wire::topology::Stream;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};

use crate::{Entry, Health, Ledger, Log, Record, StoreError};
use tokio_util::sync::CancellationToken;

/// Messages of one transaction at most. A sync to the medium costs the same for one as for hundreds; at 512 it is
/// a few microseconds a message, and more would only make the others wait.
const BATCH: usize = 512;

/// How long a batch waits for more: no person sees 5 ms, and a trickle of messages costs no sync each.
const GATHER: Duration = Duration::from_millis(5);

/// Bytes of one batch at most, so large messages do not fill the memory.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// How often the stream's last sequence is queried: people read the lag, and readiness waits for it.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// What a follower needs.
#[derive(Clone)]
pub(crate) struct Follower {
    pub(crate) log: Log,
    pub(crate) bus: Bus,
    pub(crate) ledger: Ledger,
    pub(crate) health: Arc<Health>,
    pub(crate) stop: CancellationToken,
}

/// How far a follower is.
struct Progress {
    /// The last sequence that was applied.
    position: u64,
    /// The position when the stream's end was last queried.
    asked_at: Option<u64>,
    /// The stream's end as it was then.
    end: Option<u64>,
    /// Held until the end was reached once.
    caught_up: Option<Handle>,
}

impl Follower {
    /// Follows until `stop`. `caught_up` is released once the end was reached.
    ///
    /// A log that cannot be followed further halts and says so in the health report; the others go on.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub(crate) async fn run(mut self, caught_up: Handle) -> Result<(), StoreError> {
        let (checkpoint, stored) = self.checkpoint_message()?;
        let stream = self.bus.topology().stream_name(self.log.stream());
        self.health.log(self.log, |log| (log.stream, log.checkpoint) = (stream, checkpoint));
        let mut progress =
            Progress { position: checkpoint, asked_at: None, end: None, caught_up: Some(caught_up) };
        // Reading begins with the message of the checkpoint itself: it shows whether this is the stream that was read.
        let from = if checkpoint == 0 { ReadFrom::First } else { ReadFrom::Sequence(checkpoint) };
        let mut reader = self.bus.read(self.log.stream(), from, false);
        let mut ask = interval(ASK_EVERY);
        ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = self.stop.clone();
        loop {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                _ = ask.tick() => {
                    if let Some(problem) = self.ask(&mut progress).await {
                        return self.halt(problem).await;
                    }
                    continue;
                }
                first = reader.next() => first,
            };
            let first = match first {
                Some(Ok(entry)) => entry,
                Some(Err(error)) => return self.halt(error.to_string()).await,
                None => return self.halt("reading ended".to_owned()).await,
            };
            if first.sequence <= checkpoint {
                if first.sequence == checkpoint && first.time.as_microsecond() != stored {
                    let problem =
                        "the stream holds another message than the one that was read last: it was made anew";
                    return self.halt(problem.to_owned()).await;
                }
                continue;
            }
            let (entries, broken) = self.gather(first, &mut reader).await;
            if !entries.is_empty() {
                progress.position = self.apply(entries, progress.position).await?;
            }
            if progress.end.is_some_and(|end| progress.position >= end) {
                self.caught_up(&mut progress);
            }
            if let Some(problem) = broken {
                return self.halt(problem).await;
            }
        }
    }

    /// The batch that begins with an entry, and what ended reading behind it.
    async fn gather(&mut self, first: LogEntry, reader: &mut LogReader) -> (Vec<Entry>, Option<String>) {
        let until = Instant::now() + GATHER;
        let (mut entries, mut bytes) = (Vec::new(), 0);
        let mut next = first;
        loop {
            bytes += next.payload.len();
            match self.entry(&next).await {
                Some(entry) => entries.push(entry),
                None => return (entries, None),
            }
            if entries.len() >= BATCH || bytes >= BATCH_BYTES {
                return (entries, None);
            }
            next = match timeout_at(until, reader.next()).await {
                Err(_) => return (entries, None),
                Ok(Some(Ok(entry))) => entry,
                Ok(Some(Err(error))) => return (entries, Some(error.to_string())),
                Ok(None) => return (entries, Some("reading ended".to_owned())),
            };
        }
    }

    /// Reads a message. `None` when stopped meanwhile.
    async fn entry(&mut self, entry: &LogEntry) -> Option<Entry> {
        let (log, sequence, time) = (self.log, entry.sequence, entry.time);
        if log == Log::Coverage {
            let lines = self.lines(entry).await?;
            let read = |(event, number): (Result<Event, BadLine>, u32)| {
                let (raw, reason) = match event.map(Record::coverage) {
                    Ok(Ok(record)) => return record,
                    Ok(Err(reason)) => (Vec::new(), reason),
                    Err(BadLine { raw, reason }) => (raw.to_vec(), reason),
                };
                Record::unread(log, sequence, time, number, &raw, reason)
            };
            return Some(Entry { sequence, time, records: lines.into_iter().zip(0..).map(read).collect() });
        }
        Some(match entry.body() {
            Ok(body) => Entry::read(log, sequence, time, &body),
            Err(error) => Entry::unread(log, sequence, time, &entry.payload, error.to_string()),
        })
    }

    /// The events of a message, their bodies fetched from wherever they lie.
    async fn lines(&mut self, entry: &LogEntry) -> Option<Vec<Result<Event, BadLine>>> {
        loop {
            match self.bus.events(entry).await {
                Ok(lines) => return Some(lines),
                Err(error) => tracing::warn!(log = %self.log, %error, "cannot fetch a body; retrying"),
            }
            if timeout(ASK_EVERY, self.stop.cancelled()).await.is_ok() {
                return None;
            }
        }
    }

    /// Applies a batch; answers the new checkpoint.
    async fn apply(&self, entries: Vec<Entry>, position: u64) -> Result<u64, StoreError> {
        let log = self.log;
        let gap = match (position, entries.first()) {
            (0, _) | (_, None) => 0,
            (position, Some(first)) => first.sequence.saturating_sub(position + 1),
        };
        if gap > 0 {
            tracing::error!(%log, gap, "messages were discarded from the stream before they were read");
        }
        for (kind, messages) in entries.iter().flat_map(|entry| &entry.records).filter_map(Record::unjudged) {
            let stream = self.bus.topology().stream_name(Stream::Events(kind));
            self.health.continuity(&stream, |of| of.unjudged += messages);
        }
        let ledger = self.ledger.clone();
        let checkpoint = tokio::task::spawn_blocking(move || ledger.apply(log, &entries))
            .await?
            .map_err(|source| StoreError::Apply { log, source })?;
        self.health.log(log, |health| {
            health.checkpoint = checkpoint;
            health.skipped += gap;
        });
        self.health.applied();
        Ok(checkpoint)
    }

    /// Asks where the stream ends. A problem when that is before the checkpoint.
    async fn ask(&self, progress: &mut Progress) -> Option<String> {
        let position = progress.position;
        let last = match self.bus.last_sequence(self.log.stream()).await {
            Ok(last) => last,
            Err(error) => {
                tracing::debug!(log = %self.log, %error, "cannot read the end of the stream");
                return None;
            }
        };
        progress.end = Some(last);
        self.health.log(self.log, |log| log.last = last);
        if position > last {
            return Some(format!(
                "the stream ends at {last} and was read up to {position}: the server lost messages it had acknowledged"
            ));
        }
        // A stream whose messages are all too old ends somewhere and has nothing to read.
        let idle = progress.asked_at.replace(position) == Some(position);
        if position == last || progress.caught_up.is_some() && idle && self.is_empty().await {
            self.caught_up(progress);
        }
        None
    }

    async fn is_empty(&self) -> bool {
        let name = self.bus.topology().stream_name(self.log.stream());
        let report = self.bus.report().await.ok();
        report.is_some_and(|report| {
            report.streams.iter().any(|of| of.name == name && of.exists && of.messages == 0)
        })
    }

    fn caught_up(&self, progress: &mut Progress) {
        if progress.caught_up.take().is_some() {
            self.health.log(self.log, |log| log.caught_up = true);
        }
    }

    /// Says that the log is followed no further, and waits for the end.
    async fn halt(&mut self, problem: String) -> Result<(), StoreError> {
        tracing::error!(log = %self.log, problem, "stopped reading this log; fix the cause and restart the store");
        self.health.log(self.log, |log| log.stopped = Some(problem));
        self.stop.cancelled().await;
        Ok(())
    }

    fn checkpoint_message(&self) -> Result<(u64, i64), StoreError> {
        let message = self.ledger.checkpoint_message(self.log);
        let log = self.log;
        Ok(message.map_err(|source| StoreError::Apply { log, source })?.unwrap_or_default())
    }
}
