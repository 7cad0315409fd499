//! Extractors for the workload itself, its ports and its service account.

use lictor_wire::{Deployment, Exposure, ExposureLevel, PermissionLevel, Port};

use super::Value;
use crate::truth::Fact;
use crate::view::Root;

/// Takes a value from the workload, which may not be known.
fn of<'a>(root: &Root<'a>, take: impl FnOnce(&'a Deployment) -> Value<'a>) -> Value<'a> {
    root.deployment.map_or(Value::Unknown(Fact::Deployment), take)
}

pub(in crate::criterion) fn labels<'a>(root: &Root<'a>) -> Value<'a> {
    of(root, |deployment| Value::Map(&deployment.labels))
}

pub(in crate::criterion) fn annotations<'a>(root: &Root<'a>) -> Value<'a> {
    of(root, |deployment| Value::Map(&deployment.annotations))
}

pub(in crate::criterion) fn runtime_class<'a>(root: &Root<'a>) -> Value<'a> {
    of(root, |deployment| Value::Text(&deployment.runtime_class))
}

pub(in crate::criterion) fn host_network<'a>(root: &Root<'a>) -> Value<'a> {
    of(root, |deployment| Value::Bool(deployment.host_network))
}

pub(in crate::criterion) fn host_pid<'a>(root: &Root<'a>) -> Value<'a> {
    of(root, |deployment| Value::Bool(deployment.host_pid))
}

pub(in crate::criterion) fn host_ipc<'a>(root: &Root<'a>) -> Value<'a> {
    of(root, |deployment| Value::Bool(deployment.host_ipc))
}

/// The pod's namespace is the workload's, so it is known before the workload is.
pub(in crate::criterion) fn namespace<'a>(root: &Root<'a>) -> Value<'a> {
    root.input.namespace().map_or(Value::Unknown(Fact::Deployment), Value::Text)
}

pub(in crate::criterion) fn replicas<'a>(root: &Root<'a>) -> Value<'a> {
    // StackRox stores 0 for kinds that have no replicas.
    of(root, |deployment| Value::Int(deployment.replicas.unwrap_or(0)))
}

pub(in crate::criterion) fn service_account<'a>(root: &Root<'a>) -> Value<'a> {
    of(root, |deployment| Value::Text(&deployment.service_account))
}

pub(in crate::criterion) fn automount<'a>(root: &Root<'a>) -> Value<'a> {
    of(root, |deployment| Value::Bool(deployment.automount_service_account_token))
}

pub(in crate::criterion) fn permissions<'a>(root: &Root<'a>) -> Value<'a> {
    of(root, |deployment| match deployment.service_account_permission_level {
        PermissionLevel::Unset => Value::Unknown(Fact::Permissions),
        PermissionLevel::None => Value::Enum(1, "NONE"),
        PermissionLevel::Default => Value::Enum(2, "DEFAULT"),
        PermissionLevel::ElevatedInNamespace => Value::Enum(3, "ELEVATED_IN_NAMESPACE"),
        PermissionLevel::ElevatedClusterWide => Value::Enum(4, "ELEVATED_CLUSTER_WIDE"),
        PermissionLevel::ClusterAdmin => Value::Enum(5, "CLUSTER_ADMIN"),
    })
}

pub(in crate::criterion) fn ingress_policy<'a>(root: &Root<'a>) -> Value<'a> {
    of(root, |deployment| match &deployment.network_policies {
        Some(policies) => Value::Bool(policies.has_ingress),
        None => Value::Unknown(Fact::NetworkPolicies),
    })
}

pub(in crate::criterion) fn egress_policy<'a>(root: &Root<'a>) -> Value<'a> {
    of(root, |deployment| match &deployment.network_policies {
        Some(policies) => Value::Bool(policies.has_egress),
        None => Value::Unknown(Fact::NetworkPolicies),
    })
}

pub(in crate::criterion) fn container_port(port: &Port) -> Value<'_> {
    Value::Int(i64::from(port.container_port))
}

pub(in crate::criterion) fn protocol(port: &Port) -> Value<'_> {
    Value::Text(&port.protocol)
}

pub(in crate::criterion) fn node_port(exposure: &Exposure) -> Value<'_> {
    Value::Int(i64::from(exposure.node_port))
}

pub(in crate::criterion) fn exposure_level(exposure: &Exposure) -> Value<'_> {
    match exposure.level {
        // An enum value called "unset" counts as no value.
        ExposureLevel::Unset => Value::Missing,
        ExposureLevel::External => Value::Enum(1, "EXTERNAL"),
        ExposureLevel::Node => Value::Enum(2, "NODE"),
        ExposureLevel::Internal => Value::Enum(3, "INTERNAL"),
        ExposureLevel::Host => Value::Enum(4, "HOST"),
        ExposureLevel::Route => Value::Enum(5, "ROUTE"),
    }
}
