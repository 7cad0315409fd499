//! Subjects, made of the pools that policies are made of. Every fact is known, but for some images' metadata or scan.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use lictor_engine::{Input, Occurrence};
use lictor_wire::{
    Ancestor, AppliedNetworkPolicies, AuditEvent, AuditStage, ClusterId, Container, ContainerRef,
    ContainerType, CosignVerification, Deployment, EnvSource, EnvVar, Exposure, ExposureLevel, FileEvent,
    FileOperation, FilePaths, ImageComponent, ImageFacts, ImageLayer, ImageMetadata, ImageName, ImageScan,
    MountPropagation, NetworkEvent, ObjectReference, PermissionLevel, PodRef, Port, ProcessEvent,
    RequestEvent, RequestOperation, SeccompProfile, SeccompProfileType, UserInfo, VerificationStatus, Volume,
    Vulnerability, VulnerabilitySeverity, VulnerabilityState,
};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::criteria::About;

/// Something to judge, with everything around it.
#[derive(Debug)]
pub(crate) struct Scene {
    cluster: ClusterId,
    happened: Happened,
    deployment: Option<Deployment>,
    images: Vec<ImageFacts>,
    cluster_labels: BTreeMap<String, String>,
    namespace_labels: BTreeMap<String, String>,
    deviates: bool,
}

#[derive(Debug)]
enum Happened {
    Image(Box<ImageFacts>),
    Deployment,
    Process(Box<ProcessEvent>),
    Network(Box<NetworkEvent>),
    Request(Box<RequestEvent>),
    File(Box<FileEvent>),
    Audit(Box<AuditEvent>),
}

impl Scene {
    /// Whether every image has facts from its registry and from a scanner.
    pub(crate) fn all_known(&self) -> bool {
        let own = match &self.happened {
            Happened::Image(facts) => Some(&**facts),
            _ => None,
        };
        self.images.iter().chain(own).all(|facts| facts.metadata.is_some() && facts.scan.is_some())
    }

    /// Everything, for whoever looks for a difference.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "happened": format!("{:?}", self.happened),
            "deployment": self.deployment,
            "images": self.images,
            "clusterLabels": self.cluster_labels,
            "namespaceLabels": self.namespace_labels,
            "deviates": self.deviates,
        })
    }

    /// Hands on the input.
    pub(crate) fn with<T>(&self, ask: impl FnOnce(&Input<'_>) -> T) -> T {
        let images: Vec<Option<&ImageFacts>> = self.images.iter().map(Some).collect();
        let occurrence = match &self.happened {
            Happened::Image(facts) => Occurrence::Image(facts),
            Happened::Deployment => Occurrence::Deployment,
            Happened::Process(event) => Occurrence::Process(event),
            Happened::Network(event) => Occurrence::Network(event),
            Happened::Request(event) => Occurrence::Request(event),
            Happened::File(event) => Occurrence::File(event),
            Happened::Audit(event) => Occurrence::Audit(event),
        };
        ask(&Input {
            cluster: &self.cluster,
            occurrence,
            deployment: self.deployment.as_ref(),
            images: &images,
            cluster_labels: Some(&self.cluster_labels),
            namespace_labels: Some(&self.namespace_labels),
            deviates: Some(self.deviates),
        })
    }
}

pub(crate) fn scene(about: About, now: Timestamp, rng: &mut StdRng) -> Scene {
    let mut make = Maker { rng, now };
    let needs_workload = !matches!(about, About::Image | About::NodeFile | About::Audit);
    let deployment = needs_workload.then(|| make.deployment());
    let images = deployment.iter().flat_map(|deployment| &deployment.containers);
    let images = images.map(|container| make.facts(&container.image.name)).collect();
    let happened = match about {
        About::Image => {
            let name = make.image_name();
            Happened::Image(Box::new(ImageFacts { names: vec![name.clone()], ..make.facts(&name) }))
        }
        About::Workload => Happened::Deployment,
        About::Process => Happened::Process(Box::new(make.process())),
        About::Network => {
            Happened::Network(Box::new(NetworkEvent { pod: Some(pod()), ..NetworkEvent::default() }))
        }
        About::Command => Happened::Request(Box::new(make.request())),
        About::File => Happened::File(Box::new(make.file(Some(pod())))),
        About::NodeFile => Happened::File(Box::new(make.file(None))),
        About::Audit => Happened::Audit(Box::new(make.audit())),
    };
    Scene {
        cluster: ClusterId::new("c1"),
        happened,
        deployment,
        images,
        cluster_labels: make.labels(),
        namespace_labels: make.labels(),
        deviates: make.yes(),
    }
}

