//! The one table of subjects, streams, consumers and buckets: lictor's public interface on NATS.
//!
//! To add a subject, add its row here; creation, read-back, permissions and documentation follow from the table.
//! Nothing in this module talks to a server: [`Topology`] is data, and `lictor-bus` creates it on the server.
//!
//! Event subjects carry no namespace, pod or policy: a publisher packs only events for one subject into a message, and
//! packing loses its benefit as the number of subjects grows. Verdicts carry stage, severity, cluster and namespace,
//! for people who subscribe to just theirs.

mod access;

use std::time::Duration;

use crate::policy::{EnforcementAction, LifecycleStage, Severity};
use crate::token::token;
use crate::{ClusterId, DeploymentId, Entity, Kind, PodId, PolicyId, PolicyLogKey, Verdict};

pub use access::{Permissions, Role};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// Every stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// Events of one kind.
    Events(Kind),
    /// Events that wait for a fact.
    Parked,
    /// Verdicts.
    Verdicts,
    /// Receipts.
    Receipts,
    /// Policy documents: a log whose last message per subject is in force.
    Policies,
    /// The admin log: what people and tokens did.
    Admin,
    /// What people ask roles to do.
    Commands,
    /// What could not be judged.
    DeadLetters,
}

/// How long a stream keeps messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// Until the age or size limit is reached; the oldest are removed first.
    Limits,
    /// Until acknowledged by the one consumer of the subject.
    WorkQueue,
}

/// One row of the table of streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSpec {
    /// Which stream.
    pub stream: Stream,
    /// Its name on the server.
    pub name: String,
    /// The subjects it holds.
    pub subjects: Vec<String>,
    /// How long it keeps them.
    pub retention: Retention,
    /// Greatest age; `None` keeps for ever.
    pub max_age: Option<Duration>,
    /// Greatest size in bytes; `None` has no bound.
    pub max_bytes: Option<u64>,
    /// How long a repeated `Nats-Msg-Id` is recognised.
    pub duplicate_window: Duration,
    /// Messages cannot be deleted or purged: it is a log.
    pub append_only: bool,
    /// Atomic batch publishing is allowed: several messages are written all together or not at all.
    pub atomic_batches: bool,
    /// What it is for, in a sentence.
    pub purpose: &'static str,
}

/// Every bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bucket {
    /// Latest model per workload.
    Deployments,
    /// Pod uid to workload, node, containers.
    Pods,
    /// Labels of namespaces.
    Namespaces,
    /// Names and labels of clusters.
    Clusters,
    /// Facts per digest.
    Images,
    /// Baselines.
    Baselines,
    /// Who runs; how far sources were read.
    Presence,
    /// Progress of commands.
    Jobs,
    /// Which line of a message that keeps crashing evaluators is being judged.
    Isolation,
}

/// One row of the table of buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketSpec {
    /// Which bucket.
    pub bucket: Bucket,
    /// Its name on the server.
    pub name: String,
    /// Greatest age of a value; `None` keeps for ever.
    pub max_age: Option<Duration>,
    /// What it is for, in a sentence.
    pub purpose: &'static str,
}

impl BucketSpec {
    /// The name of the stream behind it.
    pub fn stream_name(&self) -> String {
        format!("KV_{}", self.name)
    }
}

/// Every durable consumer. All are pull consumers with explicit acknowledgement, shared by any number of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Consumer {
    /// Evaluators, on the events of one kind.
    Judge(Kind),
    /// Evaluators, on parked events.
    Retry,
    /// Evaluators, on policy changes: every workload is judged again by one of them.
    PolicyChanges,
    /// Evaluators, on commands to them.
    EvaluatorCommands,
    /// Enforcers, on verdicts.
    Enforce,
}

/// One row of the table of consumers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerSpec {
    /// Which consumer.
    pub consumer: Consumer,
    /// Its durable name on the server.
    pub name: String,
    /// The stream it reads.
    pub stream: Stream,
    /// The subjects it reads; `None` for all of the stream.
    pub filter: Option<String>,
    /// A message that is neither acknowledged nor reported as in progress for this long is redelivered.
    pub ack_wait: Duration,
    /// Messages in flight over all processes together.
    pub max_ack_pending: u32,
}

