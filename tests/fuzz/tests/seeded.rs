//! The properties on seeded mutations of real files: a few seconds each, in every run of the tests.
//!
//! `LICTOR_FUZZ_SEED` repeats a run, `LICTOR_FUZZ_SECONDS` makes it longer.

#![cfg(test)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use lictor_policies::Set;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// How long each property is tried.
const SECONDS: u64 = 8;

/// Texts that formats and policies give a meaning to.
const WORDS: &[&str] = &[
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "9223372036854775808",
    "\"\"",
    "{}",
    "[]",
    "\\u0000",
    "\\ud800",
    "\u{212a}",
    "'",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "---\n",
    "\t",
    "\n",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "|\n",
    "# ",
    "(",
    ")",
    "(?i)",
    "{1001}",
    "\\Q",
    "\\pN",
    ".*",
    "r/",
    "g/",
    "**",
    "=",
    ">= ",
    "UNSET",
    "kind",
    "apiVersion",
    "items",
    "List",
];

fn fuzz(name: &str, seeds: &[String], property: fn(&[u8])) {
    let number = |variable: &str| std::env::var(variable).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("LICTOR_FUZZ_SEED").unwrap_or_else(|| rand::rng().random());
    let mut rng = StdRng::seed_from_u64(seed);
    let end = Instant::now() + Duration::from_secs(number("LICTOR_FUZZ_SECONDS").unwrap_or(SECONDS));
    assert!(seeds.len() > 1, "{name} has nothing to mutate");
    for seed in seeds {
        property(seed.as_bytes());
    }
    let mut tried = 0_u64;
    while Instant::now() < end {
        let bytes = mutate(seeds, &mut rng);
        let outcome = catch_unwind(AssertUnwindSafe(|| property(&bytes)));
        assert!(
            outcome.is_ok(),
            "{name} does not hold of (LICTOR_FUZZ_SEED={seed}, input {tried}):\n{}",
            String::from_utf8_lossy(&bytes)
        );
        tried += 1;
    }
    println!("{name}: {tried} inputs");
    assert!(tried > 50, "{name} tried next to nothing");
}

fn mutate(seeds: &[String], rng: &mut StdRng) -> Vec<u8> {
    let pick = |rng: &mut StdRng| seeds[rng.random_range(0..seeds.len())].as_bytes();
    let mut bytes = pick(rng).to_vec();
    for _ in 0..rng.random_range(1..6) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.random_range(0..bytes.len());
        let end = (at + rng.random_range(0..40)).min(bytes.len());
        match rng.random_range(0..6) {
            0 => bytes[at] = (rng.next_u32() & 0x7f) as u8,
            1 => drop(bytes.drain(at..end)),
            2 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            3 => {
                let other = pick(rng);
                let from = rng.random_range(0..=other.len());
                let to = (from + rng.random_range(0..200)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            _ => {
                let word = WORDS[rng.random_range(0..WORDS.len())];
                bytes.splice(at..end, word.bytes());
            }
        }
    }
    bytes
}

/// Real files below the top of the project.
fn files(folder: &str, ends: &[&str]) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let wanted = paths.iter().filter(|path| {
        path.extension().is_some_and(|end| ends.iter().any(|wanted| end.eq_ignore_ascii_case(wanted)))
    });
    wanted.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

fn lines(texts: &[String]) -> Vec<String> {
    texts.iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
}

#[test]
fn policy_json() {
    let seeds: Vec<String> =
        Set::ALL.iter().flat_map(|set| set.files()).map(|(_, text)| text.to_owned()).collect();
    fuzz("policy JSON", &seeds, lictor_fuzz::policy_json);
}

#[test]
fn policy_yaml() {
    let shipped = Set::ALL.iter().flat_map(|set| set.files());
    let seeds: Vec<String> = shipped
        .map(|(name, text)| {
            let policy = &lictor_policies::read(&name, text).policies[0].policy;
            lictor_policies::to_custom_resource(policy).unwrap()
        })
        .collect();
    fuzz("policy YAML", &seeds, lictor_fuzz::policy_yaml);
}

#[test]
fn audit() {
    let mut seeds = files("ingest/normalize/tests/fixtures/audit", &["json"]);
    seeds.extend(lines(&files("deploy/lictor/demo", &["log"])));
    fuzz("audit", &seeds, lictor_fuzz::audit);
}

#[test]
fn tetragon() {
    let seeds = lines(&files("ingest/normalize/tests/fixtures/tetragon", &["json"]));
    fuzz("Tetragon", &seeds, lictor_fuzz::tetragon);
}

#[test]
fn manifest() {
    let mut seeds = files("ingest/normalize/tests/fixtures/manifest", &["yaml", "json"]);
    seeds.extend(files("tests/fuzz/seeds/manifest", &["yaml"]));
    fuzz("manifests", &seeds, lictor_fuzz::manifest);
}
