//! The evaluator under measurement: a process of its own.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use lictor_bus::Bus;
use lictor_tests::NatsServer;

use crate::process::{Memory, Process, present};

/// Names another executable to measure: an older one, say.
const EXECUTABLE_VARIABLE: &str = "LICTOR_BENCH_EXECUTABLE";

/// A running `lictor evaluator`, killed on drop.
pub(crate) struct Evaluator {
    process: Process,
    started: Timestamp,
}

/// What it said in the end.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) verdicts: u64,
}

impl Evaluator {
    pub(crate) fn start(server: &NatsServer) -> Self {
        let program = std::env::var_os(EXECUTABLE_VARIABLE)
            .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_lictor")), PathBuf::from);
        let process = Process::start(
            Command::new(program)
                .args(["evaluator", "--nats-url", &server.url()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped()),
        );
        Self { process, started: Timestamp::now() }
    }

    /// Waits until it says that it has the policies up to this sequence of their log.
    pub(crate) async fn ready(&self, bus: &Bus, policies: u64) {
        present(bus, |it| it.started > self.started && it.policies >= policies).await;
    }

    /// Ends it as an operator would; what it said.
    pub(crate) fn stop(&mut self) -> Said {
        let text = self.process.stop();
        let verdicts = text.split(", ").find_map(|part| part.trim().strip_suffix(" verdicts")?.parse().ok());
        Said { verdicts: verdicts.unwrap_or_default() }
    }

    pub(crate) fn memory(&self) -> Memory {
        self.process.memory()
    }
}
