//! Why, and why not: everything one policy looked at, criterion by criterion.
//!
//! Judging stops at the first thing that decides; explaining looks at everything. Both evaluate the same compiled policy,
//! so what is explained is what was judged.

use jiff::Timestamp;
use lictor_wire::{Evidence, PolicyRef};
use serde::Serialize;

use crate::evidence::{Location, found};
use crate::policy::{CompiledPolicy, Target};
use crate::scope::EntityKind;
use crate::section::{EvaluationContext, Group, Node, Section};
use crate::truth::Truth;
use crate::view::{Element, Elements, View};

/// The most elements that are shown for one criterion; a workload with hundreds of vulnerabilities says enough by
/// some.
const SHOWN: usize = 50;

/// The result of evaluating one policy against one input, with reasons.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The policy, with the revision that was evaluated.
    pub policy: PolicyRef,
    /// Whether it is violated.
    pub outcome: Outcome,
    /// Why no section was evaluated: the scope or the exclusion that excludes the input, or that the policy does not
    /// apply to this kind of input; empty when they were evaluated.
    pub not_evaluated: String,
    /// Its sections, in order; empty when they were not evaluated.
    pub sections: Vec<SectionExplanation>,
}

/// The result of evaluating a policy, a section or a criterion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It holds.
    Holds,
    /// It does not.
    DoesNotHold,
    /// It depends on these facts; each once, sorted.
    Unknown(Vec<String>),
}

/// The evaluation result of a section.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SectionExplanation {
    /// Index of the section in the policy, from 0.
    #[serde(rename = "section")]
    pub index: usize,
    /// Its name in the policy; often empty.
    pub name: String,
    /// Whether it is met.
    pub outcome: Outcome,
    /// Its criteria, each by itself.
    pub criteria: Vec<CriterionExplanation>,
    /// The first criterion that does not hold by itself; `None` when each does. A section can fail all the same:
    /// every criterion holds, and none of the containers (volumes, vulnerabilities, …) meets all of them.
    pub first_failing: Option<usize>,
    /// The evidence; `None` unless the section holds.
    pub evidence: Option<Vec<Evidence>>,
}

/// The evaluation result of one criterion, by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CriterionExplanation {
    /// Its field name, as policies write it.
    pub criterion: &'static str,
    /// The values that the policy requires, as written in it.
    pub wanted: String,
    /// Whether some element meets it.
    pub outcome: Outcome,
    /// What was found, element by element; the first fifty.
    pub found: Vec<Found>,
    /// How many more elements there are than those in `found`.
    pub more: usize,
}

/// What a criterion found in one element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// Where: `container web, volume data`; empty for the input itself.
    pub at: String,
    /// The value, as text; empty when there is none.
    pub value: String,
    /// Whether it meets the criterion.
    pub outcome: Outcome,
}

impl CompiledPolicy {
    /// Evaluates the policy against an input of its target, with reasons.
    pub(crate) fn explain(&self, view: &View<'_>, now: Timestamp) -> Explanation {
        let mut explanation = Explanation {
            policy: self.reference.clone(),
            outcome: Outcome::DoesNotHold,
            not_evaluated: String::new(),
            sections: Vec::new(),
        };
        let retained;
        let (view, applies) = if self.target == Target::Build {
            match view.retaining(|container| !self.applicability.excludes_image(container, now)) {
                Some(view) => retained = view,
                None => {
                    "an exclusion names the image".clone_into(&mut explanation.not_evaluated);
                    return explanation;
                }
            }
            (&retained, Truth::True)
        } else {
            let entity = EntityKind::of(&view.root);
            let applies = self.applicability.applies(&view.root, entity, self.parity, now);
            if applies.is_false() {
                explanation.not_evaluated = self.applicability.why_not(&view.root, entity, self.parity, now);
                return explanation;
            }
            (view, applies)
        };
        let context = EvaluationContext { view, skipped: &self.skipped, now };
        let truths: Vec<Truth<'_>> =
            self.sections.iter().map(|section| self.section_truth(section, context)).collect();
        explanation.sections = self
            .sections
            .iter()
            .zip(&truths)
            .map(|(section, truth)| self.explain_section(section, truth, context))
            .collect();
        explanation.outcome = Outcome::of(&Truth::any(truths).and(applies), view);
        explanation
    }

    fn explain_section(
        &self,
        section: &Section,
        truth: &Truth<'_>,
        context: EvaluationContext<'_, '_>,
    ) -> SectionExplanation {
        let mut criteria = Vec::new();
        section.root.explain(context, &mut criteria);
        criteria.sort_by_key(|(position, _)| *position);
        let criteria: Vec<CriterionExplanation> = criteria.into_iter().map(|(_, found)| found).collect();
        SectionExplanation {
            index: section.index,
            name: section.name.clone(),
            outcome: Outcome::of(truth, context.view),
            first_failing: criteria.iter().position(|found| found.outcome == Outcome::DoesNotHold),
            criteria,
            evidence: truth.is_true().then(|| self.section_match(section, context).evidence),
        }
    }
}

impl Node {
    /// Explains each group by itself: on every element of its level, wherever that is.
    fn explain(&self, context: EvaluationContext<'_, '_>, criteria: &mut Vec<(usize, CriterionExplanation)>) {
        self.explain_below(context, &[(context.view.root(), Location::start())], &Truth::False, criteria);
    }

    fn explain_below<'a>(
        &self,
        context: EvaluationContext<'_, 'a>,
        elements: &[(Element<'a>, Location)],
        unseen: &Truth<'a>,
        criteria: &mut Vec<(usize, CriterionExplanation)>,
    ) {
        for group in &self.groups {
            criteria.push((group.position, explain_group(group, context, elements, unseen)));
        }
        for child in &self.children {
            let mut below = Vec::new();
            let mut unseen = unseen.clone();
            for (parent, location) in elements {
                match context.view.below(*parent, child.level) {
                    Elements::Unknown(fact) => unseen = Truth::any([unseen, Truth::unknown(fact)]),
                    Elements::Known(found) => {
                        let admitted = found.into_iter().filter(|e| !context.admits(e).is_false());
                        below.extend(admitted.map(|element| (element, location.to(&element))));
                    }
                }
            }
            child.explain_below(context, &below, &unseen, criteria);
        }
    }
}

fn explain_group<'a>(
    group: &Group,
    context: EvaluationContext<'_, 'a>,
    elements: &[(Element<'a>, Location)],
    unseen: &Truth<'a>,
) -> CriterionExplanation {
    let mut truth = unseen.clone();
    let mut shown = Vec::new();
    for (element, location) in elements {
        let holds = group.holds(context.now, element);
        if shown.len() < SHOWN {
            shown.push(Found {
                at: location.text(),
                value: found(&group.predicate, &group.criterion.value(element)),
                outcome: Outcome::of(&holds, context.view),
            });
        }
        truth = Truth::any([truth, holds]);
    }
    CriterionExplanation {
        criterion: group.criterion.name,
        wanted: group.wanted.clone(),
        outcome: Outcome::of(&truth, context.view),
        more: elements.len().saturating_sub(shown.len()),
        found: shown,
    }
}

impl Outcome {
    fn of(truth: &Truth<'_>, view: &View<'_>) -> Self {
        match truth {
            Truth::True => Self::Holds,
            Truth::False => Self::DoesNotHold,
            Truth::Unknown(facts) => {
                let mut missing: Vec<String> =
                    facts.iter().map(|fact| fact.describe(&view.root.input)).collect();
                missing.sort();
                missing.dedup();
                Self::Unknown(missing)
            }
        }
    }
}
