//! Judging files: the same as judging a stream, in every format, with the exit codes that scripts rely on.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lictor::Demo;
use serde_json::Value;

use crate::support::lictor;

fn run(folder: &Path, args: &[&str]) -> Output {
    Command::new(lictor()).current_dir(folder).args(args).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn demo() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    Demo::write_files(folder.path(), jiff::Timestamp::now()).unwrap();
    folder
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Policy, entity and how often, of a report.
fn counted(report: &Value) -> BTreeSet<(String, String, u64)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let results = report["results"].as_array().unwrap().iter();
    let violations = results.flat_map(|result| {
        let violations = result["violations"].as_array().unwrap().iter();
        violations.map(|v| (text(&v["policy"]), text(&result["name"]), v["count"].as_u64().unwrap_or(1)))
    });
    violations.collect()
}

#[test]
fn files_and_streams_are_judged_alike() {
    let folder = demo();
    let check = run(
        folder.path(),
        &[
            "check",
            "deployment",
            "-f",
            "manifests",
            "-f",
            "late",
            "--policies",
            "policies.json",
            "-o",
            "json",
        ],
    );
    assert_eq!(check.status.code(), Some(1), "violated");
    // The log ends in the middle of a line, as a log that is being written does.
    let log = std::fs::read_to_string(folder.path().join("audit.log")).unwrap();
    let whole = log.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok());
    std::fs::write(
        folder.path().join("whole.log"),
        whole.map(|line| format!("{line}\n")).collect::<String>(),
    )
    .unwrap();
    let manifests: Vec<String> = ["manifests", "late"]
        .iter()
        .flat_map(|name| std::fs::read_dir(folder.path().join(name)).unwrap())
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect();
    let mut args = vec!["replay", "whole.log", "tetragon.json", "--policies", "policies.json", "-o", "json"];
    args.extend(manifests.iter().map(String::as_str));
    let replay = run(folder.path(), &args);
    assert_eq!(replay.status.code(), Some(1), "{}", String::from_utf8_lossy(&replay.stderr));

    let mut found = counted(&json(&check));
    found.extend(counted(&json(&replay)));
    let golden =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/golden.json")).unwrap();
    let golden: Value = serde_json::from_str(&golden).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let streamed: BTreeSet<_> = golden["violations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| (text(&v["policy"]), text(&v["entity"]), v["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(found, streamed);
    println!("{} violations, from files as from the stream", found.len());
}

#[test]
fn a_replay_says_what_it_could_not_read() {
    let folder = demo();
    let replay = run(folder.path(), &["replay", "audit.log", "--policies", "policies.json", "-o", "json"]);
    assert_eq!(replay.status.code(), Some(4), "nothing half-done passes as fine");
    let errors = String::from_utf8_lossy(&replay.stderr).into_owned();
    assert!(errors.contains("audit.log:132:"), "{errors}");
    assert_eq!(json(&replay)["summary"]["unreadable"], 1);
}

const SECRET_READ: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a-1","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/secrets/db","verb":"get","user":{"username":"ann"},"objectRef":{"resource":"secrets","namespace":"shop","name":"db","apiVersion":"v1"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-01-01T00:00:00Z","stageTimestamp":"2026-01-01T00:00:00.1Z"}"#;

const SHELL_RUN: &str = r#"{"process_exec":{"process":{"exec_id":"e","pid":7,"uid":0,"binary":"/bin/sh","pod":{"namespace":"shop","name":"web-1","uid":"p-1","container":{"id":"containerd://c1","name":"web"},"workload":"web","workload_kind":"Deployment"}}},"node_name":"n1","time":"2026-01-01T00:00:00Z"}"#;

const RUNTIME_POLICIES: &str = r#"[
  {"name": "Secret read", "severity": "LOW_SEVERITY", "categories": ["Kubernetes"], "lifecycleStages": ["RUNTIME"],
   "eventSource": "AUDIT_LOG_EVENT", "policySections": [{"policyGroups": [
     {"fieldName": "Kubernetes Resource", "values": [{"value": "SECRETS"}]},
     {"fieldName": "Kubernetes API Verb", "values": [{"value": "GET"}]}]}]},
  {"name": "Shell on the host's processes", "severity": "LOW_SEVERITY", "categories": ["Kubernetes"],
   "lifecycleStages": ["RUNTIME"], "eventSource": "DEPLOYMENT_EVENT", "policySections": [{"policyGroups": [
     {"fieldName": "Process Name", "values": [{"value": "sh"}]},
     {"fieldName": "Host PID", "values": [{"value": "true"}]}]}]}
]"#;

