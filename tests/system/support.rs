//! What the system tests share: the real executable's processes, a made-up cluster, and counting by id.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use lictor_bus::{Bus, BusOptions};
use lictor_store::{AlertFilter, Ledger};
use lictor_tests::{NatsServer, end, free_address};
use lictor_wire::topology::{Role, Sizes, Topology};
use lictor_wire::{
    ClusterId, Deployment, DeploymentId, Entity, Event, EventData, EventId, PodId, PodRef, PolicyId,
    ProcessEvent, ViolationId, WorkloadRef,
};
use tokio::time::{Instant, sleep};

/// Cluster of the made-up events.
pub(crate) const CLUSTER: &str = "test";
/// Id of the policy that matches every process event.
pub(crate) const EVERY_PROCESS: &str = "11111111-1111-4111-8111-111111111111";

/// The executable under test.
pub(crate) fn lictor() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_lictor"))
}

/// A lictor process, killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) log: PathBuf,
}

impl Process {
    /// Starts `lictor ARGS --nats-url URL`, its log in `folder`.
    pub(crate) fn start(folder: &Path, name: &str, url: &str, args: &[&str]) -> Self {
        Self::run(Command::new(lictor()).args(args), folder, name, url)
    }

    fn run(command: &mut Command, folder: &Path, name: &str, url: &str) -> Self {
        let log = folder.join(format!("{name}-{}.log", Timestamp::now().as_nanosecond()));
        let file = std::fs::File::create(&log).unwrap();
        let child = command
            .args(["--nats-url", url, "--log-level", "warn", "--log-format", "text"])
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        end(&mut self.child);
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The most memory that it ever had resident, in MiB.
    pub(crate) fn most_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        let kibibytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kibibytes / 1024
    }

