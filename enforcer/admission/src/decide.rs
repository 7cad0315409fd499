//! From a verdict to yes or no. Pure.

use std::collections::BTreeSet;

use clap::ValueEnum;
use lictor_wire::{PolicyFailure, Undecided, Verdict, Violation};

use crate::policies::Policies;

/// What becomes of a request while a fact that an enforced policy asks for is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum WhenUnknown {
    /// It is let through, and the warning says what was not known.
    #[default]
    Allow,
    /// It is denied, and the message says what was not known.
    Deny,
}

/// What speaks against a request, and what is only worth saying.
#[derive(Debug, Default)]
pub(crate) struct Findings<'a> {
    /// Violations of policies that ask for a denial.
    pub(crate) enforced: Vec<&'a Violation>,
    /// Violations of other policies.
    pub(crate) told: Vec<&'a Violation>,
    /// Policies that ask for a denial and could not be decided: with the facts that are missing.
    pub(crate) unknown: Vec<&'a Undecided>,
    /// Policies that ask for a denial and whose evaluation failed.
    pub(crate) failed: Vec<&'a PolicyFailure>,
}

impl<'a> Findings<'a> {
    /// Sorts what a verdict holds.
    #[must_use]
    pub(crate) fn of(verdict: &'a Verdict, policies: &Policies) -> Self {
        let (enforced, told) =
            verdict.violations.iter().partition(|violation| !violation.enforcement.is_empty());
        let unknown = verdict.undecided.iter().filter(|undecided| policies.denies(&undecided.policy.id));
        let failed = verdict.failures.iter().filter(|failure| policies.denies(&failure.policy.id));
        Self { enforced, told, unknown: unknown.collect(), failed: failed.collect() }
    }

    /// Whether the request is denied. A policy whose evaluation failed denies: whoever can make it fail could
    /// otherwise switch it off.
    #[must_use]
    pub(crate) fn denies(&self, when_unknown: WhenUnknown) -> bool {
        !self.enforced.is_empty()
            || !self.failed.is_empty()
            || (when_unknown == WhenUnknown::Deny && !self.unknown.is_empty())
    }

    /// The facts that enforced policies would have needed, each once.
    #[must_use]
    pub(crate) fn missing(&self) -> BTreeSet<&'a str> {
        self.unknown.iter().flat_map(|undecided| &undecided.missing).map(String::as_str).collect()
    }
}