fn replay(folder: &Path, files: &[&str], stdin: &[u8]) -> Output {
    std::fs::write(folder.join("policies.json"), RUNTIME_POLICIES).unwrap();
    let mut child = Command::new(lictor())
        .current_dir(folder)
        .arg("replay")
        .args(files)
        .args(["--policies", "policies.json", "-o", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A pipe, so nothing can be read twice; written from beside, so nobody waits for the other.
    let mut pipe = child.stdin.take().unwrap();
    let bytes = stdin.to_vec();
    let writer = std::thread::spawn(move || pipe.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    let _a_closed_pipe_is_seen_in_the_output = writer.join().unwrap();
    output
}

/// The policies that are violated, and how often.
fn violated(output: &Output) -> Vec<(String, u64)> {
    let found = counted(&json(output));
    found.into_iter().map(|(policy, _, count)| (policy, count)).collect()
}

#[test]
fn a_pipe_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let log = format!("{SECRET_READ}\n").repeat(500);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(log.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let secrets = [("Secret read".to_owned(), 500)];
    for name in ["-", "/dev/stdin"] {
        for bytes in [log.as_bytes(), &packed] {
            let output = replay(folder.path(), &[name], bytes);
            assert_eq!(violated(&output), secrets, "{name}: {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.status.code(), Some(1), "{name}");
        }
    }

    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = std::thread::spawn(move || std::fs::write(pipe, log));
    let output = replay(folder.path(), &["pipe"], b"");
    assert_eq!(violated(&output), secrets, "{}", String::from_utf8_lossy(&output.stderr));
    writer.join().unwrap().unwrap();
}

#[test]
fn manifests_are_known_before_anything_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("web.yaml", WEB);
    write("tetragon.log", SHELL_RUN);
    let shells = [("Shell on the host's processes".to_owned(), 1)];
    // A recording that comes from a pipe waits for the manifests behind it, and loses nothing by that.
    for (files, stdin) in
        [(["tetragon.log", "web.yaml"], ""), (["-", "web.yaml"], SHELL_RUN), (["tetragon.log", "-"], WEB)]
    {
        let output = replay(folder.path(), &files, stdin.as_bytes());
        assert_eq!(violated(&output), shells, "{files:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_recording_is_told_by_more_than_its_first_line() {
    let folder = tempfile::tempdir().unwrap();
    let secret = |count| [("Secret read".to_owned(), count)];
    let rest = SECRET_READ.split_at(SECRET_READ.len() / 2).1;
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(SECRET_READ).unwrap()).unwrap();
    // (the log, how many records are judged, how many are not understood)
    for (log, judged, unreadable) in [
        (format!("# exported by ops\n{SECRET_READ}\n"), 1, 1),
        (format!("{rest}\n{SECRET_READ}\n"), 1, 1),
        (format!("{{\"level\":\"info\"}}\n{SECRET_READ}\n"), 1, 1),
        (format!("{pretty}\n{pretty}\n"), 2, 0),
        (format!("{pretty}\n{rest}\n"), 1, 1),
    ] {
        let output = replay(folder.path(), &["-"], log.as_bytes());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(violated(&output), secret(judged), "{log}: {errors}");
        let counted = json(&output)["summary"]["unreadable"].as_u64().unwrap_or_default();
        assert_eq!(counted, unreadable, "{log}: {errors}");
        assert_eq!(output.status.code(), Some(if unreadable > 0 { 4 } else { 1 }), "{log}: {errors}");
    }
}

#[test]
fn an_item_that_is_no_record_does_not_hide_its_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let list = format!(
        r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{SECRET_READ},{{"kind":"Event","apiVersion":"v1"}}]}}"#
    );
    let output = replay(folder.path(), &["-"], list.as_bytes());
    assert_eq!(violated(&output), [("Secret read".to_owned(), 1)]);
    assert_eq!(output.status.code(), Some(4));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("stdin:1: item 1: `v1` `Event` is not an audit record"), "{errors}");
}

const WEB: &str = "# a comment\n---\n# another\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n\
    spec:\n  template:\n    spec:\n      hostPID: true\n      containers: [{name: web, image: nginx}]\n";

