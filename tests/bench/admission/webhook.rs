//! The two processes under measurement.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lictor_bus::{Bucket, Bus, BusOptions, FeedItem};
use lictor_tests::{ControlPlane, NatsServer};
use lictor_wire::Presence;
use lictor_wire::topology::{Stream, Topology};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::allow::VARIABLE;
use crate::reviews;

/// Starting, compiling a thousand policies, making a certificate.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The webhook that says yes to everything.
pub(crate) struct Always {
    pub(crate) address: SocketAddr,
    child: Child,
}

/// `lictor enforcer admission`, with everything it talks to.
pub(crate) struct Lictor {
    pub(crate) address: SocketAddr,
    child: Child,
    _control_plane: ControlPlane,
    _nats: NatsServer,
    _folder: tempfile::TempDir,
}

/// Memory of a process, in MiB.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    pub(crate) at_most: f64,
}

impl Always {
    pub(crate) async fn start() -> Self {
        let address = free_address();
        let itself = std::env::current_exe().expect("this program");
        let child = Command::new(itself).env(VARIABLE, address.to_string()).stdin(Stdio::null()).spawn();
        let always = Self { address, child: child.expect("this program") };
        listens(address).await;
        always
    }
}

impl Lictor {
    pub(crate) async fn start(policies: &str) -> Self {
        let (nats, control_plane) = (NatsServer::start().await, ControlPlane::start().await);
        let made = control_plane.run_kubectl(&["create", "namespace", "lictor"], "");
        assert!(made.ok, "{made:?}");
        let made = control_plane.run_kubectl(&["create", "-f", "-"], &reviews::namespaces());
        assert!(made.ok, "{made:?}");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("policies.json");
        std::fs::write(&file, policies).expect("a file");
        let program = PathBuf::from(env!("CARGO_BIN_EXE_lictor"));
        let applied = Command::new(&program)
            .args(["policy", "apply", "--nats-url", &nats.url()])
            .arg(&file)
            .output()
            .expect("the executable");
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
        let address = free_address();
        let child = Command::new(&program)
            .args(["enforcer", "admission", "--nats-url", &nats.url(), "--listen", &address.to_string()])
            .args(["--webhook-url", &format!("https://{address}"), "--kubeconfig"])
            .arg(control_plane.kubeconfig())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the executable");
        let lictor = Self { address, child, _control_plane: control_plane, _nats: nats, _folder: folder };
        lictor.ready().await;
        lictor
    }

    /// Waits until it says that it has the policies.
    async fn ready(&self) {
        let options = BusOptions::new(&self._nats.url(), Topology::default(), "bench");
        let bus = Bus::connect(options).await.expect("the bus");
        let last = bus.last_sequence(Stream::Policies).await.expect("the bus");
        let mut feed = bus.watch_bucket(Bucket::Presence);
        let seen = async {
            while let Some(item) = feed.next().await {
                let FeedItem::Put { value, .. } = item else { continue };
                let presence = serde_json::from_slice::<Presence>(&value);
                if presence.is_ok_and(|it| it.role == "admission" && it.policies >= last) {
                    return;
                }
            }
        };
        timeout(READY_WITHIN, seen).await.expect("a webhook that gets ready");
        listens(self.address).await;
    }

    pub(crate) fn memory(&self) -> Memory {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let mebibytes = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            let kibibytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
            kibibytes.map_or(f64::NAN, |kibibytes| kibibytes / 1024.0)
        };
        Memory { resident: mebibytes("VmRSS:"), at_most: mebibytes("VmHWM:") }
    }

    /// Ends it as an operator would; what it said.
    pub(crate) fn stop(&mut self) -> String {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let mut text = String::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            let _ = std::io::Read::read_to_string(&mut pipe, &mut text);
        }
        let _ = self.child.wait();
        text
    }
}

impl Drop for Always {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Lictor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn listens(address: SocketAddr) {
    let deadline = Instant::now() + READY_WITHIN;
    while TcpStream::connect(address).await.is_err() {
        assert!(Instant::now() < deadline, "nobody listens on {address}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}
