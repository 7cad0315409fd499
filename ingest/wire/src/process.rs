//! Process events.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::json::{is_default, null_as_default};
use crate::{ContainerRef, PodRef};

/// A process started or ended.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProcessEvent {
    /// What it did.
    pub action: ProcessAction,
    /// Base name of the executable: what the criterion `Process Name` matches.
    pub name: String,
    /// Path of the executable, in the container's file system.
    pub exec_file_path: String,
    /// Arguments as one text, without the executable.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub args: String,
    /// Effective user id; absent when the sensor does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Effective group id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Login user id (the kernel's audit `loginuid`), when it is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login_uid: Option<u32>,
    /// The user's name, where the sensor resolved it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Process id on the node.
    #[serde(skip_serializing_if = "is_default")]
    pub pid: u32,
    /// The sensor's own id of this process execution; what its network and file events refer to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub exec_id: String,
    /// The sensor's own id of the parent's execution.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub parent_exec_id: String,
    /// Working directory.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cwd: String,
    /// When the process started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// Parent first, then its parent, as far as the sensor knows.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub ancestors: Vec<Ancestor>,
    /// Effective capabilities, without the prefix `CAP_`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub capabilities: Vec<String>,
    /// How it ended; for [`ProcessAction::Exit`] only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<u32>,
    /// The signal that ended it, such as `SIGKILL`; empty when none did.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub signal: String,
    /// The pod; absent for a process of the node itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodRef>,
    /// The container; absent for a process of the node itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerRef>,
    /// The node.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// Whether the arguments were cut by the sensor.
    #[serde(skip_serializing_if = "is_default")]
    pub truncated: bool,
}

/// What a process did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProcessAction {
    /// It executed a program.
    #[default]
    Exec,
    /// It ended.
    Exit,
}

/// One step of a process' lineage.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ancestor {
    /// Path of the ancestor's executable: what `Process Ancestor` looks at.
    pub exec_file_path: String,
    /// Its user id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
}
