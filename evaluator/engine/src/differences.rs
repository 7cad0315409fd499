//! Where this engine gives another verdict than StackRox, and why.
//!
//! The same verdicts are the rule. A fix may only make a verdict stricter or drop a false alarm, and
//! [`Options::parity`](crate::Options::parity) switches it off. Differences outside of judging (import, locks, the
//! model of workloads) are not this crate's.

/// A difference in judging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// `D1` and on; numbers that are left out are differences outside of judging.
    pub id: &'static str,
    /// What StackRox does.
    pub stackrox: &'static str,
    /// What this engine does.
    pub here: &'static str,
    /// What that does to verdicts.
    pub effect: Effect,
}

/// What a difference does to verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// More is found.
    Stricter,
    /// A false alarm is gone.
    FewerFalseAlarms,
    /// None: kept on purpose, and listed because it surprises.
    None,
}

/// Every difference, by id.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        id: "D1",
        stackrox: "criteria of one section can be met by different containers, volumes or vulnerabilities when \
                   they look at sibling lists or at the same field",
        here: "one container, one volume, one vulnerability meets all",
        effect: Effect::FewerFalseAlarms,
    },
    Difference {
        id: "D2",
        stackrox: "an exclusion of an image keeps its policy from ever matching a deployment",
        here: "it exempts that image at the build stage and nothing else",
        effect: Effect::Stricter,
    },
    Difference {
        id: "D3",
        stackrox: "a policy that cannot be evaluated hides the violations of all others",
        here: "its failure is reported beside them",
        effect: Effect::Stricter,
    },
    Difference {
        id: "D7",
        stackrox: "a workload without containers violates no criterion whose message names a container",
        here: "the same",
        effect: Effect::None,
    },
    Difference {
        id: "D8",
        stackrox: "`Mount Propagation` HOSTTOCONTAINER matches nothing",
        here: "it matches mounts with that propagation",
        effect: Effect::Stricter,
    },
    Difference {
        id: "D9",
        stackrox: "policies about nodes ignore their scope and exclusions",
        here: "they apply as far as a node has what they name",
        effect: Effect::FewerFalseAlarms,
    },
    Difference {
        id: "D11",
        stackrox: "a line of history that BuildKit recorded keeps its shell before it and its mark behind it, so \
                   patterns for the whole line miss it",
        here: "it is also looked at as it was written",
        effect: Effect::Stricter,
    },
    Difference {
        id: "D12",
        stackrox: "a process in a container that the deployment does not list, such as an ephemeral one, is an \
                   error and judged by no policy",
        here: "it is judged; what criteria say about its container is unknown",
        effect: Effect::Stricter,
    },
];
