//! The set of policies in force: compiled once, shared by every task.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use lictor_wire::policy::{LifecycleStage, Policy};
use lictor_wire::{FileOperation, PolicyId, ProcessAction, RequestOperation};

use crate::explain::{Explanation, Outcome};
use crate::findings::Findings;
use crate::input::{Input, Occurrence};
use crate::policy::{CompiledPolicy, Target};
use crate::prefilter::Index;
use crate::problem::Problem;
use crate::view::View;
use crate::{audit, compile};

/// Policies ready to be evaluated. Immutable; share it behind an `Arc`.
#[derive(Debug, Default)]
pub struct PolicySet {
    /// The policies of each target, sorted by id.
    targets: BTreeMap<Target, Vec<Arc<CompiledPolicy>>>,
    /// The same policies, filed by what an event must have for them to match.
    indexes: BTreeMap<Target, Index>,
    policies: usize,
    parity: bool,
}

/// How policies are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Judge as StackRox does even where this engine corrects it: `deploy/docs/policies.md` has the table.
    pub parity: bool,
}

/// A policy as the policy log has it.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyRevision {
    /// The document.
    pub policy: Arc<Policy>,
    /// The sequence of its document in the log; 0 for one that is in no log.
    pub revision: u64,
}

/// A policy that [`validate`] finds nothing wrong with, and what it compiled to find that out. A set is assembled from
/// these without compiling anything again. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ValidPolicy {
    policy: PolicyRevision,
    compiled: Vec<Arc<CompiledPolicy>>,
}

/// The outcome of compiling: the policies that can be evaluated, and those that cannot.
#[derive(Debug)]
pub struct Compiled {
    /// Those that compile and are enabled.
    pub set: PolicySet,
    /// Those that do not compile, disabled ones too, with every reason.
    pub refused: Vec<Refused>,
}

/// A policy that does not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its id, as in the document.
    pub id: PolicyId,
    /// Its name, for messages.
    pub name: String,
    /// The sequence of its document in the log; 0 for one that is in no log.
    pub revision: u64,
    /// Everything that is wrong with it; never empty.
    pub problems: Vec<Problem>,
}

impl PolicySet {
    /// Compiles policies. Disabled ones are compiled too, so that their problems are known, and left out of the set.
    ///
    /// A policy is refused for what would change its meaning: an unknown criterion, a value that is not understood,
    /// criteria that do not go together. Rules that do not affect evaluation, such as the length of a name, are left to
    /// [`validate`].
    pub fn compile(policies: impl IntoIterator<Item = PolicyRevision>, options: Options) -> Compiled {
        let mut set = Self { parity: options.parity, ..Self::default() };
        let mut refused = Vec::new();
        for PolicyRevision { policy, revision } in policies {
            match compile::compile(&policy, revision, options.parity) {
                Ok(compiled) => set.add(&policy, compiled.into_iter().map(Arc::new)),
                Err(problems) => refused.push(Refused {
                    id: policy.id.clone(),
                    name: policy.name.clone(),
                    revision,
                    problems,
                }),
            }
        }
        set.index();
        Compiled { set, refused }
    }

