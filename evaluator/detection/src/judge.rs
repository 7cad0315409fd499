//! One event becomes verdicts and a status. The state of the cluster, the policies and the time are given.

use jiff::Timestamp;
use lictor_engine::{Findings, Input, Occurrence, PolicySet};
use lictor_wire::policy::LifecycleStage;
use lictor_wire::{
    Cause, Deployment, DeploymentChange, DeploymentEvent, Entity, Event, EventRef, Projection, Revisions,
    Verdict,
};

use crate::join::Joined;
use crate::state::{ClusterState, Versioned};
use crate::target::Target;

/// What judging reads.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// The state of the cluster.
    pub state: &'a ClusterState,
    /// The policies in force.
    pub policies: &'a PolicySet,
    /// The sequence up to which the policy log was read for them; 0 for policies that do not come from a log.
    pub policies_revision: u64,
}

/// Where an event is stored and why it is judged.
#[derive(Debug, Clone, Copy)]
pub struct JudgeContext<'a> {
    /// The stream that holds its message; empty for an event that is not in a stream.
    pub stream: &'a str,
    /// The message's sequence in it.
    pub sequence: u64,
    /// Why it is judged.
    pub cause: Cause,
    /// Whether it may still wait for a fact.
    pub may_wait: bool,
    /// The time that it is judged at: ages and expiries count to here.
    pub now: Timestamp,
    /// W3C trace context of the event.
    pub traceparent: Option<&'a str>,
}

/// The result of judging an event.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Judgement {
    /// The verdicts, one for each entity.
    pub verdicts: Vec<Verdict>,
    /// Whether the event is judged or waits.
    pub status: JudgementStatus,
}

/// Whether an event is judged or waits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum JudgementStatus {
    /// It is done with.
    #[default]
    Judged,
    /// It waits for facts, without a verdict.
    Parked {
        /// The facts, in words, as `workload of pod shop/web-1`.
        missing: Vec<String>,
    },
}

/// What becomes of findings about a target.
enum Next {
    Verdict,
    Nothing,
    /// For this fact.
    Wait(String),
}

impl Judge<'_> {
    /// Judges an event.
    ///
    /// An admission request is judged here only after the fact; while it is pending, the webhook judges it.
    pub fn event(&self, event: &Event, context: JudgeContext<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        let Some(target) = Target::of(&event.data) else { return judgement };
        if let Target::Workload(body) = target
            && body.change == DeploymentChange::Deleted
            && self.state.deployment(&body.deployment.id).is_none()
        {
            judgement.verdicts.push(self.deleted(event, body, context));
            return judgement;
        }
        let context = match target {
            Target::UsersOf(_) => JudgeContext { cause: Cause::Facts, ..context },
            _ => context,
        };
        target.workloads(self.state, &event.cluster, &mut |workload| {
            let joined = Joined::new(self.state, &event.cluster, target, workload);
            let findings = joined.evaluate(self.policies, context.now);
            match next(target, workload.is_some(), &findings, context.may_wait) {
                Next::Verdict => {
                    let entity = target.entity(&event.cluster, workload.map(|workload| &*workload.value));
                    let revisions = joined.revisions(self.policies_revision);
                    let event = event_ref(event, context);
                    judgement.verdicts.push(verdict(event, context, entity, revisions, findings));
                }
                Next::Nothing => {}
                Next::Wait(fact) => judgement.status = JudgementStatus::Parked { missing: vec![fact] },
            }
        });
        judgement
    }

    /// Judges a workload against the policies of the deploy stage.
    pub fn workload(
        &self,
        workload: &Versioned<Deployment>,
        event: &EventRef,
        context: JudgeContext<'_>,
    ) -> Verdict {
        let joined = Joined::workload(self.state, workload);
        let findings = joined.evaluate(self.policies, context.now);
        let entity = crate::target::of_workload(&workload.value, None);
        verdict(event.clone(), context, entity, joined.revisions(self.policies_revision), findings)
    }

    /// Whether some policy may match an event of which only its projection was read, whatever its workload is. When
    /// none may, judging all of it would end without a verdict. This is so for most events, and nothing more is read or
    /// looked up for them.
    pub fn passes_prefilter(&self, projection: &Projection, now: Timestamp) -> bool {
        let Some(occurrence) = Occurrence::of(&projection.data) else { return true };
        let input = Input {
            cluster: &projection.cluster,
            occurrence,
            deployment: None,
            images: &[],
            cluster_labels: None,
            namespace_labels: None,
            deviates: None,
        };
        self.policies.may_concern(&input, now)
    }

    fn deleted(&self, event: &Event, body: &DeploymentEvent, context: JudgeContext<'_>) -> Verdict {
        let revisions = Revisions { deployment: body.revision, images: 0, policies: self.policies_revision };
        let findings = Findings { stage: LifecycleStage::Deploy, ..Findings::default() };
        let entity = Target::Workload(body).entity(&event.cluster, None);
        let verdict = verdict(event_ref(event, context), context, entity, revisions, findings);
        Verdict { gone: true, ..verdict }
    }
}

/// A workload is always answered for, clean or not: that is how alerts resolve. Everything else is when there is
/// something to say.
fn next(target: Target<'_>, workload_is_known: bool, findings: &Findings, may_wait: bool) -> Next {
    let violated = !findings.violations.is_empty();
    let failed = !findings.failures.is_empty();
    let undecided = !findings.undecided.is_empty();
    let tell = match target {
        Target::Workload(_) | Target::UsersOf(_) => true,
        Target::Pod(pod, _) => {
            if !workload_is_known && may_wait && (violated || undecided) {
                return Next::Wait(format!("workload of pod {}/{}", pod.namespace, pod.name));
            }
            // Undecided because of a missing workload after all the waiting is worth saying; because of an image's
            // missing facts, which may never come, it would be said about every event.
            violated || failed || (undecided && !workload_is_known)
        }
        Target::Node(_) | Target::Object(_) => violated || failed,
        Target::Request(_) | Target::Image(_) => violated || failed || undecided,
    };
    if tell { Next::Verdict } else { Next::Nothing }
}

fn event_ref(event: &Event, context: JudgeContext<'_>) -> EventRef {
    EventRef {
        id: event.id.clone(),
        kind: event.kind(),
        time: event.time,
        stream: context.stream.to_owned(),
        sequence: context.sequence,
    }
}

fn verdict(
    event: EventRef,
    context: JudgeContext<'_>,
    entity: Entity,
    revisions: Revisions,
    findings: Findings,
) -> Verdict {
    let JudgeContext { cause, now, traceparent, .. } = context;
    Verdict {
        traceparent: traceparent.map(ToOwned::to_owned),
        ..findings.into_verdict(event, cause, entity, revisions, now)
    }
}
