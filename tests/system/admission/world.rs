//! A control plane, a bus, every role, and kubectl.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lictor_tests::{ControlPlane, ControlPlaneOptions, Kubelet, free_address};
use serde_json::Value;

use crate::support::{Cluster, Process};

/// How long something that follows by itself may take.
const EVENTUALLY: Duration = Duration::from_secs(30);

pub(super) struct World {
    pub(super) cluster: Cluster,
    pub(super) control_plane: ControlPlane,
    pub(super) address: SocketAddr,
    pub(super) admission: RefCell<Option<Process>>,
    _kubelet: Kubelet,
    _others: Vec<Process>,
}

/// What kubectl said.
#[derive(Debug)]
pub(super) struct Said {
    ok: bool,
    out: String,
    text: String,
}

impl World {
    pub(super) async fn start() -> Self {
        let cluster = Cluster::start(Cluster::quick()).await;
        let audit = free_address();
        let webhook = Some(format!("http://{audit}/"));
        let control_plane = ControlPlane::start_with(ControlPlaneOptions { audit_webhook: webhook }).await;
        let kubelet = control_plane.kubelet("node-1");
        cluster.apply(include_str!("policies.json")).await;
        let audit = audit.to_string();
        let others = vec![
            cluster.store(),
            cluster.evaluator(),
            cluster.role("ingest", &["ingest", "--cluster", "test", "--audit-webhook", &audit]),
        ];
        let world = Self {
            cluster,
            control_plane,
            address: free_address(),
            admission: RefCell::new(None),
            _kubelet: kubelet,
            _others: others,
        };
        world.ask("create namespace lictor").allowed().unwrap();
        world.start_admission();
        world
    }

    // --- admission ---

    /// Starts admission and waits until the API server asks it.
    pub(super) fn start_admission(&self) {
        *self.admission.borrow_mut() = Some(self.another_admission("nats", self.address, &[]));
        self.eventually("admission is asked", || self.privileged("default", "asked").denied(&[])).unwrap();
    }

    /// An admission process with its own address.
    pub(super) fn another_admission(&self, bus: &str, address: SocketAddr, more: &[&str]) -> Process {
        let (listen, url) = (address.to_string(), format!("https://{address}"));
        let copy = self.cluster.path("policy-copy.json");
        let (kubeconfig, authority) = (self.control_plane.kubeconfig(), self.control_plane.authority());
        let mut args = vec![
            "enforcer",
            "admission",
            "--listen",
            &listen,
            "--webhook-url",
            &url,
            "--cluster",
            "test",
            "--kubeconfig",
            kubeconfig.to_str().unwrap(),
            "--failure-policy",
            "fail",
            "--certificate-secret",
            "lictor/lictor-admission",
            "--lease",
            "lictor/lictor-admission",
            "--policy-copy",
            copy.to_str().unwrap(),
            "--client-authorities",
            authority.to_str().unwrap(),
        ];
        args.extend(more);
        match bus {
            "nats" => self.cluster.role("admission", &args),
            nowhere => Process::start(self.cluster.folder.path(), "admission", nowhere, &args),
        }
    }

    /// Ends admission as Kubernetes does, and waits for its end.
    pub(super) fn stop_admission(&self) -> Result<(), String> {
        let Some(mut admission) = self.admission.borrow_mut().take() else { return Ok(()) };
        admission.signal("TERM");
        let ended = tokio::runtime::Handle::current().block_on(admission.ended(EVENTUALLY));
        if ended == Some(0) { Ok(()) } else { Err(format!("admission ended with {ended:?}")) }
    }

    // --- kubectl ---

    /// Runs `kubectl ARGS`, the arguments separated by spaces.
    pub(super) fn ask(&self, args: &str) -> Said {
        self.ask_with(args, "")
    }

    /// Runs `kubectl ARGS` with something on its standard input.
    pub(super) fn ask_with(&self, args: &str, input: &str) -> Said {
        let args: Vec<&str> = args.split_whitespace().collect();
        let answered = self.control_plane.run_kubectl(&args, input);
        Said { ok: answered.ok, out: answered.out, text: answered.err }
    }

    /// Creates a namespace, unless it is there.
    pub(super) fn namespace(&self, name: &str) -> Result<(), String> {
        let said = self.ask(&format!("create namespace {name}"));
        if !said.ok && !said.text.contains("AlreadyExists") {
            return Err(said.text);
        }
        // Pods need it; the controller makes it.
        let account = || self.ask(&format!("-n {name} get serviceaccount default")).allowed();
        self.eventually("the service account of the namespace", account)
    }

    /// Asks for a pod without leaving it there.
    pub(super) fn privileged(&self, namespace: &str, name: &str) -> Said {
        let pod = pod(
            name,
            r#""containers":[{"name":"c","image":"shop/web:1","securityContext":{"privileged":true}}]"#,
        );
        self.ask_with(&format!("-n {namespace} create --dry-run=server -f -"), &pod)
    }

