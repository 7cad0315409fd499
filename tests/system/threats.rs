//! What the documentation says of threats: each test that it names exists, and what no other test closes.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::lictor;

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file and folder below one, itself included; links are not followed.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut all = vec![folder.to_owned()];
    let mut next = 0;
    while let Some(path) = all.get(next).cloned() {
        next += 1;
        if path.is_dir() && !path.is_symlink() {
            all.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    all
}

#[test]
fn every_test_that_the_threats_name_exists() {
    let page = std::fs::read_to_string(project().join("deploy/docs/threats.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.contains("---"));
    // The last column of tables of three; what is open has no test.
    let (closed, _open) = page.split_once("## Open").unwrap();
    let named: BTreeSet<&str> = rows
        .filter(|row| closed.contains(*row))
        .filter_map(|row| row.trim_matches('|').rsplit('|').next())
        .flat_map(|column| column.split('`').skip(1).step_by(2))
        .collect();
    assert!(named.len() > 40, "{named:?}");
    let mut sources = String::new();
    for folder in ["ingest", "evaluator", "enforcer", "store", "tests", "deploy"] {
        for path in below(&project().join(folder)) {
            if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let exists =
        |name: &&&str| sources.contains(&format!("fn {name}(")) || sources.contains(&format!("\"{name}\""));
    let missing: Vec<&&str> = named.iter().filter(|name| !exists(name)).collect();
    assert_eq!(missing, Vec::<&&str>::new());
}

#[test]
fn what_is_written_is_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let args = ["up", "--demo", "--once", "--output", "json", "--data", data.to_str().unwrap()];
    let output = Command::new(lictor()).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut files = 0;
    for path in below(&data) {
        let metadata = path.symlink_metadata().unwrap();
        let mode = metadata.permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
        files += usize::from(metadata.is_file());
    }
    assert!(files > 10, "{files} files");
}
