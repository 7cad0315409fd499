//! Linking as StackRox does it, for `--parity`.
//!
//! Every query is run over the whole object and yields paths: the list indexes that lead to a match. Paths are
//! pooled by the data field they look at, and each pool becomes a tree. The trees are merged: where both have the
//! same list, only common indexes survive; a list that one lacks is kept. The section holds when every pool still
//! has a whole path. Two things leak: emptiness does not travel upwards in the merge, so sibling lists vouch for
//! each other's container; and two queries of one field are pooled as "either", not "both".
//!
//! Missing facts make this an interval: evaluated once with every unknown taken for "no match" and once for "match".

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lictor_wire::{Evidence, VulnerabilityState};

use crate::criterion::{DataField, Value};
use crate::predicate::{DropRule, Predicate};
use crate::section::{EvaluationContext, Group, Node, Path, Section};
use crate::truth::Truth;
use crate::view::{Element, Elements, Level};

/// The way to an element from the root: list and index, again and again.
type IndexPath = Vec<(Level, usize)>;

/// A merged tree: for each list below, the indexes that survive.
#[derive(Debug, Clone, Default, PartialEq)]
struct Trie(BTreeMap<Level, BTreeMap<usize, Trie>>);

/// Whether the section holds.
pub(crate) fn truth<'a>(section: &Section, context: EvaluationContext<'_, 'a>) -> Truth<'a> {
    if holds(section, context, Unknowns::DoNotMatch) {
        return Truth::True;
    }
    if !holds(section, context, Unknowns::Match) {
        return Truth::False;
    }
    match section.truth(context) {
        unknown @ Truth::Unknown(_) => unknown,
        // Exact linking could decide; what this one lacks are the facts of the groups one by one.
        Truth::True | Truth::False => {
            let mut missing = Vec::new();
            walk(section, context, |group, path| {
                if let Truth::Unknown(facts) = group.holds(context.now, &path.element) {
                    missing.extend(facts);
                }
            });
            Truth::Unknown(missing)
        }
    }
}

/// What each group found by itself: linking did not tie it to the others.
pub(crate) fn evidence(section: &Section, context: EvaluationContext<'_, '_>) -> Vec<Evidence> {
    let mut evidence = Vec::new();
    walk(section, context, |group, path| {
        if group.holds(context.now, &path.element).is_true() {
            evidence.push(group.evidence(path));
        }
    });
    evidence.sort();
    evidence.dedup();
    evidence
}

/// Visits every group with every element it may look at.
fn walk<'a>(
    section: &Section,
    context: EvaluationContext<'_, 'a>,
    mut visit: impl FnMut(&Group, &Path<'_, 'a>),
) {
    section.walk(
        context,
        |_, element| !context.admits(&element).is_false(),
        |groups, path| groups.iter().for_each(|group| visit(group, path)),
    );
}

/// What an unknown is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unknowns {
    DoNotMatch,
    Match,
}

fn holds(section: &Section, context: EvaluationContext<'_, '_>, unknowns: Unknowns) -> bool {
    let mut pools: BTreeMap<Pool, BTreeSet<IndexPath>> = BTreeMap::new();
    let mut complete = true;
    section.root.queries(&mut Vec::new(), &mut |levels, query| {
        let mut paths = BTreeSet::new();
        query.run(context, context.view.root(), levels, &mut Vec::new(), unknowns, &mut paths);
        complete &= !paths.is_empty();
        pools.entry(query.pool()).or_default().extend(paths);
    });
    if !complete {
        return false;
    }
    let merged = pools.values().map(Trie::of).reduce(|a, b| a.merge(&b)).unwrap_or_default();
    pools.values().all(|paths| paths.iter().any(|path| merged.contains(path)))
}