/// Sizes an installer may choose. They take effect when a stream is created; afterwards they are only displayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    /// Greatest size of each event stream, in bytes.
    pub event_bytes: u64,
    /// Greatest age of events: how far back replay reaches.
    pub event_age: Duration,
    /// Greatest size of the streams of verdicts and of receipts, each, in bytes.
    pub verdict_bytes: u64,
    /// How long a repeated message id is recognised.
    pub duplicate_window: Duration,
    /// A message that is neither acknowledged nor reported as in progress for this long is redelivered.
    pub ack_wait: Duration,
    /// Replicas of each stream and bucket: 1, 3 or 5.
    pub replicas: u8,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            event_bytes: 4 * GIB,
            event_age: 7 * DAY,
            verdict_bytes: 4 * GIB,
            duplicate_window: 2 * MINUTE,
            // Longer than any pack takes to judge, short enough that a crashed evaluator's share is soon taken
            // over; slow work says so meanwhile.
            ack_wait: Duration::from_secs(10),
            replicas: 1,
        }
    }
}

/// The table: everything that exists on the server, under one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    prefix: String,
    sizes: Sizes,
}

impl Default for Topology {
    fn default() -> Self {
        Self { prefix: "lictor".to_owned(), sizes: Sizes::default() }
    }
}

/// A prefix that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{prefix}` cannot be a subject prefix: use letters, digits, `_` and `-`, at most 32 of them")]
pub struct BadPrefix {
    /// The prefix.
    pub prefix: String,
}

impl Topology {
    /// The table under a prefix of its own, so several installations share one server.
    ///
    /// # Errors
    /// When the prefix is empty, longer than 32 characters, or has others than letters, digits, `_` and `-`.
    pub fn new(prefix: &str, sizes: Sizes) -> Result<Self, BadPrefix> {
        if prefix.is_empty() || prefix.len() > 32 || token(prefix) != prefix {
            return Err(BadPrefix { prefix: prefix.to_owned() });
        }
        Ok(Self { prefix: prefix.to_owned(), sizes })
    }

    /// The prefix of every subject.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The sizes.
    pub const fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    // --- streams -------------------------------------------------------------------------------------------------

    /// Every stream.
    pub fn streams(&self) -> Vec<StreamSpec> {
        let mut streams: Vec<StreamSpec> =
            Kind::ALL.into_iter().map(|kind| self.stream(Stream::Events(kind))).collect();
        streams.extend(
            [
                Stream::Parked,
                Stream::Verdicts,
                Stream::Receipts,
                Stream::Policies,
                Stream::Admin,
                Stream::Commands,
                Stream::DeadLetters,
            ]
            .map(|stream| self.stream(stream)),
        );
        streams
    }

    /// One stream.
    pub fn stream(&self, stream: Stream) -> StreamSpec {
        let prefix = &self.prefix;
        let base = StreamSpec {
            stream,
            name: self.stream_name(stream),
            subjects: Vec::new(),
            retention: Retention::Limits,
            max_age: Some(self.sizes.event_age),
            max_bytes: Some(self.sizes.event_bytes),
            duplicate_window: self.sizes.duplicate_window,
            append_only: false,
            atomic_batches: false,
            purpose: "",
        };
        match stream {
            Stream::Events(kind) => StreamSpec {
                subjects: vec![format!("{prefix}.events.{kind}.*")],
                purpose: "events of one kind, packed",
                ..base
            },
            Stream::Parked => StreamSpec {
                subjects: vec![format!("{prefix}.parked.*.*")],
                purpose: "events that wait for a fact, one a message",
                ..base
            },
            Stream::Verdicts => StreamSpec {
                subjects: vec![format!("{prefix}.verdicts.*.*.*.*")],
                max_age: Some(30 * DAY),
                max_bytes: Some(self.sizes.verdict_bytes),
                purpose: "what evaluators concluded",
                ..base
            },
            Stream::Receipts => StreamSpec {
                subjects: vec![format!("{prefix}.receipts.*.*.*")],
                max_age: Some(90 * DAY),
                max_bytes: Some(self.sizes.verdict_bytes),
                purpose: "what enforcers decided and did",
                ..base
            },
            Stream::Policies => StreamSpec {
                subjects: vec![format!("{prefix}.policies.*"), format!("{prefix}.policies.category.*")],
                max_age: None,
                max_bytes: None,
                append_only: true,
                atomic_batches: true,
                purpose: "policy documents, last per subject in force",
                ..base
            },
            Stream::Admin => StreamSpec {
                subjects: vec![format!("{prefix}.admin.*")],
                max_age: None,
                max_bytes: None,
                append_only: true,
                atomic_batches: true,
                purpose: "what people and tokens did",
                ..base
            },
            Stream::Commands => StreamSpec {
                subjects: vec![format!("{prefix}.commands.*.*")],
                retention: Retention::WorkQueue,
                max_age: Some(DAY),
                max_bytes: Some(64 * MIB),
                purpose: "what people ask roles to do",
                ..base
            },
            Stream::DeadLetters => StreamSpec {
                subjects: vec![format!("{prefix}.deadletter.*")],
                max_age: Some(30 * DAY),
                max_bytes: Some(GIB),
                purpose: "what could not be judged, with the reason",
                ..base
            },
        }
    }

