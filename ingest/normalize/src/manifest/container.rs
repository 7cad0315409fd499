//! Containers of a pod spec, with what they take from the pod where they set nothing themselves.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use lictor_wire::{
    Container, ContainerConfig, ContainerImage, ContainerPort, ContainerType, EnvSource, EnvVar, ImageName,
    Probe, Resources, SeccompProfile, SeccompProfileType, SecurityContext, SelinuxOptions,
};

use super::quantity::{cores, mebibytes};
use super::volume::Volumes;

type Annotations = BTreeMap<String, String>;

/// What containers take from around them.
pub(super) struct Surroundings<'a> {
    pub(super) spec: &'a core::PodSpec,
    /// Annotations of the workload object.
    pub(super) annotations: &'a Annotations,
    /// Annotations of its pod template.
    pub(super) pod_annotations: &'a Annotations,
}

/// All containers: init first, then regular, then ephemeral.
pub(super) fn all(around: &Surroundings<'_>) -> Vec<Container> {
    let spec = around.spec;
    let volumes = Volumes::of(spec);
    let init = spec.init_containers.iter().flatten().map(|c| (ContainerType::Init, c.clone()));
    let regular = spec.containers.iter().map(|c| (ContainerType::Regular, c.clone()));
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    let ephemeral = ephemeral.map(|c| (ContainerType::Ephemeral, as_container(c.clone())));
    init.chain(regular)
        .chain(ephemeral)
        .map(|(container_type, container)| model(container_type, container, &volumes, around))
        .collect()
}

/// What is read of an ephemeral container, which is a container but for the one it looks into.
fn as_container(ephemeral: core::EphemeralContainer) -> core::Container {
    core::Container {
        args: ephemeral.args,
        command: ephemeral.command,
        env: ephemeral.env,
        image: ephemeral.image,
        image_pull_policy: ephemeral.image_pull_policy,
        liveness_probe: ephemeral.liveness_probe,
        name: ephemeral.name,
        ports: ephemeral.ports,
        readiness_probe: ephemeral.readiness_probe,
        resources: ephemeral.resources,
        security_context: ephemeral.security_context,
        startup_probe: ephemeral.startup_probe,
        volume_mounts: ephemeral.volume_mounts,
        working_dir: ephemeral.working_dir,
        ..core::Container::default()
    }
}

fn model(
    container_type: ContainerType,
    container: core::Container,
    volumes: &Volumes,
    around: &Surroundings<'_>,
) -> Container {
    let own = container.security_context.clone().unwrap_or_default();
    let pod = around.spec.security_context.clone().unwrap_or_default();
    let (mounted, secrets) = volumes.mounted(container.volume_mounts.as_deref().unwrap_or_default());
    let name = container.image.as_deref().map(ImageName::parse).unwrap_or_default();
    let probe = |probe: &Option<core::Probe>| Probe { defined: probe.is_some() };
    Container {
        container_type,
        sidecar: container_type == ContainerType::Init
            && container.restart_policy.as_deref() == Some("Always"),
        image: ContainerImage {
            id: name.digest.clone(),
            name,
            pull_policy: container.image_pull_policy.unwrap_or_default(),
        },
        config: ContainerConfig {
            command: container.command.unwrap_or_default(),
            args: container.args.unwrap_or_default(),
            directory: container.working_dir.unwrap_or_default(),
            env: container.env.unwrap_or_default().into_iter().map(variable).collect(),
            uid: own.run_as_user.or(pod.run_as_user),
            gid: own.run_as_group.or(pod.run_as_group),
            run_as_non_root: own.run_as_non_root.or(pod.run_as_non_root),
            app_armor_profile: app_armor(&container.name, &own, &pod, around),
        },
        security_context: security_context(own, pod),
        volumes: mounted,
        secrets,
        resources: container.resources.as_ref().map(resources).unwrap_or_default(),
        ports: container.ports.unwrap_or_default().into_iter().map(port).collect(),
        liveness_probe: probe(&container.liveness_probe),
        readiness_probe: probe(&container.readiness_probe),
        startup_probe: probe(&container.startup_probe),
        name: container.name,
    }
}

/// StackRox reads the workload's own annotation alone; where that is not set, what the kubelet obeys is used.
fn app_armor(
    container: &str,
    own: &core::SecurityContext,
    pod: &core::PodSecurityContext,
    around: &Surroundings<'_>,
) -> String {
    let annotation = format!("container.apparmor.security.beta.kubernetes.io/{container}");
    around
        .annotations
        .get(&annotation)
        .cloned()
        .or_else(|| own.app_armor_profile.as_ref().map(profile))
        .or_else(|| around.pod_annotations.get(&annotation).cloned())
        .or_else(|| pod.app_armor_profile.as_ref().map(profile))
        .unwrap_or_default()
}

