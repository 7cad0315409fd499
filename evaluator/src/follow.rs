//! Keeps the state of the cluster and the policies up to date from their feeds, and knows how far they are.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use lictor_bus::{Bus, BusError, Feed, FeedItem, ReadFrom};
use lictor_detection::{ClusterState, FactReader, STATE_BUCKETS};
use lictor_engine::{Options, PolicyRevision, PolicySet};
use lictor_wire::topology::{Bucket, Stream};
use lictor_wire::{PolicyChange, PolicyDocument, PolicyLogKey};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a judgement waits for the state to be brought up to date before it gives its message back. A feed that is
/// set up again takes a second or two.
const BRING_UP_WITHIN: Duration = Duration::from_secs(20);

/// Documents that come this close together are compiled together.
const TOGETHER_WITHIN: Duration = Duration::from_millis(5);

/// The policies in force, compiled, and how far the policy log was read for them.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) set: PolicySet,
    /// The last sequence of the policy log that was read.
    pub(crate) revision: u64,
    /// Whether everything that was there at the start was read.
    complete: bool,
}

/// Everything an evaluator knows, kept up to date by tasks of its own.
#[derive(Debug)]
pub(crate) struct Knowledge {
    pub(crate) state: Arc<ClusterState>,
    policies: watch::Receiver<Arc<Loaded>>,
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
}

impl Knowledge {
    /// Starts following. Nothing is known until [`Knowledge::complete`].
    #[must_use]
    pub(crate) fn follow(bus: &Bus) -> Self {
        let state = Arc::new(ClusterState::default());
        let mut tasks = JoinSet::new();
        let mut read = HashMap::new();
        for bucket in STATE_BUCKETS {
            let (sender, receiver) = watch::channel(None);
            read.insert(bucket, receiver);
            tasks.spawn(follow_bucket(bus.watch_bucket(bucket), bucket, state.clone(), sender));
        }
        let (sender, policies) = watch::channel(Arc::default());
        tasks.spawn(follow_policies(bus.clone(), sender));
        Self { state, policies, read, _tasks: tasks }
    }

    /// Waits until everything that was there at the start is known.
    pub(crate) async fn complete(&self) {
        for read in self.read.values() {
            let _ = read.clone().wait_for(Option::is_some).await;
        }
        let _ = self.policies.clone().wait_for(|loaded| loaded.complete).await;
    }

    /// The policies in force.
    #[must_use]
    pub(crate) fn policies(&self) -> Arc<Loaded> {
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
            reached(&self.policies, |loaded| loaded.revision >= last, || "policies".to_owned()).await
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
                    Err(error) => tracing::warn!(%error, "a value is not understood"),
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

/// The policies as they are read from the log: the last good revision of each.
#[derive(Default)]
struct InForce {
    good: HashMap<String, PolicyRevision>,
}

async fn follow_policies(bus: Bus, loaded: watch::Sender<Arc<Loaded>>) {
    let mut feed = bus.watch_policies();
    let mut in_force = InForce::default();
    let (mut complete, mut revision) = (false, 0);
    while let Some(item) = feed.next().await {
        let mut next = Some(item);
        // A thousand policies written at once are compiled once, not a thousand times.
        while let Some(item) = next {
            match item {
                FeedItem::Put { key, revision: at, value, .. } => {
                    in_force.take(&bus, &key, at, &value).await;
                    revision = revision.max(at);
                }
                FeedItem::Removed { key, revision: at } => {
                    in_force.good.remove(&key);
                    revision = revision.max(at);
                }
                FeedItem::Unreadable { revision: at, .. } => revision = revision.max(at),
                FeedItem::Complete { revision: at } => {
                    complete = true;
                    revision = revision.max(at);
                }
                FeedItem::Reset => {
                    in_force.good.clear();
                    (complete, revision) = (false, 0);
                }
            }
            next = timeout(TOGETHER_WITHIN, feed.next()).await.ok().flatten();
        }
        if complete {
            loaded.send_replace(Arc::new(in_force.compile(revision).await));
        }
    }
}

impl InForce {
    /// Takes a document. One that cannot be asked leaves the last good revision in force; right after a start that
    /// one is looked for in the log.
    async fn take(&mut self, bus: &Bus, key: &str, revision: u64, value: &[u8]) {
        let Some(PolicyLogKey::Policy(_)) = PolicyLogKey::parse(key) else { return };
        let problem = match read(value) {
            Ok(Read::Policy(policy)) => {
                self.good.insert(key.to_owned(), PolicyRevision { policy, revision });
                return;
            }
            Ok(Read::Deleted) => {
                self.good.remove(key);
                return;
            }
            Err(problem) => problem,
        };
        tracing::error!(
            key,
            revision,
            problem,
            "a policy revision cannot be used; the last good one stays in force"
        );
        if !self.good.contains_key(key)
            && let Some(good) = last_good(bus, key, revision).await
        {
            self.good.insert(key.to_owned(), good);
        }
    }

    async fn compile(&self, revision: u64) -> Loaded {
        let policies: Vec<PolicyRevision> = self.good.values().cloned().collect();
        let compiling = tokio::task::spawn_blocking(move || PolicySet::compile(policies, Options::default()));
        let compiled = match compiling.await {
            Ok(compiled) => compiled,
            Err(error) => {
                tracing::error!(%error, "compiling the policies failed");
                return Loaded { set: PolicySet::empty(), revision: 0, complete: false };
            }
        };
        for refused in &compiled.refused {
            tracing::error!(policy = refused.name, problems = ?refused.problems, "a policy is not asked");
        }
        Loaded { set: compiled.set, revision, complete: true }
    }
}

/// The last revision of a policy before `revision` that can be asked, from the log; `None` when there is none, or
/// the last one that can be read is its deletion.
async fn last_good(bus: &Bus, key: &str, revision: u64) -> Option<PolicyRevision> {
    let subject = format!("{}.policies.{key}", bus.topology().prefix());
    let mut reader = bus.read_subject(Stream::Policies, &subject, ReadFrom::First);
    let mut good = None;
    // The document at `revision` is there, so this ends.
    while let Some(Ok(entry)) = reader.next().await {
        if entry.sequence >= revision {
            break;
        }
        match entry.body().map_err(|error| error.to_string()).and_then(|body| read(&body)) {
            Ok(Read::Policy(policy)) => good = Some(PolicyRevision { policy, revision: entry.sequence }),
            Ok(Read::Deleted) => good = None,
            Err(_) => {}
        }
    }
    good
}

enum Read {
    Policy(Arc<lictor_wire::Policy>),
    Deleted,
}

fn read(value: &[u8]) -> Result<Read, String> {
    let document: PolicyDocument = serde_json::from_slice(value).map_err(|error| error.to_string())?;
    match document.change {
        PolicyChange::Delete { .. } => Ok(Read::Deleted),
        PolicyChange::Put { policy } => match lictor_engine::validate(&policy) {
            Ok(()) => Ok(Read::Policy(Arc::new(*policy))),
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        },
    }
}
