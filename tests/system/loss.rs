//! A server that lost its data: nothing is taken out of force, and a person says that the loss is real.

use std::process::{Command, Output};
use std::time::Duration;

use lictor_bus::{Bus, BusOptions, ReadFrom};
use lictor_tests::NatsServer;
use lictor_wire::topology::{Stream, Topology};
use lictor_wire::{Cause, Verdict};
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
        self.role("evaluator", wanted).await
    }

    /// Waits until doctor says so of a role; its record.
    async fn role(&self, role: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.doctor();
            let mut roles = said["presence"].as_array().unwrap().iter();
            if let Some(who) = roles.find(|who| who["role"] == role && wanted(who)) {
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

    /// Reads a Deployment in, at its next resource version.
    fn ingest_a_workload(&self) {
        let file = self.folder.path().join("workload.yaml");
        let version = std::fs::metadata(&file).map_or(1, |of| of.len());
        let workload = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: shop\n  uid: u-1\n  \
             resourceVersion: \"{version}\"\nspec:\n  template:\n    spec:\n      containers:\n      - name: web\n        \
             image: shop/web:{version}\n"
        );
        std::fs::write(&file, workload).unwrap();
        let output = self.run(&["ingest", "--cluster", "test", "--manifests", file.to_str().unwrap()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Waits for a verdict; the last one there is.
    async fn verdict(&self, bus: &Bus) -> Verdict {
        let mut found = None;
        let deadline = Instant::now() + PATIENCE;
        while found.is_none() && Instant::now() < deadline {
            sleep(Duration::from_millis(200)).await;
            let mut verdicts = bus.read(Stream::Verdicts, ReadFrom::First, false);
            while let Some(Ok(entry)) = verdicts.next_of_backlog().await {
                found = serde_json::from_slice(&entry.body().unwrap()).unwrap();
            }
        }
        found.unwrap()
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

    site.lose_everything().await;
    // The store knows the installation, and takes the server for a new one neither while it runs nor when it starts.
    assert_eq!(store.ended(PATIENCE).await, Some(3));
    let (ended, mut store) = (std::fs::read_to_string(&store.log).unwrap(), site.store(&[]));
    assert_eq!(store.ended(PATIENCE).await, Some(3));
    let said = std::fs::read_to_string(&store.log).unwrap();
    let replace = "--replace-installation ";
    let (_, rest) = said.split_once(replace).unwrap_or_else(|| panic!("{said}"));
    let lost = rest.split_whitespace().next().unwrap().to_owned();
    assert!(ended.contains(&format!("{replace}{lost}")), "{ended}");
    assert!(looked.report().await.unwrap().streams.iter().all(|stream| !stream.exists));

    // Somebody sets a new installation up there, with policies: the evaluator keeps what it has, and judges by that.
    let folder = site.folder.path().join("another");
    let another = ["store", "--listen", "127.0.0.1:0", "--data", folder.to_str().unwrap()];
    let mut first = site.start("another", &another);
    site.apply().await;
    let kept = site.evaluator(|who| who["policyProblems"]["notFollowed"].is_string()).await;
    assert_eq!(kept["policies"], 2);
    let started = site.start("evaluator", &["evaluator"]);
    site.ingest_a_workload();
    assert_eq!(site.verdict(&looked).await.revisions.policies, 2);
    first.signal("TERM");
    assert_eq!(first.ended(PATIENCE).await, Some(0));
    let mut refused = site.store(&[]);
    assert_eq!(refused.ended(PATIENCE).await, Some(3));
    drop(started);

    // A person says that the loss is real. The evaluator follows, and judges what is there by the policies of the log.
    let _another = site.start("another", &[&another[..], &["--replace-installation", &lost]].concat());
    site.evaluator(|who| who["policies"] == 3 && who.get("policyProblems").is_none()).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let verdict = site.verdict(&looked).await;
        if verdict.revisions.policies == 3 {
            assert_eq!(verdict.cause, Cause::Policy);
            break;
        }
        assert!(Instant::now() < deadline, "{verdict:?}");
        sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(looked.last_sequence(Stream::DeadLetters).await.unwrap(), 0);
    // So does the store that knew the lost one.
    let _store = site.store(&[]);
    site.role("store", |who| who["counts"]["verdicts"].as_u64() >= Some(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_name_locks_nobody_out() {
    let site = Site { nats: NatsServer::start().await, folder: tempfile::tempdir().unwrap() };
    let mut store = site.store(&[]);
    site.apply().await;
    let client = async_nats::connect(site.nats.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    jetstream.publish("lictor.policies.installation", "{".into()).await.unwrap().await.unwrap();
    let _evaluator = site.start("evaluator", &["evaluator"]);
    let who = site.evaluator(|who| who["policies"] == 3).await;
    assert_eq!(who["policyProblems"]["refused"][0]["key"], "installation", "{who}");
    store.signal("TERM");
    assert_eq!(store.ended(PATIENCE).await, Some(0));
    let _store = site.store(&[]);
    site.evaluator(|who| who["policies"] == 4 && who.get("policyProblems").is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_stream_is_said_and_a_person_accepts_it() {
    let site = Site { nats: NatsServer::start().await, folder: tempfile::tempdir().unwrap() };
    let mut store = site.store(&[]);
    site.apply().await;
    let _evaluator = site.start("evaluator", &["evaluator"]);
    site.evaluator(|who| who["policies"] == 2).await;
    site.ingest_a_workload();
    let verdicts = |at_least| move |who: &Value| who["counts"]["verdicts"].as_u64() >= Some(at_least);
    site.role("store", verdicts(1)).await;

    let client = async_nats::connect(site.nats.url()).await.unwrap();
    async_nats::jetstream::new(client).delete_stream("LICTOR_VERDICTS").await.unwrap();
    let problem = |said: &'static str| {
        move |who: &Value| who["problems"][0].as_str().is_some_and(|problem| problem.contains(said))
    };
    site.role("store", problem("LICTOR_VERDICTS does not exist; restart the store")).await;
    assert_eq!(site.run(&["doctor"]).status.code(), Some(1));
    store.signal("TERM");
    assert_eq!(store.ended(PATIENCE).await, Some(0));
    let mut store = site.store(&[]);
    site.role("store", problem("start the store once with --accept-loss")).await;
    store.signal("TERM");
    assert_eq!(store.ended(PATIENCE).await, Some(0));
    let mut store = site.store(&["--accept-loss"]);
    site.role("store", |who| who.get("problems").is_none()).await;
    site.ingest_a_workload();
    site.role("store", verdicts(1)).await;
    // From here on it starts as ever.
    store.signal("TERM");
    assert_eq!(store.ended(PATIENCE).await, Some(0));
    let _store = site.store(&[]);
    site.role("store", |who| verdicts(1)(who) && who.get("problems").is_none()).await;
}
