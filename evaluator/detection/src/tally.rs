//! What judging a history comes to: for each entity, which policies it violated, how often and when.
//!
//! Memory grows with what is violated, not with what is judged.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lictor_engine::PolicySet;
use lictor_wire::policy::LifecycleStage;
use lictor_wire::{Cause, Entity, Event, PolicyId, Undecided, Verdict, Violation};

use crate::judge::{Judge, JudgeContext};
use crate::state::ClusterState;

/// The tally of a replay.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many events there were, by kind.
    pub events: BTreeMap<&'static str, u64>,
    /// The entities about which something was found, by [`Entity::key`].
    pub entities: BTreeMap<String, EntityTally>,
}

/// An entity about which something was found.
#[derive(Debug)]
pub struct EntityTally {
    /// The entity, as its first verdict names it.
    pub entity: Entity,
    /// The policies it violated.
    pub violations: BTreeMap<PolicyId, ViolationTally>,
    /// The policies that it never violated and that could not be decided at least once, with what was missing then.
    pub undecided: BTreeMap<PolicyId, Undecided>,
}

/// A policy that an entity violated, at least once.
#[derive(Debug)]
pub struct ViolationTally {
    /// The first violation that was judged.
    pub violation: Violation,
    /// Its stage.
    pub stage: LifecycleStage,
    /// How many events violated the policy.
    pub count: u64,
    /// The time of the earliest of these events.
    pub first: Timestamp,
    /// The time of the latest of them.
    pub last: Timestamp,
}

impl Tally {
    /// Takes in what an event says about the state, judges it, and counts. Ages and expiries count to the time at which
    /// it happened.
    pub fn replay(&mut self, event: &Event, state: &ClusterState, policies: &PolicySet) {
        *self.events.entry(event.kind().as_str()).or_default() += 1;
        state.learn(event);
        let context = JudgeContext {
            stream: "",
            sequence: 0,
            cause: Cause::Replay,
            may_wait: false,
            now: event.time,
            traceparent: None,
        };
        let judge = Judge { state, policies, policies_revision: 0 };
        for verdict in judge.event(event, context).verdicts {
            self.count(verdict);
        }
    }

    fn count(&mut self, verdict: Verdict) {
        let Verdict { entity, event, stage, violations, undecided, .. } = verdict;
        if violations.is_empty() && undecided.is_empty() {
            return;
        }
        let tally = self.entities.entry(entity.key()).or_insert_with(|| EntityTally {
            entity,
            violations: BTreeMap::new(),
            undecided: BTreeMap::new(),
        });
        for violation in violations {
            let id = violation.policy.id.clone();
            // A policy that was violated once is no longer open.
            tally.undecided.remove(&id);
            let at = event.time;
            let times = ViolationTally { violation, stage, count: 0, first: at, last: at };
            let known = tally.violations.entry(id).or_insert(times);
            known.count += 1;
            known.first = known.first.min(at);
            known.last = known.last.max(at);
        }
        // What depends on facts about images depends on them at every event; it is kept once for each entity.
        for undecided in undecided {
            let id = &undecided.policy.id;
            if !tally.violations.contains_key(id) {
                tally.undecided.entry(id.clone()).or_insert(undecided);
            }
        }
    }
}
