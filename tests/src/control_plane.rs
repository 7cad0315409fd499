//! A real Kubernetes control plane per test run: etcd, kube-apiserver, kube-controller-manager, on loopback.
//!
//! What is not there: a scheduler and a container engine. [`Kubelet`] stands in for a node: it binds pods, says that
//! they run, and finishes their deletion. So exec, attach and port-forward are answered with an error once admission
//! has let them through, and nothing ever runs.
//!
//! Controllers use service accounts of `kube-system`, as on real clusters.

mod kubelet;
mod pki;
mod programs;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

pub use kubelet::Kubelet;
use pki::Authority;
use programs::{Folder, Program, program};

use crate::processes::{free_ports, stop};

/// How long a control plane may take until it serves: seconds, but on a machine that compiles beside it, not.
const START_WITHIN: Duration = Duration::from_secs(90);

/// How often a starting control plane is asked whether it serves.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// How often other ports are tried when somebody else took one that was free a moment ago.
const PORTS_TRIED: usize = 3;

/// Controllers that need a cloud, a network or disks.
const CONTROLLERS: &str = "*,-node-ipam-controller,-node-lifecycle-controller,\
     -persistentvolume-attach-detach-controller,-persistentvolume-binder-controller,-bootstrap-signer-controller,\
     -token-cleaner-controller";

/// What the audit log holds: who touches secrets, config maps and pods from inside, and nothing else.
const AUDIT_POLICY: &str = r#"{"apiVersion":"audit.k8s.io/v1","kind":"Policy","omitStages":["RequestReceived"],"rules":[
    {"level":"Metadata","resources":[{"group":"","resources":["secrets","configmaps","pods/exec","pods/attach","pods/portforward"]}]},
    {"level":"None"}]}"#;

/// What can be different about a control plane.
#[derive(Debug, Clone, Default)]
pub struct ControlPlaneOptions {
    /// Where the audit webhook posts; it need not be there yet.
    pub audit_webhook: Option<String>,
}

/// A running control plane; ended, and its files removed, on drop and when the process of the test ends, however.
#[derive(Debug)]
pub struct ControlPlane {
    // Ended in this order; the folder goes when the last of them has ended.
    controllers: Option<Program>,
    api: Program,
    etcd: Program,
    directory: Folder,
    port: u16,
}

/// Where the programs of one control plane listen.
#[derive(Debug, Clone, Copy)]
struct Ports {
    etcd_clients: u16,
    etcd_peers: u16,
    api: u16,
    controllers: u16,
}