#[test]
fn a_check_is_written_for_people_and_machines() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("web.yaml"), WEB).unwrap();
    let policy = project().join("store/policies/default");
    let policies = policy.to_str().unwrap();
    let check = |format: &str| {
        let args = ["check", "deployment", "-f", "web.yaml", "--policies", policies, "-o", format];
        let output = run(folder.path(), &args);
        assert_eq!(output.status.code(), Some(1), "{format}: {}", String::from_utf8_lossy(&output.stderr));
        output
    };
    let name = "Docker CIS 5.15: Ensure that the host's process namespace is not shared";
    let report = json(&check("json"));
    let result = &report["results"][0];
    assert_eq!((&result["name"], &result["line"]), (&"shop/Deployment/web".into(), &4.into()));
    let violations = result["violations"].as_array().unwrap();
    let violated = violations.iter().find(|violated| violated["policy"] == name).unwrap();
    assert_eq!(violated["severity"], "MEDIUM_SEVERITY");
    assert_eq!(violated["messages"][0], "the deployment uses the node's process namespace");

    let sarif = json(&check("sarif"));
    let run_of = &sarif["runs"][0];
    let found = run_of["results"].as_array().unwrap().iter().find(|r| r["ruleId"] == violated["id"]).unwrap();
    let place = &found["locations"][0]["physicalLocation"];
    assert_eq!(
        (&place["artifactLocation"]["uri"], &place["region"]["startLine"]),
        (&"web.yaml".into(), &4.into())
    );
    let rule =
        &run_of["tool"]["driver"]["rules"][usize::try_from(found["ruleIndex"].as_u64().unwrap()).unwrap()];
    assert_eq!(rule["name"], name);

    let junit = String::from_utf8(check("junit").stdout).unwrap();
    assert!(junit.contains("<testsuite name=\"shop/Deployment/web\""), "{junit}");
    let case = |line: &&str| line.contains("<testcase") && line.contains("Docker CIS 5.15");
    assert!(junit.lines().any(|line| case(&line)), "{junit}");

    let table = String::from_utf8(check("table").stdout).unwrap();
    assert!(table.contains("shop/Deployment/web  web.yaml:4") && !table.contains('\u{1b}'), "{table}");
}

#[test]
fn exit_codes_tell_violations_from_invalid_input() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("web.yaml", WEB);
    write("clean.yaml", &WEB.replace("hostPID: true", "hostPID: false"));
    write("broken.yaml", "apiVersion: apps/v1\nkind: Deployment\nspec: 7\n");
    write(
        "policies.yaml",
        "name: Host PID\nseverity: LOW_SEVERITY\ncategories: [Docker CIS]\nlifecycleStages: [DEPLOY]\n\
        policySections: [{policyGroups: [{fieldName: Host PID, values: [{value: 'true'}]}]}]\n",
    );
    write(
        "wrong.yaml",
        "name: Host PID\nseverity: LOW_SEVERITY\ncategories: [Docker CIS]\nlifecycleStages: [DEPLOY]\n\
        policySections: [{policyGroups: [{fieldName: Host Pid, values: [{value: 'yes'}]}]}]\n",
    );
    let check = |file: &str, policies: &str| {
        run(folder.path(), &["check", "deployment", "-f", file, "--policies", policies]).status.code()
    };
    assert_eq!(check("web.yaml", "policies.yaml"), Some(1));
    assert_eq!(check("clean.yaml", "policies.yaml"), Some(0));
    assert_eq!(check("broken.yaml", "policies.yaml"), Some(4));
    assert_eq!(check("web.yaml", "wrong.yaml"), Some(4));
    assert_eq!(check("missing.yaml", "policies.yaml"), Some(4));
    let enforced =
        ["check", "deployment", "-f", "web.yaml", "--policies", "policies.yaml", "--fail-on", "enforced"];
    assert_eq!(run(folder.path(), &enforced).status.code(), Some(0), "nothing is enforced");

    let lint = run(folder.path(), &["policy", "lint", "wrong.yaml", "-o", "json"]);
    assert_eq!(lint.status.code(), Some(1));
    let finding: Value =
        serde_json::from_slice(lint.stdout.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!((&finding["code"], &finding["line"]), (&"unknown-criterion".into(), &5.into()));
    assert_eq!(finding["hint"], "did you mean `Host PID`?");
    assert_eq!(run(folder.path(), &["policy", "lint", "policies.yaml"]).status.code(), Some(0));
    assert_eq!(
        run(folder.path(), &["policy", "diff", "policies.yaml", "policies.yaml"]).status.code(),
        Some(0)
    );
    let explain =
        ["policy", "explain", "--policies", "policies.yaml", "--policy", "Host PID", "--event", "clean.yaml"];
    let told = run(folder.path(), &explain);
    assert_eq!(told.status.code(), Some(0));
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("Host PID requires true: does not hold  <- the first that fails"), "{told}");
}

