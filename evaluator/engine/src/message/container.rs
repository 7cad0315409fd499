//! Sentences about containers.

use lictor_wire::{EnvSource, EnvVar, MountPropagation, Volume};

use super::text::{list, number};
use super::{Found, Place};
use crate::criterion::Leaf;
use crate::section::Group;

/// What one criterion about a container found.
pub(super) fn sentence(group: &Group, leaf: &Leaf<'_>, found: &Found<'_, '_>) -> Option<String> {
    let container = format!("container `{}`", found.place.container().unwrap_or_default());
    let set_to = |what: &str, value: f32, unit: &str| {
        format!("{what} of {container} is set to {} {unit}", number(value))
    };
    let yes_or_no =
        |yes: bool, if_yes: &str, if_no: &str| format!("{container} {}", if yes { if_yes } else { if_no });
    Some(match (group.criterion.name, leaf) {
        ("Container CPU Request", Leaf::Float(cores)) => set_to("the CPU request", *cores, "cores"),
        ("Container CPU Limit", Leaf::Float(cores)) => set_to("the CPU limit", *cores, "cores"),
        ("Container Memory Request", Leaf::Float(mb)) => set_to("the memory request", *mb, "MB"),
        ("Container Memory Limit", Leaf::Float(mb)) => set_to("the memory limit", *mb, "MB"),
        ("Privileged Container", Leaf::Bool(yes)) => yes_or_no(*yes, "is privileged", "is not privileged"),
        ("Read-Only Root Filesystem", Leaf::Bool(yes)) => {
            yes_or_no(*yes, "has a read-only root filesystem", "has a read-write root filesystem")
        }
        ("Allow Privilege Escalation", Leaf::Bool(yes)) => {
            yes_or_no(*yes, "allows privilege escalation", "does not allow privilege escalation")
        }
        ("Liveness Probe Defined", Leaf::Bool(yes)) => {
            yes_or_no(*yes, "has a liveness probe", "has no liveness probe")
        }
        ("Readiness Probe Defined", Leaf::Bool(yes)) => {
            yes_or_no(*yes, "has a readiness probe", "has no readiness probe")
        }
        ("Seccomp Profile Type", Leaf::Enum(_, name)) => {
            format!("{container} has seccomp profile type `{}`", name.to_lowercase())
        }
        ("AppArmor Profile", Leaf::Text(profile)) => format!("{container} has AppArmor profile `{profile}`"),
        ("Container Name", Leaf::Text(name)) => format!("a container is named `{name}`"),
        ("Add Capabilities", Leaf::List(added)) => {
            let mut met: Vec<String> = added
                .iter()
                .filter(|name| group.predicate.is_met_by_item(name))
                .map(|n| (*n).to_owned())
                .collect();
            met.sort();
            let word = if met.len() == 1 { "capability" } else { "capabilities" };
            format!("{container} adds {word} {}", list(&met))
        }
        ("Drop Capabilities", Leaf::List(dropped)) => {
            let mut dropped: Vec<String> = dropped.iter().map(|name| (*name).to_owned()).collect();
            dropped.sort();
            let what = if dropped.is_empty() { "no capabilities".to_owned() } else { list(&dropped) };
            format!("{container} does not drop the expected capabilities (drops {what})")
        }
        ("Unexpected Process Executed", Leaf::Bool(yes)) => {
            let process = found.place.container.and_then(|view| view.process).map(|process| &*process.name);
            let word = if *yes { "unexpected" } else { "expected" };
            format!("{word} process `{}` in {container}", process.unwrap_or_default())
        }
        _ => return None,
    })
}

/// A variable's value may be a password and is not told.
pub(super) fn env(env: &EnvVar, place: &Place<'_>) -> String {
    let source = match env.env_var_source {
        EnvSource::SecretKey => " from a secret",
        EnvSource::ConfigMapKey => " from a config map",
        EnvSource::Field => " from a field",
        EnvSource::ResourceField => " from a resource field",
        EnvSource::Unset | EnvSource::Raw | EnvSource::Unknown => "",
    };
    format!("environment variable `{}`{source} is present{}", env.key, place.in_container())
}

/// One sentence for a volume, whichever criteria asked about it.
pub(super) fn volume(volume: &Volume, found: &Found<'_, '_>) -> String {
    let mut details = Vec::new();
    let parts =
        [("source", &volume.source), ("destination", &volume.destination), ("type", &volume.volume_type)];
    for (name, value) in parts {
        if !value.is_empty() {
            details.push(format!("{name} `{value}`"));
        }
    }
    if found.asks("Mount Propagation") {
        let mode = match volume.mount_propagation {
            MountPropagation::None => "none",
            MountPropagation::HostToContainer => "host to container",
            MountPropagation::Bidirectional => "bidirectional",
        };
        details.push(format!("mount propagation {mode}"));
    }
    let mode = if volume.read_only { "read-only" } else { "writable" };
    format!("{mode} volume `{}` has {}", volume.name, list(&details))
}