/// What kubectl answered.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Whether it exited with 0.
    pub ok: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl ControlPlane {
    /// Starts a control plane with its usual settings.
    ///
    /// # Panics
    /// When a program is missing or does not start: the message says what to do.
    pub async fn start() -> Self {
        Self::start_with(ControlPlaneOptions::default()).await
    }

    /// Starts a control plane with settings of its own.
    ///
    /// # Panics
    /// As [`ControlPlane::start`].
    pub async fn start_with(options: ControlPlaneOptions) -> Self {
        let starting = tokio::task::spawn_blocking(move || Self::start_on(Ports::free, &options));
        starting.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    /// Starts a control plane on the first ports that nobody takes away meanwhile.
    fn start_on(mut ports: impl FnMut() -> Ports, options: &ControlPlaneOptions) -> Self {
        let mut problem = String::new();
        for _ in 0..PORTS_TRIED {
            match Self::try_start(ports(), options) {
                Ok(plane) => return plane,
                Err(another) => problem = another,
            }
        }
        stop(&format!("no control plane on any of {PORTS_TRIED} sets of free ports: {problem}"))
    }

    /// Starts a control plane; the error says which program ended by itself, for example because a port was taken, and
    /// its last words.
    fn try_start(ports: Ports, options: &ControlPlaneOptions) -> Result<Self, String> {
        let directory = Folder::new("lictor-control-plane-");
        let Ports { etcd_clients: client, etcd_peers: peer, api: port, controllers } = ports;
        write_files(directory.path(), port, options);
        let etcd = Program::start(
            &directory,
            "etcd",
            &[
                "--data-dir=etcd".to_owned(),
                "--unsafe-no-fsync".to_owned(),
                format!("--listen-client-urls=http://127.0.0.1:{client}"),
                format!("--advertise-client-urls=http://127.0.0.1:{client}"),
                format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
                format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
                format!("--initial-cluster=default=http://127.0.0.1:{peer}"),
            ],
        );
        let api = Program::start(&directory, "kube-apiserver", &api_arguments(client, port, options));
        let mut plane = Self { controllers: None, api, etcd, directory, port };
        plane.wait(&["get", "--raw", "/readyz"])?;
        // It gives up when there is no API server.
        plane.controllers = Some(Program::start(
            &plane.directory,
            "kube-controller-manager",
            &[
                "--kubeconfig=controllers.kubeconfig".to_owned(),
                "--authentication-kubeconfig=controllers.kubeconfig".to_owned(),
                "--authorization-kubeconfig=controllers.kubeconfig".to_owned(),
                "--service-account-private-key-file=accounts.key".to_owned(),
                "--root-ca-file=ca.crt".to_owned(),
                "--use-service-account-credentials=true".to_owned(),
                "--leader-elect=false".to_owned(),
                "--bind-address=127.0.0.1".to_owned(),
                format!("--secure-port={controllers}"),
                "--cert-dir=.".to_owned(),
                format!("--controllers={CONTROLLERS}"),
            ],
        ));
        // Once namespaces have their service accounts everything else works too.
        plane.wait(&["-n", "default", "get", "serviceaccount", "default"])?;
        Ok(plane)
    }

    /// Waits until kubectl is answered; the error says which program ended by itself.
    fn wait(&mut self, args: &[&str]) -> Result<(), String> {
        let deadline = Instant::now() + START_WITHIN;
        let mut last = String::new();
        while Instant::now() < deadline {
            let answered = self.run_kubectl(args, "");
            // First of all: an API server whose own etcd found its port taken talks to somebody else's.
            if let Some(name) = self.ended() {
                return Err(format!("{name} ended: {}", programs::last_lines(self.directory.path(), name)));
            }
            if answered.ok {
                return Ok(());
            }
            last = answered.err;
            std::thread::sleep(ASK_EVERY);
        }
        let mut logs = String::new();
        for name in ["etcd", "kube-apiserver", "kube-controller-manager"] {
            let _ = write!(logs, "\n{name}: {}", programs::last_lines(self.directory.path(), name));
        }
        stop(&format!("the control plane did not serve within {START_WITHIN:?}: {last}{logs}"));
    }

    /// A program that ended by itself.
    fn ended(&mut self) -> Option<&'static str> {
        if self.etcd.ended() {
            Some("etcd")
        } else if self.api.ended() {
            Some("kube-apiserver")
        } else if self.controllers.as_mut().is_some_and(Program::ended) {
            Some("kube-controller-manager")
        } else {
            None
        }
    }

    /// Where the API server listens.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The authority of every certificate here, in PEM; the API server's when it asks webhooks too.
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// The audit log, which is written where there is an audit webhook, too.
    pub fn audit_log(&self) -> PathBuf {
        self.directory.path().join("audit.log")
    }

    /// The kubeconfig of an administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("admin.kubeconfig")
    }

    /// Runs kubectl as the administrator, with something on its standard input.
    ///
    /// # Panics
    /// When there is no kubectl.
    pub fn run_kubectl(&self, args: &[&str], input: &str) -> Answered {
        let mut child = Command::new(program("kubectl"))
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .args(args)
            // Its cache of what the API server offers.
            .env("HOME", self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| stop(&format!("cannot run kubectl: {error}")));
        if let Some(mut stdin) = child.stdin.take() {
            // It may end without reading.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().unwrap_or_else(|error| stop(&format!("kubectl: {error}")));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Answered { ok: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// A client of an administrator.
    ///
    /// # Panics
    /// When the kubeconfig written here cannot be used.
    pub async fn client(&self) -> Client {
        client(&self.kubeconfig()).await
    }

    /// A node that takes every pod; gone when it is dropped.
    pub fn kubelet(&self, node: &str) -> Kubelet {
        Kubelet::start(self.kubeconfig(), node)
    }
}

impl Ports {
    /// Ports that are free at the moment.
    fn free() -> Self {
        let [etcd_clients, etcd_peers, api, controllers] = free_ports();
        Self { etcd_clients, etcd_peers, api, controllers }
    }
}

async fn client(kubeconfig: &Path) -> Client {
    let usable = async {
        let file = Kubeconfig::read_from(kubeconfig).map_err(|error| error.to_string())?;
        let options = KubeConfigOptions::default();
        let config =
            Config::from_custom_kubeconfig(file, &options).await.map_err(|error| error.to_string())?;
        Client::try_from(config).map_err(|error| error.to_string())
    };
    usable.await.unwrap_or_else(|error| stop(&format!("the kubeconfig cannot be used: {error}")))
}

fn api_arguments(etcd: u16, port: u16, options: &ControlPlaneOptions) -> Vec<String> {
    let mut arguments = vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        format!("--secure-port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        "--tls-cert-file=server.crt".to_owned(),
        "--tls-private-key-file=server.key".to_owned(),
        "--client-ca-file=ca.crt".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        "--service-account-key-file=accounts.pub".to_owned(),
        "--service-account-signing-key-file=accounts.key".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--cert-dir=.".to_owned(),
        "--admission-control-config-file=admission.json".to_owned(),
    ];
    if options.audit_webhook.is_some() {
        arguments.extend([
            "--audit-policy-file=audit-policy.json".to_owned(),
            "--audit-webhook-config-file=audit.kubeconfig".to_owned(),
            "--audit-webhook-batch-max-wait=200ms".to_owned(),
            "--audit-log-path=audit.log".to_owned(),
        ]);
    }
    arguments
}

fn write_files(folder: &Path, port: u16, options: &ControlPlaneOptions) {
    let write = |name: &str, text: &str| {
        if let Err(error) = std::fs::write(folder.join(name), text) {
            stop(&format!("cannot write {name}: {error}"));
        }
    };
    let authority = Authority::new();
    write("ca.crt", &authority.certificate());
    let (private, public) = pki::key();
    write("accounts.key", &private);
    write("accounts.pub", &public);
    for (name, user, group) in [
        ("server", "kube-apiserver", ""),
        ("admin", "admin", "system:masters"),
        ("controllers", "system:kube-controller-manager", ""),
        ("webhooks", "kube-apiserver-webhook-client", ""),
    ] {
        let (certificate, key) = authority.sign(user, group);
        write(&format!("{name}.crt"), &certificate);
        write(&format!("{name}.key"), &key);
    }
    let url = format!("https://127.0.0.1:{port}");
    for name in ["admin", "controllers"] {
        write(&format!("{name}.kubeconfig"), &kubeconfig(&url, Some((folder, name))));
    }
    write("admission.json", &admission_configuration(folder));
    write("webhooks.kubeconfig", &webhook_identity(folder));
    if let Some(url) = &options.audit_webhook {
        write("audit-policy.json", AUDIT_POLICY);
        write("audit.kubeconfig", &kubeconfig(url, None));
    }
}

/// Names the file that says who the API server is when it asks webhooks.
fn admission_configuration(folder: &Path) -> String {
    let identity = folder.join("webhooks.kubeconfig").display().to_string();
    serde_json::json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration",
        "plugins": [{"name": "ValidatingAdmissionWebhook", "configuration": {
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "WebhookAdmissionConfiguration",
            "kubeConfigFile": identity,
        }}],
    })
    .to_string()
}