/// The commands that need no server, each with the lines it prints.
const OFFLINE: [&[&str]; 17] = [
    &["check", "deployment", "-f", "web.yaml"],
    &["check", "deployment", "-f", "web.yaml", "-o", "json"],
    &["check", "deployment", "-f", "web.yaml", "-o", "junit"],
    &["check", "deployment", "-f", "web.yaml", "-o", "sarif"],
    &["replay", "shell.json"],
    &["replay", "shell.json", "-o", "json"],
    &["policy", "lint", "default"],
    &["policy", "lint", "wrong.yaml", "-o", "json"],
    &["policy", "diff", "default", "wrong.json"],
    &["policy", "diff", "default", "wrong.json", "-o", "json"],
    &["policy", "criteria"],
    &["policy", "criteria", "-o", "json"],
    &["policy", "convert", "default"],
    &["policy", "convert", "default", "--to", "resource"],
    &["policy", "test", "cases.yaml"],
    &["policy", "explain", "--policy", "Latest tag", "--event", "web.yaml"],
    &["completions", "bash"],
];

fn offline() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("web.yaml", WEB);
    write("shell.json", SHELL_RUN);
    write("wrong.yaml", "name: Not a policy yet\n");
    write("wrong.json", r#"{"policies": []}"#);
    write("cases.yaml", "cases: []\n");
    folder
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let folder = offline();
    for args in OFFLINE {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output =
            Command::new(lictor()).current_dir(folder.path()).args(args).stdout(full).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{args:?}: {errors}");
        assert!(
            errors.contains("error: cannot write to standard output: No space left"),
            "{args:?}: {errors}"
        );
        assert!(!errors.contains("panicked"), "{args:?}: {errors}");

        // A reader that closes the pipe is not an error, and the exit code says what was found.
        let found = run(folder.path(), args).status.code();
        assert!(matches!(found, Some(0 | 1)), "{args:?}: {found:?}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output =
            Command::new(lictor()).current_dir(folder.path()).args(args).stdout(writer).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), found, "{args:?}: {errors}");
        assert!(!errors.contains("standard output"), "{args:?}: {errors}");
    }
}

