//! The prefilter: finds the policies that may have something to say about an event.
//!
//! Evaluating a thousand policies on every event gives a thousand times the same answer: no. So each section is filed
//! by a *condition*, something that one fact of the event must be for it to hold, and only policies whose condition is
//! met are evaluated. What the prefilter lets through is evaluated as ever; it decides nothing.
//!
//! A section is filed in the first of these that it allows:
//!
//! 1. under *texts*, when a field must be one of them: one look into a map for the field;
//! 2. under *literals*, when a field must hold one of them: one search for all literals of the field at once;
//! 3. under its *predicates* otherwise, which are evaluated as they are, but once for all sections that share them.
//!
//! Of several such fields it takes the one whose texts the fewest other sections need.
//!
//! INVARIANT: a policy is skipped only when each of its sections is certainly false. Conditions about an event are
//! therefore about the event alone, never about workloads or images, which may be unknown; those about a workload are
//! what some one of its elements (a container, a variable, a port) must have. A fact that is unknown, or cut off, lets
//! through everything that is filed under it.

mod bits;
mod condition;
mod field;
mod fold;
mod literal;
mod predicates;
#[cfg(test)]
mod projection;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

pub(crate) use bits::Candidates;
use condition::{Condition, event_groups};
use field::{Buffers, Field, FieldBuilder};
use predicates::Predicates;

use crate::criterion::{Criterion, Value};
use crate::input::{Input, Occurrence};
use crate::policy::{CompiledPolicy, Target};
use crate::view::{Element, Elements, Level, Root, View};

/// The policies of one target, filed.
#[derive(Debug)]
pub(crate) struct Index {
    policies: usize,
    /// Those that are evaluated on every event.
    always: Vec<usize>,
    fields: Vec<Field>,
    predicates: Predicates,
    /// Policies about workloads: conditions are looked for all over the tree.
    about_workloads: bool,
}

impl Index {
    /// Files the policies of a target; `None` for one whose policies are evaluated one by one.
    pub(crate) fn new(target: Target, policies: &[Arc<CompiledPolicy>]) -> Option<Self> {
        let about_workloads = target == Target::Deploy;
        // StackRox's linking, leaks included, is nothing to reason about.
        if about_workloads && policies.iter().any(|compiled| compiled.parity) {
            return None;
        }
        if !matches!(
            target,
            Target::Deploy | Target::Process | Target::Audit | Target::File | Target::NodeFile
        ) {
            return None;
        }
        let sections = || {
            let numbered = policies.iter().enumerate();
            numbered.flat_map(|(policy, compiled)| {
                let groups = compiled.sections.iter().map(move |section| event_groups(section, target));
                groups.map(move |groups| (policy, groups))
            })
        };
        let conditions: Vec<Vec<(&'static Criterion, Condition)>> = sections()
            .map(|(_, groups)| {
                groups.iter().filter_map(|group| Some((group.criterion, Condition::of(group)?))).collect()
            })
            .collect();
        let popularity = Popularity::of(conditions.iter().flatten());
        let mut fields: Vec<FieldBuilder> = Vec::new();
        let mut predicates = Predicates::default();
        let mut always = Vec::new();
        for ((policy, groups), conditions) in sections().zip(&conditions) {
            let best = conditions.iter().min_by_key(|(criterion, condition)| {
                (popularity.sum(criterion, condition), condition.looseness())
            });
            match best {
                Some((criterion, condition)) => {
                    FieldBuilder::among(&mut fields, criterion).file(policy, condition);
                }
                None if groups.is_empty() => always.push(policy),
                None => predicates.file(policy, &groups),
            }
        }
        // In parity a policy can fail before its sections are evaluated, for a container that it leaves out.
        let may_fail = |compiled: &CompiledPolicy| compiled.parity && !compiled.skipped.is_empty();
        always.extend(
            policies.iter().enumerate().filter(|(_, compiled)| may_fail(compiled)).map(|(policy, _)| policy),
        );
        Some(Self {
            policies: policies.len(),
            always,
            fields: fields.into_iter().map(FieldBuilder::build).collect(),
            predicates: predicates.sorted(),
            about_workloads,
        })
    }

    /// The policies that are not certainly silent about an event of the target.
    pub(crate) fn candidates(&self, input: &Input<'_>, now: Timestamp) -> Candidates {
        let mut found = Candidates::none(self.policies);
        found.add(&self.always);
        let mut buffers = Buffers::default();
        let space = if self.about_workloads {
            // Only policies that judge as this engine does are filed so.
            SearchSpace::Anywhere(Box::new(View::new(input, false)))
        } else {
            SearchSpace::Event(input)
        };
        for field in &self.fields {
            let all_known =
                space.values(field.criterion(), |value| field.search(value, &mut buffers, &mut found));
            if !all_known {
                found.add(field.all());
            }
        }
        self.predicates.search(&space, now, &mut found);
        found
    }
}

/// Where conditions are looked for.
enum SearchSpace<'s, 'a> {
    /// In what happened.
    Event(&'s Input<'a>),
    /// In every element of a workload.
    Anywhere(Box<View<'a>>),
}

impl<'a> SearchSpace<'_, 'a> {
    /// Hands on the values that a criterion takes; `false` when there are none, or not all are known.
    fn values(&self, criterion: &Criterion, mut each: impl FnMut(&Value<'a>)) -> bool {
        let mut take = |element: Element<'a>| each(&criterion.value(&element));
        match self {
            Self::Event(input) => of_event(criterion.level(), input, &mut take),
            Self::Anywhere(view) => at_level(view, criterion.level(), &mut take),
        }
    }
}

/// Hands on the elements of a level that the event itself has.
fn of_event<'a>(level: Level, input: &Input<'a>, each: &mut dyn FnMut(Element<'a>)) -> bool {
    match (level, input.occurrence) {
        (Level::Root, _) => {
            each(Element::Root(Root { input: *input, deployment: input.deployment }));
        }
        (Level::Process, Occurrence::Process(process)) => each(Element::Process(process)),
        (Level::Ancestor, Occurrence::Process(process)) => {
            process.ancestors.iter().for_each(|ancestor| each(Element::Ancestor(ancestor)));
        }
        _ => return false,
    }
    true
}

/// Hands on all elements of a level; `false` when some are not known.
fn at_level<'a>(view: &View<'a>, level: Level, each: &mut dyn FnMut(Element<'a>)) -> bool {
    let Some(above) = level.above() else {
        each(view.root());
        return true;
    };
    let mut all_known = true;
    let above_known = at_level(view, above, &mut |parent| match view.below(parent, level) {
        Elements::Known(elements) => elements.into_iter().for_each(&mut *each),
        Elements::Unknown(_) => all_known = false,
    });
    above_known && all_known
}

/// How many sections need each text of each field.
#[derive(Default)]
struct Popularity<'c>(HashMap<(&'static str, &'c str), usize>);

impl<'c> Popularity<'c> {
    fn of(conditions: impl Iterator<Item = &'c (&'static Criterion, Condition)>) -> Self {
        let mut popularity = Self::default();
        for (criterion, condition) in conditions {
            for text in condition.keys.iter().chain(&condition.literals) {
                *popularity.0.entry((criterion.name, text)).or_default() += 1;
            }
        }
        popularity
    }

    fn sum(&self, criterion: &Criterion, condition: &Condition) -> usize {
        let texts = condition.keys.iter().chain(&condition.literals);
        texts.filter_map(|text| self.0.get(&(criterion.name, text.as_str()))).sum()
    }
}
