//! What is judged, as a plain tree of structs, lists and leaves: StackRox's "augmented object".

use std::collections::BTreeMap;

use jiff::Timestamp;
use lictor_engine::{Input, Occurrence};
use lictor_wire::policy::FilteredContainerType;
use lictor_wire::{
    AuditEvent, Container, ContainerType, Deployment, EnvSource, ExposureLevel, FileEvent, FileOperation,
    ImageFacts, ImageName, MountPropagation, PermissionLevel, ProcessEvent, RequestOperation,
    SeccompProfileType, UserInfo, VerificationStatus, VulnerabilitySeverity, VulnerabilityState,
};

#[derive(Debug)]
pub(crate) enum Node {
    Null,
    Struct(Vec<(&'static str, Node)>),
    List(Vec<Node>),
    Leaf(Leaf),
}

#[derive(Debug)]
pub(crate) enum Leaf {
    Text(String),
    Int(i64),
    Uint(u64),
    /// Single precision, widened.
    Float(f64),
    Bool(bool),
    /// Number and lower-case name.
    Enum(i64, String),
    Time(Timestamp),
    /// The whole list is one leaf.
    Texts(Vec<String>),
    Map(BTreeMap<String, String>),
}

/// The process that was to be attached to a container is in none.
pub(crate) struct NoContainer;

/// The tree of an input without the containers that are left out.
pub(crate) fn of(input: &Input<'_>, skipped: &[FilteredContainerType]) -> Result<Node, NoContainer> {
    Ok(match input.occurrence {
        Occurrence::Image(facts) => Node::Struct(vec![("image", image(facts.names.first(), Some(facts)))]),
        Occurrence::Audit(event) => audit(event),
        Occurrence::File(event) if event.pod.is_none() => Node::Struct(vec![("file", file(event))]),
        occurrence => {
            let deployment = input.deployment.expect("every fact is known");
            let mut root = workload(deployment, input, skipped)?;
            match occurrence {
                Occurrence::File(event) => root.push(("file", file(event))),
                Occurrence::Network(_) => {
                    let deviates = input.deviates.expect("every fact is known");
                    root.push(("flow", Node::Struct(vec![("deviates", boolean(deviates))])));
                }
                Occurrence::Request(event) => {
                    let (number, name) = match event.operation {
                        RequestOperation::Exec => (2, "pods_exec"),
                        RequestOperation::PortForward => (3, "pods_portforward"),
                        RequestOperation::Attach => (10, "pods_attach"),
                        _ => (0, "unset"),
                    };
                    let mut event = user(&event.user);
                    event.push(("resource", Node::Leaf(Leaf::Enum(number, name.to_owned()))));
                    root.push(("event", Node::Struct(event)));
                }
                _ => {}
            }
            Node::Struct(root)
        }
    })
}

/// The tree of a process without its container's model.
pub(crate) fn of_process(input: &Input<'_>) -> Node {
    let Occurrence::Process(event) = input.occurrence else { return Node::Null };
    let mut process = running(event);
    process.push(("deviates", boolean(input.deviates.expect("every fact is known"))));
    let container = Node::Struct(vec![("process", Node::Struct(process))]);
    Node::Struct(vec![("containers", Node::List(vec![container]))])
}

fn text(text: &str) -> Node {
    Node::Leaf(Leaf::Text(text.to_owned()))
}

fn boolean(yes: bool) -> Node {
    Node::Leaf(Leaf::Bool(yes))
}

fn float(number: f32) -> Node {
    Node::Leaf(Leaf::Float(f64::from(number)))
}

fn time(time: Option<Timestamp>) -> Node {
    time.map_or(Node::Null, |time| Node::Leaf(Leaf::Time(time)))
}

fn named(number: i64, name: &str) -> Node {
    Node::Leaf(Leaf::Enum(number, name.to_owned()))
}

fn texts<'a>(items: impl IntoIterator<Item = &'a String>) -> Node {
    Node::Leaf(Leaf::Texts(items.into_iter().cloned().collect()))
}

fn joined(parts: &[&str]) -> Node {
    text(&parts.join("\t"))
}

fn list<T>(items: &[T], each: impl Fn(&T) -> Node) -> Node {
    Node::List(items.iter().map(each).collect())
}

fn workload(
    deployment: &Deployment,
    input: &Input<'_>,
    skipped: &[FilteredContainerType],
) -> Result<Vec<(&'static str, Node)>, NoContainer> {
    let process = match input.occurrence {
        Occurrence::Process(event) => Some(event),
        _ => None,
    };
    let home = process.map(|event| event.container.as_ref().map_or("", |container| &*container.name));
    let mut attached = false;
    let mut containers = Vec::new();
    for (i, model) in deployment.containers.iter().enumerate() {
        let out = match model.container_type {
            ContainerType::Regular => skipped.contains(&FilteredContainerType::Regular),
            ContainerType::Init => skipped.contains(&FilteredContainerType::Init),
            ContainerType::Ephemeral => false,
        };
        if out {
            continue;
        }
        let facts = input.images.get(i).copied().flatten();
        let mut node = container(model, facts);
        if !attached && home == Some(&*model.name) {
            attached = true;
            let mut running = running(process.expect("there is a home"));
            running.push(("deviates", boolean(input.deviates.expect("every fact is known"))));
            node.push(("process", Node::Struct(running)));
        }
        containers.push(Node::Struct(node));
    }
    if process.is_some() && !attached {
        return Err(NoContainer);
    }
    let policies = deployment.network_policies.as_ref().expect("every fact is known");
    let level = match deployment.service_account_permission_level {
        PermissionLevel::Unset => (0, "unset"),
        PermissionLevel::None => (1, "none"),
        PermissionLevel::Default => (2, "default"),
        PermissionLevel::ElevatedInNamespace => (3, "elevated_in_namespace"),
        PermissionLevel::ElevatedClusterWide => (4, "elevated_cluster_wide"),
        PermissionLevel::ClusterAdmin => (5, "cluster_admin"),
    };
    Ok(vec![
        ("annotations", Node::Leaf(Leaf::Map(deployment.annotations.clone()))),
        ("labels", Node::Leaf(Leaf::Map(deployment.labels.clone()))),
        ("runtimeClass", text(&deployment.runtime_class)),
        ("hostNetwork", boolean(deployment.host_network)),
        ("hostPid", boolean(deployment.host_pid)),
        ("hostIpc", boolean(deployment.host_ipc)),
        ("namespace", text(&deployment.namespace)),
        // The number is 0 for kinds that have none.
        ("replicas", Node::Leaf(Leaf::Int(deployment.replicas.unwrap_or(0)))),
        ("serviceAccount", text(&deployment.service_account)),
        ("automount", boolean(deployment.automount_service_account_token)),
        ("permissions", named(level.0, level.1)),
        ("hasIngress", boolean(policies.has_ingress)),
        ("hasEgress", boolean(policies.has_egress)),
        (
            "ports",
            list(&deployment.ports, |port| {
                Node::Struct(vec![
                    ("containerPort", Node::Leaf(Leaf::Int(i64::from(port.container_port)))),
                    ("protocol", text(&port.protocol)),
                    (
                        "exposures",
                        list(&port.exposure_infos, |exposure| {
                            let (number, name) = match exposure.level {
                                ExposureLevel::Unset => (0, "unset"),
                                ExposureLevel::External => (1, "external"),
                                ExposureLevel::Node => (2, "node"),
                                ExposureLevel::Internal => (3, "internal"),
                                ExposureLevel::Host => (4, "host"),
                                ExposureLevel::Route => (5, "route"),
                            };
                            Node::Struct(vec![
                                ("level", named(number, name)),
                                ("nodePort", Node::Leaf(Leaf::Int(i64::from(exposure.node_port)))),
                            ])
                        }),
                    ),
                ])
            }),
        ),
        ("containers", Node::List(containers)),
    ])
}

fn container(model: &Container, facts: Option<&ImageFacts>) -> Vec<(&'static str, Node)> {
    let security = &model.security_context;
    let seccomp =
        security.seccomp_profile.as_ref().map_or(Node::Null, |profile| match profile.profile_type {
            SeccompProfileType::Unconfined => named(0, "unconfined"),
            SeccompProfileType::RuntimeDefault => named(1, "runtime_default"),
            SeccompProfileType::Localhost => named(2, "localhost"),
        });
    vec![
        ("name", text(&model.name)),
        ("image", image(Some(&model.image.name), facts)),
        ("privileged", boolean(security.privileged)),
        ("readOnlyRoot", boolean(security.read_only_root_filesystem)),
        ("escalation", boolean(security.allow_privilege_escalation)),
        ("seccomp", seccomp),
        ("drop", texts(&security.drop_capabilities)),
        ("add", texts(&security.add_capabilities)),
        ("appArmor", text(&model.config.app_armor_profile)),
        ("liveness", boolean(model.liveness_probe.defined)),
        ("readiness", boolean(model.readiness_probe.defined)),
        ("cpuRequest", float(model.resources.cpu_cores_request)),
        ("cpuLimit", float(model.resources.cpu_cores_limit)),
        ("memoryRequest", float(model.resources.memory_mb_request)),
        ("memoryLimit", float(model.resources.memory_mb_limit)),
        (
            "env",
            list(&model.config.env, |env| {
                let source = match env.env_var_source {
                    EnvSource::Unset => "UNSET",
                    EnvSource::Raw => "RAW",
                    EnvSource::SecretKey => "SECRET_KEY",
                    EnvSource::ConfigMapKey => "CONFIG_MAP_KEY",
                    EnvSource::Field => "FIELD",
                    EnvSource::ResourceField => "RESOURCE_FIELD",
                    EnvSource::Unknown => "UNKNOWN",
                };
                Node::Struct(vec![("line", joined(&[source, &env.key, &env.value]))])
            }),
        ),
        (
            "volumes",
            list(&model.volumes, |volume| {
                let (number, name) = match volume.mount_propagation {
                    MountPropagation::None => (0, "none"),
                    MountPropagation::HostToContainer => (1, "host_to_container"),
                    MountPropagation::Bidirectional => (2, "bidirectional"),
                };
                Node::Struct(vec![
                    ("name", text(&volume.name)),
                    ("source", text(&volume.source)),
                    ("destination", text(&volume.destination)),
                    ("type", text(&volume.volume_type)),
                    ("readOnly", boolean(volume.read_only)),
                    ("propagation", named(number, name)),
                ])
            }),
        ),
    ]
}

fn image(name: Option<&ImageName>, facts: Option<&ImageFacts>) -> Node {
    let full = name.map_or("", |name| &*name.full_name);
    let part = |take: fn(&ImageName) -> &str| name.map_or(Node::Null, |name| text(take(name)));
    let mut node = vec![
        ("registry", part(|name| &name.registry)),
        ("remote", part(|name| &name.remote)),
        ("tag", part(|name| &name.tag)),
    ];
    let Some(facts) = facts else { return Node::Struct(node) };
    let verified = facts.signatures.iter().flatten().filter(|signature| {
        signature.status == VerificationStatus::Verified
            && signature.verified_references.iter().any(|reference| reference == full)
    });
    node.push(("verifiers", texts(verified.map(|signature| &signature.verifier_id))));
    node.push(("unscanned", boolean(facts.scan.is_none())));
    let metadata = facts.metadata.as_ref().map_or(Node::Null, |metadata| {
        Node::Struct(vec![
            ("created", time(metadata.created)),
            ("user", text(&metadata.user)),
            ("labels", Node::Leaf(Leaf::Map(metadata.labels.clone()))),
            (
                "layers",
                list(&metadata.layers, |layer| {
                    Node::Struct(vec![("line", joined(&[&layer.instruction, &layer.value]))])
                }),
            ),
        ])
    });
    node.push(("metadata", metadata));
    let scan = facts.scan.as_ref().map_or(Node::Null, |scan| {
        Node::Struct(vec![
            ("os", text(&scan.operating_system)),
            ("time", time(scan.scan_time)),
            (
                "components",
                list(&scan.components, |component| {
                    Node::Struct(vec![
                        ("line", joined(&[&component.name, &component.version])),
                        ("vulns", list(&component.vulnerabilities, vulnerability)),
                    ])
                }),
            ),
        ])
    });
    node.push(("scan", scan));
    Node::Struct(node)
}

fn vulnerability(vulnerability: &lictor_wire::Vulnerability) -> Node {
    let (number, name) = match vulnerability.severity {
        VulnerabilitySeverity::Unknown => (0, "unknown"),
        VulnerabilitySeverity::Low => (1, "low"),
        VulnerabilitySeverity::Moderate => (2, "moderate"),
        VulnerabilitySeverity::Important => (3, "important"),
        VulnerabilitySeverity::Critical => (4, "critical"),
    };
    Node::Struct(vec![
        ("cve", text(&vulnerability.cve)),
        ("cvss", float(vulnerability.cvss)),
        ("nvdCvss", float(vulnerability.nvd_cvss)),
        ("severity", named(number, name)),
        ("fixedBy", vulnerability.fixed_by.as_deref().map_or(Node::Null, text)),
        ("published", time(vulnerability.published_on)),
        ("fixAvailable", time(vulnerability.fix_available)),
        ("firstInImage", time(vulnerability.first_image_occurrence)),
        ("firstInSystem", time(vulnerability.first_system_occurrence)),
        ("suppressed", boolean(vulnerability.suppressed)),
        ("observed", boolean(vulnerability.state == VulnerabilityState::Observed)),
    ])
}

fn running(process: &ProcessEvent) -> Vec<(&'static str, Node)> {
    vec![
        ("name", text(&process.name)),
        ("args", text(&process.args)),
        ("uid", Node::Leaf(Leaf::Uint(u64::from(process.uid.expect("every fact is known"))))),
        (
            "lineage",
            list(&process.ancestors, |ancestor| Node::Struct(vec![("path", text(&ancestor.exec_file_path))])),
        ),
    ]
}

fn file(event: &FileEvent) -> Node {
    let moved = event.moved.clone().unwrap_or_default();
    let paths = [&event.file.actual, &event.file.effective, &moved.actual, &moved.effective];
    let operation = match event.operation {
        FileOperation::Unknown | FileOperation::Read => panic!("every fact is known"),
        FileOperation::Open => "OPEN",
        FileOperation::Create => "CREATE",
        FileOperation::Rename => "RENAME",
        FileOperation::Unlink => "UNLINK",
        FileOperation::OwnershipChange => "OWNERSHIP_CHANGE",
        FileOperation::PermissionChange | FileOperation::AclChange => "PERMISSION_CHANGE",
        FileOperation::XattrSet | FileOperation::XattrRemove => "XATTR_CHANGE",
    };
    let process = event.process.as_deref().expect("every fact is known");
    Node::Struct(vec![
        ("paths", texts(paths)),
        ("operation", text(operation)),
        ("process", Node::Struct(running(process))),
    ])
}

fn user(user: &UserInfo) -> Vec<(&'static str, Node)> {
    vec![("user", text(&user.username)), ("groups", texts(&user.groups))]
}

fn audit(event: &AuditEvent) -> Node {
    let object = event.object_ref.as_ref().expect("every fact is known");
    let (number, name) = match &*object.resource {
        "secrets" => (1, "secrets"),
        "configmaps" => (4, "configmaps"),
        "clusterroles" => (5, "cluster_roles"),
        "networkpolicies" => (7, "network_policies"),
        other => panic!("`{other}` is not generated"),
    };
    let verb = ["", "create", "delete", "get", "patch", "update"].iter().position(|verb| *verb == event.verb);
    let mut node = user(&event.user);
    node.extend([
        ("resource", named(number, name)),
        ("verb", named(i64::try_from(verb.expect("a verb")).unwrap(), &event.verb)),
        ("name", text(&object.name)),
        ("agent", text(&event.user_agent)),
        ("ips", texts(&event.source_ips)),
        ("impersonated", boolean(event.impersonated_user.is_some())),
    ]);
    Node::Struct(vec![("event", Node::Struct(node))])
}
