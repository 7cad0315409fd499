//! The evaluator under measurement: a process of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use lictor_bus::{Bucket, Bus, FeedItem};
use lictor_tests::NatsServer;
use lictor_wire::Presence;
use tokio::time::timeout;

/// Names another executable to measure: an older one, say.
const EXECUTABLE_VARIABLE: &str = "LICTOR_BENCH_EXECUTABLE";
/// Compiling a thousand policies and reading ten thousand workloads takes a second or two.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running `lictor evaluator`, killed on drop.
pub(crate) struct Evaluator {
    child: Child,
    started: Timestamp,
}

/// What it said in the end.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) verdicts: u64,
}

/// Memory of a process, in MiB.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    pub(crate) at_most: f64,
}

impl Evaluator {
    pub(crate) fn start(server: &NatsServer) -> Self {
        let program = std::env::var_os(EXECUTABLE_VARIABLE)
            .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_lictor")), PathBuf::from);
        let child = Command::new(program)
            .args(["evaluator", "--nats-url", &server.url()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the executable");
        Self { child, started: Timestamp::now() }
    }

    /// Waits until it says that it has the policies up to this sequence of their log.
    pub(crate) async fn ready(&self, bus: &Bus, policies: u64) {
        let mut feed = bus.watch_bucket(Bucket::Presence);
        let seen = async {
            while let Some(item) = feed.next().await {
                let FeedItem::Put { value, .. } = item else { continue };
                let presence = serde_json::from_slice::<Presence>(&value);
                if presence.is_ok_and(|it| it.started > self.started && it.policies >= policies) {
                    return;
                }
            }
        };
        timeout(READY_WITHIN, seen).await.expect("an evaluator that gets ready");
    }

    /// Ends it as an operator would; what it said.
    pub(crate) fn stop(&mut self) -> Said {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let mut text = String::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            let _ = std::io::Read::read_to_string(&mut pipe, &mut text);
        }
        let _ = self.child.wait();
        let verdicts = text.split(", ").find_map(|part| part.trim().strip_suffix(" verdicts")?.parse().ok());
        Said { verdicts: verdicts.unwrap_or_default() }
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
}

impl Drop for Evaluator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
