//! A compiled section, and exact linking.
//!
//! The groups of a section are laid out along the tree of elements: a node holds the groups that look at one level,
//! its children those that look further down. A section holds when the root satisfies its node, and an element
//! satisfies a node when all groups there hold for it and, below it, each child node is satisfied by *some one*
//! element. So criteria are tied together at exactly the lists they share: the same container, the same
//! vulnerability; and a negated criterion means "some element that does not".

use std::sync::Arc;

use jiff::Timestamp;
use lictor_wire::Evidence;
use lictor_wire::policy::FilteredContainerType;

use crate::criterion::{Criterion, Family};
use crate::evidence::{Location, found};
use crate::predicate::Predicate;
use crate::truth::Truth;
use crate::view::{Element, Elements, Level, View};

/// A section ready to be evaluated.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its index in the policy.
    pub(crate) index: usize,
    /// Its name; often empty.
    pub(crate) name: String,
    /// Its groups, along the tree.
    pub(crate) root: Node,
}

/// The groups of a section that look at one level, and what must hold below.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) level: Level,
    pub(crate) groups: Vec<Arc<Group>>,
    pub(crate) children: Vec<Node>,
}

/// A criterion with its values.
#[derive(Debug)]
pub(crate) struct Group {
    /// Its place in the section, from 0.
    pub(crate) position: usize,
    /// The row of the table.
    pub(crate) criterion: &'static Criterion,
    /// What must hold of the value the row takes.
    pub(crate) predicate: Predicate,
    /// The policy's own text, for evidence.
    pub(crate) wanted: String,
}

/// An element and what it is in, up to the root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<'w, 'a> {
    pub(crate) element: Element<'a>,
    pub(crate) above: Option<&'w Self>,
}

/// What a section is evaluated with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EvaluationContext<'v, 'a> {
    pub(crate) view: &'v View<'a>,
    pub(crate) skipped: &'v [FilteredContainerType],
    pub(crate) now: Timestamp,
}

impl Section {
    /// Lays out groups along the tree. In a section about files the process is the file event's, not a container's.
    pub(crate) fn new(index: usize, name: String, groups: Vec<Arc<Group>>, about_files: bool) -> Self {
        let mut root = Node { level: Level::Root, groups: Vec::new(), children: Vec::new() };
        let needs_container = groups.iter().any(|group| group.criterion.extra.needs_container);
        for group in groups {
            root.descend(group.criterion.level(), about_files).groups.push(group);
        }
        if needs_container {
            root.descend(Level::Container, about_files);
        }
        Self { index, name, root }
    }

    /// Whether the section holds.
    pub(crate) fn truth<'a>(&self, context: EvaluationContext<'_, 'a>) -> Truth<'a> {
        self.root.satisfied_by(context, context.view.root())
    }

    /// Whether what the section says about the process itself may hold, whatever container it is in.
    pub(crate) fn process_may_hold(&self, view: &View<'_>, now: Timestamp) -> bool {
        let about_process =
            |group: &&Arc<Group>| matches!(group.criterion.family, Family::Process | Family::ProcessBaseline);
        let groups = self.root.all_groups().into_iter().filter(about_process).cloned().collect();
        let alone = View::of_process(view);
        let context = EvaluationContext { view: &alone, skipped: &[], now };
        !Self::new(self.index, String::new(), groups, false).truth(context).is_false()
    }

    /// What makes the section hold: every value of every element that takes part.
    pub(crate) fn evidence(&self, context: EvaluationContext<'_, '_>) -> Vec<Evidence> {
        let mut evidence = Vec::new();
        self.walk(
            context,
            |node, element| node.takes_part(context, element).is_true(),
            |groups, path| evidence.extend(groups.iter().map(|group| group.evidence(path))),
        );
        evidence.sort();
        evidence.dedup();
        evidence
    }

