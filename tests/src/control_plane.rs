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
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tempfile::TempDir;

pub use kubelet::Kubelet;
use pki::Authority;
use programs::{Program, program};

/// How long a control plane may take until it serves: seconds, but on a machine that compiles beside it, not.
const START_WITHIN: Duration = Duration::from_secs(90);

/// How often a starting control plane is asked whether it serves.
const ASK_EVERY: Duration = Duration::from_millis(100);

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

/// A running control plane; ended, and its files removed, on drop and when the process of the test ends.
#[derive(Debug)]
pub struct ControlPlane {
    // Ended in this order.
    controllers: Option<Program>,
    _api: Program,
    _etcd: Program,
    directory: TempDir,
    port: u16,
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
        let starting = tokio::task::spawn_blocking(move || Self::start_blocking(&options));
        starting.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    fn start_blocking(options: &ControlPlaneOptions) -> Self {
        let directory = TempDir::with_prefix("lictor-control-plane-")
            .unwrap_or_else(|error| stop(&format!("no temporary directory for a control plane: {error}")));
        let [client, peer, port, controllers] = std::array::from_fn(|_| free_port());
        let folder = directory.path();
        write_files(folder, port, options);
        let etcd = Program::start(
            folder,
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
        let api = Program::start(folder, "kube-apiserver", &api_arguments(client, port, options));
        let mut plane = Self { controllers: None, _api: api, _etcd: etcd, directory, port };
        plane.wait(&["get", "--raw", "/readyz"]);
        // It gives up when there is no API server.
        plane.controllers = Some(Program::start(
            plane.directory.path(),
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
        plane.wait(&["-n", "default", "get", "serviceaccount", "default"]);
        plane
    }

    /// Waits until kubectl is answered.
    fn wait(&self, args: &[&str]) {
        let deadline = Instant::now() + START_WITHIN;
        let mut last = String::new();
        while Instant::now() < deadline {
            let answered = self.run_kubectl(args, "");
            if answered.ok {
                return;
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

    /// Where the API server listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The authority of every certificate here, in PEM; the API server's when it asks webhooks too.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// The kubeconfig of an administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("admin.kubeconfig")
    }

    /// Runs kubectl as the administrator, with something on its standard input.
    ///
    /// # Panics
    /// When there is no kubectl.
    #[must_use]
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
    #[must_use]
    pub fn kubelet(&self, node: &str) -> Kubelet {
        Kubelet::start(self.kubeconfig(), node)
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
        write(
            &format!("{name}.kubeconfig"),
            &kubeconfig(&format!("https://127.0.0.1:{port}"), Some((folder, name))),
        );
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

/// A port nobody listens on right now.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_or_else(|error| stop(&format!("no free port: {error}")), |address| address.port())
}

#[expect(clippy::panic, reason = "a harness fails its test by panicking, with a message for people")]
fn stop(message: &str) -> ! {
    panic!("{message}")
}

#[cfg(test)]
mod tests {
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
        ask("delete deployment web --wait=true --timeout=60s");
        ask("wait --for=delete pod -l app=web --timeout=60s");
        drop(kubelet);
        let port = plane.port;
        let directory = plane.directory.path().to_owned();
        drop(plane);
        assert!(std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
        assert!(!directory.exists());
    }
}
