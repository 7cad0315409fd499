//! The two processes under measurement.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use lictor_bus::{Bus, BusOptions};
use lictor_tests::{ControlPlane, NatsServer, free_address};
use lictor_wire::topology::{Stream, Topology};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::allow::VARIABLE;
use crate::process::{Memory, Process, READY_WITHIN, present};
use crate::reviews;

/// The webhook that says yes to everything.
pub(crate) struct Always {
    pub(crate) address: SocketAddr,
    _process: Process,
}

/// `lictor enforcer admission`, with everything it talks to.
pub(crate) struct Lictor {
    pub(crate) address: SocketAddr,
    process: Process,
    _control_plane: ControlPlane,
    _nats: NatsServer,
    _folder: tempfile::TempDir,
}

impl Always {
    pub(crate) async fn start() -> Self {
        let address = free_address();
        let itself = std::env::current_exe().expect("this program");
        let mut command = Command::new(itself);
        let process = Process::start(command.env(VARIABLE, address.to_string()).stdin(Stdio::null()));
        let always = Self { address, _process: process };
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
        let options = BusOptions::new(&nats.url(), Topology::default(), "bench");
        let bus = Bus::connect_new(options).await.expect("the bus");
        let program = PathBuf::from(env!("CARGO_BIN_EXE_lictor"));
        let applied = Command::new(&program)
            .args(["policy", "apply", "--nats-url", &nats.url()])
            .arg(&file)
            .output()
            .expect("the executable");
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
        let address = free_address();
        let process = Process::start(
            Command::new(&program)
                .args(["enforcer", "admission", "--nats-url", &nats.url(), "--listen", &address.to_string()])
                .args(["--webhook-url", &format!("https://{address}"), "--kubeconfig"])
                .arg(control_plane.kubeconfig())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped()),
        );
        let lictor = Self { address, process, _control_plane: control_plane, _nats: nats, _folder: folder };
        lictor.ready(&bus).await;
        lictor
    }

    /// Waits until it says that it has the policies.
    async fn ready(&self, bus: &Bus) {
        let last = bus.last_sequence(Stream::Policies).await.expect("the bus");
        present(bus, |it| it.role == "admission" && it.policies >= last).await;
        listens(self.address).await;
    }

    pub(crate) fn memory(&self) -> Memory {
        self.process.memory()
    }

    /// Ends it as an operator would; what it said.
    pub(crate) fn stop(&mut self) -> String {
        self.process.stop()
    }
}

async fn listens(address: SocketAddr) {
    let deadline = Instant::now() + READY_WITHIN;
    while TcpStream::connect(address).await.is_err() {
        assert!(Instant::now() < deadline, "nobody listens on {address}");
        sleep(Duration::from_millis(20)).await;
    }
}
