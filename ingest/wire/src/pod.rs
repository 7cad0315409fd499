//! Pods and containers, as sensors report them and as `lictor-pods` records them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::json::{is_default, null_as_default};
use crate::{ClusterId, DeploymentId, PodId};

/// The pod something happened in, as the sensor named it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodRef {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Kubernetes UID; empty when the sensor does not say.
    #[serde(skip_serializing_if = "PodId::is_empty")]
    pub uid: PodId,
    /// The top-level workload, where the sensor resolved it itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<WorkloadRef>,
    /// The pod's labels, where the sensor sends them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub labels: BTreeMap<String, String>,
}

/// A workload by kind and name; its namespace is the pod's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadRef {
    /// Kubernetes kind, such as `Deployment`.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// The container something happened in, as the sensor named it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerRef {
    /// The runtime's id without its scheme, such as the hexadecimal part of `containerd://…`.
    pub id: String,
    /// The container's name in the pod spec.
    pub name: String,
    /// The image reference as the sensor saw it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// The image's digest, `sha256:…`; empty when unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image_digest: String,
    /// When the container started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
}

/// What `lictor-pods` holds under a pod's UID: how an event in a pod finds its workload.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodRecord {
    /// Kubernetes UID.
    pub uid: PodId,
    /// The cluster it runs on; empty when the producer did not set it: then the workload's cluster applies.
    #[serde(skip_serializing_if = "ClusterId::is_empty")]
    pub cluster: ClusterId,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The top-level workload it belongs to.
    pub deployment: DeploymentId,
    /// The node it runs on; empty before it is scheduled.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// Its addresses.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub ips: Vec<String>,
    /// Its containers, as their status shows them.
    #[serde(skip_serializing_if = "is_default", deserialize_with = "null_as_default")]
    pub containers: Vec<PodContainer>,
}

/// A container of a running pod.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodContainer {
    /// The container's name in the pod spec.
    pub name: String,
    /// The runtime's id without its scheme.
    pub id: String,
    /// The digest that runs, `sha256:…`; empty when unknown.
    pub image_digest: String,
}
