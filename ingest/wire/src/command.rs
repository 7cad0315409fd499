//! Commands: what people ask a role to do.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ActionKey, ClusterId, CommandId, DeploymentId};

/// Something a role does once, on demand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// Chosen by the sender; progress in `lictor-jobs` has it as its key.
    pub id: CommandId,
    /// What to do.
    #[serde(flatten)]
    pub action: CommandAction,
    /// Who issued the command.
    pub by: String,
    /// When it was issued.
    pub at: Timestamp,
}

/// What a command does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CommandAction {
    /// Judge workloads again.
    Reassess {
        /// Which.
        scope: ReassessScope,
    },
    /// Undo an action.
    Revert {
        /// Which.
        action_key: ActionKey,
    },
    /// Give up a job.
    Cancel {
        /// Which.
        job: CommandId,
    },
}

/// Which workloads are judged again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReassessScope {
    /// Only this cluster's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterId>,
    /// Only this namespace's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Only this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
}