fn pod() -> PodRef {
    PodRef { namespace: "shop".to_owned(), name: "web-1".to_owned(), ..PodRef::default() }
}

struct Maker<'r> {
    rng: &'r mut StdRng,
    now: Timestamp,
}

impl Maker<'_> {
    fn yes(&mut self) -> bool {
        self.rng.random_bool(0.5)
    }

    fn one<T: Copy>(&mut self, all: &[T]) -> T {
        *all.choose(self.rng).unwrap()
    }

    fn text(&mut self, all: &[&str]) -> String {
        self.one(all).to_owned()
    }

    fn some<T>(&mut self, most: usize, make: impl Fn(&mut Self) -> T) -> Vec<T> {
        let count = self.rng.random_range(0..=most);
        (0..count).map(|_| make(self)).collect()
    }

    fn few(&mut self, all: &[&str]) -> Vec<String> {
        all.iter().filter(|_| self.rng.random_bool(0.4)).map(|item| (*item).to_owned()).collect()
    }

    fn labels(&mut self) -> BTreeMap<String, String> {
        let keys = self.few(&["owner", "team", "tier"]);
        keys.into_iter().map(|key| (key, self.text(&["shop", "pay", "web", ""]))).collect()
    }

    fn time(&mut self) -> Option<Timestamp> {
        let days = self.one(&[None, Some(0), Some(5), Some(10), Some(11), Some(40)])?;
        let hours = self.one(&[0, 0, 1]);
        Some(self.now - SignedDuration::from_hours(24 * days + hours))
    }

    fn deployment(&mut self) -> Deployment {
        let count = self.one(&[0, 1, 2, 2, 2, 3]);
        let containers = (0..count).map(|i| self.container(["a", "b", "c"][i])).collect();
        Deployment {
            name: self.text(&["web", "api"]),
            kind: "Deployment".to_owned(),
            namespace: self.text(&["shop", "pay"]),
            labels: self.labels(),
            annotations: self.labels(),
            runtime_class: self.text(&["", "gvisor", "kata"]),
            host_network: self.yes(),
            host_pid: self.yes(),
            host_ipc: self.yes(),
            replicas: self.one(&[None, Some(0), Some(1), Some(3)]),
            service_account: self.text(&["default", "web"]),
            automount_service_account_token: self.yes(),
            service_account_permission_level: self.one(&[
                PermissionLevel::None,
                PermissionLevel::Default,
                PermissionLevel::ElevatedClusterWide,
                PermissionLevel::ClusterAdmin,
            ]),
            network_policies: Some(AppliedNetworkPolicies {
                has_ingress: self.yes(),
                has_egress: self.yes(),
                policies: Vec::new(),
            }),
            ports: self.some(3, Self::port),
            containers,
            ..Deployment::default()
        }
    }

    fn port(&mut self) -> Port {
        Port {
            container_port: self.one(&[22, 80, 8080]),
            protocol: self.text(&["TCP", "UDP"]),
            exposure_infos: self.some(2, |make| Exposure {
                level: make.one(&[
                    ExposureLevel::Unset,
                    ExposureLevel::External,
                    ExposureLevel::Node,
                    ExposureLevel::Host,
                    ExposureLevel::Internal,
                    ExposureLevel::Route,
                ]),
                node_port: make.one(&[0, 0, 30_000]),
                ..Exposure::default()
            }),
            ..Port::default()
        }
    }

    fn container(&mut self, name: &str) -> Container {
        let mut container = Container { name: name.to_owned(), ..Container::default() };
        container.container_type =
            self.one(&[ContainerType::Regular, ContainerType::Regular, ContainerType::Init]);
        container.image.name = self.image_name();
        let security = &mut container.security_context;
        security.privileged = self.yes();
        security.read_only_root_filesystem = self.yes();
        security.allow_privilege_escalation = self.yes();
        security.add_capabilities = self.few(&["SYS_ADMIN", "CHOWN", "NET_RAW"]);
        security.drop_capabilities = self.few(&["ALL", "NET_RAW", "CHOWN"]);
        let profile = self.one(&[
            None,
            Some(SeccompProfileType::Unconfined),
            Some(SeccompProfileType::RuntimeDefault),
            Some(SeccompProfileType::Localhost),
        ]);
        security.seccomp_profile =
            profile.map(|profile_type| SeccompProfile { profile_type, ..SeccompProfile::default() });
        container.config.app_armor_profile = self.text(&["", "unconfined", "runtime/default"]);
        container.config.env = self.some(2, |make| EnvVar {
            key: make.text(&["A", "TOKEN"]),
            value: make.text(&["x", "", "y"]),
            env_var_source: make.one(&[EnvSource::Raw, EnvSource::SecretKey]),
        });
        container.liveness_probe.defined = self.yes();
        container.readiness_probe.defined = self.yes();
        let amounts = [0.0, 0.1, 0.5, 128.0];
        container.resources.cpu_cores_request = self.one(&amounts);
        container.resources.cpu_cores_limit = self.one(&amounts);
        container.resources.memory_mb_request = self.one(&amounts);
        container.resources.memory_mb_limit = self.one(&amounts);
        container.volumes = self.some(3, |make| Volume {
            name: make.text(&["x", "y"]),
            source: make.text(&["/run/x.sock", "/etc/passwd", ""]),
            destination: make.text(&["/x", "/y"]),
            volume_type: make.text(&["HostPath", "EmptyDir"]),
            read_only: make.yes(),
            mount_propagation: make.one(&[
                MountPropagation::None,
                MountPropagation::HostToContainer,
                MountPropagation::Bidirectional,
            ]),
            ..Volume::default()
        });
        container
    }

    fn image_name(&mut self) -> ImageName {
        let registry = self.one(&["docker.io", "quay.io"]);
        let remote = self.one(&["library/nginx", "shop/web"]);
        let tag = self.one(&["latest", "1.2", ""]);
        let full_name = format!("{registry}/{remote}:{tag}");
        ImageName {
            registry: registry.to_owned(),
            remote: remote.to_owned(),
            tag: tag.to_owned(),
            digest: String::new(),
            full_name,
        }
    }

    fn facts(&mut self, name: &ImageName) -> ImageFacts {
        let signatures = self.some(2, |make| CosignVerification {
            verifier_id: make.text(&[
                "io.stackrox.signatureintegration.00000000-0000-0000-0000-000000000001",
                "io.stackrox.signatureintegration.00000000-0000-0000-0000-000000000002",
            ]),
            status: make.one(&[VerificationStatus::Verified, VerificationStatus::FailedVerification]),
            verified_references: if make.yes() { vec![name.full_name.clone()] } else { Vec::new() },
            ..CosignVerification::default()
        });
        ImageFacts {
            metadata: self.rng.random_bool(0.93).then(|| ImageMetadata {
                created: self.time(),
                user: self.text(&["root", "app", ""]),
                labels: self.labels(),
                layers: self.some(3, |make| ImageLayer {
                    instruction: make.text(&["RUN", "USER"]),
                    value: make.text(&["root", "curl x", ""]),
                    ..ImageLayer::default()
                }),
                ..ImageMetadata::default()
            }),
            scan: self.rng.random_bool(0.93).then(|| ImageScan {
                operating_system: self.text(&["debian:12", "alpine:3.20"]),
                scan_time: self.time(),
                components: self.some(2, Self::component),
                ..ImageScan::default()
            }),
            signatures: self.yes().then_some(signatures),
            ..ImageFacts::default()
        }
    }

    fn component(&mut self) -> ImageComponent {
        ImageComponent {
            name: self.text(&["openssl", "curl"]),
            version: self.text(&["3.0", "1.1"]),
            vulnerabilities: self.some(3, |make| Vulnerability {
                cve: make.text(&["CVE-1", "CVE-2"]),
                cvss: make.one(&[0.0, 7.0, 7.1, 9.8]),
                nvd_cvss: make.one(&[0.0, 7.0, 7.1, 9.8]),
                severity: make.one(&[
                    VulnerabilitySeverity::Unknown,
                    VulnerabilitySeverity::Low,
                    VulnerabilitySeverity::Important,
                    VulnerabilitySeverity::Critical,
                ]),
                fixed_by: make.one(&[None, Some(""), Some("1.2"), Some("2.0")]).map(str::to_owned),
                published_on: make.time(),
                fix_available: make.time(),
                first_image_occurrence: make.time(),
                first_system_occurrence: make.time(),
                suppressed: make.rng.random_bool(0.15),
                state: make.one(&[
                    VulnerabilityState::Observed,
                    VulnerabilityState::Observed,
                    VulnerabilityState::Observed,
                    VulnerabilityState::Deferred,
                ]),
                ..Vulnerability::default()
            }),
            ..ImageComponent::default()
        }
    }

    fn process(&mut self) -> ProcessEvent {
        ProcessEvent {
            name: self.text(&["sh", "bash", "nginx"]),
            args: self.text(&["", "-c curl x", "x"]),
            uid: Some(self.one(&[0, 5, 1000])),
            ancestors: self.some(2, |make| Ancestor {
                exec_file_path: make.text(&["/usr/bin/java", "/bin/sh"]),
                uid: None,
            }),
            pod: Some(pod()),
            container: Some(ContainerRef { name: self.text(&["a", "a", "b"]), ..ContainerRef::default() }),
            ..ProcessEvent::default()
        }
    }

    fn user(&mut self) -> UserInfo {
        UserInfo {
            username: self.text(&["bob", "Bobby", "alice", "system:serviceaccount:shop:web"]),
            groups: self.few(&["dev", "ops", "developers"]),
            ..UserInfo::default()
        }
    }

    fn request(&mut self) -> RequestEvent {
        let operations = [RequestOperation::Exec, RequestOperation::Attach, RequestOperation::PortForward];
        RequestEvent { operation: self.one(&operations), user: self.user(), ..RequestEvent::default() }
    }

    fn file(&mut self, pod: Option<PodRef>) -> FileEvent {
        let path = |make: &mut Self| make.text(&["/etc/passwd", "/etc/ssh/x", "/tmp/x", ""]);
        FileEvent {
            operation: self.one(&[
                FileOperation::Open,
                FileOperation::Create,
                FileOperation::Rename,
                FileOperation::AclChange,
                FileOperation::XattrSet,
            ]),
            file: FilePaths { actual: path(self), effective: path(self) },
            moved: self.yes().then(|| FilePaths { actual: path(self), effective: path(self) }),
            process: Some(Box::new(self.process())),
            pod,
            ..FileEvent::default()
        }
    }

    fn audit(&mut self) -> AuditEvent {
        let resource = self.one(&["secrets", "configmaps", "clusterroles", "networkpolicies"]);
        // Reading is recorded for secrets and config maps only.
        let readable = matches!(resource, "secrets" | "configmaps");
        let verb = if readable {
            self.one(&["get", "create", "delete"])
        } else {
            self.one(&["create", "delete", "patch"])
        };
        AuditEvent {
            verb: verb.to_owned(),
            stage: AuditStage::ResponseComplete,
            user: self.user(),
            impersonated_user: self.yes().then(UserInfo::default),
            source_ips: self.few(&["10.0.0.1", "10.0.0.10", "192.0.2.7"]),
            user_agent: self.text(&["kubectl/1", "go curl", ""]),
            object_ref: Some(ObjectReference {
                resource: resource.to_owned(),
                name: self.text(&["db", "db-1", "x", ""]),
                namespace: self.text(&["shop", "pay", ""]),
                ..ObjectReference::default()
            }),
            ..AuditEvent::default()
        }
    }
}
