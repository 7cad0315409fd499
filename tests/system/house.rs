//! The crates keep to the invariants of README: who may depend on what, over `cargo metadata` and the sources.
//!
//! Most rules are rows of [`CRATES`] and [`WRAPPERS`]. What a dependency cannot say (a pure crate reads no clock, one
//! crate writes to Kubernetes) is looked up in the syntax tree of what a crate ships, and each such rule is tried on
//! an offence planted for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use lictor_wire::topology::{Sizes, Topology};
use syn::visit::{self, Visit};

/// What a crate is, and so what it may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No I/O, no clock, nothing spawned.
    Pure,
    /// A library around one outside thing.
    Io,
    /// A service; only the executable knows it.
    Role,
    /// The executable, which wires roles together.
    Executable,
    /// Tests and what they share; never shipped.
    Dev,
}

use Kind::{Dev, Executable, Io, Pure, Role};

/// Every crate of the workspace: its kind and the crates of ours it may ship with.
const CRATES: &[(&str, Kind, &[&str])] = &[
    ("lictor-wire", Pure, &[]),
    ("lictor-normalize", Pure, &["wire"]),
    ("lictor-bus", Io, &["wire"]),
    ("lictor-serve", Io, &[]),
    ("lictor-ingest", Role, &["wire", "normalize", "bus", "serve"]),
    ("lictor-engine", Pure, &["wire"]),
    ("lictor-detection", Pure, &["wire", "engine"]),
    ("lictor-evaluator", Role, &["wire", "engine", "bus", "serve", "detection"]),
    ("lictor-cluster", Io, &["wire"]),
    ("lictor-admission", Io, &["wire", "normalize", "engine", "bus", "serve", "detection", "cluster"]),
    ("lictor-enforcer", Role, &["wire", "bus", "serve", "detection", "cluster"]),
    ("lictor-policies", Pure, &["wire", "normalize", "engine"]),
    ("lictor-store", Role, &["wire", "bus", "serve", "detection", "policies"]),
    (
        "lictor",
        Executable,
        &[
            "wire",
            "normalize",
            "bus",
            "serve",
            "ingest",
            "engine",
            "detection",
            "evaluator",
            "cluster",
            "admission",
            "enforcer",
            "policies",
            "store",
        ],
    ),
    ("lictor-tests", Dev, &["wire"]),
    ("lictor-fuzz", Dev, &["wire", "normalize", "engine", "detection", "policies"]),
];

/// Outside crates that stand for one outside thing, and the crates that may ship with them.
const WRAPPERS: &[(&str, &[&str])] = &[
    ("async-nats", &["lictor-bus"]),
    ("redb", &["lictor-store"]),
    ("kube", &["lictor-ingest", "lictor-cluster", "lictor-admission", "lictor-tests"]),
    ("axum", &["lictor-serve", "lictor-ingest", "lictor-admission", "lictor-store"]),
    ("rcgen", &["lictor", "lictor-admission", "lictor-tests"]),
    ("nkeys", &["lictor"]),
    ("x509-parser", &["lictor-admission"]),
    ("tracing-subscriber", &["lictor"]),
    ("reqwest", &["lictor"]),
    (
        "clap",
        &[
            "lictor",
            "lictor-ingest",
            "lictor-evaluator",
            "lictor-enforcer",
            "lictor-admission",
            "lictor-cluster",
            "lictor-store",
        ],
    ),
];

/// What brings I/O along.
const DOES_IO: [&str; 10] =
    ["tokio", "async-nats", "axum", "hyper", "redb", "kube", "reqwest", "mio", "socket2", "tempfile"];

/// What a pure crate does not name: each is the beginning of a path.
const IMPURE: [&str; 12] = [
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::time::SystemTime",
    "std::time::Instant",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
];

/// The macros a pure crate does not use.
const IMPURE_MACROS: [&str; 4] = ["println", "eprintln", "print", "eprint"];

/// The calls of a Kubernetes client that change something.
const WRITES: [&str; 13] = [
    "create",
    "create_subresource",
    "replace",
    "replace_status",
    "replace_scale",
    "replace_subresource",
    "patch",
    "patch_status",
    "patch_scale",
    "patch_subresource",
    "delete",
    "delete_collection",
    "evict",
];

// === The workspace ===

struct Workspace {
    metadata: Metadata,
}

