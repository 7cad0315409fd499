//! The house keeps its invariants: who may touch what, over `cargo metadata` and the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

const ROLES: [&str; 4] = ["lictor-ingest", "lictor-evaluator", "lictor-enforcer", "lictor-store"];
/// Crates that do no I/O, read no clock and spawn nothing.
const PURE: [&str; 4] = ["lictor-wire", "lictor-normalize", "lictor-engine", "lictor-detection"];

struct House {
    metadata: Metadata,
}

impl House {
    fn look() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
        Self {
            metadata: MetadataCommand::new()
                .manifest_path(manifest)
                .other_options(["--locked".into()])
                .exec()
                .unwrap(),
        }
    }

    /// What each of our crates depends on in what it ships, by name.
    fn dependencies(&self) -> BTreeMap<String, BTreeSet<String>> {
        let ours = self.metadata.workspace_packages();
        ours.iter()
            .map(|package| {
                let shipped = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal);
                (package.name.to_string(), shipped.map(|d| d.name.clone()).collect())
            })
            .collect()
    }

    /// Everything a crate brings along in what it ships.
    fn closure(&self, name: &str) -> BTreeSet<String> {
        let resolve = self.metadata.resolve.as_ref().unwrap();
        let names: BTreeMap<_, _> =
            self.metadata.packages.iter().map(|p| (&p.id, p.name.to_string())).collect();
        let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
        let start = self.metadata.workspace_packages().into_iter().find(|p| p.name.as_str() == name).unwrap();
        let (mut seen, mut todo) = (BTreeSet::new(), vec![&start.id]);
        while let Some(id) = todo.pop() {
            for dependency in &nodes[id].deps {
                let shipped = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
                if shipped && seen.insert(names[&dependency.pkg].clone()) {
                    todo.push(&dependency.pkg);
                }
            }
        }
        seen
    }

    /// The sources a crate ships: no files of tests, and what follows the first test of a file is cut off.
    fn sources(&self, name: &str) -> Vec<(PathBuf, String)> {
        let package =
            self.metadata.workspace_packages().into_iter().find(|p| p.name.as_str() == name).unwrap();
        let mut files = Vec::new();
        let mut folders = vec![package.manifest_path.parent().unwrap().join("src").into_std_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.file_stem().is_some_and(|name| name == "tests") {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let shipped = text.split("#[cfg(test)]").next().unwrap().to_owned();
                    files.push((path, shipped));
                }
            }
        }
        files
    }

    fn our_names(&self) -> Vec<String> {
        self.metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect()
    }
}

/// Only `allowed` may depend on `dependency`.
fn only(house: &House, dependency: &str, allowed: &[&str]) {
    for (name, dependencies) in house.dependencies() {
        if dependencies.contains(dependency) {
            assert!(allowed.contains(&&*name), "{name} depends on {dependency}; only {allowed:?} may");
        }
    }
}

#[test]
fn pure_crates_touch_nothing() {
    let house = House::look();
    let io =
        ["tokio", "async-nats", "axum", "hyper", "redb", "kube", "reqwest", "mio", "socket2", "tempfile"];
    let forbidden = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "std::io::std",
        "SystemTime",
        "Instant::now",
        "Timestamp::now",
        "Zoned::now",
        "println!",
        "eprintln!",
    ];
    for name in PURE {
        let closure = house.closure(name);
        for dependency in io {
            assert!(!closure.contains(dependency), "{name} brings {dependency} along");
        }
        for (path, text) in house.sources(name) {
            let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            for word in forbidden {
                assert!(!code.contains(word), "{} says {word}", path.display());
            }
        }
    }
}

#[test]
fn roles_do_not_know_each_other() {
    let house = House::look();
    for (name, dependencies) in house.dependencies() {
        // The executable wires roles together.
        if name == "lictor" {
            continue;
        }
        for role in ROLES {
            assert!(!dependencies.contains(role), "{name} depends on the role {role}");
        }
    }
}

#[test]
fn each_outside_thing_has_one_room() {
    let house = House::look();
    only(&house, "async-nats", &["lictor-bus"]);
    only(&house, "redb", &["lictor-store"]);
    only(&house, "kube", &["lictor-ingest", "lictor-cluster", "lictor-admission", "lictor-tests"]);
    only(&house, "axum", &["lictor-serve", "lictor-ingest", "lictor-admission", "lictor-store"]);
    only(&house, "tracing-subscriber", &["lictor"]);
    only(
        &house,
        "clap",
        &[
            "lictor",
            "lictor-ingest",
            "lictor-evaluator",
            "lictor-cluster",
            "lictor-admission",
            "lictor-enforcer",
            "lictor-store",
        ],
    );
    for name in house.our_names() {
        for (path, text) in house.sources(&name) {
            if name != "lictor" {
                assert!(!text.contains("clap::Parser"), "{} parses the command line", path.display());
                assert!(!text.contains("std::env::args"), "{} parses the command line", path.display());
            }
        }
    }
}

#[test]
fn only_one_crate_writes_to_kubernetes() {
    let house = House::look();
    // A client writes with one of kube's parameters, or with a request of its own.
    let writing = [
        "PostParams",
        "PatchParams",
        "DeleteParams",
        "Request::post",
        "Request::put",
        "Request::patch",
        "Request::delete",
    ];
    for (name, dependencies) in house.dependencies() {
        if !dependencies.contains("kube") || ["lictor-cluster", "lictor-tests"].contains(&&*name) {
            continue;
        }
        for (path, text) in house.sources(&name) {
            for word in writing {
                assert!(!text.contains(word), "{} writes to Kubernetes: {word}", path.display());
            }
        }
    }
}

#[test]
fn every_crate_has_the_lints_and_says_what_it_is_for() {
    let house = House::look();
    for package in house.metadata.workspace_packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{} has no workspace lints", package.name);
        assert!(package.description.is_some(), "{} has no description", package.name);
        let library = package.manifest_path.parent().unwrap().join("src/lib.rs");
        let text = std::fs::read_to_string(&library).unwrap();
        assert!(text.starts_with("//!"), "{library} does not say what it is for");
    }
}

#[test]
fn crate_paths_stand_in_one_place() {
    let house = House::look();
    for package in house.metadata.workspace_packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        let own = manifest.lines().filter(|line| line.starts_with("lictor") && line.contains("path ="));
        assert_eq!(own.count(), 0, "{} names a crate's path", package.manifest_path);
    }
}