/// What cannot work is refused before a server is looked for, with the code that says whose mistake it is.
#[test]
fn exit_codes_tell_wrong_usage_from_what_is_not_there() {
    let folder = offline();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("blank.yaml"), "# nothing yet\n").unwrap();
    let there = path("shell.json");
    // Nobody listens there, and nobody waits.
    let nats = ["--nats-url", "nats://127.0.0.1:1", "--nats-wait", "0"];
    let servers = |args: &[&'static str]| [args, &nats].concat();
    for (code, args) in [
        (2, servers(&["ingest"])),
        (2, servers(&["ingest", "--audit-webhook", "0.0.0.0:0"])),
        (4, servers(&["ingest", "--audit-log", "missing.log"])),
        (4, servers(&["ingest", "--manifests", "missing"])),
        (3, servers(&["ingest", "--audit-log", "web.yaml"])),
        (2, servers(&["up", "--listen", "0.0.0.0:0"])),
        (2, servers(&["up", "--api", "0.0.0.0:0"])),
        (2, servers(&["up", "--data", "/dev/null"])),
        (4, servers(&["up", "--tetragon", "missing.json"])),
        (2, servers(&["store", "--listen", "0.0.0.0:0"])),
        (2, servers(&["store", "--data", "/dev/null"])),
        (2, servers(&["store", "--replace-installation", "x"])),
        (2, vec!["doctor", "--nats-url", "foo://127.0.0.1"]),
        (2, vec!["policy", "export", "--all", "policies.json"]),
        (4, vec!["replay", "missing.log"]),
        (4, vec!["replay", &there, "--policies", "/dev/null"]),
        (4, vec!["check", "deployment", "-f", "web.yaml", "--policies", "/dev/null"]),
        (4, vec!["check", "deployment", "-f", "web.yaml", "--policies", "blank.yaml"]),
        (0, vec!["check", "deployment", "-f", "web.yaml", "--policies", "wrong.json"]),
        (4, vec!["check", "deployment", "-f", "web.yaml", "--policies", "wrong.yaml"]),
        (4, vec!["policy", "convert", "blank.yaml"]),
        (4, vec!["policy", "diff", "default", "blank.yaml"]),
        (4, vec!["policy", "test", "cases.yaml", "--policies", "blank.yaml"]),
        (4, servers(&["policy", "apply", "blank.yaml"])),
    ] {
        let output = run(folder.path(), &args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
        let said = errors.replace("os error", "").replace("IO error", "");
        assert_eq!(said.matches("error").count(), usize::from(code != 0), "{args:?}: {errors}");
    }
}

#[test]
fn what_is_not_judged_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let object =
        |kind: &str, name: &str| format!("---\napiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}}}\n");
    write("web.yaml", &format!("{WEB}{}{}", object("ConfigMap", "a"), object("ConfigMap", "b")));
    // Of three policies one is off and one is for another stage; the third cannot be decided without the image.
    let policy = |name: &str, more: &str, criterion: &str, value: &str| {
        format!(
            "---\nname: {name}\nseverity: LOW_SEVERITY\ncategories: [Docker CIS]\n{more}\npolicySections: \
             [{{policyGroups: [{{fieldName: {criterion}, values: [{{value: '{value}'}}]}}]}}]\n"
        )
    };
    let deploy = "lifecycleStages: [DEPLOY]";
    let runtime = "lifecycleStages: [RUNTIME]\neventSource: DEPLOYMENT_EVENT";
    let policies = [
        policy("Switched off", &format!("{deploy}\ndisabled: true"), "Host PID", "true"),
        policy("A shell", runtime, "Process Name", "sh"),
        policy("Old image", deploy, "Image Age", "30"),
    ];
    write("policies.yaml", &policies.concat());
    let output =
        run(folder.path(), &["check", "deployment", "-f", "web.yaml", "--policies", "policies.yaml"]);
    let (told, notes) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{told}{notes}");
    assert_eq!(notes.trim(), "skipped, because they hold no workload: 2 ConfigMap");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines,
        [
            "undecided, because facts are missing",
            "  Old image (1 entity): facts of image docker.io/library/nginx:latest",
            "1 of 3 policies apply at the deploy stage: 1 disabled, 1 for other stages",
            "1 policy, 1 entity: 0 violations in 0 entities; 1 undecided",
        ]
    );
}

#[test]
fn a_folder_is_replayed_and_its_events_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    for (name, text) in [("audit.json", SECRET_READ), ("tetragon.json", SHELL_RUN), ("web.yaml", WEB)] {
        std::fs::write(logs.join(name), text).unwrap();
    }
    std::fs::write(folder.path().join("policies.json"), RUNTIME_POLICIES).unwrap();
    let output = run(folder.path(), &["replay", "logs", "--policies", "policies.json"]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("\nevents read: 1 audit, 1 process\n"), "{told}");
    assert!(told.ends_with("2 policies, 2 entities: 2 violations in 2 entities\n"), "{told}");
}

/// In the words of the file.
#[test]
fn a_case_that_fails_says_what_was_expected_as_it_is_written() {
    let folder = offline();
    let cases = "cases:\n- {name: a case, policy: Latest tag, expect: clean, when: {deployment: {kind: Deployment, \
                 name: web, namespace: shop, containers: [{name: web, image: {name: {registry: docker.io, remote: \
                 library/nginx, tag: latest, fullName: 'docker.io/library/nginx:latest'}}}]}}}\n";
    std::fs::write(folder.path().join("cases.yaml"), cases).unwrap();
    let output = run(folder.path(), &["policy", "test", "cases.yaml", "--policies", "default"]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("expected clean, but it is violated: "), "{told}");
    assert!(told.contains("1 case, 1 failed, 0 notes covered"), "{told}");
}