impl Workspace {
    fn read() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
        let mut command = MetadataCommand::new();
        command.manifest_path(manifest).other_options(["--locked".into(), "--offline".into()]);
        Self { metadata: command.exec().unwrap() }
    }

    fn package(&self, name: &str) -> &Package {
        self.metadata.workspace_packages().into_iter().find(|package| package.name.as_str() == name).unwrap()
    }

    /// What a crate depends on directly in what it ships, by name.
    fn dependencies(&self, name: &str) -> BTreeSet<String> {
        let shipped = self.package(name).dependencies.iter();
        shipped.filter(|d| d.kind == DependencyKind::Normal).map(|d| d.name.clone()).collect()
    }

    /// Everything a crate brings along in what it ships.
    fn closure(&self, name: &str) -> BTreeSet<String> {
        let resolve = self.metadata.resolve.as_ref().unwrap();
        let names: BTreeMap<_, _> =
            self.metadata.packages.iter().map(|package| (&package.id, package.name.to_string())).collect();
        let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
        let (mut seen, mut next) = (BTreeSet::new(), vec![&self.package(name).id]);
        while let Some(id) = next.pop() {
            for dependency in &nodes[id].deps {
                let shipped = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
                if shipped && seen.insert(names[&dependency.pkg].clone()) {
                    next.push(&dependency.pkg);
                }
            }
        }
        seen
    }

    /// What the sources of a crate name in what they ship, file by file.
    fn names(&self, name: &str) -> Vec<(PathBuf, Names)> {
        let mut files = Vec::new();
        let root = self.package(name).manifest_path.parent().unwrap().join("src").into_std_path_buf();
        let mut folders = vec![root];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    files.push((path, Names::of(&text)));
                }
            }
        }
        let tests: Vec<PathBuf> = files.iter().flat_map(|(path, names)| names.test_files(path)).collect();
        files.retain(|(path, _)| !tests.iter().any(|test| path.with_extension("").starts_with(test)));
        files
    }
}

// === What a source names ===

/// The paths, macros and methods that a source names outside of its tests.
#[derive(Debug, Default)]
struct Names {
    /// Whole where an import makes them short: `fs::read` after `use std::fs` is `std::fs::read`.
    paths: BTreeSet<String>,
    macros: BTreeSet<String>,
    methods: BTreeSet<String>,
    /// Modules in files of their own that are compiled for tests only.
    test_modules: BTreeSet<String>,
    /// What imports call things here, and what those are.
    imports: BTreeMap<String, String>,
}

impl Names {
    fn of(text: &str) -> Self {
        let file = syn::parse_file(text).unwrap();
        let mut names = Self::default();
        // Imports first, so that a path can be made whole wherever it is.
        Imports(&mut names).visit_file(&file);
        names.visit_file(&file);
        names
    }

    /// The paths that begin with one of `forbidden`.
    fn below(&self, forbidden: &[&str]) -> Vec<&String> {
        let is_below = |path: &str| {
            forbidden.iter().any(|root| {
                path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            })
        };
        self.paths.iter().filter(|path| is_below(path)).collect()
    }

    /// The modules for tests of a source at `path`, as the paths of their files without extension.
    fn test_files(&self, path: &Path) -> impl Iterator<Item = PathBuf> {
        let is_root = path.file_stem().is_some_and(|stem| stem == "lib" || stem == "main" || stem == "mod");
        let folder = if is_root { path.parent().unwrap().to_owned() } else { path.with_extension("") };
        self.test_modules.iter().map(move |name| folder.join(name))
    }

    fn add_path(&mut self, path: &str) {
        let (first, rest) = path.split_once("::").map_or((path, None), |(first, rest)| (first, Some(rest)));
        let whole = match (self.imports.get(first), rest) {
            (Some(import), Some(rest)) => format!("{import}::{rest}"),
            (Some(import), None) => import.clone(),
            (None, _) => path.to_owned(),
        };
        self.paths.insert(whole);
    }
}

/// Whether an item is compiled for tests only.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

struct Imports<'n>(&'n mut Names);

