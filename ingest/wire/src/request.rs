//! Requests to the API server that were judged before it answered them, and the answers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::audit::{ObjectReference, UserInfo};
use crate::json::{is_default, null_as_default};
use crate::{Deployment, RawJson};

/// An admission review, or an exec, attach or port-forward review.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestEvent {
    /// The review's own id.
    pub uid: String,
    /// The operation that is requested.
    pub operation: RequestOperation,
    /// The object it is about.
    pub object_ref: ObjectReference,
    /// Who makes the request.
    pub user: UserInfo,
    /// Whether it is a dry run: dry runs are judged and not recorded.
    #[serde(skip_serializing_if = "is_default")]
    pub dry_run: bool,
    /// The workload as the request would leave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Box<Deployment>>,
    /// The workload as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_deployment: Option<Box<Deployment>>,
    /// The container of an exec or attach.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// The command of an exec.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub command: Vec<String>,
    /// The ports of a port-forward.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub ports: Vec<u16>,
    /// The object as it was sent, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<RawJson>,
    /// When the review reached lictor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<Timestamp>,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RequestOperation {
    /// A new object.
    #[default]
    Create,
    /// A changed object.
    Update,
    /// A deletion of an object.
    Delete,
    /// A command in a container.
    Exec,
    /// A container's standard streams.
    Attach,
    /// A tunnel to a pod's ports.
    PortForward,
}

impl RequestOperation {
    /// Whether it is a command to a running pod.
    pub const fn is_command(self) -> bool {
        matches!(self, Self::Exec | Self::Attach | Self::PortForward)
    }
}

/// An admission request and its answer. It travels with the verdict, so that an alert can name the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Admission {
    /// The operation that was requested.
    pub operation: RequestOperation,
    /// The user that made the request, as the API server authenticated it.
    pub user: String,
    /// What was answered.
    pub answer: RequestAnswer,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RequestAnswer {
    /// It was let through, with a warning for each policy it violates.
    Allowed,
    /// It was denied.
    Denied,
    /// It would have been denied, and break-glass was used by a user who may.
    BrokeGlass {
        /// Why, in their words.
        reason: String,
        /// Until when they may.
        until: Timestamp,
    },
}
