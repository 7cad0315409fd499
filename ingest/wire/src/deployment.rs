//! The one model every workload kind is normalised to. Field names follow StackRox's where it has the field.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::json::{is_default, null_as_default};
use crate::{ClusterId, DeploymentId, ImageName};

/// A workload was seen, changed or deleted. Its model is in `lictor-deployments` before this event is published.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentEvent {
    /// What happened to it.
    pub change: DeploymentChange,
    /// The workload; after its deletion, its last state.
    pub deployment: Deployment,
    /// The bucket's revision of the model this event announces; 0 when it came with the event alone.
    #[serde(skip_serializing_if = "is_default")]
    pub revision: u64,
}

/// What happened to a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeploymentChange {
    /// It was there when the source started to look.
    #[default]
    Seen,
    /// It was created.
    Created,
    /// It was changed.
    Updated,
    /// It was deleted.
    Deleted,
}

/// A top-level workload of any kind.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Deployment {
    /// Kubernetes UID, or a fingerprint where a manifest has none.
    pub id: DeploymentId,
    /// Name.
    pub name: String,
    /// Kubernetes kind, such as `StatefulSet`.
    pub kind: String,
    /// API group and version, such as `apps/v1`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Namespace; `default` where a manifest names none.
    pub namespace: String,
    /// The cluster.
    #[serde(skip_serializing_if = "ClusterId::is_empty")]
    pub cluster_id: ClusterId,
    /// The object's resource version; empty where a manifest has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// The object's generation; 0 where a manifest has none.
    #[serde(skip_serializing_if = "is_default")]
    pub generation: i64,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Whether its deletion has begun.
    #[serde(skip_serializing_if = "is_default")]
    pub deleting: bool,
    /// The workload object's own labels, not its pods'.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub labels: BTreeMap<String, String>,
    /// The workload object's own annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub annotations: BTreeMap<String, String>,
    /// Labels of the pod template.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub pod_labels: BTreeMap<String, String>,
    /// Annotations of the pod template.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub pod_annotations: BTreeMap<String, String>,
    /// Which pods it owns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// Wanted pods; for a DaemonSet the number available; absent for kinds that have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i64>,
    /// Whether a Job or CronJob is suspended: it creates no pods. No criterion reads this and the next two; they say
    /// whether an update makes more pods.
    #[serde(skip_serializing_if = "is_default")]
    pub suspended: bool,
    /// Pods that a Job, or each Job of a CronJob, runs at once; absent when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<i64>,
    /// Pods of a Job, or of each Job of a CronJob, that must succeed; absent when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completions: Option<i64>,
    /// Who owns it, as the object says; nothing is exempt by this alone.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub owners: Vec<OwnerReference>,
    /// Uses the node's network.
    #[serde(skip_serializing_if = "is_default")]
    pub host_network: bool,
    /// Uses the node's process ids.
    #[serde(rename = "hostPid", skip_serializing_if = "is_default")]
    pub host_pid: bool,
    /// Uses the node's IPC.
    #[serde(rename = "hostIpc", skip_serializing_if = "is_default")]
    pub host_ipc: bool,
    /// Whether the pod is outside a user namespace; absent when the manifest does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_users: Option<bool>,
    /// Containers of the pod see each other's processes.
    #[serde(skip_serializing_if = "is_default")]
    pub share_process_namespace: bool,
    /// Runtime class; empty when unset.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime_class: String,
    /// Priority class; empty when unset.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub priority_class: String,
    /// Restart policy; empty when unset.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub restart_policy: String,
    /// Node selector of the pod.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub tolerations: Vec<Toleration>,
    /// Service account; `default` when unset.
    pub service_account: String,
    /// Whether its token is mounted; true unless something says otherwise.
    pub automount_service_account_token: bool,
    /// Names of pull secrets.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub image_pull_secrets: Vec<String>,
    /// The most its service account may do; [`PermissionLevel::Unset`] when that is unknown.
    #[serde(skip_serializing_if = "is_default")]
    pub service_account_permission_level: PermissionLevel,
    /// Container ports and what selects them.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub ports: Vec<Port>,
    /// Network policies that select its pods; absent when that is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_policies: Option<AppliedNetworkPolicies>,
    /// Pod-level `fsGroup`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fs_group: Option<i64>,
    /// Pod-level sysctls.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub sysctls: BTreeMap<String, String>,
    /// Init containers first, then regular ones, then ephemeral ones.
    #[serde(deserialize_with = "null_as_default")]
    pub containers: Vec<Container>,
}

/// Which pods something selects.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels that must be there with that value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub match_labels: BTreeMap<String, String>,
    /// Further conditions, all of which must hold.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// One condition of a selector.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelectorRequirement {
    /// Label key.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// Values.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub values: Vec<String>,
}

