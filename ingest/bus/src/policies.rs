//! Following the policy log: the one loop behind everybody who judges by policies.

use std::time::Duration;

use bytes::Bytes;
use lictor_wire::topology::Stream;
use lictor_wire::{PolicyLogKey, PolicyLogReader};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::bus::Bus;
use crate::feed::{Feed, FeedItem};
use crate::log::ReadFrom;

/// Documents that come this close together are compiled together.
const TOGETHER_WITHIN: Duration = Duration::from_millis(5);

/// And at most this many: as many as one atomic write holds.
const TOGETHER_AT_MOST: usize = 1_000;

impl Bus {
    /// Follows the policy log for as long as it is polled, and publishes what `reader` makes of it: first when
    /// everything that is there now was read, then after each change. While the server is away the last snapshot
    /// stays, and reading goes on where it was.
    pub async fn follow_policies<R: PolicyLogReader>(self, reader: R, published: watch::Sender<R::Snapshot>) {
        // It ends only with the runtime, or with a reader that panicked.
        if let Err(error) = self.read_policies(reader, &published).await
            && error.is_panic()
        {
            tracing::error!(%error, "stopped following the policy log");
        }
    }

    async fn read_policies<R: PolicyLogReader>(
        &self,
        mut reader: R,
        published: &watch::Sender<R::Snapshot>,
    ) -> Result<(), tokio::task::JoinError> {
        let mut feed = self.watch_policies();
        let mut complete = false;
        reader.start_over();
        while let Some(items) = together(&mut feed).await {
            for item in &items {
                complete = match item {
                    FeedItem::Complete { .. } => true,
                    FeedItem::Reset => false,
                    _ => complete,
                };
            }
            // Compiling takes what it takes, and other tasks wait for this thread.
            reader = spawn_blocking(move || take(reader, items)).await?;
            while let Some((key, before)) = reader.history_needed() {
                let documents = self.documents(&key, before).await;
                reader = spawn_blocking(move || {
                    reader.take_history(&key, &documents);
                    reader
                })
                .await?;
            }
            if !complete {
                continue;
            }
            let (back, (snapshot, compiled)) = spawn_blocking(move || {
                let snapshot = reader.snapshot();
                (reader, snapshot)
            })
            .await?;
            reader = back;
            if let Err(error) = compiled {
                tracing::error!(error, "the policies in force stay as they were");
            }
            published.send_replace(snapshot);
        }
        Ok(())
    }

    /// The documents of a key before a sequence, oldest first, without those that are damaged. While the server is
    /// away it waits; where the log is another one meanwhile, the feed is reset, too, and reading starts over.
    async fn documents(&self, key: &PolicyLogKey, before: u64) -> Vec<(u64, Bytes)> {
        let subject = self.topology().policy_log(key);
        let mut reader = self.read_subject(Stream::Policies, &subject, ReadFrom::First);
        let mut documents = Vec::new();
        while let Some(Ok(entry)) = reader.next_of_backlog().await
            && entry.sequence < before
        {
            documents.extend(entry.body().map(|body| (entry.sequence, body)));
        }
        documents
    }
}

/// The next change, with those that come right after it.
async fn together(feed: &mut Feed) -> Option<Vec<FeedItem>> {
    let mut items = vec![feed.next().await?];
    while items.len() < TOGETHER_AT_MOST
        && let Ok(Some(item)) = timeout(TOGETHER_WITHIN, feed.next()).await
    {
        items.push(item);
    }
    Some(items)
}

fn take<R: PolicyLogReader>(mut reader: R, items: Vec<FeedItem>) -> R {
    for item in items {
        let (key, sequence, document) = match &item {
            FeedItem::Put { key, revision, value, .. } => (key, *revision, Ok(value.as_ref())),
            FeedItem::Unreadable { key, revision, reason } => (key, *revision, Err(reason.as_str())),
            // Policies are deleted by a document that says by whom.
            FeedItem::Removed { key, revision } => {
                (key, *revision, Err("a deletion marker is not a document"))
            }
            FeedItem::Complete { revision } => {
                reader.read_up_to(*revision);
                continue;
            }
            FeedItem::Reset => {
                reader.start_over();
                continue;
            }
        };
        if let Err(problem) = reader.take(key, sequence, document) {
            tracing::error!(
                key,
                revision = sequence,
                problem,
                "a policy revision cannot be used; the last good one stays in force"
            );
        }
    }
    reader
}
