//! Small records of the buckets: who runs, how far sources were read, labels of namespaces and clusters.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::json::null_as_default;

/// Who runs: in `lictor-presence` under `role.<role>.<instance>`, refreshed while it lives.
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
    /// When it last said so.
    pub seen: Timestamp,
    /// The last sequence of the policy log it has loaded; 0 where it loads none.
    #[serde(default)]
    pub policies: u64,
    /// What it counts, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub counts: BTreeMap<String, u64>,
    /// What it was told to leave alone and the like, by name: for people who ask why nothing happened.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub settings: BTreeMap<String, Vec<String>>,
}

/// How far a source was read: in `lictor-presence` under `source.<name>`, written after the stream's
/// acknowledgement, so a restart repeats events and never skips one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceCheckpoint {
    /// The source, such as a file's path.
    pub source: String,
    /// What tells the same file from another of its name: a fingerprint of its first bytes.
    pub identity: String,
    /// Bytes read and acknowledged.
    pub offset: u64,
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
