//! A process under measurement.

use std::process::{Child, Command};
use std::time::Duration;

use lictor_bus::{Bucket, Bus, FeedItem};
use lictor_wire::Presence;
use tokio::time::timeout;

/// Starting, compiling a thousand policies, reading ten thousand workloads, making a certificate: seconds.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running process, killed on drop.
pub(crate) struct Process(Child);

/// Memory of a process, in MiB.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    pub(crate) at_most: f64,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("the executable"))
    }

    pub(crate) fn memory(&self) -> Memory {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let mebibytes = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            let kibibytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
            kibibytes.map_or(f64::NAN, |kibibytes| kibibytes / 1024.0)
        };
        Memory { resident: mebibytes("VmRSS:"), at_most: mebibytes("VmHWM:") }
    }

    /// Ends it as an operator would; what it said on its standard error, where that is piped.
    pub(crate) fn stop(&mut self) -> String {
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let mut text = String::new();
        if let Some(mut pipe) = self.0.stderr.take() {
            let _ = std::io::Read::read_to_string(&mut pipe, &mut text);
        }
        let _ = self.0.wait();
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        lictor_tests::end(&mut self.0);
    }
}

/// Waits until somebody says of itself what is wanted.
pub(crate) async fn present(bus: &Bus, wanted: impl Fn(&Presence) -> bool) {
    let mut feed = bus.watch_bucket(Bucket::Presence);
    let seen = async {
        while let Some(item) = feed.next().await {
            let FeedItem::Put { value, .. } = item else { continue };
            if serde_json::from_slice::<Presence>(&value).is_ok_and(|it| wanted(&it)) {
                return;
            }
        }
    };
    timeout(READY_WITHIN, seen).await.expect("a process that gets ready");
}
