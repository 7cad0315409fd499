//! How far each stream was followed, and what stopped it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::Log;

/// What the followers say and the API shows; shared by both.
#[derive(Debug)]
pub struct Health {
    logs: Mutex<BTreeMap<Log, LogHealth>>,
    continuity: Mutex<BTreeMap<String, StreamContinuity>>,
    missing: Mutex<Vec<String>>,
    news: watch::Sender<News>,
}

/// How far a log was followed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogHealth {
    /// The stream's name on the server.
    pub stream: String,
    /// The last sequence that was applied.
    pub checkpoint: u64,
    /// The stream's last sequence, when it was last queried.
    pub last: u64,
    /// How many sequences lie between the two.
    pub lag: u64,
    /// How many messages were discarded from the stream before they were read here, since the start.
    #[serde(default)]
    pub skipped: u64,
    /// Whether the log was followed to its end once since the start.
    pub caught_up: bool,
    /// Why the log is followed no longer; absent while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// Whether the messages of an event stream are complete.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamContinuity {
    /// How many messages were acknowledged and are not there, found since the start.
    pub missing: u64,
    /// How many messages left the stream before they were judged, as reported since the start.
    #[serde(default)]
    pub unjudged: u64,
    /// How the stream was found to end before where it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

/// Everything about health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthReport {
    /// Every log was caught up with once.
    pub ready: bool,
    /// No log is stopped, no event stream lost its end or unjudged messages, and no stream is missing.
    pub healthy: bool,
    /// Log by log.
    pub logs: BTreeMap<Log, LogHealth>,
    /// Event stream by event stream.
    pub continuity: BTreeMap<String, StreamContinuity>,
    /// Streams and buckets that do not exist on the server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// Wakes live readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct News {
    pub(crate) batches: u64,
    pub(crate) closing: bool,
}

impl Default for Health {
    fn default() -> Self {
        let logs = Log::ALL.map(|log| (log, LogHealth::default()));
        Self {
            logs: Mutex::new(BTreeMap::from(logs)),
            continuity: Mutex::default(),
            missing: Mutex::default(),
            news: watch::Sender::default(),
        }
    }
}

impl Health {
    /// Changes what is said of a log.
    pub fn log(&self, log: Log, change: impl FnOnce(&mut LogHealth)) {
        // Nobody panics while holding it; a poisoned map is as good as any.
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let of = logs.entry(log).or_default();
        change(of);
        of.last = of.last.max(if of.stopped.is_none() { of.checkpoint } else { 0 });
        of.lag = of.last.saturating_sub(of.checkpoint);
    }

    /// Changes what is said of an event stream.
    pub fn continuity(&self, stream: &str, change: impl FnOnce(&mut StreamContinuity)) {
        let mut streams = self.continuity.lock().unwrap_or_else(PoisonError::into_inner);
        change(streams.entry(stream.to_owned()).or_default());
    }

    /// Sets which streams and buckets do not exist on the server.
    pub fn missing(&self, missing: Vec<String>) {
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = missing;
    }

    /// Everything.
    pub fn report(&self) -> HealthReport {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let continuity = self.continuity.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        HealthReport {
            ready: logs.values().all(|log| log.caught_up),
            healthy: logs.values().all(|log| log.stopped.is_none())
                && continuity.values().all(|stream| stream.broken.is_none() && stream.unjudged == 0)
                && missing.is_empty(),
            logs,
            continuity,
            missing,
        }
    }

    /// Notifies live readers that a batch was applied.
    pub fn applied(&self) {
        self.news.send_modify(|news| news.batches += 1);
    }

    /// Ends the live readers' answers.
    pub fn close(&self) {
        self.news.send_modify(|news| news.closing = true);
    }

    pub(crate) fn news(&self) -> watch::Receiver<News> {
        self.news.subscribe()
    }
}

impl HealthReport {
    /// What is wrong, and what to do about it, for a person.
    pub fn problems(&self) -> Vec<String> {
        let stopped = self.logs.values().filter_map(|log| {
            let why = log.stopped.as_ref()?;
            let stream = &log.stream;
            Some(format!(
                "stopped reading stream {stream}: {why} (if messages are lost for good, start the store once with \
                 --accept-loss)"
            ))
        });
        let broken = self.continuity.iter().filter_map(|(stream, of)| {
            of.broken.as_ref().map(|why| format!("events of stream {stream} are lost: {why}"))
        });
        let unjudged = self.continuity.iter().filter(|(_, of)| of.unjudged > 0).map(|(stream, of)| {
            let unjudged = of.unjudged;
            format!(
                "{unjudged} messages left stream {stream} before they were judged; `/v1/coverage` says which"
            )
        });
        let missing = self
            .missing
            .iter()
            .map(|stream| format!("stream {stream} does not exist; restart the store, which creates it"));
        stopped.chain(broken).chain(unjudged).chain(missing).collect()
    }
}