/// A profile as the annotation writes it.
fn profile(profile: &core::AppArmorProfile) -> String {
    match profile.type_.as_str() {
        "RuntimeDefault" => "runtime/default".to_owned(),
        "Unconfined" => "unconfined".to_owned(),
        _ => format!("localhost/{}", profile.localhost_profile.as_deref().unwrap_or_default()),
    }
}

fn security_context(own: core::SecurityContext, pod: core::PodSecurityContext) -> SecurityContext {
    let (add, drop) = own.capabilities.map(|c| (c.add, c.drop)).unwrap_or_default();
    SecurityContext {
        privileged: own.privileged.unwrap_or_default(),
        read_only_root_filesystem: own.read_only_root_filesystem.unwrap_or_default(),
        allow_privilege_escalation: own.allow_privilege_escalation.unwrap_or(true),
        add_capabilities: add.unwrap_or_default(),
        drop_capabilities: drop.unwrap_or_default(),
        seccomp_profile: own.seccomp_profile.or(pod.seccomp_profile).map(seccomp),
        selinux: own.se_linux_options.or(pod.se_linux_options).map(selinux),
        proc_mount: own.proc_mount.unwrap_or_default(),
        windows_host_process: own
            .windows_options
            .and_then(|windows| windows.host_process)
            .or_else(|| pod.windows_options.and_then(|windows| windows.host_process))
            .unwrap_or_default(),
    }
}

fn seccomp(profile: core::SeccompProfile) -> SeccompProfile {
    let profile_type = match profile.type_.as_str() {
        "Unconfined" => SeccompProfileType::Unconfined,
        "Localhost" => SeccompProfileType::Localhost,
        _ => SeccompProfileType::RuntimeDefault,
    };
    SeccompProfile { profile_type, localhost_profile: profile.localhost_profile.unwrap_or_default() }
}

fn selinux(options: core::SELinuxOptions) -> SelinuxOptions {
    SelinuxOptions {
        user: options.user.unwrap_or_default(),
        role: options.role.unwrap_or_default(),
        selinux_type: options.type_.unwrap_or_default(),
        level: options.level.unwrap_or_default(),
    }
}

/// A reference's text names what it refers to, in StackRox's words: policies match on them.
fn variable(variable: core::EnvVar) -> EnvVar {
    let (value, env_var_source) = match variable.value_from {
        None => (variable.value.unwrap_or_default(), EnvSource::Raw),
        Some(from) => reference(from),
    };
    EnvVar { key: variable.name, value, env_var_source }
}

fn reference(from: core::EnvVarSource) -> (String, EnvSource) {
    if let Some(at) = from.secret_key_ref {
        (format!("Refers to secret {:?} with key {:?}", at.name, at.key), EnvSource::SecretKey)
    } else if let Some(at) = from.config_map_key_ref {
        (format!("Refers to config map {:?} with key {:?}", at.name, at.key), EnvSource::ConfigMapKey)
    } else if let Some(at) = from.field_ref {
        (format!("Refers to field {:?}", at.field_path), EnvSource::Field)
    } else if let Some(at) = from.resource_field_ref {
        let container = at.container_name.unwrap_or_default();
        (
            format!("Refers to resource {:?} from container {container:?}", at.resource),
            EnvSource::ResourceField,
        )
    } else {
        ("Unknown environment value reference".to_owned(), EnvSource::Unknown)
    }
}

fn resources(resources: &core::ResourceRequirements) -> Resources {
    let of = |quantities: &Option<BTreeMap<String, Quantity>>, name: &str, read: fn(&Quantity) -> f32| {
        quantities.as_ref().and_then(|quantities| quantities.get(name)).map(read).unwrap_or_default()
    };
    Resources {
        cpu_cores_request: of(&resources.requests, "cpu", cores),
        cpu_cores_limit: of(&resources.limits, "cpu", cores),
        memory_mb_request: of(&resources.requests, "memory", mebibytes),
        memory_mb_limit: of(&resources.limits, "memory", mebibytes),
    }
}

fn port(port: core::ContainerPort) -> ContainerPort {
    ContainerPort {
        name: port.name.unwrap_or_default(),
        container_port: port.container_port,
        host_port: port.host_port.unwrap_or_default(),
        protocol: port.protocol.filter(|p| !p.is_empty()).unwrap_or_else(|| "TCP".to_owned()),
    }
}