/// What shares a data field; where the field has a criterion's name, with that name.
type Pool = (DataField, &'static str);

/// One query: a group, one half of a group that StackRox queries in two, or "there is a container".
#[derive(Clone, Copy)]
enum Query<'s> {
    Whole(&'s Group),
    Drop(&'s Group, DropRule),
    HostPath(&'s Group),
    Writable(&'s Group),
    NotSuppressed,
    Observed,
    Container,
}

impl<'s> Query<'s> {
    fn of(group: &'s Group) -> Vec<Self> {
        match &group.predicate {
            // Where the policy lists `ALL` itself, that is the only query.
            predicate if predicate.lists("ALL") => vec![Self::Drop(group, DropRule::Listed)],
            Predicate::NotDropped { .. } => {
                vec![Self::Drop(group, DropRule::Listed), Self::Drop(group, DropRule::All)]
            }
            _ if group.criterion.extra.parity_halves => vec![Self::HostPath(group), Self::Writable(group)],
            _ if group.criterion.extra.standing => {
                vec![Self::Whole(group), Self::NotSuppressed, Self::Observed]
            }
            _ => vec![Self::Whole(group)],
        }
    }

    fn pool(self) -> Pool {
        let field = match self {
            Self::Whole(group) | Self::Drop(group, _) => match group.criterion.extra.parity_field {
                DataField::Named => return (DataField::Named, group.criterion.name),
                field => field,
            },
            Self::HostPath(_) => DataField::VolumeType,
            Self::Writable(_) => DataField::VolumeReadOnly,
            Self::NotSuppressed => DataField::VulnerabilitySuppressed,
            Self::Observed => DataField::VulnerabilityState,
            Self::Container => DataField::ContainerName,
        };
        (field, "")
    }

    fn matches<'a>(self, context: EvaluationContext<'_, 'a>, element: &Element<'a>) -> Truth<'a> {
        match self {
            // Whether the vulnerability still counts is a query of its own.
            Self::Whole(group) => group.predicate.holds(&group.criterion.extract.value(element), context.now),
            Self::NotSuppressed => {
                Truth::from(matches!(element, Element::Vulnerability(found) if !found.suppressed))
            }
            Self::Observed => Truth::from(
                matches!(element, Element::Vulnerability(found) if found.state == VulnerabilityState::Observed),
            ),
            Self::Drop(group, part) => match &group.predicate {
                Predicate::NotDropped { capabilities, operator, .. } => {
                    let half = Predicate::NotDropped {
                        capabilities: capabilities.clone(),
                        operator: *operator,
                        part,
                    };
                    half.holds(&group.criterion.extract.value(element), context.now)
                }
                _ => Truth::False,
            },
            Self::HostPath(group) => Truth::from(group.criterion.extract.value(element) != Value::Missing),
            Self::Writable(group) => match element {
                Element::Volume(volume) => {
                    group.predicate.holds(&Value::Bool(!volume.read_only), context.now)
                }
                _ => Truth::False,
            },
            Self::Container => Truth::True,
        }
    }

    fn run<'a>(
        self,
        context: EvaluationContext<'_, 'a>,
        element: Element<'a>,
        levels: &[Level],
        path: &mut IndexPath,
        unknowns: Unknowns,
        paths: &mut BTreeSet<IndexPath>,
    ) {
        let counts = |truth: &Truth<'_>| match unknowns {
            Unknowns::DoNotMatch => truth.is_true(),
            Unknowns::Match => !truth.is_false(),
        };
        let Some((level, further)) = levels.split_first() else {
            if counts(&self.matches(context, &element)) {
                paths.insert(path.clone());
            }
            return;
        };
        match context.view.below(element, *level) {
            Elements::Known(elements) => {
                for (index, element) in elements.into_iter().enumerate() {
                    if counts(&context.admits(&element)) {
                        path.push((*level, index));
                        self.run(context, element, further, path, unknowns, paths);
                        path.pop();
                    }
                }
            }
            Elements::Unknown(_) if unknowns == Unknowns::Match => {
                let beyond = levels.iter().map(|level| (*level, 0));
                paths.insert(path.iter().copied().chain(beyond).collect());
            }
            Elements::Unknown(_) => {}
        }
    }
}

impl Node {
    /// Calls `run` for every query of the section with the levels that lead to it.
    fn queries<'s>(&'s self, levels: &mut Vec<Level>, run: &mut impl FnMut(&[Level], Query<'s>)) {
        for group in &self.groups {
            for query in Query::of(group) {
                run(levels, query);
            }
        }
        let asks_for_name =
            |group: &Arc<Group>| group.criterion.extra.parity_field == DataField::ContainerName;
        if self.level == Level::Container && !self.groups.iter().any(asks_for_name) {
            run(levels, Query::Container);
        }
        for child in &self.children {
            levels.push(child.level);
            child.queries(levels, run);
            levels.pop();
        }
    }
}

impl Trie {
    fn of(paths: &BTreeSet<IndexPath>) -> Self {
        let mut root = Self::default();
        for path in paths {
            let mut node = &mut root;
            for (level, index) in path {
                node = node.0.entry(*level).or_default().entry(*index).or_default();
            }
        }
        root
    }

    fn merge(&self, other: &Self) -> Self {
        let mut merged = self.0.clone();
        for (level, theirs) in &other.0 {
            let Some(ours) = self.0.get(level) else {
                merged.insert(*level, theirs.clone());
                continue;
            };
            let common = ours
                .iter()
                .filter_map(|(index, our)| theirs.get(index).map(|their| (*index, our.merge(their))));
            merged.insert(*level, common.collect());
        }
        Self(merged)
    }

    fn contains(&self, path: &[(Level, usize)]) -> bool {
        match path.split_first() {
            None => true,
            Some(((level, index), further)) => self
                .0
                .get(level)
                .and_then(|indexes| indexes.get(index))
                .is_some_and(|child| child.contains(further)),
        }
    }
}