    /// Waits for its end; the exit code.
    pub(crate) async fn ended(&mut self, within: Duration) -> Option<i32> {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!(
            "still runs after {within:?}; log:\n{}",
            std::fs::read_to_string(&self.log).unwrap_or_default()
        );
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server as `lictor nats config` sets it up: TLS, and a user for each role.
pub(crate) struct SecureNats {
    pub(crate) server: NatsServer,
    folder: tempfile::TempDir,
}

impl SecureNats {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let configuration = |port: u16, directory: &Path| {
            let written = Command::new(lictor())
                .args(["nats", "config", "--listen", &format!("127.0.0.1:{port}"), "--out"])
                .arg(folder.path())
                .arg("--store-dir")
                .arg(directory.join("data"))
                .output()
                .unwrap();
            assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
            let text = std::fs::read_to_string(folder.path().join("nats-server.conf")).unwrap();
            // What a power cut would take matters to no test, and each waits for the disk otherwise.
            text.replace(r#""sync_interval": "always""#, r#""sync_interval": "2m""#)
        };
        Self { server: NatsServer::start_from(configuration).await, folder }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// The file with a role's private key.
    pub(crate) fn credentials(&self, role: Role) -> PathBuf {
        self.folder.path().join(format!("{}.nk", role.as_str()))
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// `lictor ARGS`, as the role's user.
    pub(crate) fn command(&self, role: Role, args: &[&str]) -> Command {
        let mut command = Command::new(lictor());
        command
            .args(args)
            .env("LICTOR_NATS_CREDENTIALS", self.credentials(role))
            .env("LICTOR_NATS_CA", self.ca());
        command
    }

    pub(crate) fn options(&self, role: Role, topology: Topology) -> BusOptions {
        BusOptions {
            role,
            credentials: Some(self.credentials(role)),
            ca: Some(self.ca()),
            ..BusOptions::new(&self.url(), topology, "test")
        }
    }

    /// Any client, as the role's user.
    pub(crate) async fn client(&self, role: Role, options: async_nats::ConnectOptions) -> async_nats::Client {
        let seed = std::fs::read_to_string(self.credentials(role)).unwrap();
        let options = options.custom_inbox_prefix(role.inbox()).add_root_certificates(self.ca());
        options.nkey(seed.trim().to_owned()).connect(self.url()).await.unwrap()
    }
}

/// A made-up cluster: a server, a folder, and the sizes its streams are made with.
pub(crate) struct Cluster {
    pub(crate) nats: SecureNats,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) sizes: Sizes,
    enforced: std::cell::Cell<bool>,
    api: std::net::SocketAddr,
}

impl Cluster {
    /// Starts a server and makes the streams with these sizes.
    pub(crate) async fn start(sizes: Sizes) -> Self {
        let cluster = Self {
            nats: SecureNats::start().await,
            folder: tempfile::tempdir().unwrap(),
            sizes,
            enforced: std::cell::Cell::new(false),
            api: free_address(),
        };
        drop(cluster.bus().await);
        cluster
    }

    /// Sizes that let a test see redelivery within seconds.
    pub(crate) fn quick() -> Sizes {
        Sizes { ack_wait: Duration::from_secs(2), ..Sizes::default() }
    }

    pub(crate) async fn bus(&self) -> Bus {
        let topology = Topology::new("lictor", self.sizes.clone()).unwrap();
        Bus::connect_new(self.nats.options(Role::Up, topology)).await.unwrap()
    }

    /// Where the store answers.
    pub(crate) fn api(&self) -> std::net::SocketAddr {
        self.api
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a role; flags that say how streams are made go along, so that whoever is first makes them alike.
    pub(crate) fn role(&self, name: &str, args: &[&str]) -> Process {
        let role = match args {
            ["ingest", ..] => Role::Ingest,
            ["evaluator", ..] => Role::Evaluator,
            ["enforcer", "admission", ..] => Role::Admission,
            ["enforcer", ..] => Role::Enforcer,
            ["store", ..] => Role::Store,
            ["policy", ..] => Role::Author,
            _ => Role::Viewer,
        };
        Process::run(&mut self.nats.command(role, args), self.folder.path(), name, &self.nats.url())
    }

    pub(crate) fn evaluator(&self) -> Process {
        self.role("evaluator", &["evaluator"])
    }

    pub(crate) fn store(&self) -> Process {
        let data = self.path("store");
        self.role("store", &["store", "--data", data.to_str().unwrap(), "--listen", &self.api.to_string()])
    }

    pub(crate) fn enforcer(&self) -> Process {
        self.enforced.set(true);
        self.role("enforcer", &["enforcer"])
    }

    /// Puts policies in force with the executable.
    pub(crate) async fn apply(&self, policies: &str) {
        let file = self.path("policies.json");
        std::fs::write(&file, policies).unwrap();
        let mut process = self.role("policy", &["policy", "apply", file.to_str().unwrap()]);
        let code = process.ended(Duration::from_secs(20)).await;
        assert_eq!(code, Some(0), "{}", std::fs::read_to_string(&process.log).unwrap());
    }

    /// Has the manifests of workloads read in, one per namespace.
    pub(crate) async fn ingest_workloads(&self, count: usize) {
        let manifests = self.path("workloads.yaml");
        std::fs::write(&manifests, (0..count).map(manifest).collect::<String>()).unwrap();
        let args = ["ingest", "--cluster", CLUSTER, "--manifests", manifests.to_str().unwrap()];
        let mut once = self.role("manifests", &args);
        assert_eq!(once.ended(Duration::from_secs(60)).await, Some(0), "{}", self.logs());
    }

    /// Waits until every consumer has nothing in hand and nothing waiting; verdicts only where an enforcer runs.
    pub(crate) async fn settled(&self, bus: &Bus, within: Duration) {
        let verdicts = bus.topology().stream_name(lictor_wire::topology::Stream::Verdicts);
        let deadline = Instant::now() + within;
        let mut calm = 0;
        let mut last = String::new();
        while Instant::now() < deadline {
            if let Ok(report) = bus.report().await {
                let waiting: Vec<String> = report
                    .consumers
                    .iter()
                    .filter(|consumer| self.enforced.get() || consumer.stream != verdicts)
                    .filter(|consumer| consumer.pending > 0 || consumer.in_flight > 0)
                    .map(|consumer| {
                        format!("{}: {}+{}", consumer.stream, consumer.pending, consumer.in_flight)
                    })
                    .collect();
                calm = if waiting.is_empty() { calm + 1 } else { 0 };
                last = waiting.join(", ");
            }
            // Twice in a row: a parked event is between two consumers for a moment.
            if calm >= 3 {
                return;
            }
            sleep(Duration::from_millis(200)).await;
        }
        panic!("not settled within {within:?}: {last}; logs: {}", self.logs());
    }

    /// Stops a store and opens what it wrote, once it has read everything there is.
    pub(crate) async fn ledger(&self, bus: &Bus, mut store: Process) -> Ledger {
        use lictor_wire::topology::Stream;
        let wanted = [Stream::Verdicts, Stream::Receipts, Stream::DeadLetters];
        let mut last = Vec::new();
        for stream in wanted {
            last.push(bus.last_sequence(stream).await.unwrap());
        }
        self.stored(bus, &wanted, &last).await;
        store.signal("TERM");
        store.ended(Duration::from_secs(20)).await;
        let ledger = Ledger::open(&self.path("store").join("ledger.redb")).unwrap();
        let logs = [lictor_store::Log::Verdicts, lictor_store::Log::Receipts, lictor_store::Log::DeadLetters];
        for (log, last) in logs.into_iter().zip(last) {
            // An evaluator that was paused may still repeat what another one did meanwhile.
            assert!(ledger.checkpoint(log).unwrap() >= last, "the store has not read all of {log:?}");
        }
        ledger
    }

    /// Waits until the store says that it has read these streams up to there.
    async fn stored(&self, bus: &Bus, streams: &[lictor_wire::topology::Stream], last: &[u64]) {
        let deadline = Instant::now() + Duration::from_secs(120);
        let url = format!("http://{}/v1/health", self.api);
        let names: Vec<String> = streams.iter().map(|stream| bus.topology().stream_name(*stream)).collect();
        let mut said = serde_json::Value::Null;
        while Instant::now() < deadline {
            if let Ok(answer) = reqwest::get(&url).await {
                said = answer.json().await.unwrap_or_default();
            }
            let read = |name: &String| {
                let logs = said["logs"].as_object()?;
                logs.values().find(|log| log["stream"] == **name)?["checkpoint"].as_u64()
            };
            if names.iter().zip(last).all(|(name, last)| read(name).is_some_and(|read| read >= *last)) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("the store has not read everything: {said}; logs: {}", self.logs());
    }

    /// The last lines of every log, for a failure's message.
    pub(crate) fn logs(&self) -> String {
        let mut text = String::new();
        for entry in std::fs::read_dir(self.folder.path()).unwrap().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "log") {
                let log = std::fs::read_to_string(entry.path()).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let end = lines
                    .iter()
                    .skip(lines.len().saturating_sub(5))
                    .copied()
                    .collect::<Vec<_>>()
                    .join("\n  ");
                let _ = write!(text, "\n{}:\n  {end}", entry.file_name().to_string_lossy());
            }
        }
        text
    }
}

/// A policy that matches every process event, as a person writes it.
pub(crate) fn every_process() -> String {
    policy(EVERY_PROCESS, "Every process", &["RUNTIME"], "DEPLOYMENT_EVENT", &[], &[("Process Name", ".*")])
}

/// A policy of one section.
pub(crate) fn policy(
    id: &str,
    name: &str,
    stages: &[&str],
    source: &str,
    actions: &[&str],
    groups: &[(&str, &str)],
) -> String {
    let groups: Vec<_> = groups
        .iter()
        .map(|(field, value)| serde_json::json!({"fieldName": field, "values": [{"value": value}]}))
        .collect();
    serde_json::json!({
        "id": id, "name": name, "severity": "HIGH_SEVERITY", "categories": ["Anomalous Activity"],
        "lifecycleStages": stages, "eventSource": source, "enforcementActions": actions, "policyVersion": "1.1",
        "policySections": [{"sectionName": "", "policyGroups": groups}],
    })
    .to_string()
}

/// A workload of the made-up cluster, one per namespace.
pub(crate) fn workload(number: usize) -> Deployment {
    Deployment {
        id: DeploymentId::new(format!("workload-{number}")),
        name: "web".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: format!("ns-{number}"),
        cluster_id: ClusterId::new(CLUSTER),
        service_account: "default".to_owned(),
        containers: vec![lictor_wire::Container { name: "web".to_owned(), ..Default::default() }],
        ..Deployment::default()
    }
}

/// A workload's manifest with its uid, as `kubectl get -o yaml` shows it.
pub(crate) fn manifest(number: usize) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: ns-{number}\n  uid: workload-{number}\n\
         spec:\n  replicas: 1\n  selector:\n    matchLabels: {{app: web}}\n  template:\n    metadata:\n      labels: {{app: web}}\n\
         \x20   spec:\n      containers:\n        - name: web\n          image: docker.io/library/nginx:1.27\n"
    )
}

/// The n-th process event, of one of `namespaces` workloads.
pub(crate) fn process(number: usize, namespaces: usize) -> Event {
    let namespace = number % namespaces;
    Event {
        id: EventId::new(format!("process-{number}")),
        source: "/test".to_owned(),
        time: Timestamp::now(),
        cluster: ClusterId::new(CLUSTER),
        traceparent: None,
        extensions: BTreeMap::new(),
        data: EventData::Process(Box::new(ProcessEvent {
            name: "sh".to_owned(),
            exec_file_path: "/bin/sh".to_owned(),
            args: format!("-c {number}"),
            uid: Some(0),
            pod: Some(PodRef {
                namespace: format!("ns-{namespace}"),
                name: format!("web-{namespace}"),
                uid: PodId::new(format!("pod-{namespace}")),
                workload: Some(WorkloadRef { kind: "Deployment".to_owned(), name: "web".to_owned() }),
                ..PodRef::default()
            }),
            container: Some(lictor_wire::ContainerRef { name: "web".to_owned(), ..Default::default() }),
            ..ProcessEvent::default()
        })),
    }
}

/// The violation that the n-th process event is of the policy that matches every one, published as it is.
pub(crate) fn violation(number: usize, namespaces: usize) -> ViolationId {
    violation_of(&process(number, namespaces).id, number % namespaces)
}

/// The same of an event that ingest read from a file and gave an id of its own.
pub(crate) fn violation_read(number: usize, namespaces: usize) -> ViolationId {
    violation_of(&process(number, namespaces).outside_id().unwrap(), number % namespaces)
}

/// The violation that an event of a workload is of that policy.
pub(crate) fn violation_of(event: &EventId, namespace: usize) -> ViolationId {
    let entity = Entity::Deployment {
        id: DeploymentId::new(format!("workload-{namespace}")),
        name: String::new(),
        kind: String::new(),
        namespace: String::new(),
        cluster: ClusterId::new(CLUSTER),
        pod: None,
        annotations: BTreeMap::new(),
    };
    ViolationId::of(event, &entity.key(), &PolicyId::new(EVERY_PROCESS))
}

/// Compares ids and counts: everything published was judged once, and nothing twice. Prints the counts.
pub(crate) fn compare(title: &str, ledger: &Ledger, expected: impl Iterator<Item = ViolationId>) {
    let expected: BTreeSet<ViolationId> = expected.collect();
    let found: BTreeSet<ViolationId> = ledger.violation_ids().unwrap();
    let (missing, extra) = (expected.difference(&found).count(), found.difference(&expected).count());
    let counted: u64 = alerts(ledger).iter().map(|(_, count)| count).sum();
    let dead = ledger.totals().unwrap().dead_letters;
    println!(
        "{title}: published {} = judged {} + dead {dead}; missing {missing}, unexpected {extra}, counted in alerts {counted}",
        expected.len() as u64 + dead,
        found.len(),
    );
    assert_eq!((missing, extra), (0, 0), "{title}");
    assert_eq!(counted, expected.len() as u64, "{title}: an event counts in its alert exactly once");
}

/// Every alert's state and count, by policy and entity.
pub(crate) fn alerts(ledger: &Ledger) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = ledger.alerts(&AlertFilter::default(), after.as_ref(), 500).unwrap();
        for alert in page.items {
            let name = format!("{} {} {:?}", alert.policy.name, alert.entity.key(), alert.state);
            found.push((name, alert.count));
        }
        match page.next {
            Some(next) => after = Some(next.parse().unwrap()),
            None => return found,
        }
    }
}
