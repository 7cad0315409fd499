//! Keeps the state of the cluster and the policies up to date from their feeds, and knows how far they are.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use lictor_bus::{Bus, BusError, Feed, FeedItem};
use lictor_detection::{ClusterState, FactReader, Policies, PolicyStatus, STATE_BUCKETS};
use lictor_wire::PolicyLogReader;
use lictor_wire::topology::{Bucket, Stream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a judgement waits for the state to be brought up to date before it gives its message back. A feed that is
/// set up again takes a second or two.
const BRING_UP_WITHIN: Duration = Duration::from_secs(20);

/// Everything an evaluator knows, kept up to date by tasks of its own.
#[derive(Debug)]
pub(crate) struct Knowledge {
    pub(crate) state: Arc<ClusterState>,
    policies: watch::Receiver<PolicyStatus>,
    read: HashMap<Bucket, watch::Receiver<Option<u64>>>,
    _tasks: JoinSet<()>,
}

/// The state did not come up to date in time; the message is delivered again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotUpToDate {
    /// The bus did not say how far there is to go.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A feed is behind.
    #[error("the state of {0} is behind")]
    Behind(String),
    /// The policy log was not read yet, or does not compile and there was nothing before it.
    #[error("no policies are in force yet")]
    NoPolicies,
}

impl Knowledge {
    /// Starts following. Nothing is known until [`Knowledge::complete`].
    pub(crate) fn follow(bus: &Bus, policy_log: impl PolicyLogReader<Snapshot = PolicyStatus>) -> Self {
        let state = Arc::new(ClusterState::default());
        let mut tasks = JoinSet::new();
        let mut read = HashMap::new();
        for bucket in STATE_BUCKETS {
            let (sender, receiver) = watch::channel(None);
            read.insert(bucket, receiver);
            tasks.spawn(follow_bucket(bus.watch_bucket(bucket), bucket, state.clone(), sender));
        }
        let (sender, policies) = watch::channel(PolicyStatus::default());
        tasks.spawn(bus.clone().follow_policies(policy_log, sender));
        Self { state, policies, read, _tasks: tasks }
    }

    /// Waits until everything that was there at the start is known.
    pub(crate) async fn complete(&self) {
        for read in self.read.values() {
            let _ = read.clone().wait_for(Option::is_some).await;
        }
        let _ = self.policies.clone().wait_for(|status| status.in_force.is_some()).await;
    }

    /// The policies in force.
    ///
    /// # Errors
    /// When there are none yet, which is another thing than an empty set of policies.
    pub(crate) fn policies(&self) -> Result<Arc<Policies>, NotUpToDate> {
        self.policies.borrow().in_force.clone().ok_or(NotUpToDate::NoPolicies)
    }

    /// Waits until the policy log was read to its end, whether or not its policies compiled.
    pub(crate) async fn policy_log_read(&self) {
        let _ = self.policies.clone().wait_for(PolicyStatus::is_read).await;
    }

    /// What is known of the policy log by now.
    pub(crate) fn policy_status(&self) -> PolicyStatus {
        self.policies.borrow().clone()
    }

    /// Waits until everything that is there by now is known: of two changes that cross, the judgement of one has
    /// then seen the other.
    ///
    /// # Errors
    /// When a feed is too far behind; the caller gives its message back.
    pub(crate) async fn bring_up(&self, bus: &Bus) -> Result<(), NotUpToDate> {
        let buckets = self.read.iter().map(async |(bucket, read)| {
            let last = bus.last_revision(*bucket).await?;
            reached(read, |read| read.is_some_and(|read| read >= last), || format!("{bucket:?}")).await
        });
        let policies = async {
            let last = bus.last_sequence(Stream::Policies).await?;
            reached(&self.policies, |status| status.read >= last, || "policies".to_owned()).await
        };
        // All at once: each is a question and an answer, and what waits for them is a delivery.
        tokio::try_join!(try_join_all(buckets), policies)?;
        Ok(())
    }
}

async fn reached<T>(
    read: &watch::Receiver<T>,
    far_enough: impl FnMut(&T) -> bool,
    what: impl Fn() -> String,
) -> Result<(), NotUpToDate> {
    match timeout(BRING_UP_WITHIN, read.clone().wait_for(far_enough)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(NotUpToDate::Behind(what())),
    }
}

async fn follow_bucket(
    mut feed: Feed,
    bucket: Bucket,
    state: Arc<ClusterState>,
    read: watch::Sender<Option<u64>>,
) {
    let mut reader = FactReader::default();
    let mut complete = false;
    while let Some(item) = feed.next().await {
        let revision = match item {
            FeedItem::Put { key, revision, value, .. } => {
                match reader.read(bucket, &key, &value) {
                    Ok(fact) => fact.into_iter().for_each(|fact| state.put(revision, fact)),
                    Err(error) => tracing::warn!(%error, "cannot read a value"),
                }
                revision
            }
            FeedItem::Removed { key, revision } => {
                state.remove(bucket, &key);
                revision
            }
            FeedItem::Unreadable { revision, .. } => revision,
            FeedItem::Complete { revision } => {
                complete = true;
                revision
            }
            FeedItem::Reset => {
                state.clear(bucket);
                complete = false;
                continue;
            }
        };
        if complete {
            read.send_if_modified(|read| {
                let newer = read.is_none_or(|read| revision > read);
                if newer {
                    *read = Some(revision);
                }
                newer
            });
        }
    }
}