/// An owner as the object names it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// API group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Whether it claims to be the managing controller.
    #[serde(skip_serializing_if = "is_default")]
    pub controller: bool,
}

/// A toleration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Toleration {
    /// Taint key; empty tolerates every key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// `Exists` or `Equal`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operator: String,
    /// Taint value.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// Taint effect; empty tolerates every effect.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub effect: String,
}

/// What a service account may do at the most, in StackRox's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PermissionLevel {
    /// Nobody looked.
    #[default]
    Unset,
    /// Nothing.
    None,
    /// What every account may.
    Default,
    /// More, in one namespace.
    ElevatedInNamespace,
    /// More, everywhere.
    ElevatedClusterWide,
    /// Everything.
    ClusterAdmin,
}

/// A port of the workload.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Port {
    /// Name; empty when unnamed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Port in the container.
    pub container_port: i32,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The widest exposure.
    #[serde(skip_serializing_if = "is_default")]
    pub exposure: ExposureLevel,
    /// What exposes it.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub exposure_infos: Vec<Exposure>,
}

/// One way in which a port is reached.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Exposure {
    /// How widely.
    pub level: ExposureLevel,
    /// The service; empty for a host port.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service_name: String,
    /// The service's port.
    #[serde(skip_serializing_if = "is_default")]
    pub service_port: i32,
    /// Port on the node; 0 when none.
    #[serde(skip_serializing_if = "is_default")]
    pub node_port: i32,
    /// Addresses of a load balancer.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub external_ips: Vec<String>,
    /// Names of a load balancer or route.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub external_hostnames: Vec<String>,
}

/// How widely a port is exposed. The numbers behind the names are StackRox's; its order of width is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExposureLevel {
    /// Nothing exposes it.
    #[default]
    Unset,
    /// A load balancer.
    External,
    /// A node port.
    Node,
    /// A host port.
    Host,
    /// A cluster IP.
    Internal,
    /// An OpenShift route.
    Route,
}

/// What network policies do for a workload.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppliedNetworkPolicies {
    /// Some policy restricts what comes in.
    pub has_ingress: bool,
    /// Some policy restricts what goes out.
    pub has_egress: bool,
    /// The policies.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub policies: Vec<NetworkPolicyRef>,
}

/// A network policy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicyRef {
    /// UID.
    pub id: String,
    /// Name.
    pub name: String,
}

/// A container of the pod template.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Name.
    pub name: String,
    /// Which list of the pod spec it is in.
    #[serde(rename = "type", skip_serializing_if = "is_default")]
    pub container_type: ContainerType,
    /// An init container that goes on running beside the regular ones.
    #[serde(skip_serializing_if = "is_default")]
    pub sidecar: bool,
    /// Image.
    pub image: ContainerImage,
    /// Command, environment, user.
    #[serde(skip_serializing_if = "is_default")]
    pub config: ContainerConfig,
    /// Security context.
    pub security_context: SecurityContext,
    /// One entry per mount; mounts of secrets are in [`Container::secrets`].
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub volumes: Vec<Volume>,
    /// Mounts of secrets. StackRox's volume criteria do not see them.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub secrets: Vec<Volume>,
    /// Requests and limits.
    #[serde(skip_serializing_if = "is_default")]
    pub resources: Resources,
    /// Ports.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub ports: Vec<ContainerPort>,
    /// Liveness probe.
    #[serde(skip_serializing_if = "is_default")]
    pub liveness_probe: Probe,
    /// Readiness probe.
    #[serde(skip_serializing_if = "is_default")]
    pub readiness_probe: Probe,
    /// Startup probe.
    #[serde(skip_serializing_if = "is_default")]
    pub startup_probe: Probe,
}

/// Which list of the pod spec a container is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ContainerType {
    /// `containers`.
    #[default]
    Regular,
    /// `initContainers`.
    Init,
    /// `ephemeralContainers`.
    Ephemeral,
}

/// The image a container runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerImage {
    /// The digest, `sha256:…`, from the reference or from the running pods; empty while unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The reference, parsed.
    pub name: ImageName,
    /// Pull policy; empty when unset.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pull_policy: String,
}

/// What a container runs, and as which user.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerConfig {
    /// Command.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub command: Vec<String>,
    /// Arguments.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub args: Vec<String>,
    /// Working directory.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub directory: String,
    /// Environment variables.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub env: Vec<EnvVar>,
    /// `runAsUser`, the container's or else the pod's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<i64>,
    /// `runAsGroup`, the container's or else the pod's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<i64>,
    /// `runAsNonRoot`, the container's or else the pod's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_non_root: Option<bool>,
    /// AppArmor profile; empty when none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub app_armor_profile: String,
}

