//! Policies on the command line: what is written to the log, and what is not.

use std::process::Output;

use lictor_wire::topology::{Role, Stream};

use crate::support::{Cluster, EVERY_PROCESS, policy};

const ANOTHER: &str = "22222222-2222-4222-8222-222222222222";

fn policies(severity: &str) -> String {
    let policy =
        |id, name| policy(id, name, &["RUNTIME"], "DEPLOYMENT_EVENT", &[], &[("Process Name", ".*")]);
    let another = policy(ANOTHER, "Another policy").replace("HIGH_SEVERITY", severity);
    format!("[{},{another}]", policy(EVERY_PROCESS, "Every process"))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_changes_is_written() {
    let cluster = Cluster::start(Cluster::quick()).await;
    let bus = cluster.bus().await;
    let run = |args: &[&str]| -> Output {
        let url = cluster.nats.url();
        let args = [&["policy"], args, &["--nats-url", &url]].concat();
        cluster.nats.command(Role::Author, &args).current_dir(cluster.folder.path()).output().unwrap()
    };
    let said = |output: &Output| {
        let (told, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        format!("{told}{errors}")
    };
    let apply = |severity: &str| {
        std::fs::write(cluster.path("policies.json"), policies(severity)).unwrap();
        let output = run(&["apply", "policies.json"]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        said(&output)
    };
    let length = || async { bus.last_sequence(Stream::Policies).await.unwrap() };

    assert!(apply("HIGH_SEVERITY").starts_with("2 policies applied, 0 unchanged; "));
    let before = length().await;
    assert!(apply("HIGH_SEVERITY").starts_with("0 policies applied, 2 unchanged; "));
    assert_eq!(length().await, before);
    assert!(apply("LOW_SEVERITY").starts_with("1 policy applied, 1 unchanged; "));
    let before = length().await;
    assert_eq!(before, bus.policy_log().state().await.unwrap().0);

    // Of several all exist, or none is deleted.
    for unknown in ["nothing", "*", "", "Every process"] {
        let output = run(&["delete", ANOTHER, unknown]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{unknown}: {said}");
        assert!(said.contains(&format!("no policy in force has the ID `{unknown}`")), "{said}");
        let named = said.contains(&format!("`Every process` has the ID {EVERY_PROCESS}"));
        assert_eq!(named, unknown == "Every process", "{said}");
        assert_eq!(said.contains("`lictor policy list` shows the IDs"), !named, "{said}");
        assert_eq!(length().await, before, "{unknown}");
    }
    let output = run(&["delete", ANOTHER, ANOTHER]);
    assert_eq!((output.status.code(), said(&output).trim()), (Some(0), "1 policy was deleted"));
    assert_eq!(run(&["delete", ANOTHER]).status.code(), Some(2), "it is deleted already");
    assert_eq!(length().await, before + 1);
}
