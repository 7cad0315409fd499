//! A server that lost its data: nothing is taken out of force, and a person says that the loss is real.

use std::process::{Command, Output};
use std::time::Duration;

use lictor_bus::{Bus, BusOptions};
use lictor_tests::NatsServer;
use lictor_wire::topology::Topology;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::support::{EVERY_PROCESS, Process, every_process, lictor};

const PATIENCE: Duration = Duration::from_secs(60);

struct Site {
    nats: NatsServer,
    folder: tempfile::TempDir,
}

impl Site {
    fn run(&self, args: &[&str]) -> Output {
        let url = self.nats.url();
        Command::new(lictor()).args(args).args(["--nats-url", &url, "--nats-wait", "1"]).output().unwrap()
    }

    fn start(&self, name: &str, args: &[&str]) -> Process {
        Process::start(self.folder.path(), name, &self.nats.url(), args)
    }

    fn store(&self, more: &[&str]) -> Process {
        let data = self.folder.path().join("store");
        let args = ["store", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"];
        self.start("store", &[&args, more].concat())
    }

    fn doctor(&self) -> Value {
        let output = self.run(&["doctor", "--output", "json"]);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Waits until doctor says so of the evaluator; its record.
    async fn evaluator(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.doctor();
            let mut roles = said["presence"].as_array().unwrap().iter();
            if let Some(who) = roles.find(|who| who["role"] == "evaluator" && wanted(who)) {
                return who.clone();
            }
            assert!(Instant::now() < deadline, "{said:#}");
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until a policy can be applied: the streams are there.
    async fn apply(&self) {
        let file = self.folder.path().join("policies.json");
        std::fs::write(&file, every_process()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = self.run(&["policy", "apply", file.to_str().unwrap()]);
            if output.status.success() {
                return;
            }
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(Instant::now() < deadline, "{said}");
            sleep(Duration::from_millis(200)).await;
        }
    }

    async fn lose_everything(&mut self) {
        self.nats.kill();
        for entry in std::fs::read_dir(self.nats.directory()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            }
        }
        self.nats.restart().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_forgets_takes_no_policy_out_of_force() {
    let mut site = Site { nats: NatsServer::start().await, folder: tempfile::tempdir().unwrap() };
    // On a new server only a store creates anything; what shows it to people changes nothing.
    let looked = site.run(&["doctor"]);
    assert_eq!(looked.status.code(), Some(1));
    let said = String::from_utf8(looked.stdout).unwrap();
    assert!(said.contains("do not exist here: start `lictor store`, which creates them"), "{said}");
    for args in [&["evaluator"][..], &["enforcer"], &["policy", "list"]] {
        let refused = site.run(args);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(3), "{said}");
        assert!(said.contains("start `lictor store`"), "{said}");
    }
    let looked = Bus::open(BusOptions::new(&site.nats.url(), Topology::default(), "test")).await.unwrap();
    let report = looked.report().await.unwrap();
    assert!(report.streams.iter().all(|stream| !stream.exists), "{report:?}");

    let mut store = site.store(&[]);
    site.apply().await;
    let _evaluator = site.start("evaluator", &["evaluator"]);
    let before = site.evaluator(|who| who["policies"] == 2).await;
    assert_eq!(before.get("policyProblems"), None);
    let policies = || String::from_utf8(site.run(&["policy", "list"]).stdout).unwrap();
    assert!(policies().contains(EVERY_PROCESS), "{}", policies());
    store.signal("TERM");
    assert_eq!(store.ended(PATIENCE).await, Some(0));

    site.lose_everything().await;
    // The store knows the installation, and does not take the server for a new one.
    let mut store = site.store(&[]);
    assert_eq!(store.ended(PATIENCE).await, Some(3));
    let said = std::fs::read_to_string(&store.log).unwrap();
    let (_, rest) = said.split_once("--replace-installation ").unwrap_or_else(|| panic!("{said}"));
    let lost = rest.split_whitespace().next().unwrap().to_owned();
    assert!(looked.report().await.unwrap().streams.iter().all(|stream| !stream.exists));

    // Somebody sets a new installation up there: the evaluator keeps what it has.
    let foreign = ["store", "--listen", "127.0.0.1:0", "--data"];
    let folder = site.folder.path().join("another");
    let mut another = site.start("another", &[&foreign[..], &[folder.to_str().unwrap()]].concat());
    let kept = site.evaluator(|who| who["policyProblems"]["notFollowed"].is_string()).await;
    assert_eq!(kept["policies"], 2);
    another.signal("TERM");
    assert_eq!(another.ended(PATIENCE).await, Some(0));
    let mut refused = site.store(&[]);
    assert_eq!(refused.ended(PATIENCE).await, Some(3));

    // A person says that the loss is real, and the evaluator follows.
    let _store = site.store(&["--replace-installation", &lost]);
    site.apply().await;
    site.evaluator(|who| who["policies"] == 3 && who.get("policyProblems").is_none()).await;
}