    /// A stream's name on the server: the prefix in upper case, `-` as `_`, and what it holds.
    pub fn stream_name(&self, stream: Stream) -> String {
        let prefix = self.prefix.to_ascii_uppercase().replace('-', "_");
        match stream {
            Stream::Events(kind) => format!("{prefix}_EVENTS_{}", kind.as_str().to_ascii_uppercase()),
            Stream::Parked => format!("{prefix}_PARKED"),
            Stream::Verdicts => format!("{prefix}_VERDICTS"),
            Stream::Receipts => format!("{prefix}_RECEIPTS"),
            Stream::Policies => format!("{prefix}_POLICIES"),
            Stream::Admin => format!("{prefix}_ADMIN"),
            Stream::Commands => format!("{prefix}_COMMANDS"),
            Stream::DeadLetters => format!("{prefix}_DEADLETTER"),
        }
    }

    // --- buckets -------------------------------------------------------------------------------------------------

    /// Every bucket.
    pub fn buckets(&self) -> Vec<BucketSpec> {
        use Bucket::{Baselines, Clusters, Deployments, Images, Isolation, Jobs, Namespaces, Pods, Presence};
        [Deployments, Pods, Namespaces, Clusters, Images, Baselines, Presence, Jobs, Isolation]
            .map(|bucket| self.bucket(bucket))
            .to_vec()
    }

    /// One bucket.
    pub fn bucket(&self, bucket: Bucket) -> BucketSpec {
        let (name, max_age, purpose) = match bucket {
            Bucket::Deployments => ("deployments", None, "latest model per workload"),
            Bucket::Pods => ("pods", None, "pod uid to workload, node and containers"),
            Bucket::Namespaces => ("namespaces", None, "labels of namespaces"),
            Bucket::Clusters => ("clusters", None, "names and labels of clusters"),
            Bucket::Images => ("images", None, "facts per digest"),
            Bucket::Baselines => ("baselines", None, "what workloads usually do"),
            Bucket::Presence => ("presence", Some(30 * DAY), "who runs, and how far sources were read"),
            Bucket::Jobs => ("jobs", Some(7 * DAY), "progress of commands"),
            // A message is isolated for minutes; a day leaves time to look at it.
            Bucket::Isolation => ("isolation", Some(DAY), "which line of a poison message is being judged"),
        };
        BucketSpec { bucket, name: format!("{}-{name}", self.prefix), max_age, purpose }
    }

    /// The Object Store bucket of event bodies too large for a message, kept as long as events.
    pub fn object_store(&self) -> String {
        format!("{}-large", self.prefix)
    }

    /// The Object Store bucket of the store's snapshots.
    pub fn snapshot_store(&self) -> String {
        format!("{}-snapshots", self.prefix)
    }

    // --- consumers -----------------------------------------------------------------------------------------------

    /// Every durable consumer.
    pub fn consumers(&self) -> Vec<ConsumerSpec> {
        let mut consumers: Vec<ConsumerSpec> =
            Kind::JUDGED.into_iter().map(|kind| self.consumer(Consumer::Judge(kind))).collect();
        consumers.extend(
            [Consumer::Retry, Consumer::PolicyChanges, Consumer::EvaluatorCommands, Consumer::Enforce]
                .map(|consumer| self.consumer(consumer)),
        );
        consumers
    }

