//! Reads the headers of every event stream and feeds them to [`Continuity`].

use lictor_wire::Kind;
use lictor_wire::topology::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Continuity, Gap};
use crate::bus::Bus;
use crate::error::BusError;
use crate::headers::{ACKED, MESSAGE_ID};
use crate::log::{LogEntry, LogReader, ReadFrom};
use crate::topology::read_stream;

/// Findings that wait to be taken: whoever reports them publishes each, and the readers wait meanwhile.
const FINDINGS_WAITING: usize = 64;

/// Reads the headers of every event stream and finds what is missing.
pub struct ContinuityWatch {
    findings: mpsc::Receiver<Result<Gap, BusError>>,
    _readers: JoinSet<()>,
}

impl Bus {
    /// Watches all event streams for missing messages, from the same place in each: a time, rather than a sequence,
    /// since each stream has its own. One watcher is enough for an installation; a second one finds the same, under
    /// the same ids.
    pub fn watch_continuity(&self, from: ReadFrom) -> ContinuityWatch {
        let (sender, findings) = mpsc::channel(FINDINGS_WAITING);
        let mut readers = JoinSet::new();
        for kind in Kind::ALL {
            readers.spawn(watch(self.clone(), kind, from, sender.clone()));
        }
        ContinuityWatch { findings, _readers: readers }
    }
}

impl ContinuityWatch {
    /// The next missing message; waits for one. [`Gap::to_event`] makes the event that reports it, and
    /// [`Bus::publish_event`] publishes it. [`BusError::PositionLost`] means that a stream itself ends before what was
    /// read; that stream is read from its beginning again.
    pub async fn next(&mut self) -> Option<Result<Gap, BusError>> {
        self.findings.recv().await
    }
}

async fn watch(bus: Bus, kind: Kind, from: ReadFrom, findings: mpsc::Sender<Result<Gap, BusError>>) {
    let mut from = from;
    loop {
        let mut reader = bus.read(Stream::Events(kind), from, true);
        let Err(lost) = follow(&bus, kind, &mut reader, from, &findings).await else { return };
        if findings.send(Err(lost)).await.is_err() {
            return;
        }
        from = ReadFrom::First;
    }
}

/// Reads until the reader ends with an error, or nobody listens.
async fn follow(
    bus: &Bus,
    kind: Kind,
    reader: &mut LogReader,
    from: ReadFrom,
    findings: &mpsc::Sender<Result<Gap, BusError>>,
) -> Result<(), BusError> {
    let mut continuity = Continuity::default();
    let mut position = None;
    while let Some(entry) = reader.next().await {
        let entry = entry?;
        let expected = match (position, from) {
            (Some(position), _) => Some(position + 1),
            (None, ReadFrom::First) => Some(1),
            (None, _) => None,
        };
        if expected.is_some_and(|expected| entry.sequence > expected) {
            // Either the stream's limits took what was between, or it is missing.
            let first = first_sequence(bus, kind).await;
            if first.is_none_or(|first| expected.is_none_or(|expected| first > expected)) {
                continuity.skipped(kind);
            } else if position.is_none() {
                continuity.whole_stream(kind);
            }
        } else if position.is_none() && expected == Some(entry.sequence) {
            continuity.whole_stream(kind);
        }
        position = Some(entry.sequence);
        for gap in see(&mut continuity, kind, &entry) {
            tracing::error!(
                %kind, gap.producer, gap.epoch, gap.first, gap.last,
                "messages were acknowledged but are missing from the stream"
            );
            if findings.send(Ok(gap)).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn see(continuity: &mut Continuity, kind: Kind, entry: &LogEntry) -> Vec<Gap> {
    let Some(id) = entry.headers.get(MESSAGE_ID) else { return Vec::new() };
    continuity.see(kind, id, entry.headers.get(ACKED), entry.sequence)
}

async fn first_sequence(bus: &Bus, kind: Kind) -> Option<u64> {
    let stream = bus.topology().stream_name(Stream::Events(kind));
    let info = read_stream(bus.jetstream(), &stream).await.ok().flatten()?;
    Some(info.state.first_sequence)
}
