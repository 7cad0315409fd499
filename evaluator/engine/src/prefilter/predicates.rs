//! The sections that have no text to be filed under.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::SearchSpace;
use super::bits::Candidates;
use crate::section::Group;

/// Predicates, each kept once, and the sections that need them.
#[derive(Debug, Default)]
pub(super) struct Predicates {
    /// Different ones, each with a group that has it.
    groups: Vec<Arc<Group>>,
    /// By criterion and the policy's text: which of `groups` may be the same.
    similar: HashMap<(&'static str, String), Vec<usize>>,
    sections: Vec<Waiting>,
    /// Sections by the predicate that is evaluated first.
    first: Vec<(usize, Vec<Waiting>)>,
}

/// A section that waits for predicates.
#[derive(Debug, Clone)]
struct Waiting {
    policy: usize,
    predicates: Vec<usize>,
}

impl Predicates {
    /// Files a section of a policy under all of its groups.
    pub(super) fn file(&mut self, policy: usize, groups: &[&Arc<Group>]) {
        let predicates = groups.iter().map(|group| self.intern(group)).collect();
        self.sections.push(Waiting { policy, predicates });
    }

    /// The place of a group's predicate.
    fn intern(&mut self, group: &Arc<Group>) -> usize {
        let similar = self.similar.entry((group.criterion.name, group.wanted.clone())).or_default();
        let same = |known: &Arc<Group>| known.predicate == group.predicate;
        if let Some(known) = similar.iter().find(|known| self.groups.get(**known).is_some_and(same)) {
            return *known;
        }
        similar.push(self.groups.len());
        self.groups.push(Arc::clone(group));
        self.groups.len() - 1
    }

    /// Decides, when all are filed, which predicate of each section is evaluated first: the one that the fewest share.
    pub(super) fn sorted(mut self) -> Self {
        let mut shared = vec![0_usize; self.groups.len()];
        for predicate in self.sections.iter().flat_map(|section| &section.predicates) {
            if let Some(count) = shared.get_mut(*predicate) {
                *count += 1;
            }
        }
        let mut first: HashMap<usize, Vec<Waiting>> = HashMap::new();
        for mut section in std::mem::take(&mut self.sections) {
            section.predicates.sort_by_key(|predicate| shared.get(*predicate).copied());
            if let Some(predicate) = section.predicates.first() {
                first.entry(*predicate).or_default().push(section);
            }
        }
        self.similar = HashMap::new();
        self.first = first.into_iter().collect();
        self.first.sort_by_key(|(predicate, _)| *predicate);
        self
    }

    /// Adds the policies of the sections that no predicate rules out.
    pub(super) fn search(&self, space: &SearchSpace<'_, '_>, now: Timestamp, found: &mut Candidates) {
        // What was evaluated before.
        let mut answers = vec![None; self.groups.len()];
        let mut possible = |predicate: usize| {
            let Some(answer) = answers.get_mut(predicate) else { return true };
            *answer.get_or_insert_with(|| self.is_possible(predicate, space, now))
        };
        for (predicate, sections) in &self.first {
            if !possible(*predicate) {
                continue;
            }
            for section in sections {
                if section.predicates.iter().all(|predicate| possible(*predicate)) {
                    found.add(&[section.policy]);
                }
            }
        }
    }

    /// Whether a predicate is not certainly false for all values that the event has.
    fn is_possible(&self, predicate: usize, space: &SearchSpace<'_, '_>, now: Timestamp) -> bool {
        let Some(group) = self.groups.get(predicate) else { return true };
        let mut possible = false;
        let all_known = space.values(group.criterion, |value| {
            possible |= !group.predicate.holds(value, now).is_false();
        });
        possible || !all_known
    }
}
