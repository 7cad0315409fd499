//! A compiled policy, and evaluating it.

use std::sync::Arc;

use jiff::Timestamp;
use lictor_wire::policy::{EnforcementAction, FilteredContainerType, LifecycleStage};
use lictor_wire::{PolicyFailure, PolicyRef, SectionMatch, Undecided};

use crate::findings::{Finding, Findings};
use crate::input::Occurrence;
use crate::scope::{Applicability, EntityKind};
use crate::section::{EvaluationContext, Section};
use crate::truth::{Fact, Truth};
use crate::view::View;
use crate::{message, parity};

/// What a policy is evaluated on. A policy is filed under each target it has sections for, so an event meets only
/// the policies of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Target {
    /// Images before they are deployed.
    Build,
    /// Workloads.
    Deploy,
    /// Processes of workloads.
    Process,
    /// Connections of workloads.
    Network,
    /// Commands to running pods.
    PodCommand,
    /// Files of workloads.
    File,
    /// Files of nodes.
    NodeFile,
    /// The audit log.
    Audit,
}

/// A policy ready to be evaluated on one target.
#[derive(Debug)]
pub(crate) struct CompiledPolicy {
    pub(crate) reference: PolicyRef,
    pub(crate) target: Target,
    pub(crate) sections: Vec<Section>,
    pub(crate) applicability: Arc<Applicability>,
    pub(crate) skipped: Vec<FilteredContainerType>,
    pub(crate) actions: Vec<EnforcementAction>,
    pub(crate) parity: bool,
}

impl Target {
    /// The stage of its policies.
    pub(crate) const fn stage(self) -> LifecycleStage {
        match self {
            Self::Build => LifecycleStage::Build,
            Self::Deploy => LifecycleStage::Deploy,
            Self::Process | Self::Network | Self::PodCommand | Self::File | Self::NodeFile | Self::Audit => {
                LifecycleStage::Runtime
            }
        }
    }

    /// What it is about, for people.
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::Build => "images before they are deployed",
            Self::Deploy => "workloads as they are written",
            Self::Process => "processes of workloads",
            Self::Network => "connections of workloads",
            Self::PodCommand => "exec, attach and port-forward",
            Self::File => "files of workloads",
            Self::NodeFile => "files of nodes",
            Self::Audit => "the audit log",
        }
    }

    /// Whether an action of a policy is for this target: on the workload as it is, or at admission.
    fn admits(self, action: EnforcementAction, view: &View<'_>) -> bool {
        match self {
            Self::Build => action == EnforcementAction::FailBuild,
            Self::Deploy => match action {
                EnforcementAction::UnsatisfiableNodeConstraint => true,
                EnforcementAction::ScaleToZero => {
                    // A DaemonSet has no replicas to scale; it can still be denied at admission.
                    let admission = matches!(view.root.input.occurrence, Occurrence::Request(_));
                    admission || view.root.deployment.is_none_or(|deployment| deployment.kind != "DaemonSet")
                }
                _ => false,
            },
            Self::Process | Self::File => action == EnforcementAction::KillPod,
            Self::PodCommand => action == EnforcementAction::FailKubeRequest,
            Self::Network | Self::NodeFile | Self::Audit => false,
        }
    }
}

impl CompiledPolicy {
    /// Asks, and adds the answer to `findings`.
    pub(crate) fn evaluate(&self, view: &View<'_>, now: Timestamp, findings: &mut Findings) {
        if self.target == Target::Build {
            let named = view.retaining(|container| !self.applicability.excludes_image(container, now));
            if let Some(view) = named {
                self.evaluate_sections(&view, Truth::True, now, findings);
            }
            return;
        }
        let entity = EntityKind::of(&view.root);
        let applies = self.applicability.applies(&view.root, entity, self.parity, now);
        if applies.is_false() {
            return;
        }
        if self.parity && self.target == Target::Process && view.process_is_lost(&self.skipped) {
            // StackRox looks at the process by itself first; one that is not meant is not an error.
            if !self.sections.iter().any(|section| section.process_may_hold(view, now)) {
                return;
            }
            let message = "the container of the process is not in the deployment".to_owned();
            findings.failures.push(PolicyFailure { policy: self.reference.clone(), message });
            return;
        }
        self.evaluate_sections(view, applies, now, findings);
    }

    fn evaluate_sections<'a>(
        &self,
        view: &View<'a>,
        applies: Truth<'a>,
        now: Timestamp,
        findings: &mut Findings,
    ) {
        let context = EvaluationContext { view, skipped: &self.skipped, now };
        let truths: Vec<(&Section, Truth<'a>)> =
            self.sections.iter().map(|section| (section, self.section_truth(section, context))).collect();
        match Truth::any(truths.iter().map(|(_, truth)| truth.clone())).and(applies) {
            Truth::True => {}
            Truth::False => return,
            Truth::Unknown(missing) => {
                findings.undecided.push(self.undecided(missing, view));
                return;
            }
        }
        let matched = truths.into_iter().filter(|(_, truth)| truth.is_true());
        let sections = matched.map(|(section, _)| self.section_match(section, context));
        findings.violations.push(Finding {
            policy: self.reference.clone(),
            sections: sections.collect(),
            enforcement: self.enforcement(view),
        });
    }

    pub(crate) fn section_truth<'a>(
        &self,
        section: &Section,
        context: EvaluationContext<'_, 'a>,
    ) -> Truth<'a> {
        if self.parity { parity::truth(section, context) } else { section.truth(context) }
    }

    /// What a violation says of a section that holds.
    pub(crate) fn section_match(
        &self,
        section: &Section,
        context: EvaluationContext<'_, '_>,
    ) -> SectionMatch {
        // Exact linking need not agree with StackRox's that the section holds.
        let exact = !self.parity || section.truth(context).is_true();
        SectionMatch {
            section: section.index,
            name: section.name.clone(),
            evidence: if exact { section.evidence(context) } else { parity::evidence(section, context) },
            messages: message::of_section(section, context, exact),
        }
    }

    fn undecided(&self, missing: Vec<Fact<'_>>, view: &View<'_>) -> Undecided {
        let mut missing: Vec<String> =
            missing.into_iter().map(|fact| fact.describe(&view.root.input)).collect();
        missing.sort();
        missing.dedup();
        Undecided { policy: self.reference.clone(), missing }
    }

    fn enforcement(&self, view: &View<'_>) -> Vec<EnforcementAction> {
        self.actions.iter().copied().filter(|action| self.target.admits(*action, view)).collect()
    }
}
