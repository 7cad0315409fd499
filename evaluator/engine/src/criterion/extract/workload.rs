//! Extractors for the workload itself, its ports and its service account.

use lictor_wire::{Deployment, Exposure, ExposureLevel, PermissionLevel, Port};

use super::Leaf;
use crate::truth::Fact;
use crate::view::Root;

/// Takes a value from the workload, which may not be known.
fn of<'a>(root: &Root<'a>, take: impl FnOnce(&'a Deployment) -> Leaf<'a>) -> Leaf<'a> {
    root.deployment.map_or(Leaf::Unknown(Fact::Deployment), take)
}

pub(in crate::criterion) fn labels<'a>(root: &Root<'a>) -> Leaf<'a> {
    of(root, |deployment| Leaf::Map(&deployment.labels))
}

pub(in crate::criterion) fn annotations<'a>(root: &Root<'a>) -> Leaf<'a> {
    of(root, |deployment| Leaf::Map(&deployment.annotations))
}

pub(in crate::criterion) fn runtime_class<'a>(root: &Root<'a>) -> Leaf<'a> {
    of(root, |deployment| Leaf::Text(&deployment.runtime_class))
}

pub(in crate::criterion) fn host_network<'a>(root: &Root<'a>) -> Leaf<'a> {
    of(root, |deployment| Leaf::Bool(deployment.host_network))
}

pub(in crate::criterion) fn host_pid<'a>(root: &Root<'a>) -> Leaf<'a> {
    of(root, |deployment| Leaf::Bool(deployment.host_pid))
}

pub(in crate::criterion) fn host_ipc<'a>(root: &Root<'a>) -> Leaf<'a> {
    of(root, |deployment| Leaf::Bool(deployment.host_ipc))
}

/// The pod's namespace is the workload's, so it is known before the workload is.
pub(in crate::criterion) fn namespace<'a>(root: &Root<'a>) -> Leaf<'a> {
    root.subject.namespace().map_or(Leaf::Unknown(Fact::Deployment), Leaf::Text)
}

pub(in crate::criterion) fn replicas<'a>(root: &Root<'a>) -> Leaf<'a> {
    // StackRox stores 0 for kinds that have no replicas.
    of(root, |deployment| Leaf::Int(deployment.replicas.unwrap_or(0)))
}

pub(in crate::criterion) fn service_account<'a>(root: &Root<'a>) -> Leaf<'a> {
    of(root, |deployment| Leaf::Text(&deployment.service_account))
}

pub(in crate::criterion) fn automount<'a>(root: &Root<'a>) -> Leaf<'a> {
    of(root, |deployment| Leaf::Bool(deployment.automount_service_account_token))
}

pub(in crate::criterion) fn permissions<'a>(root: &Root<'a>) -> Leaf<'a> {
    of(root, |deployment| match deployment.service_account_permission_level {
        PermissionLevel::Unset => Leaf::Unknown(Fact::Permissions),
        PermissionLevel::None => Leaf::Enum(1, "NONE"),
        PermissionLevel::Default => Leaf::Enum(2, "DEFAULT"),
        PermissionLevel::ElevatedInNamespace => Leaf::Enum(3, "ELEVATED_IN_NAMESPACE"),
        PermissionLevel::ElevatedClusterWide => Leaf::Enum(4, "ELEVATED_CLUSTER_WIDE"),
        PermissionLevel::ClusterAdmin => Leaf::Enum(5, "CLUSTER_ADMIN"),
    })
}

pub(in crate::criterion) fn ingress_policy<'a>(root: &Root<'a>) -> Leaf<'a> {
    of(root, |deployment| match &deployment.network_policies {
        Some(policies) => Leaf::Bool(policies.has_ingress),
        None => Leaf::Unknown(Fact::NetworkPolicies),
    })
}

pub(in crate::criterion) fn egress_policy<'a>(root: &Root<'a>) -> Leaf<'a> {
    of(root, |deployment| match &deployment.network_policies {
        Some(policies) => Leaf::Bool(policies.has_egress),
        None => Leaf::Unknown(Fact::NetworkPolicies),
    })
}

pub(in crate::criterion) fn container_port(port: &Port) -> Leaf<'_> {
    Leaf::Int(i64::from(port.container_port))
}

pub(in crate::criterion) fn protocol(port: &Port) -> Leaf<'_> {
    Leaf::Text(&port.protocol)
}

pub(in crate::criterion) fn node_port(exposure: &Exposure) -> Leaf<'_> {
    Leaf::Int(i64::from(exposure.node_port))
}

pub(in crate::criterion) fn exposure_level(exposure: &Exposure) -> Leaf<'_> {
    match exposure.level {
        // An enum value called "unset" counts as no value.
        ExposureLevel::Unset => Leaf::Missing,
        ExposureLevel::External => Leaf::Enum(1, "EXTERNAL"),
        ExposureLevel::Node => Leaf::Enum(2, "NODE"),
        ExposureLevel::Internal => Leaf::Enum(3, "INTERNAL"),
        ExposureLevel::Host => Leaf::Enum(4, "HOST"),
        ExposureLevel::Route => Leaf::Enum(5, "ROUTE"),
    }
}
