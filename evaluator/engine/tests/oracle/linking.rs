//! How the matches of a section are tied together: as StackRox does it, and exactly.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{Leaf, Node};

/// A question to one field of the tree: the names that lead to it, lists in between not named.
pub(crate) struct Query {
    pub(crate) path: Vec<&'static str>,
    pub(crate) test: Box<dyn Fn(&Leaf) -> bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Field(&'static str),
    Index(usize),
}

#[derive(Debug, Default, Clone)]
struct Trie(BTreeMap<Step, Trie>);

/// StackRox's way: every query is run over the whole object; the paths of one field are pooled and become a tree
/// without their last step; the trees are merged; each field must still have a whole path.
pub(crate) fn merged(root: &Node, queries: &[Query]) -> bool {
    let mut by_tag: BTreeMap<&[&'static str], BTreeSet<Vec<Step>>> = BTreeMap::new();
    for query in queries {
        let mut found = Vec::new();
        run(root, &query.path, &query.test, &mut Vec::new(), &mut found);
        if found.is_empty() {
            return false;
        }
        let truncated = found.into_iter().map(|mut path| {
            path.pop();
            path
        });
        by_tag.entry(&query.path).or_default().extend(truncated);
    }
    let tries = by_tag.values().map(|paths| {
        let mut trie = Trie::default();
        for path in paths {
            path.iter().fold(&mut trie, |at, step| at.0.entry(*step).or_default());
        }
        trie
    });
    let Some(all) = tries.reduce(|a, b| merge(&a, &b)) else { return true };
    by_tag.values().all(|paths| paths.iter().any(|path| has(&all, path)))
}

fn run(
    node: &Node,
    path: &[&'static str],
    test: &dyn Fn(&Leaf) -> bool,
    steps: &mut Vec<Step>,
    found: &mut Vec<Vec<Step>>,
) {
    match (node, path) {
        (Node::Leaf(leaf), []) if test(leaf) => found.push(steps.clone()),
        (Node::List(items), _) => {
            for (i, item) in items.iter().enumerate() {
                steps.push(Step::Index(i));
                run(item, path, test, steps, found);
                steps.pop();
            }
        }
        (Node::Struct(fields), [name, rest @ ..]) => {
            if let Some((_, child)) = fields.iter().find(|(field, _)| field == name) {
                steps.push(Step::Field(name));
                run(child, rest, test, steps, found);
                steps.pop();
            }
        }
        _ => {}
    }
}

fn merge(a: &Trie, b: &Trie) -> Trie {
    let mut merged = BTreeMap::new();
    for (step, child) in &a.0 {
        match (step, b.0.get(step)) {
            (_, Some(other)) => drop(merged.insert(*step, merge(child, other))),
            (Step::Field(_), None) => drop(merged.insert(*step, child.clone())),
            (Step::Index(_), None) => {}
        }
    }
    for (step, child) in &b.0 {
        if let (Step::Field(_), None) = (step, a.0.get(step)) {
            merged.insert(*step, child.clone());
        }
    }
    Trie(merged)
}

fn has(trie: &Trie, path: &[Step]) -> bool {
    match path {
        [] => true,
        [step, rest @ ..] => trie.0.get(step).is_some_and(|child| has(child, rest)),
    }
}

/// Exactly: there is a choice of one element in each list, shared by all queries that pass through it, under which
/// every query holds.
pub(crate) fn exact(root: &Node, queries: &[Query]) -> bool {
    let all: Vec<(&[&'static str], &Query)> = queries.iter().map(|query| (&*query.path, query)).collect();
    chosen(root, &all)
}

fn chosen(node: &Node, queries: &[(&[&'static str], &Query)]) -> bool {
    match node {
        Node::Null => queries.is_empty(),
        Node::Leaf(leaf) => queries.iter().all(|(rest, query)| rest.is_empty() && (query.test)(leaf)),
        Node::List(items) => items.iter().any(|item| chosen(item, queries)),
        Node::Struct(fields) => {
            let names: BTreeSet<&str> = queries.iter().map(|(rest, _)| rest[0]).collect();
            names.into_iter().all(|name| {
                let below: Vec<_> = queries
                    .iter()
                    .filter(|(rest, _)| rest[0] == name)
                    .map(|(rest, query)| (&rest[1..], *query))
                    .collect();
                fields
                    .iter()
                    .find(|(field, _)| *field == name)
                    .is_some_and(|(_, child)| chosen(child, &below))
            })
        }
    }
}
