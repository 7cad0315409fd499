//! Extractors for containers, their environment and their volumes.

use lictor_wire::{Container, EnvSource, EnvVar, MountPropagation, SeccompProfileType, Volume};

use super::Value;
use crate::view::ContainerView;

/// Takes a value from the container's model, which may not be known.
fn of<'a>(container: &ContainerView<'a>, take: impl FnOnce(&'a Container) -> Value<'a>) -> Value<'a> {
    container.model.map_or(Value::Unknown(container.missing), take)
}

pub(in crate::criterion) fn name<'a>(container: &ContainerView<'a>) -> Value<'a> {
    container.name.map_or(Value::Unknown(container.missing), Value::Text)
}

pub(in crate::criterion) fn cpu_request<'a>(container: &ContainerView<'a>) -> Value<'a> {
    of(container, |model| Value::Float(model.resources.cpu_cores_request))
}

pub(in crate::criterion) fn cpu_limit<'a>(container: &ContainerView<'a>) -> Value<'a> {
    of(container, |model| Value::Float(model.resources.cpu_cores_limit))
}

pub(in crate::criterion) fn memory_request<'a>(container: &ContainerView<'a>) -> Value<'a> {
    of(container, |model| Value::Float(model.resources.memory_mb_request))
}

pub(in crate::criterion) fn memory_limit<'a>(container: &ContainerView<'a>) -> Value<'a> {
    of(container, |model| Value::Float(model.resources.memory_mb_limit))
}

pub(in crate::criterion) fn privileged<'a>(container: &ContainerView<'a>) -> Value<'a> {
    of(container, |model| Value::Bool(model.security_context.privileged))
}

pub(in crate::criterion) fn read_only_root<'a>(container: &ContainerView<'a>) -> Value<'a> {
    of(container, |model| Value::Bool(model.security_context.read_only_root_filesystem))
}

pub(in crate::criterion) fn privilege_escalation<'a>(container: &ContainerView<'a>) -> Value<'a> {
    of(container, |model| Value::Bool(model.security_context.allow_privilege_escalation))
}

pub(in crate::criterion) fn seccomp<'a>(container: &ContainerView<'a>) -> Value<'a> {
    of(container, |model| match &model.security_context.seccomp_profile {
        None => Value::Missing,
        Some(profile) => match profile.profile_type {
            SeccompProfileType::Unconfined => Value::Enum(0, "UNCONFINED"),
            SeccompProfileType::RuntimeDefault => Value::Enum(1, "RUNTIME_DEFAULT"),
            SeccompProfileType::Localhost => Value::Enum(2, "LOCALHOST"),
        },
    })
}

pub(in crate::criterion) fn dropped_capabilities<'a>(container: &ContainerView<'a>) -> Value<'a> {
    of(container, |model| Value::list(&model.security_context.drop_capabilities))
}

pub(in crate::criterion) fn added_capabilities<'a>(container: &ContainerView<'a>) -> Value<'a> {
    of(container, |model| Value::list(&model.security_context.add_capabilities))
}

pub(in crate::criterion) fn app_armor<'a>(container: &ContainerView<'a>) -> Value<'a> {
    of(container, |model| Value::Text(&model.config.app_armor_profile))
}

pub(in crate::criterion) fn liveness_probe<'a>(container: &ContainerView<'a>) -> Value<'a> {
    of(container, |model| Value::Bool(model.liveness_probe.defined))
}

pub(in crate::criterion) fn readiness_probe<'a>(container: &ContainerView<'a>) -> Value<'a> {
    of(container, |model| Value::Bool(model.readiness_probe.defined))
}

pub(in crate::criterion) fn env(env: &EnvVar) -> Value<'_> {
    let source = match env.env_var_source {
        EnvSource::Unset => "UNSET",
        EnvSource::Raw => "RAW",
        EnvSource::SecretKey => "SECRET_KEY",
        EnvSource::ConfigMapKey => "CONFIG_MAP_KEY",
        EnvSource::Field => "FIELD",
        EnvSource::ResourceField => "RESOURCE_FIELD",
        EnvSource::Unknown => "UNKNOWN",
    };
    // Only a reference is shown: what is written in a manifest may be a password.
    let secret = matches!(env.env_var_source, EnvSource::Raw | EnvSource::Unset | EnvSource::Unknown);
    Value::Parts { parts: vec![source, &env.key, &env.value], secret }
}

pub(in crate::criterion) fn volume_name(volume: &Volume) -> Value<'_> {
    Value::Text(&volume.name)
}

pub(in crate::criterion) fn volume_source(volume: &Volume) -> Value<'_> {
    Value::Text(&volume.source)
}

pub(in crate::criterion) fn volume_destination(volume: &Volume) -> Value<'_> {
    Value::Text(&volume.destination)
}

pub(in crate::criterion) fn volume_type(volume: &Volume) -> Value<'_> {
    Value::Text(&volume.volume_type)
}

pub(in crate::criterion) fn writable(volume: &Volume) -> Value<'_> {
    Value::Bool(!volume.read_only)
}

/// Whether a mount of a path of the node is writable; other mounts have no value.
pub(in crate::criterion) fn writable_host_mount(volume: &Volume) -> Value<'_> {
    let host_path = "hostpath";
    let starts = volume.volume_type.chars().flat_map(char::to_lowercase).take(host_path.len());
    if starts.eq(host_path.chars()) { Value::Bool(!volume.read_only) } else { Value::Missing }
}

pub(in crate::criterion) fn mount_propagation(volume: &Volume) -> Value<'_> {
    match volume.mount_propagation {
        MountPropagation::None => Value::Enum(0, "NONE"),
        MountPropagation::HostToContainer => Value::Enum(1, "HOST_TO_CONTAINER"),
        MountPropagation::Bidirectional => Value::Enum(2, "BIDIRECTIONAL"),
    }
}
