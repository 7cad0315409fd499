//! Why, and why not: everything one policy looked at, criterion by criterion.
//!
//! Judging stops at the first thing that decides; explaining looks at everything. Both ask the same compiled policy,
//! so what is explained is what was judged.

use jiff::Timestamp;
use lictor_wire::{PolicyRef, SectionMatch};

use crate::evidence::{Trail, found};
use crate::policy::{AskedPolicy, Class};
use crate::scope::Place;
use crate::section::{Asking, Group, Node, Section};
use crate::truth::Truth;
use crate::view::{Element, Elements, View};

/// The most elements that are shown for one criterion; a workload with hundreds of vulnerabilities says enough by
/// some.
const SHOWN: usize = 50;

/// What a policy makes of one subject, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The policy.
    pub policy: PolicyRef,
    /// The outcome.
    pub outcome: Outcome,
    /// Why nothing was asked: the scope or the exclusion that took the subject out, or that the policy is about
    /// something else; empty when its sections were asked.
    pub not_asked: String,
    /// Its sections, in order; empty when they were not asked.
    pub sections: Vec<SectionExplanation>,
}

/// What came of a policy, a section or a criterion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Holds,
    /// It does not.
    DoesNotHold,
    /// It hangs on these facts; each once, sorted.
    Unknown(Vec<String>),
}

/// What came of a section.
#[derive(Debug, Clone, PartialEq)]
pub struct SectionExplanation {
    /// Index of the section in the policy, from 0.
    pub index: usize,
    /// Its name; often empty.
    pub name: String,
    /// The outcome.
    pub outcome: Outcome,
    /// Its criteria, each by itself.
    pub criteria: Vec<CriterionExplanation>,
    /// The first criterion that does not hold by itself; `None` when each does. A section can fail all the same:
    /// every criterion holds, and none of the containers (volumes, vulnerabilities, …) meets all of them.
    pub first_failing: Option<usize>,
    /// The evidence; empty unless the section holds.
    pub matched: Option<SectionMatch>,
}

/// What came of one criterion, by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CriterionExplanation {
    /// Its field name.
    pub criterion: &'static str,
    /// What the policy wants, as it is written there.
    pub wanted: String,
    /// Whether some element meets it.
    pub outcome: Outcome,
    /// What was found, element by element; the first fifty.
    pub found: Vec<Found>,
    /// How many elements there are beside those in `found`.
    pub more: usize,
}

/// What a criterion found in one element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where: `container web, volume data`; empty for the subject itself.
    pub at: String,
    /// The value, as text; empty when there is none.
    pub value: String,
    /// Whether it meets the criterion.
    pub outcome: Outcome,
}

impl AskedPolicy {
    /// Explains what the policy makes of a subject of its class.
    pub(crate) fn explain(&self, view: &View<'_>, now: Timestamp) -> Explanation {
        let mut explanation = Explanation {
            policy: self.reference.clone(),
            outcome: Outcome::DoesNotHold,
            not_asked: String::new(),
            sections: Vec::new(),
        };
        let retained;
        let (view, applies) = if self.class == Class::Build {
            match view.retaining(|container| !self.applicability.excludes_image(container, now)) {
                Some(view) => retained = view,
                None => {
                    "an exclusion names the image".clone_into(&mut explanation.not_asked);
                    return explanation;
                }
            }
            (&retained, Truth::True)
        } else {
            let place = Place::of(&view.root);
            let applies = self.applicability.applies(&view.root, place, self.parity, now);
            if applies.is_false() {
                explanation.not_asked = self.applicability.why_not(&view.root, place, self.parity, now);
                return explanation;
            }
            (view, applies)
        };
        let asking = Asking { view, skipped: &self.skipped, now };
        let truths: Vec<Truth<'_>> =
            self.sections.iter().map(|section| self.section_truth(section, asking)).collect();
        explanation.sections = self
            .sections
            .iter()
            .zip(&truths)
            .map(|(section, truth)| self.explain_section(section, truth, asking))
            .collect();
        explanation.outcome = Outcome::of(&Truth::any(truths).and(applies), view);
        explanation
    }

    fn explain_section(
        &self,
        section: &Section,
        truth: &Truth<'_>,
        asking: Asking<'_, '_>,
    ) -> SectionExplanation {
        let mut criteria = Vec::new();
        section.root.explain(asking, &mut criteria);
        criteria.sort_by_key(|(position, _)| *position);
        let criteria: Vec<CriterionExplanation> = criteria.into_iter().map(|(_, found)| found).collect();
        SectionExplanation {
            index: section.index,
            name: section.name.clone(),
            outcome: Outcome::of(truth, asking.view),
            first_failing: criteria.iter().position(|found| found.outcome == Outcome::DoesNotHold),
            criteria,
            matched: truth.is_true().then(|| self.section_match(section, asking)),
        }
    }
}

impl Node {
    /// Explains each group by itself: asked of every element of its level, wherever that hangs.
    fn explain(&self, asking: Asking<'_, '_>, criteria: &mut Vec<(usize, CriterionExplanation)>) {
        self.explain_below(asking, &[(asking.view.root(), Trail::start())], &Truth::False, criteria);
    }

    fn explain_below<'a>(
        &self,
        asking: Asking<'_, 'a>,
        elements: &[(Element<'a>, Trail)],
        unseen: &Truth<'a>,
        criteria: &mut Vec<(usize, CriterionExplanation)>,
    ) {
        for group in &self.groups {
            criteria.push((group.position, explain_group(group, asking, elements, unseen)));
        }
        for child in &self.children {
            let mut below = Vec::new();
            let mut unseen = unseen.clone();
            for (parent, trail) in elements {
                match asking.view.below(*parent, child.level) {
                    Elements::Unknown(fact) => unseen = Truth::any([unseen, Truth::unknown(fact)]),
                    Elements::Known(found) => {
                        let admitted = found.into_iter().filter(|e| !asking.admits(e).is_false());
                        below.extend(admitted.map(|element| (element, trail.to(&element))));
                    }
                }
            }
            child.explain_below(asking, &below, &unseen, criteria);
        }
    }
}

fn explain_group<'a>(
    group: &Group,
    asking: Asking<'_, 'a>,
    elements: &[(Element<'a>, Trail)],
    unseen: &Truth<'a>,
) -> CriterionExplanation {
    let mut truth = unseen.clone();
    let mut shown = Vec::new();
    for (element, trail) in elements {
        let holds = group.holds(asking.now, element);
        if shown.len() < SHOWN {
            shown.push(Found {
                at: trail.text(),
                value: found(&group.predicate, &group.criterion.leaf(element)),
                outcome: Outcome::of(&holds, asking.view),
            });
        }
        truth = Truth::any([truth, holds]);
    }
    CriterionExplanation {
        criterion: group.criterion.name,
        wanted: group.wanted.clone(),
        outcome: Outcome::of(&truth, asking.view),
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
                    facts.iter().map(|fact| fact.describe(&view.root.subject)).collect();
                missing.sort();
                missing.dedup();
                Self::Unknown(missing)
            }
        }
    }
}