    /// One consumer.
    pub fn consumer(&self, consumer: Consumer) -> ConsumerSpec {
        let ack_wait = self.sizes.ack_wait;
        let (name, stream, filter, max_ack_pending) = match consumer {
            // 64 evaluators with two pulls of 64 messages each in flight.
            Consumer::Judge(kind) => ("evaluators", Stream::Events(kind), None, 8_192),
            // Waiting messages count as in flight: this many may wait at once before the next ones queue behind.
            Consumer::Retry => ("evaluators", Stream::Parked, None, 65_536),
            // Each change has every workload judged again; in order, so a later change is never judged before.
            Consumer::PolicyChanges => ("evaluators", Stream::Policies, None, 1),
            Consumer::EvaluatorCommands => {
                ("evaluators", Stream::Commands, Some(format!("{}.commands.evaluator.*", self.prefix)), 16)
            }
            // 8 enforcers with two pulls of 256 verdicts each in flight.
            Consumer::Enforce => ("enforcers", Stream::Verdicts, None, 4_096),
        };
        ConsumerSpec { consumer, name: name.to_owned(), stream, filter, ack_wait, max_ack_pending }
    }

    // --- subjects ------------------------------------------------------------------------------------------------

    /// Where events of a kind from a cluster are published.
    pub fn events(&self, kind: Kind, cluster: &ClusterId) -> String {
        format!("{}.events.{kind}.{}", self.prefix, token(cluster.as_str()))
    }

    /// Where an event that waits is published.
    pub fn parked(&self, kind: Kind, cluster: &ClusterId) -> String {
        format!("{}.parked.{kind}.{}", self.prefix, token(cluster.as_str()))
    }

    /// Where a verdict is published.
    pub fn verdicts(&self, verdict: &Verdict) -> String {
        let stage = match verdict.stage {
            LifecycleStage::Build => "build",
            LifecycleStage::Deploy => "deploy",
            LifecycleStage::Runtime => "runtime",
        };
        let severity = match verdict.severity() {
            None | Some(Severity::Unset) => "none",
            Some(Severity::Low) => "low",
            Some(Severity::Medium) => "medium",
            Some(Severity::High) => "high",
            Some(Severity::Critical) => "critical",
        };
        let (cluster, namespace) = entity_tokens(&verdict.entity);
        format!("{}.verdicts.{stage}.{severity}.{cluster}.{namespace}", self.prefix)
    }

    /// Where a receipt is published.
    pub fn receipts(&self, action: EnforcementAction, entity: &Entity) -> String {
        let (cluster, namespace) = entity_tokens(entity);
        let action = action.as_str().to_ascii_lowercase();
        format!("{}.receipts.{action}.{cluster}.{namespace}", self.prefix)
    }

    /// Where a policy's documents are published.
    pub fn policy(&self, id: &PolicyId) -> String {
        self.policy_log(&PolicyLogKey::of_policy(id))
    }

    /// Where the documents of a key of the policy log are published.
    pub fn policy_log(&self, key: &PolicyLogKey) -> String {
        key.subject(&self.prefix)
    }

    /// Where the admin log's entries about `what` are published; `what` is one of lictor's own keywords.
    pub fn admin(&self, what: &str) -> String {
        format!("{}.admin.{}", self.prefix, token(what))
    }

    /// Where a command to a role is published.
    pub fn commands(&self, role: &str, verb: &str) -> String {
        format!("{}.commands.{}.{}", self.prefix, token(role), token(verb))
    }

    /// Where a role's dead letters are published.
    pub fn dead_letters(&self, role: &str) -> String {
        format!("{}.deadletter.{}", self.prefix, token(role))
    }
}

/// The key of a digest in the bucket of image facts: `sha256.<hex>`.
pub fn image_key(digest: &str) -> String {
    match digest.split_once(':') {
        Some((algorithm, hex)) => format!("{}.{}", token(algorithm), token(hex)),
        None => token(digest),
    }
}

/// The key of a workload in the bucket of models.
pub fn deployment_key(id: &DeploymentId) -> String {
    token(id.as_str())
}

/// The key of a pod in the bucket of pods.
pub fn pod_key(uid: &PodId) -> String {
    token(uid.as_str())
}

/// The key of a namespace in the bucket of namespaces.
pub fn namespace_key(cluster: &str, namespace: &str) -> String {
    format!("{}.{}", token(cluster), token(namespace))
}

/// The key of a cluster in the bucket of clusters.
pub fn cluster_key(cluster: &str) -> String {
    token(cluster)
}

/// How long an event may wait for a fact before it is judged without.
pub const PARKED_FOR: Duration = MINUTE;

fn entity_tokens(entity: &Entity) -> (String, String) {
    let or_none = |text: &str| if text.is_empty() { "_".to_owned() } else { token(text) };
    (or_none(entity.cluster().map_or("", ClusterId::as_str)), or_none(entity.namespace()))
}

/// Whether a text is a lower-case UUID.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, byte)| match i {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}
