//! The rules about a set of policies: what may be changed together, and what the result must hold to.
//!
//! A change is made in two steps. [`ChangeSet::new`] looks at the changes alone: every policy is valid, none is
//! changed twice. [`ChangeSet::check`] looks at them together with the policies in force, which may be different at
//! each attempt to write: no two policies have one name.

use std::collections::{HashMap, HashSet};
use std::fmt;

use lictor_engine::{Problem, validate};
use lictor_wire::{Policy, PolicyChange, PolicyId};

/// Changes that take effect together or not at all, at most one for each policy.
///
/// A set is proof of validation: each policy in it passed [`lictor_engine::validate`] when the set was made.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChangeSet(Vec<PolicyChange>);

/// Why changes are not a valid set, regardless of the policies in force. Their author has to edit them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadChange {
    /// A policy has no id. Ids are given where policies are read or created, before they are written.
    #[error("policy `{name}` has no id")]
    NoId {
        /// The policy's name.
        name: String,
    },
    /// The policy is not valid.
    #[error("policy `{name}` ({id}) is not valid: {}", join(problems, "; "))]
    Invalid {
        /// The policy's id.
        id: PolicyId,
        /// The policy's name.
        name: String,
        /// Everything that is wrong with it, at least one problem.
        problems: Vec<Problem>,
    },
    /// One policy has two different changes.
    #[error("policy {id} is changed twice: {first} and {second}")]
    ChangedTwice {
        /// The id that both changes have.
        id: PolicyId,
        /// The first change, for people: the policy's name in backticks, or `a deletion`.
        first: String,
        /// The second change, likewise.
        second: String,
    },
}

/// Two policies with one name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name `{name}` belongs to policy {owner} and cannot be given to policy {claimant}")]
pub struct NameTaken {
    /// The name.
    pub name: String,
    /// The policy that has the name: one in force that the set does not change, else the first of the set.
    pub owner: PolicyId,
    /// The policy of the set that cannot have it.
    pub claimant: PolicyId,
}

/// Why a valid set cannot follow the policies in force: every name that is taken, at least one, each on a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", join(_0, "\n"))]
pub struct NamesTaken(pub Vec<NameTaken>);

impl ChangeSet {
    /// Makes a set of changes. A change that is repeated word for word counts once.
    ///
    /// # Errors
    /// Everything that is wrong with the changes.
    pub fn new(changes: impl IntoIterator<Item = PolicyChange>) -> Result<Self, Vec<BadChange>> {
        let mut set = Self::default();
        let mut by_id: HashMap<PolicyId, usize> = HashMap::new();
        let mut wrong = Vec::new();
        for change in changes {
            let earlier = by_id.get(change.id()).and_then(|index| set.0.get(*index));
            match earlier {
                Some(earlier) if *earlier == change => continue,
                Some(earlier) => wrong.push(BadChange::ChangedTwice {
                    id: change.id().clone(),
                    first: describe(earlier),
                    second: describe(&change),
                }),
                None => {
                    by_id.insert(change.id().clone(), set.0.len());
                }
            }
            if let PolicyChange::Put { policy } = &change {
                wrong.extend(bad(policy));
            }
            set.0.push(change);
        }
        if wrong.is_empty() { Ok(set) } else { Err(wrong) }
    }

    /// A set that puts policies in force.
    ///
    /// # Errors
    /// See [`ChangeSet::new`].
    pub fn put(policies: impl IntoIterator<Item = Policy>) -> Result<Self, Vec<BadChange>> {
        Self::new(policies.into_iter().map(|policy| PolicyChange::Put { policy: Box::new(policy) }))
    }

    /// The changes, in the order in which they were given.
    pub fn changes(&self) -> &[PolicyChange] {
        &self.0
    }

    /// The set without changes that would have no effect: policies in force as they are in the set, and deletions of
    /// policies that are not in force.
    pub fn without_unchanged<'p>(self, in_force: impl IntoIterator<Item = &'p Policy>) -> Self {
        let in_force: HashMap<&PolicyId, &Policy> =
            in_force.into_iter().map(|policy| (&policy.id, policy)).collect();
        let changed = |change: &PolicyChange| match change {
            PolicyChange::Put { policy } => in_force.get(&policy.id) != Some(&&**policy),
            PolicyChange::Delete { id } => in_force.contains_key(id),
        };
        Self(self.0.into_iter().filter(changed).collect())
    }

    /// Checks that the set can be applied to the policies in force: no policy that it puts in force has the name of
    /// another one, in the set or outside of it. A set may exchange names, and give away the name of a policy it
    /// deletes.
    ///
    /// # Errors
    /// Every name that is taken.
    pub fn check<'p>(&'p self, in_force: impl IntoIterator<Item = &'p Policy>) -> Result<(), NamesTaken> {
        let changed: HashSet<&PolicyId> = self.0.iter().map(PolicyChange::id).collect();
        let mut owners: HashMap<&str, &PolicyId> = HashMap::new();
        for policy in in_force {
            if !changed.contains(&policy.id) {
                owners.entry(&policy.name).or_insert(&policy.id);
            }
        }
        let mut taken = Vec::new();
        for change in &self.0 {
            let PolicyChange::Put { policy } = change else { continue };
            let owner = *owners.entry(&policy.name).or_insert(&policy.id);
            if *owner != policy.id {
                taken.push(NameTaken {
                    name: policy.name.clone(),
                    owner: owner.clone(),
                    claimant: policy.id.clone(),
                });
            }
        }
        if taken.is_empty() { Ok(()) } else { Err(NamesTaken(taken)) }
    }
}

fn bad(policy: &Policy) -> Option<BadChange> {
    if policy.id.is_empty() {
        return Some(BadChange::NoId { name: policy.name.clone() });
    }
    let problems = validate(policy).err()?;
    Some(BadChange::Invalid { id: policy.id.clone(), name: policy.name.clone(), problems })
}

fn describe(change: &PolicyChange) -> String {
    match change {
        PolicyChange::Put { policy } => format!("`{}`", policy.name),
        PolicyChange::Delete { .. } => "a deletion".to_owned(),
    }
}

fn join(items: &[impl fmt::Display], separator: &str) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
}
