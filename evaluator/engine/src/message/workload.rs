//! Sentences about workloads as a whole.

use lictor_wire::{Exposure, ExposureLevel, Port};

use super::Found;
use super::text::labels;
use crate::criterion::Leaf;
use crate::section::Group;

/// What one criterion about a workload found.
pub(super) fn sentence(group: &Group, leaf: &Leaf<'_>) -> Option<String> {
    let uses = |yes: bool, what: &str| {
        format!("the deployment {} the node's {what} namespace", if yes { "uses" } else { "does not use" })
    };
    let policy = |yes: bool, kind: &str| {
        format!("the deployment {} {kind} network policy", if yes { "has an" } else { "is missing an" })
    };
    Some(match (group.criterion.name, leaf) {
        ("Required Label" | "Required Annotation", Leaf::Map(map)) => {
            let kind = if group.criterion.name == "Required Label" { "label" } else { "annotation" };
            format!("a required {kind} is missing (found {kind}s: {})", labels(map, |_, _| false))
        }
        ("Disallowed Annotation", Leaf::Map(map)) => {
            let found = labels(map, |key, value| group.predicate.is_met_by_entry(key, value));
            format!("disallowed annotations found: {found}")
        }
        ("Runtime Class", Leaf::Text(class)) => format!("the runtime class is `{class}`"),
        ("Namespace", Leaf::Text(namespace)) => format!("the namespace is `{namespace}`"),
        ("Service Account", Leaf::Text(account)) => format!("the service account is `{account}`"),
        ("Replicas", Leaf::Int(replicas)) => format!("replicas is set to {replicas}"),
        ("Host Network", Leaf::Bool(yes)) => uses(*yes, "network"),
        ("Host PID", Leaf::Bool(yes)) => uses(*yes, "process"),
        ("Host IPC", Leaf::Bool(yes)) => uses(*yes, "IPC"),
        ("Automount Service Account Token", Leaf::Bool(yes)) => {
            format!(
                "the deployment {} the service account's token",
                if *yes { "mounts" } else { "does not mount" }
            )
        }
        ("Minimum RBAC Permissions", Leaf::Enum(_, level)) => {
            let phrase = match *level {
                "DEFAULT" => "default access",
                "ELEVATED_IN_NAMESPACE" => "elevated access in the namespace",
                "ELEVATED_CLUSTER_WIDE" => "elevated access cluster wide",
                "CLUSTER_ADMIN" => "cluster admin access",
                _ => "no specified access",
            };
            format!("the service account has {phrase}")
        }
        ("Has Ingress Network Policy", Leaf::Bool(yes)) => policy(*yes, "ingress"),
        ("Has Egress Network Policy", Leaf::Bool(yes)) => policy(*yes, "egress"),
        _ => return None,
    })
}

pub(super) fn port(port: &Port) -> String {
    format!("exposed port {}/{} is present", port.container_port, port.protocol)
}

pub(super) fn exposure(exposure: &Exposure, found: &Found<'_, '_>) -> Vec<String> {
    let mut sentences = Vec::new();
    if found.asks("Exposed Node Port") {
        let protocol = found.place.port.map(|port| format!("/{}", port.protocol)).unwrap_or_default();
        sentences.push(format!("exposed node port {}{protocol} is present", exposure.node_port));
    }
    if found.asks("Port Exposure Method") {
        let way = match exposure.level {
            ExposureLevel::External => "with a load balancer",
            ExposureLevel::Node => "with a node port",
            ExposureLevel::Host => "with a host port",
            ExposureLevel::Route => "with a route",
            ExposureLevel::Internal => "inside of the cluster only",
            ExposureLevel::Unset => "in no known way",
        };
        sentences.push(format!("the deployment's ports are exposed {way}"));
    }
    sentences
}
