//! Finding the policies that may have something to say about an event.
//!
//! Asking a thousand policies about every event is a thousand times the same answer: no. So each section is filed
//! by a *witness*, one fact of the event without which it cannot hold, and only policies whose witness is there are
//! asked. What the witness lets through is asked as ever; it decides nothing.
//!
//! A section is filed in the first way that it allows:
//!
//! 1. under *texts*, when a field must be one of them: one look into a map for the field;
//! 2. under *literals*, when a field must hold one of them: one search for all literals of the field at once;
//! 3. under its *predicates* otherwise, which are asked as they are, but once for all sections that share them.
//!
//! Of several such fields it takes the one whose texts the fewest other sections need.
//!
//! INVARIANT: a policy is passed over only when each of its sections is certainly false. Witnesses are therefore
//! about the event alone, never about workloads or images, which may be unknown. A fact of the event that is unknown,
//! or cut off, lets through everything that is filed under it.

mod bits;
mod condition;
mod field;
mod fold;
mod literal;
mod predicates;

use std::collections::HashMap;

use jiff::Timestamp;

pub(crate) use bits::Candidates;
use condition::{Condition, event_groups};
use field::{Field, FieldBuilder};
use predicates::Predicates;

use crate::criterion::{Criterion, Leaf};
use crate::policy::{AskedPolicy, Class};
use crate::subject::{Occurrence, Subject};
use crate::view::{Element, Level, Root};

/// The policies of one class, filed.
#[derive(Debug)]
pub(crate) struct Index {
    policies: usize,
    /// Those that are asked about every event.
    always: Vec<usize>,
    fields: Vec<Field>,
    predicates: Predicates,
}

impl Index {
    /// Files the policies of a class; `None` for a class that is not about events.
    pub(crate) fn new(class: Class, policies: &[AskedPolicy]) -> Option<Self> {
        if !matches!(class, Class::Process | Class::Audit | Class::File | Class::NodeFile) {
            return None;
        }
        let sections = || {
            let numbered = policies.iter().enumerate();
            numbered.flat_map(|(policy, asked)| {
                let groups = asked.sections.iter().map(move |section| event_groups(section, class));
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
        // In parity a policy can fail before its sections are asked, for a container that it leaves out.
        let may_fail = |asked: &AskedPolicy| asked.parity && !asked.skipped.is_empty();
        always.extend(
            policies.iter().enumerate().filter(|(_, asked)| may_fail(asked)).map(|(policy, _)| policy),
        );
        Some(Self {
            policies: policies.len(),
            always,
            fields: fields.into_iter().map(FieldBuilder::build).collect(),
            predicates: predicates.sorted(),
        })
    }

    /// The policies that are not certainly silent about an event of the class.
    pub(crate) fn candidates(&self, subject: &Subject<'_>, now: Timestamp) -> Candidates {
        let mut found = Candidates::none(self.policies);
        found.add(&self.always);
        let mut buffer = String::new();
        for field in &self.fields {
            let all_known =
                leaves(field.criterion(), subject, |leaf| field.search(leaf, &mut buffer, &mut found));
            if !all_known {
                found.add(field.all());
            }
        }
        self.predicates.search(subject, now, &mut found);
        found
    }
}

/// Hands on the values that a criterion about the event takes from it; `false` when it cannot be asked.
fn leaves<'a>(criterion: &Criterion, subject: &Subject<'a>, mut each: impl FnMut(&Leaf<'a>)) -> bool {
    match (criterion.level(), subject.occurrence) {
        (Level::Root, _) => {
            let root = Root { subject: *subject, deployment: subject.deployment };
            each(&criterion.extract.leaf(&Element::Root(root)));
        }
        (Level::Process, Occurrence::Process(process)) => {
            each(&criterion.extract.leaf(&Element::Process(process)));
        }
        (Level::Ancestor, Occurrence::Process(process)) => {
            for ancestor in &process.ancestors {
                each(&criterion.extract.leaf(&Element::Ancestor(ancestor)));
            }
        }
        _ => return false,
    }
    true
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
