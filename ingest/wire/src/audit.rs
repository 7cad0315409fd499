//! Audit events, in the API server's own shape: `audit.k8s.io/v1` `Event`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::RawJson;
use crate::json::null_as_default;

/// A request the Kubernetes API server recorded. Field names and meanings are those of `audit.k8s.io/v1`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditEvent {
    /// How much was recorded: `None`, `Metadata`, `Request` or `RequestResponse`.
    pub level: String,
    /// One id for all stages of a request; real files hold events without one.
    #[serde(rename = "auditID", skip_serializing_if = "String::is_empty")]
    pub audit_id: String,
    /// The stage of the request's handling.
    pub stage: AuditStage,
    /// The request's path and query.
    #[serde(rename = "requestURI", skip_serializing_if = "String::is_empty")]
    pub request_uri: String,
    /// Kubernetes verb, lower-case; for non-resource requests the HTTP method, lower-case.
    pub verb: String,
    /// Who made the request.
    #[serde(deserialize_with = "null_as_default")]
    pub user: UserInfo,
    /// The user they impersonated, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impersonated_user: Option<UserInfo>,
    /// Addresses the request came through, client first; the server does not check them beyond the last.
    #[serde(
        rename = "sourceIPs",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub source_ips: Vec<String>,
    /// What the client calls itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_agent: String,
    /// The object; absent for lists and non-resource requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_ref: Option<ObjectReference>,
    /// The answer, a `metav1.Status`, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_status: Option<RawJson>,
    /// The object that was sent, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_object: Option<RawJson>,
    /// The object that was answered, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_object: Option<RawJson>,
    /// When the request reached the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_received_timestamp: Option<Timestamp>,
    /// When this stage was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage_timestamp: Option<Timestamp>,
    /// What plugins noted, such as `authorization.k8s.io/decision`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub annotations: BTreeMap<String, String>,
    /// Fields this version does not know, as they came.
    #[serde(flatten)]
    pub extra: BTreeMap<String, serde_json::Value>,
}

/// The stage of a request's handling.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum AuditStage {
    /// Before it was handed on.
    #[default]
    RequestReceived,
    /// Headers of a long-running answer were sent; exec, attach and port-forward are recorded here.
    ResponseStarted,
    /// The answer is complete.
    ResponseComplete,
    /// The handler panicked.
    Panic,
    /// A stage this version does not know.
    #[serde(untagged)]
    Other(String),
}

impl AuditStage {
    /// The stage's name in the API.
    pub fn as_str(&self) -> &str {
        match self {
            Self::RequestReceived => "RequestReceived",
            Self::ResponseStarted => "ResponseStarted",
            Self::ResponseComplete => "ResponseComplete",
            Self::Panic => "Panic",
            Self::Other(stage) => stage,
        }
    }
}

/// A user as Kubernetes authenticated them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UserInfo {
    /// Name.
    pub username: String,
    /// UID.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Groups.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub groups: Vec<String>,
    /// What the authenticator added.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The object a request is about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectReference {
    /// Plural resource name, such as `pods`.
    pub resource: String,
    /// Namespace; empty for cluster-scoped objects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name; empty for a create with a generated name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// UID.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// API group; empty for the core group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    /// API version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Resource version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Subresource, such as `exec`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
}