    // --- the store ---

    /// What the store's API says.
    pub(super) fn store(&self, path: &str) -> Value {
        let url = format!("http://{}{path}", self.cluster.api());
        let runtime = tokio::runtime::Handle::current();
        runtime.block_on(async { reqwest::get(url).await.unwrap().json().await.unwrap() })
    }

    /// Waits until the store has an alert of a policy for which `holds`.
    pub(super) fn alert(&self, policy: &str, holds: impl Fn(&Value) -> bool) -> Result<Value, String> {
        let mut last = Value::Null;
        let found = self.eventually(policy, || {
            let alerts = self.store("/v1/alerts?limit=500");
            for summary in alerts["alerts"].as_array().into_iter().flatten() {
                if summary["policy"]["name"] == policy {
                    let alert = self.store(&format!("/v1/alerts/{}", summary["id"].as_str().unwrap()));
                    let found = holds(&alert);
                    last = alert;
                    if found {
                        return Ok(());
                    }
                }
            }
            Err("no such alert".to_owned())
        });
        match found {
            Ok(()) => Ok(last),
            Err(problem) => Err(format!("{problem}; the last one was {last}")),
        }
    }

    // --- waiting ---

    pub(super) fn eventually(
        &self,
        what: &str,
        mut holds: impl FnMut() -> Result<(), String>,
    ) -> Result<(), String> {
        let deadline = Instant::now() + EVENTUALLY;
        loop {
            let Err(problem) = holds() else { return Ok(()) };
            if Instant::now() > deadline {
                return Err(format!("{what} did not come about: {problem}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(super) fn logs(&self) -> String {
        self.cluster.logs()
    }
}

impl Said {
    /// It went through.
    pub(super) fn allowed(self) -> Result<(), String> {
        if self.ok { Ok(()) } else { Err(format!("should have been allowed: {}", self.text)) }
    }

    /// What it wrote.
    pub(super) fn output(self) -> Result<String, String> {
        if self.ok { Ok(self.out) } else { Err(self.text) }
    }

    /// It went through, and nothing was said about it.
    pub(super) fn quiet(self) -> Result<(), String> {
        if self.ok && !self.text.contains("Warning:") { Ok(()) } else { Err(self.text) }
    }

    /// It went through, with these words among the warnings.
    pub(super) fn warned(self, words: &[&str]) -> Result<(), String> {
        if !self.ok || !self.text.contains("Warning:") {
            return Err(format!("should have been allowed with a warning: {}", self.text));
        }
        self.says(words)
    }

    /// It was denied by admission, with these words.
    pub(super) fn denied(self, words: &[&str]) -> Result<(), String> {
        if self.ok || !self.text.contains("lictor.io") || !self.text.contains("denied the request") {
            return Err(format!("should have been denied: {}", self.text));
        }
        self.says(words)
    }

    /// It was refused by somebody else, with these words.
    pub(super) fn refused(self, words: &[&str]) -> Result<(), String> {
        if self.ok || self.text.contains("denied the request") {
            return Err(format!("should have been refused otherwise: {}", self.text));
        }
        self.says(words)
    }

    fn says(&self, words: &[&str]) -> Result<(), String> {
        let mut missing = String::new();
        for word in words.iter().filter(|word| !self.text.contains(**word)) {
            let _ = write!(missing, " `{word}`");
        }
        if missing.is_empty() { Ok(()) } else { Err(format!("does not say{missing}: {}", self.text)) }
    }
}

// === objects ===

/// A pod, as JSON; `spec` is its spec.
pub(super) fn pod(name: &str, spec: &str) -> String {
    format!(r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}"}},"spec":{{{spec}}}}}"#)
}

/// A workload of a kind of `apps/v1`.
pub(super) fn workload(kind: &str, name: &str, replicas: u32, container: &str) -> String {
    let replicas = if kind == "DaemonSet" { String::new() } else { format!(r#""replicas":{replicas},"#) };
    format!(
        r#"{{"apiVersion":"apps/v1","kind":"{kind}","metadata":{{"name":"{name}","labels":{{"app":"{name}"}}}},
            "spec":{{{replicas}"selector":{{"matchLabels":{{"app":"{name}"}}}},
                     "template":{{"metadata":{{"labels":{{"app":"{name}"}}}},"spec":{{"containers":[{container}]}}}}}}}}"#
    )
}

/// A container nobody objects to.
pub(super) const FINE: &str = r#"{"name":"c","image":"shop/web:1"}"#;
/// A container that is privileged.
pub(super) const PRIVILEGED: &str =
    r#"{"name":"c","image":"shop/web:1","securityContext":{"privileged":true}}"#;