impl Visit<'_> for Imports<'_> {
    fn visit_item(&mut self, item: &syn::Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        let mut trees = vec![(String::new(), &item.tree)];
        while let Some((prefix, tree)) = trees.pop() {
            let join = |name: &syn::Ident| {
                if prefix.is_empty() { name.to_string() } else { format!("{prefix}::{name}") }
            };
            let (alias, whole) = match tree {
                syn::UseTree::Path(path) => {
                    trees.push((join(&path.ident), &path.tree));
                    continue;
                }
                syn::UseTree::Group(group) => {
                    trees.extend(group.items.iter().map(|tree| (prefix.clone(), tree)));
                    continue;
                }
                syn::UseTree::Glob(_) => {
                    self.0.paths.insert(prefix);
                    continue;
                }
                syn::UseTree::Name(name) if name.ident == "self" => {
                    (prefix.rsplit("::").next().unwrap_or_default().to_owned(), prefix.clone())
                }
                syn::UseTree::Name(name) => (name.ident.to_string(), join(&name.ident)),
                syn::UseTree::Rename(rename) => (rename.rename.to_string(), join(&rename.ident)),
            };
            self.0.paths.insert(whole.clone());
            self.0.imports.insert(alias, whole);
        }
    }
}

impl Visit<'_> for Names {
    fn visit_item(&mut self, item: &syn::Item) {
        match item {
            syn::Item::Mod(module) if is_test(&module.attrs) && module.content.is_none() => {
                self.test_modules.insert(module.ident.to_string());
            }
            item if is_test(attributes(item)) => {}
            item => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item_fn(&mut self, function: &syn::ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add_path(&segments.join("::"));
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &syn::ExprMethodCall) {
        // Texts and cells have a `replace`, too; a client's takes a name, parameters and an object.
        if call.method != "replace" || call.args.len() >= 3 {
            self.methods.insert(call.method.to_string());
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &syn::Macro) {
        if let Some(name) = call.path.segments.last() {
            self.macros.insert(name.ident.to_string());
        }
        // What most macros are given is a list of expressions.
        let expressions =
            call.parse_body_with(syn::punctuated::Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated);
        for expression in expressions.iter().flatten() {
            self.visit_expr(expression);
        }
        visit::visit_macro(self, call);
    }
}

/// Why a source is not pure.
fn impurities(names: &Names) -> Vec<&String> {
    let macros = names.macros.iter().filter(|name| IMPURE_MACROS.contains(&name.as_str()));
    names.below(&IMPURE).into_iter().chain(macros).collect()
}

/// The calls with which a source changes something in a cluster: those of a client, what they are given, and requests
/// made by hand.
fn writes(names: &Names) -> Vec<&String> {
    let methods = names.methods.iter().filter(|name| WRITES.contains(&name.as_str()));
    let requests = names.paths.iter().filter(|path| {
        ["Request::post", "Request::put", "Request::patch", "Request::delete"]
            .iter()
            .any(|end| path.ends_with(end))
    });
    let parameters =
        ["kube::api::Patch", "kube::api::PatchParams", "kube::api::PostParams", "kube::api::DeleteParams"];
    methods.chain(requests).chain(names.below(&parameters)).collect()
}

// === The rules ===

#[test]
fn every_crate_has_a_row_and_keeps_to_it() {
    let workspace = Workspace::read();
    let members: BTreeSet<String> =
        workspace.metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
    let rows: BTreeSet<String> = CRATES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(members, rows, "each crate of the workspace has one row in CRATES");
    for (name, _, allowed) in CRATES {
        let allowed: BTreeSet<String> = allowed.iter().map(|name| format!("lictor-{name}")).collect();
        for dependency in workspace.dependencies(name).into_iter().filter(|d| d.starts_with("lictor")) {
            assert!(allowed.contains(&dependency), "{name} depends on {dependency}");
        }
    }
}

#[test]
fn no_row_lets_anything_but_the_executable_know_a_role() {
    let roles: Vec<&str> =
        CRATES.iter().filter(|(_, kind, _)| *kind == Role).map(|(name, ..)| *name).collect();
    assert_eq!(roles.len(), 4);
    let workspace = Workspace::read();
    for (name, kind, _) in CRATES.iter().filter(|(_, kind, _)| *kind != Executable) {
        // Tests and benches of others too: what they need of a role's judgement is in a pure crate.
        for dependency in &workspace.package(name).dependencies {
            assert!(!roles.contains(&&*dependency.name), "{name} ({kind:?}) depends on {}", dependency.name);
        }
    }
}

#[test]
fn each_outside_thing_has_its_crates() {
    let workspace = Workspace::read();
    for (dependency, allowed) in WRAPPERS {
        for (name, ..) in CRATES {
            let has = workspace.dependencies(name).contains(*dependency);
            assert!(!has || allowed.contains(name), "{name} depends on {dependency}; only {allowed:?} may");
        }
    }
}

#[test]
fn pure_crates_touch_nothing() {
    let workspace = Workspace::read();
    for (name, ..) in CRATES.iter().filter(|(_, kind, _)| *kind == Pure) {
        let closure = workspace.closure(name);
        for dependency in DOES_IO {
            assert!(!closure.contains(dependency), "{name} brings {dependency} along");
        }
        for (path, names) in workspace.names(name) {
            let found = impurities(&names);
            assert!(found.is_empty(), "{} names {found:?}", path.display());
        }
    }
}

#[test]
fn one_crate_writes_to_kubernetes() {
    let workspace = Workspace::read();
    let (_, with_client) = WRAPPERS.iter().find(|(name, _)| *name == "kube").unwrap();
    for name in with_client.iter().filter(|name| !["lictor-cluster", "lictor-tests"].contains(*name)) {
        for (path, names) in workspace.names(name) {
            let found = writes(&names);
            assert!(found.is_empty(), "{} calls {found:?}", path.display());
        }
    }
    let writers = workspace.names("lictor-cluster");
    assert!(writers.iter().any(|(_, names)| !writes(names).is_empty()), "the rule finds what does write");
}

#[test]
fn only_the_executable_parses_the_command_line() {
    let workspace = Workspace::read();
    for (name, ..) in CRATES.iter().filter(|(_, kind, _)| *kind != Executable) {
        for (path, names) in workspace.names(name) {
            let found = names.below(&["clap::Parser", "std::env::args", "std::env::args_os"]);
            assert!(found.is_empty(), "{} names {found:?}", path.display());
        }
    }
}

#[test]
fn every_crate_has_the_lints_and_says_what_it_is_for() {
    let workspace = Workspace::read();
    for package in workspace.metadata.workspace_packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{} has no workspace lints", package.name);
        assert!(package.description.is_some(), "{} has no description", package.name);
        let library = package.manifest_path.parent().unwrap().join("src/lib.rs");
        let text = std::fs::read_to_string(&library).unwrap();
        assert!(text.starts_with("//!"), "{library} does not say what it is for");
    }
}

#[test]
fn crate_paths_are_in_one_place() {
    let workspace = Workspace::read();
    for package in workspace.metadata.workspace_packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        let own = manifest.lines().filter(|line| line.starts_with("lictor") && line.contains("path ="));
        assert_eq!(own.count(), 0, "{} names a crate's path", package.manifest_path);
    }
}