/// An environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvVar {
    /// Name.
    pub key: String,
    /// The value; for a reference a short text that names what it refers to, never the resolved value.
    pub value: String,
    /// Where the value comes from.
    pub env_var_source: EnvSource,
}

/// Where the value of an environment variable comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EnvSource {
    /// Not said.
    #[default]
    Unset,
    /// Written in the manifest.
    Raw,
    /// A secret's key.
    SecretKey,
    /// A config map's key.
    ConfigMapKey,
    /// A field of the pod.
    Field,
    /// A resource of a container.
    ResourceField,
    /// A source not listed here.
    Unknown,
}

/// A container's security context, with the pod's where the container has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecurityContext {
    /// Privileged.
    #[serde(skip_serializing_if = "is_default")]
    pub privileged: bool,
    /// Root file system cannot be written.
    #[serde(skip_serializing_if = "is_default")]
    pub read_only_root_filesystem: bool,
    /// Can gain more privileges than its parent; true when unset, as the kernel has it.
    pub allow_privilege_escalation: bool,
    /// Capabilities added, as written.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub add_capabilities: Vec<String>,
    /// Capabilities dropped, as written.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub drop_capabilities: Vec<String>,
    /// Seccomp profile; absent when neither container nor pod names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp_profile: Option<SeccompProfile>,
    /// SELinux options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selinux: Option<SelinuxOptions>,
    /// `procMount`; empty when unset.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub proc_mount: String,
    /// Runs as a process of a Windows host.
    #[serde(skip_serializing_if = "is_default")]
    pub windows_host_process: bool,
}

/// A seccomp profile.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SeccompProfile {
    /// Type.
    #[serde(rename = "type")]
    pub profile_type: SeccompProfileType,
    /// File on the node, for a local profile.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub localhost_profile: String,
}

/// Type of a seccomp profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SeccompProfileType {
    /// None.
    #[default]
    Unconfined,
    /// The runtime's.
    RuntimeDefault,
    /// A file on the node.
    Localhost,
}

/// SELinux options.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SelinuxOptions {
    /// User.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Role.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub role: String,
    /// Type.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub selinux_type: String,
    /// Level.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub level: String,
}

/// One mount of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Volume {
    /// The volume's name in the pod spec.
    pub name: String,
    /// What is mounted: a path, a claim, a config map; empty where the type has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Where it is mounted.
    pub destination: String,
    /// Type, such as `HostPath`; `unknown` for one that StackRox does not list.
    #[serde(rename = "type")]
    pub volume_type: String,
    /// Mounted read-only.
    #[serde(skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// Mount propagation.
    #[serde(skip_serializing_if = "is_default")]
    pub mount_propagation: MountPropagation,
    /// `subPath` or `subPathExpr`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sub_path: String,
}

/// How mounts made later are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MountPropagation {
    /// Not at all.
    #[default]
    None,
    /// Those of the node, in the container.
    HostToContainer,
    /// Both ways.
    Bidirectional,
}

/// Requests and limits; 0 when unset. Single precision as StackRox stores them: comparisons on the widened value
/// depend on it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// Requested CPU, in cores.
    pub cpu_cores_request: f32,
    /// CPU limit, in cores.
    pub cpu_cores_limit: f32,
    /// Requested memory, in MiB.
    pub memory_mb_request: f32,
    /// Memory limit, in MiB.
    pub memory_mb_limit: f32,
}

/// A port a container declares.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    /// Name; empty when unnamed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Port in the container.
    pub container_port: i32,
    /// Port on the node; 0 when none.
    #[serde(skip_serializing_if = "is_default")]
    pub host_port: i32,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
}

/// Whether a probe is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Probe {
    /// It is.
    pub defined: bool,
}

impl Default for SecurityContext {
    fn default() -> Self {
        Self {
            privileged: false,
            read_only_root_filesystem: false,
            allow_privilege_escalation: true,
            add_capabilities: Vec::new(),
            drop_capabilities: Vec::new(),
            seccomp_profile: None,
            selinux: None,
            proc_mount: String::new(),
            windows_host_process: false,
        }
    }
}

impl Deployment {
    /// The id of a workload whose manifest has no UID.
    pub fn id_without_uid(cluster: &ClusterId, namespace: &str, kind: &str, name: &str) -> DeploymentId {
        crate::Fingerprint::new("deployment").part(cluster).part(namespace).part(kind).part(name).into()
    }

    /// The digests its containers run, each once, unknown ones left out.
    pub fn digests(&self) -> impl Iterator<Item = &str> {
        let images = self.containers.iter().map(|container| container.image.id.as_str());
        images.enumerate().filter_map(|(i, digest)| {
            let known = !digest.is_empty();
            let first = self.containers.iter().take(i).all(|before| before.image.id != digest);
            (known && first).then_some(digest)
        })
    }
}
