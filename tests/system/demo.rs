//! The demo equals its golden file: policies, entities, counts, evidence, receipts.
//!
//! `make golden` writes the file anew; its difference is reviewed by hand against `deploy/lictor/demo/EXPECTED.md`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lictor_wire::topology::Role;
use serde_json::Value;
use tokio::time::sleep;

use crate::MACHINE;
use crate::support::{Cluster, lictor};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/golden.json")
}

const DEMO: [&str; 5] = ["up", "--demo", "--once", "-o", "json"];

/// Runs the demo; its summary without what depends on the clock.
fn demo(up: &mut Command) -> Value {
    let output = up.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let mut summary: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
    let rates = summary.as_object_mut().unwrap().remove("rates").unwrap();
    assert!(rates["eventsPerSecond"].as_f64().unwrap() > 0.0);
    summary
}

fn equals_golden(summary: &Value) {
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(golden()).unwrap()).unwrap();
    let differing = |name: &str| (golden[name] != summary[name]).then(|| name.to_owned());
    let names = ["events", "deadLetters", "violations", "receipts"];
    let differing: Vec<String> = names.into_iter().filter_map(differing).collect();
    assert!(differing.is_empty(), "{differing:?} differ; found:\n{summary:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_runs_equal_the_golden_file() {
    let _machine = MACHINE.lock().await;
    if std::env::var_os("LICTOR_WRITE_GOLDEN").is_some() {
        std::fs::write(golden(), format!("{:#}\n", demo(Command::new(lictor()).args(DEMO)))).unwrap();
    }
    for _ in 0..3 {
        equals_golden(&demo(Command::new(lictor()).args(DEMO)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_and_four_evaluator_processes_equal_the_golden_file() {
    let _machine = MACHINE.lock().await;
    for count in [1, 4] {
        let cluster = Cluster::start(Cluster::quick()).await;
        let mut evaluators: Vec<_> = (0..count).map(|_| cluster.evaluator()).collect();
        sleep(Duration::from_millis(500)).await;
        let more = ["--nats-url", &cluster.nats.url(), "--evaluators", "0"];
        equals_golden(&demo(cluster.nats.command(Role::Up, &DEMO).args(more)));
        assert!(evaluators.iter_mut().all(crate::support::Process::runs), "{}", cluster.logs());
    }
}

#[test]
fn the_golden_file_says_what_was_expected_by_hand() {
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(golden()).unwrap()).unwrap();
    let rows = golden["violations"].as_array().unwrap();
    let total = |wanted: &dyn Fn(&Value) -> bool| -> u64 {
        rows.iter().filter(|row| wanted(row)).map(|row| row["count"].as_u64().unwrap()).sum()
    };
    // The sums of EXPECTED.md.
    assert_eq!(rows.len(), 30);
    assert_eq!(total(&|_| true), 47);
    for (stage, count) in [("DEPLOY", 15), ("RUNTIME", 32)] {
        assert_eq!(total(&|row| row["stage"] == stage), count, "{stage}");
    }
    for (severity, count) in
        [("CRITICAL_SEVERITY", 21), ("HIGH_SEVERITY", 14), ("MEDIUM_SEVERITY", 6), ("LOW_SEVERITY", 6)]
    {
        assert_eq!(total(&|row| row["severity"] == severity), count, "{severity}");
    }
    assert_eq!(golden["deadLetters"], 1);
}