/// The identity for webhooks anywhere.
fn webhook_identity(folder: &Path) -> String {
    let path = |file: &str| folder.join(file).display().to_string();
    let user = serde_json::json!({
        "client-certificate": path("webhooks.crt"), "client-key": path("webhooks.key"),
    });
    serde_json::json!({"apiVersion": "v1", "kind": "Config", "users": [{"name": "*", "user": user}]})
        .to_string()
}

fn kubeconfig(url: &str, identity: Option<(&Path, &str)>) -> String {
    let (cluster, user) = match identity {
        None => (serde_json::json!({"server": url}), serde_json::json!({})),
        Some((folder, name)) => {
            let path = |file: String| folder.join(file).display().to_string();
            (
                serde_json::json!({"server": url, "certificate-authority": path("ca.crt".to_owned())}),
                serde_json::json!({
                    "client-certificate": path(format!("{name}.crt")), "client-key": path(format!("{name}.key")),
                }),
            )
        }
    };
    serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "here", "cluster": cluster}], "users": [{"name": "here", "user": user}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_deployment_becomes_ready_and_goes() {
        let began = Instant::now();
        let plane = ControlPlane::start().await;
        println!("a control plane serves after {:.1?}", began.elapsed());
        let kubelet = plane.kubelet("node-1");
        let ask = |args: &str| {
            let answered = plane.run_kubectl(&args.split(' ').collect::<Vec<_>>(), "");
            assert!(answered.ok, "{args}: {answered:?}");
            answered.out
        };
        ask("create deployment web --image=shop/web:1 --replicas=2");
        ask("rollout status deployment/web --timeout=60s");
        let images = ask("get pods -l app=web -o jsonpath={.items[*].status.containerStatuses[*].imageID}");
        assert_eq!(images.matches("shop/web:1@sha256:").count(), 2, "{images}");
        ask("wait --for=create lease/node-1 -n kube-node-lease --timeout=60s");
        ask("delete deployment web --wait=true --timeout=60s");
        ask("wait --for=delete pod -l app=web --timeout=60s");
        drop(kubelet);
        let port = plane.port;
        let directory = plane.directory.path().to_owned();
        let running = processes_in(&directory);
        assert!(running.len() >= 3, "{running:?}");
        drop(plane);
        assert!(std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
        assert!(!directory.exists());
        assert!(running.iter().all(|process| !process.exists()), "{running:?}");
    }

    #[test]
    fn a_port_taken_meanwhile_is_noticed_and_others_are_tried() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let ports = Ports { etcd_clients: taken.local_addr().unwrap().port(), ..Ports::free() };
        let options = ControlPlaneOptions::default();
        let problem = ControlPlane::try_start(ports, &options).unwrap_err();
        assert!(
            problem.starts_with("etcd ended: ") && problem.contains("address already in use"),
            "{problem}"
        );
        let mut first = Some(ports);
        let mut plane = ControlPlane::start_on(|| first.take().unwrap_or_else(Ports::free), &options);
        assert_eq!((first.is_some(), plane.ended()), (false, None));
        assert!(plane.run_kubectl(&["get", "namespaces"], "").ok);
    }

    /// The processes that work in a folder.
    fn processes_in(folder: &Path) -> Vec<PathBuf> {
        let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        processes.filter(|path| path.join("cwd").read_link().is_ok_and(|cwd| cwd == folder)).collect()
    }
}
