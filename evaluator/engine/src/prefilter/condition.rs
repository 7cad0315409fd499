//! The condition of a section: what one fact of an event must be for it to hold.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use lictor_wire::policy::BooleanOperator;

use super::fold::fold;
use super::literal::{MIN_LITERAL, Needed, needed};
use crate::go_regex::Pattern;
use crate::matcher::{Comparator, TextMatcher, TextTest};
use crate::policy::Target;
use crate::predicate::{Predicate, Test};
use crate::section::{Group, Section};
use crate::view::Level;

/// A text of the event, or an item of a list, must be one of some texts or hold one of some literals.
#[derive(Debug, Default)]
pub(super) struct Condition {
    /// Whole texts, folded.
    pub(super) keys: BTreeSet<String>,
    /// Parts, folded, of [`MIN_LITERAL`] bytes or more.
    pub(super) literals: BTreeSet<String>,
}

/// The groups of a section that a condition can be about. Each is about something that the event or workload has
/// exactly one of, or a list of: the section is false when any of them is false for all of it.
pub(super) fn event_groups(section: &Section, target: Target) -> Vec<&Arc<Group>> {
    let root = &section.root;
    match target {
        Target::Process => {
            // The process is in exactly one container.
            let process = root.children.iter().filter(|node| node.level == Level::Container);
            let process = process.flat_map(|node| &node.children).filter(|node| node.level == Level::Process);
            let ancestors = process.clone().flat_map(|node| &node.children);
            process.chain(ancestors).flat_map(|node| &node.groups).collect()
        }
        Target::Audit | Target::File | Target::NodeFile => {
            root.groups.iter().filter(|group| group.criterion.family.is_runtime()).collect()
        }
        // Each needs some element of its level.
        Target::Deploy => root.all_groups(),
        Target::Build | Target::Network | Target::PodCommand => Vec::new(),
    }
}

impl Condition {
    /// The condition of a group; `None` when there is none that is cheap to look for.
    pub(super) fn of(group: &Group) -> Option<Self> {
        let Predicate::Tests { tests, operator, negate: false } = &group.predicate else { return None };
        let mut conditions = tests.iter().map(Self::of_test);
        match operator {
            BooleanOperator::Or => conditions.try_fold(Self::default(), |mut all, condition| {
                let condition = condition?;
                all.keys.extend(condition.keys);
                all.literals.extend(condition.literals);
                Some(all)
            }),
            // A list may meet each of them with another item, so they are not stricter than one.
            BooleanOperator::And => conditions.flatten().min_by_key(Self::looseness),
        }
    }

    fn of_test(test: &Test) -> Option<Self> {
        match test {
            Test::Text(matcher) if !matcher.is_inverted() => Self::of_text(matcher),
            Test::Glob(glob) => Self::literal(&glob.literal_prefix()),
            Test::Parts(matcher) => Self::of_pattern(matcher.pattern()),
            Test::Uint(matcher) => match matcher.wanted() {
                (Comparator::Equal, number) => Some(Self::key(&number.to_string())),
                _ => None,
            },
            _ => None,
        }
    }

    fn of_text(matcher: &TextMatcher) -> Option<Self> {
        match matcher.test() {
            TextTest::Pattern(pattern) => Self::of_pattern(pattern),
            TextTest::Equals(text) => Some(Self::key(text)),
            TextTest::Glob(glob) => Self::literal(&glob.literal_prefix()),
            TextTest::Prefix(prefix) => Self::literal(prefix),
            TextTest::Anything => None,
        }
    }

    fn of_pattern(pattern: &Pattern) -> Option<Self> {
        Some(match needed(pattern)? {
            Needed::Whole(keys) => Self { keys, ..Self::default() },
            Needed::Part(literals) => Self { literals, ..Self::default() },
        })
    }

    fn key(text: &str) -> Self {
        Self { keys: BTreeSet::from([fold(text)]), ..Self::default() }
    }

    fn literal(text: &str) -> Option<Self> {
        let text = fold(text);
        (text.len() >= MIN_LITERAL).then(|| Self { literals: BTreeSet::from([text]), ..Self::default() })
    }

    /// Less for what is met less often, as far as the texts themselves tell.
    pub(super) fn looseness(&self) -> impl Ord + use<> {
        let shortest = self.literals.iter().map(String::len).min();
        (shortest.is_some(), Reverse(shortest), self.keys.len() + self.literals.len())
    }
}