    /// Assembles the set of valid policies. Disabled ones are left out.
    pub fn assemble<'p>(policies: impl IntoIterator<Item = &'p ValidPolicy>) -> Self {
        let mut set = Self::default();
        for ValidPolicy { policy, compiled } in policies {
            set.add(&policy.policy, compiled.iter().cloned());
        }
        set.index();
        set
    }

    fn add(&mut self, policy: &Policy, compiled: impl Iterator<Item = Arc<CompiledPolicy>>) {
        if policy.disabled {
            return;
        }
        self.policies += 1;
        for compiled in compiled {
            self.targets.entry(compiled.target).or_default().push(compiled);
        }
    }

    fn index(&mut self) {
        for (target, policies) in &mut self.targets {
            policies.sort_by(|a, b| a.reference.id.cmp(&b.reference.id));
            self.indexes.extend(Index::new(*target, policies).map(|index| (*target, index)));
        }
    }

    /// A set that never matches.
    pub fn empty() -> Self {
        Self::default()
    }

    /// How many policies it has.
    pub const fn len(&self) -> usize {
        self.policies
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.policies == 0
    }

    /// Evaluates every policy that `input` concerns. Relative times are computed from `now`.
    pub fn evaluate(&self, input: &Input<'_>, now: Timestamp) -> Findings {
        let target = target(input);
        let Some((policies, index)) =
            target.and_then(|target| Some((self.targets.get(&target)?, self.indexes.get(&target)?)))
        else {
            return self.evaluate_unfiltered(input, now);
        };
        // In parity a process of a container nobody knows is a failure of every policy.
        if self.parity
            && target == Some(Target::Process)
            && View::new(input, self.parity).process_is_lost(&[])
        {
            return self.evaluate_unfiltered(input, now);
        }
        let candidates = index.candidates(input, now);
        let candidates = candidates.iter().filter_map(|candidate| policies.get(candidate).map(Arc::as_ref));
        self.evaluate_each(candidates, input, now)
    }

    /// As [`PolicySet::evaluate`], without the prefilter that skips policies that cannot match. The findings are the
    /// same and take longer; for measuring the prefilter and for proving that it changes nothing.
    pub fn evaluate_unfiltered(&self, input: &Input<'_>, now: Timestamp) -> Findings {
        self.evaluate_each(self.concerned(input), input, now)
    }

    /// Whether some policy may match an event or depend on a missing fact, whatever its workload, images and labels are.
    /// When none may, [`PolicySet::evaluate`] finds nothing with any of them, and the caller need not look them up.
    pub fn may_concern(&self, input: &Input<'_>, now: Timestamp) -> bool {
        let Some(target) = target(input) else { return false };
        match self.indexes.get(&target) {
            Some(index) if !self.parity => index.candidates(input, now).any(),
            _ => self.targets.contains_key(&target),
        }
    }

    /// Evaluates one policy against an input, with reasons; `None` when the set does not hold it.
    pub fn explain(&self, id: &PolicyId, input: &Input<'_>, now: Timestamp) -> Option<Explanation> {
        if let Some(compiled) = self.concerned(input).find(|compiled| compiled.reference.id == *id) {
            return Some(compiled.explain(&View::new(input, self.parity), now));
        }
        let compiled = self.targets.values().flatten().find(|compiled| compiled.reference.id == *id)?;
        Some(Explanation {
            policy: compiled.reference.clone(),
            outcome: Outcome::DoesNotHold,
            not_evaluated: format!("the policy is about {}", compiled.target.describe()),
            sections: Vec::new(),
        })
    }

    /// The policies of the input's target.
    fn concerned(&self, input: &Input<'_>) -> impl Iterator<Item = &CompiledPolicy> {
        target(input).and_then(|target| self.targets.get(&target)).into_iter().flatten().map(Arc::as_ref)
    }

    fn evaluate_each<'p>(
        &self,
        policies: impl Iterator<Item = &'p CompiledPolicy>,
        input: &Input<'_>,
        now: Timestamp,
    ) -> Findings {
        let mut findings = Findings { stage: stage(input), ..Findings::default() };
        let mut policies = policies.peekable();
        if policies.peek().is_none() {
            return findings;
        }
        let view = View::new(input, self.parity);
        for policy in policies {
            policy.evaluate(&view, now, &mut findings);
        }
        // StackRox stops at the first error and says nothing about the event at all.
        if self.parity && !findings.failures.is_empty() {
            findings.violations.clear();
            findings.undecided.clear();
        }
        findings
    }
}

/// Which policies something concerns; `None` when no policy can be about it.
fn target(input: &Input<'_>) -> Option<Target> {
    let in_workload = input.pod().is_some() || input.deployment.is_some();
    match input.occurrence {
        Occurrence::Deployment => Some(Target::Deploy),
        Occurrence::Process(event) => {
            (in_workload && event.action == ProcessAction::Exec).then_some(Target::Process)
        }
        Occurrence::Network(_) => in_workload.then_some(Target::Network),
        // StackRox's sensor reports no reads, so no policy is written with them in mind.
        Occurrence::File(event) if event.operation == FileOperation::Read => None,
        Occurrence::File(_) => Some(if in_workload { Target::File } else { Target::NodeFile }),
        Occurrence::Audit(event) => audit::is_judged(event).then_some(Target::Audit),
        Occurrence::Request(event) => match event.operation {
            RequestOperation::Exec | RequestOperation::Attach | RequestOperation::PortForward => {
                Some(Target::PodCommand)
            }
            RequestOperation::Create | RequestOperation::Update => {
                let workload = input.deployment.is_some() || event.deployment.is_some();
                workload.then_some(Target::Deploy)
            }
            RequestOperation::Delete => None,
        },
        Occurrence::Image(_) => Some(Target::Build),
    }
}

/// The stage something belongs to, whether or not a policy can be about it.
fn stage(input: &Input<'_>) -> LifecycleStage {
    match (target(input), input.occurrence) {
        (Some(target), _) => target.stage(),
        (None, Occurrence::Request(_)) => LifecycleStage::Deploy,
        (None, _) => LifecycleStage::Runtime,
    }
}

impl ValidPolicy {
    /// Checks and compiles a policy; see [`validate`].
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn new(policy: PolicyRevision) -> Result<Self, Vec<Problem>> {
        let compiled = compile::validate(&policy.policy, policy.revision)?;
        Ok(Self { policy, compiled: compiled.into_iter().map(Arc::new).collect() })
    }

    /// The policy and its revision.
    pub const fn revision(&self) -> &PolicyRevision {
        &self.policy
    }
}

/// Checks a policy against the rules for writing one: everything that [`PolicySet::compile`] checks, and its texts,
/// categories, severity and version.
///
/// # Errors
/// Everything that is wrong with it.
pub fn validate(policy: &Policy) -> Result<(), Vec<Problem>> {
    compile::validate(policy, 0).map(|_| ())
}
