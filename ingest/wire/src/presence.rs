//! Small records in the buckets: running instances, source checkpoints, labels of namespaces and clusters.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::json::null_as_default;

/// A running instance of a role: in `lictor-presence` under `role.<role>.<instance>`, refreshed while the process runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    /// The role.
    pub role: String,
    /// This process, new at every start.
    pub instance: String,
    /// lictor's version.
    pub version: String,
    /// When it started.
    pub started: Timestamp,
    /// Time of its last heartbeat.
    pub seen: Timestamp,
    /// The sequence of the policy log up to which its policies are in force; 0 where it has none.
    #[serde(default)]
    pub policies: u64,
    /// What it read of the policy log and cannot put in force.
    #[serde(default, skip_serializing_if = "PolicyProblems::is_empty")]
    pub policy_problems: PolicyProblems,
    /// What keeps it from its work, in words for a person; empty when all is well.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub problems: Vec<String>,
    /// What it counts, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub counts: BTreeMap<String, u64>,
    /// Settings that explain why nothing happened, such as protected namespaces, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub settings: BTreeMap<String, Vec<String>>,
}

/// What a role read of the policy log and cannot put in force.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyProblems {
    /// Revisions that cannot be used, the first [`PolicyProblems::AT_MOST`] by key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedRevision>,
    /// How many more revisions are refused.
    pub more_refused: u64,
    /// Why the newest policies are not in force at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_compiled: Option<NotCompiled>,
    /// Why the policy log is not followed: it does not name an installation, or another one. What was read before
    /// stays in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_followed: Option<String>,
}

/// The last revision of a policy, when it cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedRevision {
    /// The policy's key in the log.
    pub key: String,
    /// The policy's name, where it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The sequence of the document.
    pub revision: u64,
    /// What is wrong with it, with the places; cut where it is long.
    pub reason: String,
    /// The sequence of the last good revision, which is in force instead, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<u64>,
}

/// Policies that are valid one by one and could not be compiled into a set. The set before them stays in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotCompiled {
    /// The sequence up to which the log was read for them.
    pub revision: u64,
    /// Why.
    pub reason: String,
}

impl PolicyProblems {
    /// How many refused revisions are listed: what a person reads at once, in a message of some kilobytes.
    pub const AT_MOST: usize = 20;

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.refused.is_empty()
            && self.more_refused == 0
            && self.not_compiled.is_none()
            && self.not_followed.is_none()
    }
}

/// How far a source was read: in `lictor-presence` under `source.<name>`, written after the stream's
/// acknowledgement, so a restart repeats events and never skips one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceCheckpoint {
    /// The source, such as a file's path.
    pub source: String,
    /// Distinguishes the file from another file of the same name: a fingerprint of its first bytes.
    pub identity: String,
    /// The file's device and inode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inode: Option<(u64, u64)>,
    /// Bytes read and acknowledged.
    pub offset: u64,
    /// When the file had last been written, as of then: what was rotated before is not read again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified: Option<Timestamp>,
    /// Time of the last event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_event: Option<Timestamp>,
    /// Events so far.
    pub events: u64,
}

/// What `lictor-namespaces` holds under `<cluster>.<namespace>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NamespaceRecord {
    /// Name.
    pub name: String,
    /// UID.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub annotations: BTreeMap<String, String>,
}

/// What `lictor-clusters` holds under the cluster's id.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterRecord {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub labels: BTreeMap<String, String>,
}
