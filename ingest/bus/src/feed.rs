//! A bucket, or the documents in force of a log, as a stream of changes that tells when it is complete.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use lictor_wire::topology::{Bucket, Stream};

use crate::buckets::is_removal;
use crate::bus::Bus;
use crate::cursor::{Cursor, Read, Reading, Start, Step};
use crate::headers::Headers;
use crate::pack::decode_payload;

/// How often to query whether more of the first set is to come. Only matters when the last of the set vanished before
/// it was sent (by its age, for example): then no message ends the set.
const CHECK_COMPLETE_EVERY: Duration = Duration::from_secs(1);

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedItem {
    /// A key has this value.
    Put {
        /// The key.
        key: String,
        /// The sequence of the write.
        revision: u64,
        /// The value.
        value: Bytes,
        /// When it was written.
        time: Timestamp,
    },
    /// A key has no value.
    Removed {
        /// The key.
        key: String,
        /// The sequence of the write.
        revision: u64,
    },
    /// A key has a value that cannot be read: its payload is damaged. Whoever knows the value before it may keep it.
    Unreadable {
        /// The key.
        key: String,
        /// The sequence of the write.
        revision: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Everything up to this revision has been delivered. Comes once after the start and once after every
    /// [`FeedItem::Reset`]; on an empty bucket at once.
    Complete {
        /// The revision.
        revision: u64,
    },
    /// What was read is no longer there: the feed starts over, and what follows up to [`FeedItem::Complete`] replaces
    /// everything delivered before.
    Reset,
}

/// Changes of a bucket or of the documents in force: the last of each key, then what changes.
pub struct Feed {
    cursor: Cursor,
    /// What comes before the key in a subject.
    prefix: String,
    /// The stream's end when reading began, until the set up to there is complete.
    target: Option<u64>,
    /// Everything up to here has been delivered.
    seen: u64,
    /// Whether [`FeedItem::Complete`] has been delivered too.
    completed: bool,
    /// What to deliver before reading on.
    due: Option<FeedItem>,
}

impl Bus {
    /// The values of a bucket: the last per key, then every change.
    pub fn watch_bucket(&self, bucket: Bucket) -> Feed {
        let spec = self.topology().bucket(bucket);
        Feed::new(self.clone(), spec.stream_name(), format!("$KV.{}.", spec.name))
    }

    /// The policy documents in force: the last per policy, then every change. The key is what follows in the subject
    /// after `policies.`; deletions are documents, so nothing is ever [`FeedItem::Removed`].
    pub(crate) fn watch_policies(&self) -> Feed {
        let stream = self.topology().stream_name(Stream::Policies);
        Feed::new(self.clone(), stream, format!("{}.policies.", self.topology().prefix()))
    }
}

impl Feed {
    fn new(bus: Bus, stream: String, prefix: String) -> Self {
        let reading = Reading { stream, filter: None, start: Start::LastPerSubject, headers_only: false };
        Self { cursor: Cursor::new(bus, reading), prefix, target: None, seen: 0, completed: false, due: None }
    }

    /// The next change; waits for one. May be dropped while it waits. Never ends: while the server is away it waits,
    /// and goes on where it was.
    pub async fn next(&mut self) -> Option<FeedItem> {
        loop {
            if let Some(due) = self.due.take() {
                return Some(due);
            }
            let step = if self.target.is_some() {
                match self.cursor.step_of_backlog(CHECK_COMPLETE_EVERY).await {
                    Some(step) => step,
                    None => return self.complete(),
                }
            } else {
                self.cursor.step().await
            };
            match step {
                // After a reconnection a feed that was complete stays so: what comes are changes.
                Step::Opened { .. } if self.completed => {}
                Step::Opened { pending, last } => {
                    self.target = Some(last);
                    if pending == 0 {
                        return self.complete();
                    }
                }
                Step::Message(read) => {
                    self.seen = self.seen.max(read.sequence);
                    if self.target.is_some_and(|target| read.sequence >= target || read.pending == 0) {
                        self.due = self.complete();
                    }
                    if let Some(item) = self.item(read) {
                        return Some(item);
                    }
                }
                Step::Lost { position, last } => {
                    tracing::warn!(
                        stream = self.cursor.reading().stream,
                        position,
                        last,
                        "the stream ends before the position that was read; reading it again from the start"
                    );
                    self.cursor.start_over();
                    self.seen = 0;
                    self.target = None;
                    self.completed = false;
                    return Some(FeedItem::Reset);
                }
            }
        }
    }

    fn complete(&mut self) -> Option<FeedItem> {
        let target = self.target.take()?;
        self.seen = self.seen.max(target);
        self.completed = true;
        Some(FeedItem::Complete { revision: self.seen })
    }

    fn item(&self, read: Read) -> Option<FeedItem> {
        let key = read.subject.strip_prefix(&self.prefix)?.to_owned();
        let revision = read.sequence;
        let headers = Headers(read.headers);
        if is_removal(&headers) {
            return Some(FeedItem::Removed { key, revision });
        }
        Some(match decode_payload(&headers, &read.payload) {
            Ok(value) => FeedItem::Put { key, revision, value, time: read.time },
            Err(error) => {
                tracing::error!(key, revision, %error, "a value cannot be read");
                FeedItem::Unreadable { key, revision, reason: error.to_string() }
            }
        })
    }
}
