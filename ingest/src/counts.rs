//! What the role has done.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use lictor_wire::{Event, Kind};

/// What was done, per kind where there is one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Events that streams have acknowledged.
    pub published: BTreeMap<Kind, u64>,
    /// Events that were seen shortly before under the same id, and not published again.
    pub folded: BTreeMap<Kind, u64>,
    /// Audit events whose audit ID stood for another request before.
    pub reused_audit_ids: u64,
    /// What could not be read, kept with its reason.
    pub dead_letters: u64,
    /// Manifest objects of kinds that do not describe workloads.
    pub ignored: u64,
    /// Facts written to buckets.
    pub facts: u64,
}

impl Summary {
    /// Events published, of all kinds.
    pub fn events(&self) -> u64 {
        self.published.values().sum()
    }

    /// Everything in one number each, by name.
    pub(crate) fn totals(&self) -> BTreeMap<String, u64> {
        [
            ("published", self.events()),
            ("folded", self.folded.values().sum()),
            ("reused audit IDs", self.reused_audit_ids),
            ("dead", self.dead_letters),
            ("ignored", self.ignored),
            ("facts", self.facts),
        ]
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
    }
}

/// Counts from all parts.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<Summary>);

impl Counts {
    pub(crate) fn change(&self, change: impl FnOnce(&mut Summary)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn published(&self, events: &[Kind]) {
        self.change(|summary| {
            for kind in events {
                *summary.published.entry(*kind).or_default() += 1;
            }
        });
    }

    pub(crate) fn folded(&self, event: &Event) {
        self.change(|summary| *summary.folded.entry(event.kind()).or_default() += 1);
    }

    pub(crate) fn summary(&self) -> Summary {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
