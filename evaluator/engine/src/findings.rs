//! What judging yields.

use lictor_wire::policy::{EnforcementAction, LifecycleStage};
use lictor_wire::{PolicyFailure, PolicyRef, SectionMatch, Undecided};

/// What the policies of one stage say about one subject. Each list is sorted by policy id.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Findings {
    /// The stage whose policies were asked.
    pub stage: LifecycleStage,
    /// The policies that matched.
    pub violations: Vec<Finding>,
    /// The policies that could not be decided for want of facts. They did not match.
    pub undecided: Vec<Undecided>,
    /// The policies whose evaluation failed. They did not match, and did not touch the others.
    pub failures: Vec<PolicyFailure>,
}

/// A policy matched.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The policy.
    pub policy: PolicyRef,
    /// The sections that matched, with their evidence.
    pub sections: Vec<SectionMatch>,
    /// What the policy asks to be done at this stage, in its own order.
    pub enforcement: Vec<EnforcementAction>,
}