/// The README's first screen shows what the program prints.
#[test]
fn the_readme_shows_a_real_check() {
    let readme = std::fs::read_to_string(project().join("README.md")).unwrap();
    let block = |language: &str| {
        let (_, rest) = readme.split_once(&format!("```{language}\n")).unwrap();
        rest.split_once("```").unwrap().0.to_owned()
    };
    let shown = block("console");
    let (command, printed) = shown.split_once("no-latest.yaml\n").unwrap();
    assert!(command.contains("kubectl create deployment web -n shop --image=nginx:latest"), "{command}");
    // What kubectl writes.
    let manifest = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  labels:\n    app: web\n  name: web\n  \
        namespace: shop\nspec:\n  replicas: 1\n  selector:\n    matchLabels:\n      app: web\n  strategy: {}\n  \
        template:\n    metadata:\n      labels:\n        app: web\n    spec:\n      containers:\n      - image: \
        nginx:latest\n        name: nginx\n        resources: {}\nstatus: {}\n";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("no-latest.yaml"), block("yaml")).unwrap();
    std::fs::write(folder.path().join("web.yaml"), manifest).unwrap();
    let check = Command::new(lictor())
        .current_dir(folder.path())
        .args(["check", "deployment", "-f", "-", "--policies", "no-latest.yaml"])
        .stdin(std::fs::File::open(folder.path().join("web.yaml")).unwrap())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(check.stdout).unwrap(), printed);
    assert_eq!(check.status.code(), Some(1));
}

/// All that ships comes back from either form, and a second conversion gives the same bytes.
#[test]
fn policies_are_converted_without_a_change() {
    let folder = tempfile::tempdir().unwrap();
    for form in ["json", "resource"] {
        let convert = |from: &str| {
            let output = run(folder.path(), &["policy", "convert", from, "--to", form]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        let once = convert("default");
        std::fs::write(folder.path().join("once.yaml"), &once).unwrap();
        assert_eq!(convert("once.yaml"), once, "{form}");
        let diff = run(folder.path(), &["policy", "diff", "default", "once.yaml"]);
        assert_eq!(diff.status.code(), Some(0), "{}", String::from_utf8_lossy(&diff.stdout));
    }
}

/// A server takes neither an export without its version nor a resource with fields that are `null`.
#[test]
fn what_is_converted_is_complete_and_has_nothing_empty() {
    let folder = tempfile::tempdir().unwrap();
    let policy = "name: Only in shops\nseverity: LOW_SEVERITY\ncategories: [Docker CIS]\nlifecycleStages: [DEPLOY]\n\
        scope: [{namespace: shop}]\nexclusions: [{name: old, deployment: {name: legacy}}]\n\
        policySections: [{policyGroups: [{fieldName: Host PID, values: [{value: 'true'}]}]}]\n";
    std::fs::write(folder.path().join("policy.yaml"), policy).unwrap();
    let export = json(&run(folder.path(), &["policy", "convert", "policy.yaml"]));
    assert_eq!(export["policies"][0]["policyVersion"], "1.1");
    let resource = run(folder.path(), &["policy", "convert", "policy.yaml", "--to", "resource"]).stdout;
    let resource = String::from_utf8(resource).unwrap();
    for empty in ["null", "''", "\"\"", "[]", "false"] {
        assert!(!resource.contains(empty), "{resource}");
    }
    std::fs::write(folder.path().join("resource.yaml"), resource).unwrap();
    let diff = run(folder.path(), &["policy", "diff", "policy.yaml", "resource.yaml"]);
    assert_eq!(diff.status.code(), Some(0), "{}", String::from_utf8_lossy(&diff.stdout));
}

/// The folder of a criterion: its name in lower case, what is not a letter or digit a dash.
fn folder_of(criterion: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    criterion.chars().map(plain).collect()
}

/// Every row and note of the language, in both modes.
#[test]
fn the_conformance_suite_holds() {
    let cases = project().join("tests/conformance");
    for criterion in lictor_engine::criteria() {
        let folder = cases.join(folder_of(criterion.name));
        assert!(
            folder.join("cases.yaml").is_file(),
            "`{}` has no cases in {}",
            criterion.name,
            folder.display()
        );
    }
    for (mode, args) in [("as lictor judges", &[][..]), ("as StackRox judges", &["--parity"][..])] {
        let all = [&["policy", "test", "--covered", cases.to_str().unwrap()], args].concat();
        let output = run(&project(), &all);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(told.contains(mode), "{told}");
        println!("{}", told.trim());
    }
}