    /// Visits the input itself and, from each element down, every known element that `enters` lets through, with
    /// the groups that look at it.
    pub(crate) fn walk<'a>(
        &self,
        context: EvaluationContext<'_, 'a>,
        enters: impl Fn(&Node, Element<'a>) -> bool,
        mut visit: impl FnMut(&[Arc<Group>], &Path<'_, 'a>),
    ) {
        let start = Path { element: context.view.root(), above: None };
        self.root.walk(context, &start, &enters, &mut visit);
    }
}

impl Node {
    /// The node of `level`, made where it is not there yet.
    fn descend(&mut self, level: Level, about_files: bool) -> &mut Self {
        let above = match level {
            Level::Process if about_files => Some(Level::Root),
            level => level.above(),
        };
        let Some(above) = above else { return self };
        let parent = self.descend(above, about_files);
        let position = parent.children.iter().position(|child| child.level == level);
        let position = position.unwrap_or_else(|| {
            parent.children.push(Self { level, groups: Vec::new(), children: Vec::new() });
            parent.children.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "the position was just found or made")]
        &mut parent.children[position]
    }

    /// Every group here and below.
    pub(crate) fn all_groups(&self) -> Vec<&Arc<Group>> {
        self.groups.iter().chain(self.children.iter().flat_map(Self::all_groups)).collect()
    }

    fn satisfied_by<'a>(&self, context: EvaluationContext<'_, 'a>, element: Element<'a>) -> Truth<'a> {
        let here = self.groups.iter().map(|group| group.holds(context.now, &element));
        let below = self.children.iter().map(|child| child.exists_below(context, element));
        Truth::all(here.chain(below))
    }

    fn exists_below<'a>(&self, context: EvaluationContext<'_, 'a>, parent: Element<'a>) -> Truth<'a> {
        match context.view.below(parent, self.level) {
            Elements::Unknown(fact) => Truth::unknown(fact),
            Elements::Known(elements) => {
                Truth::any(elements.into_iter().map(|element| self.takes_part(context, element)))
            }
        }
    }

    /// Whether an element of this node's level is looked at and satisfies the node.
    pub(crate) fn takes_part<'a>(
        &self,
        context: EvaluationContext<'_, 'a>,
        element: Element<'a>,
    ) -> Truth<'a> {
        match context.admits(&element) {
            Truth::False => Truth::False,
            admitted => admitted.and(self.satisfied_by(context, element)),
        }
    }

    fn walk<'a>(
        &self,
        context: EvaluationContext<'_, 'a>,
        path: &Path<'_, 'a>,
        enters: &impl Fn(&Self, Element<'a>) -> bool,
        visit: &mut impl FnMut(&[Arc<Group>], &Path<'_, 'a>),
    ) {
        visit(&self.groups, path);
        for child in &self.children {
            let Elements::Known(elements) = context.view.below(path.element, child.level) else { continue };
            for element in elements {
                if enters(child, element) {
                    child.walk(context, &Path { element, above: Some(path) }, enters, visit);
                }
            }
        }
    }
}

impl Group {
    /// Whether the group holds for one element.
    pub(crate) fn holds<'a>(&self, now: Timestamp, element: &Element<'a>) -> Truth<'a> {
        self.predicate.holds(&self.criterion.value(element), now)
    }

    /// Why it holds for the element at the end of a path.
    pub(crate) fn evidence(&self, path: &Path<'_, '_>) -> Evidence {
        Evidence {
            criterion: self.criterion.name.to_owned(),
            wanted: self.wanted.clone(),
            found: found(&self.predicate, &self.criterion.value(&path.element)),
            at: Location::along(path).text(),
        }
    }
}

impl<'a> EvaluationContext<'_, 'a> {
    /// Whether the policy's evaluation filter lets the element be looked at.
    pub(crate) fn admits(&self, element: &Element<'a>) -> Truth<'a> {
        match element {
            Element::Container(container) => container.admitted(self.skipped),
            _ => Truth::True,
        }
    }
}
