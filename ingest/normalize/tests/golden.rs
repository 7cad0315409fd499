//! Whole files in the outside formats, and what they become. `LICTOR_GOLDEN=write` writes the `.golden` files anew;
//! the difference is then for reviewing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "all of this is test code, helpers included, and stops at the first surprise"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use lictor_normalize::{Batch, Format, FormatError, Origin, manifest};
use lictor_wire::ClusterId;

fn fixtures(of: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(of);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_none_or(|extension| extension != "golden"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn check(file: &Path, became: &str) {
    let golden = file.with_extension("golden");
    if std::env::var_os("LICTOR_GOLDEN").is_some_and(|word| word == "write") {
        std::fs::write(&golden, became).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    for (i, (became, expected)) in became.lines().zip(expected.lines()).enumerate() {
        assert_eq!(became, expected, "{}:{}", golden.display(), i + 1);
    }
    assert_eq!(became.lines().count(), expected.lines().count(), "{}", golden.display());
}

fn origin(source: &str) -> Origin {
    Origin {
        cluster: ClusterId::new("c1"),
        source: source.to_owned(),
        received: "2026-06-01T00:00:00Z".parse().unwrap(),
    }
}

fn read(format: Format, text: &str, source: &str) -> Result<Batch, FormatError> {
    let mut batch = Batch::default();
    format.read(text, &origin(source), &mut batch).map(|()| batch)
}

#[test]
fn audit_records() {
    for file in fixtures("audit") {
        let mut out = String::new();
        for (i, line) in std::fs::read_to_string(&file).unwrap().lines().enumerate() {
            match read(Format::Audit, line, "/audit") {
                Ok(batch) => {
                    for event in batch.events {
                        writeln!(out, "{} {}", i + 1, event.to_line().unwrap()).unwrap();
                    }
                    for rejected in batch.rejected {
                        writeln!(out, "{} item {}: {}", i + 1, rejected.index, rejected.error).unwrap();
                    }
                }
                Err(error) => {
                    writeln!(out, "{} {:?}: {error} ({})", i + 1, error.position(), error.hint()).unwrap();
                }
            }
        }
        check(&file, &out);
    }
}

#[test]
fn tetragon_lines() {
    for file in fixtures("tetragon") {
        let mut out = String::new();
        for (i, line) in std::fs::read_to_string(&file).unwrap().lines().enumerate() {
            match read(Format::Tetragon, line, "/tetragon") {
                Ok(batch) => writeln!(out, "{} {}", i + 1, batch.events[0].to_line().unwrap()).unwrap(),
                Err(error) => {
                    let column = error.position().map(|(_, column)| column);
                    writeln!(out, "{} {column:?}: {error} ({})", i + 1, error.hint()).unwrap();
                }
            }
        }
        check(&file, &out);
    }
}

#[test]
fn manifests() {
    for file in fixtures("manifest") {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let found = manifest::read([manifest::Text { name, text: &text }], &ClusterId::new("c1"));
        let mut out = String::new();
        for deployment in &found.deployments {
            writeln!(out, "deployment {}", serde_json::to_string_pretty(deployment).unwrap()).unwrap();
        }
        for pod in &found.pods {
            writeln!(out, "pod {}", serde_json::to_string(pod).unwrap()).unwrap();
        }
        for namespace in &found.namespaces {
            writeln!(out, "namespace {}", serde_json::to_string(namespace).unwrap()).unwrap();
        }
        for (word, objects) in [("ignored", &found.ignored), ("ended", &found.ended)] {
            for o in objects {
                writeln!(out, "{word} {} {} {} {}", o.place, o.api_version, o.kind, o.name).unwrap();
            }
        }
        for error in &found.errors {
            writeln!(out, "error {error} ({})", error.hint()).unwrap();
        }
        check(&file, &out);
    }
}

#[test]
fn a_pretty_printed_record_becomes_one_line() {
    let body = "{\"kind\":\"EventList\",\n \"items\": [{\"auditID\": \"a\",\n \"verb\": \"create\", \"requestObject\": {\n\"a\":\r\n 1}}]}";
    let line = read(Format::Audit, body, "/audit").unwrap().events[0].to_line().unwrap();
    assert!(!line.contains(['\n', '\r']), "{line}");
    let line = "{\"node_name\": \"n\",\n\"new\": 1}";
    let line = read(Format::Tetragon, line, "/t").unwrap().events[0].to_line().unwrap();
    assert!(!line.contains(['\n', '\r']), "{line}");
}
