//! File events.

use serde::{Deserialize, Serialize};

use crate::{ContainerRef, PodRef, ProcessEvent};

/// A file was opened or changed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FileEvent {
    /// What was done to it.
    pub operation: FileOperation,
    /// The file.
    pub file: FilePaths,
    /// Where it was moved to, for a rename.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved: Option<FilePaths>,
    /// New permission bits, for a change of permissions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// The process that did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Box<ProcessEvent>>,
    /// The pod; absent for a file event of the node itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodRef>,
    /// The container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerRef>,
    /// The node.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
}

/// The paths under which one file is known. StackRox's `File Path` looks at both.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FilePaths {
    /// Path on the node; empty when the sensor does not say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub actual: String,
    /// Path inside the container's mount namespace; empty when the sensor does not say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub effective: String,
}

/// What was done to a file; the names are StackRox's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FileOperation {
    /// The sensor does not say.
    #[default]
    Unknown,
    /// Opened for reading.
    Read,
    /// Opened for writing. StackRox's `OPEN` means this one.
    Open,
    /// Created.
    Create,
    /// Renamed.
    Rename,
    /// Removed.
    Unlink,
    /// Owner or group changed.
    OwnershipChange,
    /// Permission bits changed.
    PermissionChange,
    /// Access control list changed.
    AclChange,
    /// Extended attribute set.
    XattrSet,
    /// Extended attribute removed.
    XattrRemove,
}
