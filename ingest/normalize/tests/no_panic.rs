//! Whatever comes in, something comes back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "all of this is test code, helpers included, and stops at the first surprise"
)]

use lictor_normalize::{Batch, Format, FormatError, Origin, manifest};
use lictor_wire::{ClusterId, Event};
use proptest::prelude::*;

const AUDIT: &str = include_str!("fixtures/audit/log.json");
const WEBHOOK: &str = include_str!("fixtures/audit/webhook.json");
const AZURE: &str = include_str!("fixtures/audit/azure.json");
const TETRAGON: &str = include_str!("fixtures/tetragon/export.json");
const KINDS: &str = include_str!("fixtures/manifest/kinds.yaml");
const OWNERS: &str = include_str!("fixtures/manifest/owners.yaml");
const LIST: &str = include_str!("fixtures/manifest/list.json");

fn origin() -> Origin {
    Origin { cluster: ClusterId::new("c"), source: String::new(), received: jiff::Timestamp::UNIX_EPOCH }
}

fn read(format: Format, text: &str) -> Result<Vec<Event>, FormatError> {
    let mut batch = Batch::default();
    format.read(text, &origin(), &mut batch).map(|()| batch.events)
}

/// A real text with a part cut out, doubled, or replaced by noise: far likelier to get past the first brace.
fn damaged(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    let lines: Vec<&'static str> = of.iter().flat_map(|text| text.lines()).collect();
    (prop::sample::select(lines), any::<prop::sample::Index>(), any::<prop::sample::Index>(), "\\PC{0,6}")
        .prop_map(|(line, from, to, noise)| {
            let at = |index: prop::sample::Index| {
                (0..=index.index(line.len() + 1)).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0)
            };
            let (from, to) = (at(from), at(to));
            format!("{}{noise}{}", &line[..from], &line[to..])
        })
}

fn manifest(text: &str) {
    let found = manifest::read([manifest::Text { name: "t", text }], &ClusterId::new("c"));
    for error in &found.errors {
        assert!(error.place.line >= 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn on_any_text(text in "\\PC*") {
        let _ = Format::detect(&text);
        for format in [Format::Audit, Format::Tetragon, Format::Events, Format::Manifest] {
            let _ = read(format, &text);
        }
        manifest(&text);
    }

    #[test]
    fn on_damaged_audit_records(text in damaged(&[AUDIT, WEBHOOK, AZURE])) {
        let _ = Format::detect(&text);
        for event in read(Format::Audit, &text).unwrap_or_default() {
            let line = event.to_line().unwrap();
            prop_assert_eq!(read(Format::Events, &line).unwrap(), [event]);
        }
    }

    #[test]
    fn on_damaged_tetragon_lines(text in damaged(&[TETRAGON])) {
        for event in read(Format::Tetragon, &text).unwrap_or_default() {
            let line = event.to_line().unwrap();
            prop_assert_eq!(read(Format::Events, &line).unwrap(), [event]);
        }
    }

    #[test]
    fn on_damaged_manifests(whole in prop::sample::select(vec![KINDS, OWNERS, LIST]), cut in any::<prop::sample::Index>(), noise in "[-\\[\\]{}:,&*! \\n\\t'\"#|>0-9a-z]{0,8}") {
        let at = (0..=cut.index(whole.len())).rev().find(|at| whole.is_char_boundary(*at)).unwrap_or(0);
        manifest(&format!("{}{noise}{}", &whole[..at], &whole[at..]));
    }
}

#[test]
fn on_deep_nesting_and_multiplying_aliases() {
    let deep = "[".repeat(100_000);
    manifest(&deep);
    manifest(&format!("apiVersion: v1\nkind: List\nitems: {deep}"));
    let _ = read(Format::Audit, &deep);
    let sensor = format!("{{\"process_exec\":{deep}");
    let _ = Format::detect(&sensor);
    let _ = read(Format::Tetragon, &sensor);
    let mut aliases = "apiVersion: v1\nkind: X\na0: &a0 [x]\n".to_owned();
    for i in 1..40 {
        aliases.push_str(&format!("a{i}: &a{i} [*a{0},*a{0},*a{0},*a{0}]\n", i - 1));
    }
    manifest(&aliases);
}
