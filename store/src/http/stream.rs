//! The streamed response: changes as server-sent events.
//!
//! A live reader holds two positions, one per log, and reads the file's list of changes from there; nothing is
//! queued for it. So a slow reader costs nothing, a reader that was away goes on where it was, and one that is
//! further back than the list reaches is sent how many messages it missed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::unfold;
use lictor_wire::AlertId;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::Api;
use super::error::ApiError;
use super::params::Params;
use crate::alert::AlertSummary;
use crate::health::News;
use crate::rows::{Change, StoredReceipt};
use crate::{Ledger, LedgerError, Log};

/// Changes read at once: what one reader holds in memory.
const PAGE: usize = 256;

/// Proxies close what is silent for a minute, some for half of one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StreamParams {
    /// For readers that cannot set the header.
    last_event_id: Option<String>,
}

/// How far a reader is, in each log. Written `verdicts:17,receipts:4`: it is every event's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    verdicts: u64,
    receipts: u64,
}

/// An event's data.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    log: Log,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<AlertSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert_id: Option<AlertId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<StoredReceipt>,
}

/// What a reader missed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Missed {
    log: Log,
    /// Messages of the log whose changes are no longer known; not each of them changed something.
    messages: u64,
    from: u64,
    to: u64,
}

/// An event before it is written.
struct Draft {
    name: &'static str,
    id: Option<String>,
    data: String,
}

struct Reader {
    api: Api,
    position: Position,
    drafts: VecDeque<Draft>,
    news: watch::Receiver<News>,
    _place: OwnedSemaphorePermit,
}

pub(super) async fn stream(
    State(api): State<Api>,
    Params(params): Params<StreamParams>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ApiError> {
    let place = api.streams.clone().try_acquire_owned().map_err(|_| ApiError::too_many_streams())?;
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let position = match header.or(params.last_event_id).filter(|id| !id.is_empty()) {
        Some(id) => Position::parse(&id).ok_or_else(|| {
            let message = format!("`{id}` is not an event ID");
            ApiError::invalid(message, "send the last event's id as it was, or none")
        })?,
        None => api.read(Position::now).await?,
    };
    let news = api.health.news();
    let reader = Reader { api, position, drafts: VecDeque::new(), news, _place: place };
    let events = unfold(reader, |mut reader| async move {
        let draft = reader.next().await?;
        let event = Event::default().event(draft.name).data(draft.data);
        let event = draft.id.into_iter().fold(event, Event::id);
        Some((Ok::<_, Infallible>(event), reader))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

// === impl Reader ===

impl Reader {
    /// The next event; the end when the store stops or the file cannot be read.
    async fn next(&mut self) -> Option<Draft> {
        loop {
            if let Some(draft) = self.drafts.pop_front() {
                return Some(draft);
            }
            if self.news.borrow_and_update().closing {
                return None;
            }
            let position = self.position;
            let (position, drafts) = self.api.read(move |ledger| advance(ledger, position)).await.ok()?;
            (self.position, self.drafts) = (position, drafts);
            if self.drafts.is_empty() {
                self.news.changed().await.ok()?;
            }
        }
    }
}

/// What there is to tell after a position, and the position behind that.
fn advance(ledger: &Ledger, mut position: Position) -> Result<(Position, VecDeque<Draft>), LedgerError> {
    let mut drafts = VecDeque::new();
    for log in [Log::Verdicts, Log::Receipts] {
        let read = *position.of(log);
        let mut changes = ledger.changes(log, read, PAGE)?;
        if changes.kept_after > read {
            let (from, to) = (read + 1, changes.kept_after);
            *position.of(log) = to;
            let missed = Missed { log, messages: to - from + 1, from, to };
            drafts.push_back(Draft::new("missed", &missed, Some(position))?);
            changes = ledger.changes(log, to, PAGE)?;
        }
        let mut items = changes.items.into_iter().peekable();
        while let Some((sequence, change)) = items.next() {
            // A reader that is cut off in the middle of a message gets all of it again: only its last event has the id.
            let whole = items.peek().is_none_or(|(next, _)| *next != sequence);
            if whole {
                *position.of(log) = sequence;
            }
            drafts.extend(draft(ledger, log, sequence, change, whole.then_some(position))?);
        }
        *position.of(log) = changes.read_to;
    }
    Ok((position, drafts))
}

fn draft(
    ledger: &Ledger,
    log: Log,
    sequence: u64,
    change: Change,
    id: Option<Position>,
) -> Result<Option<Draft>, LedgerError> {
    let mut update = Update { log, sequence, alert: None, alert_id: None, receipt: None };
    let (name, alert) = match change {
        Change::Opened { alert } => ("alert.opened", alert),
        Change::Merged { alert } => ("alert.merged", alert),
        Change::Resolved { alert } => ("alert.resolved", alert),
        Change::Undecided { alert } => ("alert.undecided", alert),
        Change::Presence { alert } => ("alert.presence", alert),
        Change::Receipt { receipt, alert } => {
            (update.receipt, update.alert_id) = (ledger.receipt(&receipt)?, alert);
            return Draft::new("receipt", &update, id).map(Some);
        }
    };
    update.alert = ledger.alert_summary(&alert)?;
    Draft::new(name, &update, id).map(Some)
}

impl Draft {
    fn new<T: Serialize>(name: &'static str, data: &T, id: Option<Position>) -> Result<Self, LedgerError> {
        let data =
            serde_json::to_string(data).map_err(|source| LedgerError::Value { table: "changes", source })?;
        Ok(Self { name, id: id.map(|position| position.to_string()), data })
    }
}

// === impl Position ===

impl Position {
    fn now(ledger: &Ledger) -> Result<Self, LedgerError> {
        Ok(Self { verdicts: ledger.checkpoint(Log::Verdicts)?, receipts: ledger.checkpoint(Log::Receipts)? })
    }

    fn parse(text: &str) -> Option<Self> {
        let (verdicts, receipts) = text.split_once(',')?;
        Some(Self {
            verdicts: verdicts.strip_prefix("verdicts:")?.parse().ok()?,
            receipts: receipts.strip_prefix("receipts:")?.parse().ok()?,
        })
    }

    const fn of(&mut self, log: Log) -> &mut u64 {
        match log {
            Log::Receipts => &mut self.receipts,
            Log::Verdicts | Log::DeadLetters | Log::Coverage => &mut self.verdicts,
        }
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "verdicts:{},receipts:{}", self.verdicts, self.receipts)
    }
}
