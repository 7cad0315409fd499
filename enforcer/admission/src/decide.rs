//! Whether a verdict denies a request. Pure.

use std::collections::BTreeSet;

use clap::ValueEnum;
use lictor_detection::Policies;
use lictor_wire::{PolicyFailure, Undecided, Verdict, Violation};

use crate::policies::denies;

/// What the webhook answers when a fact that an enforced policy needs is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum WhenUnknown {
    /// The request is allowed, and the warning says what was missing.
    #[default]
    Allow,
    /// The request is denied, and the message says what was missing.
    Deny,
}

/// A verdict by what it means for the request.
#[derive(Debug, Default)]
pub(crate) struct Assessment<'a> {
    /// Violations of enforced policies.
    pub(crate) enforced: Vec<&'a Violation>,
    /// Violations of policies that are not enforced.
    pub(crate) unenforced: Vec<&'a Violation>,
    /// Enforced policies that could not be decided, with the facts that are missing.
    pub(crate) undecided: Vec<&'a Undecided>,
    /// Enforced policies whose evaluation failed.
    pub(crate) failed: Vec<&'a PolicyFailure>,
}

impl<'a> Assessment<'a> {
    /// Assesses a verdict.
    pub(crate) fn of(verdict: &'a Verdict, policies: &Policies) -> Self {
        let (enforced, unenforced) =
            verdict.violations.iter().partition(|violation| !violation.enforcement.is_empty());
        let undecided = verdict.undecided.iter().filter(|undecided| denies(policies, &undecided.policy.id));
        let failed = verdict.failures.iter().filter(|failure| denies(policies, &failure.policy.id));
        Self { enforced, unenforced, undecided: undecided.collect(), failed: failed.collect() }
    }

    /// Whether the request is denied. A policy whose evaluation fails denies, since a request that makes it fail would
    /// otherwise evade it.
    pub(crate) fn denies(&self, when_unknown: WhenUnknown) -> bool {
        !self.enforced.is_empty()
            || !self.failed.is_empty()
            || (when_unknown == WhenUnknown::Deny && !self.undecided.is_empty())
    }

    /// The facts that enforced policies needed and that are missing, each once.
    pub(crate) fn missing(&self) -> BTreeSet<&'a str> {
        self.undecided.iter().flat_map(|undecided| &undecided.missing).map(String::as_str).collect()
    }
}
