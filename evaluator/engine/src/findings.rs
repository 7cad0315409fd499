//! What judging yields.

use jiff::Timestamp;
use lictor_wire::policy::{EnforcementAction, LifecycleStage};
use lictor_wire::{
    Cause, Entity, EventRef, Evidence, PolicyFailure, PolicyRef, Revisions, SectionMatch, Undecided, Verdict,
    Violation, ViolationId, mask,
};

/// The evaluation results of one stage's policies for one input. Each list is sorted by policy id.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Findings {
    /// The stage whose policies were evaluated.
    pub stage: LifecycleStage,
    /// The policies that matched.
    pub violations: Vec<Finding>,
    /// The policies that could not be decided because facts are missing. They did not match.
    pub undecided: Vec<Undecided>,
    /// The policies whose evaluation failed. They did not match, and did not affect the others.
    pub failures: Vec<PolicyFailure>,
}

/// A policy matched.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The policy, with the revision that matched.
    pub policy: PolicyRef,
    /// The sections that matched, with their evidence.
    pub sections: Vec<SectionMatch>,
    /// The actions of the policy for this stage, in its own order.
    pub enforcement: Vec<EnforcementAction>,
}

impl Findings {
    /// Builds the verdict on an entity from these findings, judged at `now` because of an event. Everything up to here
    /// is judged by clear values; what was found is shown with its secrets masked.
    pub fn into_verdict(
        self,
        event: EventRef,
        cause: Cause,
        entity: Entity,
        revisions: Revisions,
        now: Timestamp,
    ) -> Verdict {
        let key = entity.key();
        let violations = self.violations.into_iter().map(|finding| Violation {
            id: ViolationId::of(&event.id, &key, &finding.policy.id),
            policy: finding.policy,
            sections: finding.sections.into_iter().map(masked).collect(),
            enforcement: finding.enforcement,
        });
        Verdict {
            id: Verdict::id_of(&event.id, &entity, cause, revisions),
            violations: violations.collect(),
            event,
            cause,
            stage: self.stage,
            entity,
            revisions,
            judged_at: now,
            undecided: self.undecided,
            failures: self.failures.into_iter().map(masked_failure).collect(),
            gone: false,
            admission: None,
            traceparent: None,
        }
    }
}

/// What a policy says is its own, and no secret.
fn masked(mut section: SectionMatch) -> SectionMatch {
    for Evidence { found, .. } in &mut section.evidence {
        mask(found);
    }
    section.messages.iter_mut().for_each(mask);
    section
}

fn masked_failure(mut failure: PolicyFailure) -> PolicyFailure {
    mask(&mut failure.message);
    failure
}