/// README draws the crates as they are. `LICTOR_WRITE_GOLDEN=1` draws them anew.
#[test]
fn the_readme_draws_the_crates() {
    let workspace = Workspace::read();
    let path = workspace.metadata.workspace_root.join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once("<!-- drawn from cargo metadata -->\n```text\n").unwrap();
    let (drawn, after) = rest.split_once("```\n").unwrap();
    let drawing = drawing(&workspace);
    if std::env::var_os("LICTOR_WRITE_GOLDEN").is_some() {
        let readme = format!("{before}<!-- drawn from cargo metadata -->\n```text\n{drawing}```\n{after}");
        std::fs::write(&path, readme).unwrap();
    } else {
        assert_eq!(drawn, drawing, "`make golden` draws the crates anew");
    }
    for (name, ..) in CRATES {
        assert!(before.contains(&format!("| `{name}` |")), "README says what belongs in {name}");
    }
}

/// A line for each crate that ships: where it is, what it is, and the crates of ours it ships with.
fn drawing(workspace: &Workspace) -> String {
    let root = &workspace.metadata.workspace_root;
    let mut drawing = String::new();
    for (name, kind, _) in CRATES.iter().filter(|(_, kind, _)| *kind != Dev) {
        let folder = workspace.package(name).manifest_path.parent().unwrap().strip_prefix(root).unwrap();
        let dependencies = workspace.dependencies(name);
        let uses = CRATES.iter().filter(|(other, ..)| dependencies.contains(*other));
        let uses: Vec<&str> = uses.map(|(other, ..)| other.trim_start_matches("lictor-")).collect();
        let kind = format!("{kind:?}").to_lowercase();
        let arrow = if uses.is_empty() { "" } else { "->" };
        let line = format!("{folder:<20} {kind:<10} {arrow:<2} {}", uses.join(" "));
        drawing.push_str(line.trim_end());
        drawing.push('\n');
    }
    drawing
}

/// What the docs say that the streams reserve is what the table adds up to, and the configuration leaves room for it.
#[test]
fn the_docs_say_what_the_streams_reserve() {
    const GIB: u64 = 1 << 30;
    let root = Workspace::read().metadata.workspace_root;
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let docs = read("deploy/docs/running.md");
    let reserved = |event_bytes: u64| -> u64 {
        let topology = Topology::new("lictor", Sizes { event_bytes, ..Sizes::default() }).unwrap();
        topology.streams().iter().filter_map(|stream| stream.max_bytes).sum()
    };
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / GIB as f64);
    let all = reserved(Sizes::default().event_bytes);
    let others = reserved(0);
    assert_eq!(all - others, 9 * Sizes::default().event_bytes, "the docs count nine streams");
    for said in [
        format!("streams reserve {}: nine of", gib(all)),
        format!("{} for all others", gib(others)),
        format!("`lictor store --event-mib 512` reserves {}", gib(reserved(GIB / 2))),
    ] {
        assert!(docs.contains(&said), "running.md does not say: {said}");
    }
    for path in ["deploy/docs/running.md", "deploy/nats/nats-server.conf"] {
        let text = read(path);
        let (_, room) = text.split_once("max_file_store: ").unwrap();
        let room: u64 = room.split_once("GB").unwrap().0.parse().unwrap();
        assert!(room * GIB > all, "{path}: {room} GB do not hold {}", gib(all));
    }
}

// === The rules bite ===

#[test]
fn planted_impurities_are_found() {
    for offence in [
        "fn f() { std::fs::read(\"x\"); }",
        "use std::{env, fmt}; fn f() { env::var(\"x\"); }",
        "use std::fs as files; fn f() { files::read(\"x\"); }",
        "use std::time::Instant; fn f() -> Instant { Instant::now() }",
        "use jiff::Timestamp; fn f() { let now = Timestamp::now(); }",
        "use std::io::{self, Read}; fn f() { io::stdin(); }",
        "use std::net::*;",
        "fn f() { println!(\"x\"); }",
        "fn f() { assert!(std::env::var(\"x\").is_ok()); }",
        "#[cfg(test)] mod tests {} fn f() { std::process::abort(); }",
        "mod inner { #[cfg(test)] mod tests {} fn f() { std::thread::spawn(|| ()); } }",
        "#[cfg(not(test))] fn f() { std::fs::read(\"x\"); }",
    ] {
        assert!(!impurities(&Names::of(offence)).is_empty(), "{offence}");
    }
    for fine in [
        "#[cfg(test)] mod tests { fn f() { std::fs::read(\"x\"); } }",
        "#[cfg(test)] use std::fs; fn f() {}",
        "/// Not `std::fs::read`.\nfn f() { let text = \"std::fs::read\"; }",
        "use jiff::Timestamp; fn f(now: Timestamp) {}",
        "use std::io::Read; use std::time::Duration;",
    ] {
        assert!(impurities(&Names::of(fine)).is_empty(), "{fine}");
    }
}

#[test]
fn planted_writes_are_found() {
    for offence in [
        "async fn f(api: Api<Pod>) { api.replace(\"web\", &Default::default(), &pod).await; }",
        "async fn f(api: Api<Pod>) { api.delete(\"web\", &DeleteParams::default()).await; }",
        "async fn f(api: Api<Pod>) { api.patch_scale(\"web\", &p, &q).await; }",
        "async fn f(pods: Api<Pod>) { pods.evict(\"web\", &p).await; }",
        "use kube::api::{Api, Patch};",
        "use axum::http::Request; fn f() { Request::post(\"/api/v1/pods\"); }",
        "#[cfg(test)] mod tests {} async fn f(api: Api<Pod>) { api.create(&p, &pod).await; }",
    ] {
        assert!(!writes(&Names::of(offence)).is_empty(), "{offence}");
    }
    for fine in
        ["async fn f(api: Api<Pod>) { api.get(\"web\").await; }", "fn f(a: &str) { a.replace('a', \"b\"); }"]
    {
        assert!(writes(&Names::of(fine)).is_empty(), "{fine}");
    }
}
