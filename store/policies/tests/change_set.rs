//! Change sets against a naive model: a list of policies that is changed one by one and then searched pair by pair.

#![cfg(test)]

use lictor_policies::{BadChange, ChangeSet, NameTaken};
use lictor_wire::policy::{Group, LifecycleStage, PolicyValue, Section, Severity};
use lictor_wire::{Policy, PolicyChange, PolicyId};
use proptest::prelude::*;

fn policy(id: &str, name: &str) -> Policy {
    Policy {
        id: PolicyId::new(id),
        name: name.to_owned(),
        severity: Severity::Low,
        categories: vec!["Kubernetes".to_owned()],
        lifecycle_stages: vec![LifecycleStage::Deploy],
        policy_version: "1.1".to_owned(),
        policy_sections: vec![Section {
            policy_groups: vec![Group {
                field_name: "Image Tag".to_owned(),
                values: vec![PolicyValue { value: "latest".to_owned() }],
                ..Group::default()
            }],
            ..Section::default()
        }],
        ..Policy::default()
    }
}

fn put(policy: Policy) -> PolicyChange {
    PolicyChange::Put { policy: Box::new(policy) }
}

fn delete(id: &str) -> PolicyChange {
    PolicyChange::Delete { id: PolicyId::new(id) }
}

fn taken(name: &str, owner: &str, claimant: &str) -> NameTaken {
    NameTaken { name: name.to_owned(), owner: PolicyId::new(owner), claimant: PolicyId::new(claimant) }
}

/// Few ids and names, so that they meet often; severities tell versions of a policy apart.
fn policies() -> impl Strategy<Value = Policy> {
    let severities = prop_oneof![Just(Severity::Low), Just(Severity::High)];
    (0..5_u8, 0..5_u8, severities).prop_map(|(id, name, severity)| Policy {
        severity,
        ..policy(&format!("id-{id}"), &format!("name {name}"))
    })
}

fn changes() -> impl Strategy<Value = Vec<PolicyChange>> {
    let change = prop_oneof![
        4 => policies().prop_map(put),
        1 => (0..5_u8).prop_map(|id| delete(&format!("id-{id}"))),
    ];
    prop::collection::vec(change, 0..6)
}

/// Policies in force, as the log keeps them: no two of one id or one name.
fn in_force() -> impl Strategy<Value = Vec<Policy>> {
    prop::collection::vec(policies(), 0..5).prop_map(|all| {
        let mut kept: Vec<Policy> = Vec::new();
        for policy in all {
            if kept.iter().all(|other| other.id != policy.id && other.name != policy.name) {
                kept.push(policy);
            }
        }
        kept
    })
}

/// What is in force after the changes, one after the other.
fn after(in_force: &[Policy], changes: &[PolicyChange]) -> Vec<Policy> {
    let mut state = in_force.to_vec();
    for change in changes {
        state.retain(|policy| policy.id != *change.id());
        if let PolicyChange::Put { policy } = change {
            state.push((**policy).clone());
        }
    }
    state
}

fn sorted(mut policies: Vec<Policy>) -> Vec<Policy> {
    policies.sort_by(|a, b| a.id.cmp(&b.id));
    policies
}

proptest! {
    #[test]
    fn a_set_holds_one_change_for_each_policy(changes in changes()) {
        let contradicts = changes.iter().any(|a| changes.iter().any(|b| a.id() == b.id() && a != b));
        match ChangeSet::new(changes.clone()) {
            Ok(set) => {
                prop_assert!(!contradicts);
                for change in &changes {
                    prop_assert_eq!(set.changes().iter().filter(|one| *one == change).count(), 1);
                }
                prop_assert!(set.changes().iter().all(|one| changes.contains(one)));
            }
            Err(wrong) => {
                prop_assert!(contradicts);
                let twice = |bad: &BadChange| matches!(bad, BadChange::ChangedTwice { .. });
                prop_assert!(wrong.iter().all(twice));
            }
        }
    }

    #[test]
    fn a_set_is_refused_for_exactly_the_names_that_two_policies_would_have(
        in_force in in_force(),
        changes in changes(),
    ) {
        let Ok(set) = ChangeSet::new(changes) else { return Ok(()) };
        let after = after(&in_force, set.changes());
        let twice = |name: &str| after.iter().filter(|policy| policy.name == name).count() > 1;
        match set.check(&in_force) {
            Ok(()) => prop_assert!(after.iter().all(|policy| !twice(&policy.name))),
            Err(refused) => {
                prop_assert!(!refused.0.is_empty());
                let has = |id: &PolicyId, name: &str| after.iter().any(|p| p.id == *id && p.name == name);
                for NameTaken { name, owner, claimant } in &refused.0 {
                    prop_assert!(owner != claimant && has(owner, name) && has(claimant, name));
                    prop_assert!(set.changes().iter().any(|change| change.id() == claimant));
                }
                // Of the policies with one name one owns it, and each other one claims it once.
                for policy in after.iter().filter(|policy| twice(&policy.name)) {
                    let of_name: Vec<_> = refused.0.iter().filter(|taken| taken.name == policy.name).collect();
                    let claims = of_name.iter().filter(|taken| taken.claimant == policy.id).count();
                    let owns = of_name.iter().all(|taken| taken.owner == policy.id);
                    prop_assert_eq!(claims, usize::from(!owns));
                }
            }
        }
    }

    #[test]
    fn without_what_is_already_so_the_result_is_the_same(in_force in in_force(), changes in changes()) {
        let Ok(set) = ChangeSet::new(changes) else { return Ok(()) };
        let whole = sorted(after(&in_force, set.changes()));
        let less = set.clone().without_unchanged(&in_force);
        prop_assert_eq!(&sorted(after(&in_force, less.changes())), &whole);
        // What is left changes something each by itself, and nothing is left to do a second time.
        for change in less.changes() {
            prop_assert_ne!(sorted(after(&in_force, std::slice::from_ref(change))), sorted(in_force.clone()));
        }
        prop_assert_eq!(less.without_unchanged(&whole), ChangeSet::default());
        if let Err(refused) = set.check(&in_force) {
            let less = set.without_unchanged(&in_force);
            prop_assert!(less.check(&in_force).is_err(), "{}", refused);
        }
    }
}

#[test]
fn names_may_be_exchanged_and_inherited_but_not_shared() {
    let in_force = [policy("a", "first name"), policy("b", "second name"), policy("c", "third name")];
    let check = |changes: Vec<PolicyChange>| ChangeSet::new(changes).unwrap().check(&in_force);
    assert_eq!(check(vec![put(policy("a", "second name")), put(policy("b", "first name"))]), Ok(()));
    assert_eq!(check(vec![delete("c"), put(policy("d", "third name"))]), Ok(()));
    assert_eq!(check(vec![put(policy("d", "third name")), delete("c")]), Ok(()), "in whatever order");
    let refused = check(vec![
        put(policy("d", "third name")),
        put(policy("e", "a new name")),
        put(policy("f", "a new name")),
    ]);
    let refused = refused.unwrap_err();
    assert_eq!(refused.0, [taken("third name", "c", "d"), taken("a new name", "e", "f")]);
    assert_eq!(
        refused.to_string(),
        "the name `third name` belongs to policy c and cannot be given to policy d\n\
         the name `a new name` belongs to policy e and cannot be given to policy f"
    );
}

#[test]
fn everything_wrong_with_the_changes_is_reported_at_once() {
    let wrong = ChangeSet::new([
        put(policy("", "a name without an id")),
        put(Policy { severity: Severity::Unset, ..policy("a", "no severity") }),
        put(policy("b", "one version")),
        delete("b"),
    ]);
    let wrong = wrong.unwrap_err();
    assert_eq!(wrong[0], BadChange::NoId { name: "a name without an id".to_owned() });
    assert!(
        matches!(&wrong[1], BadChange::Invalid { id, problems, .. }
            if id.as_str() == "a" && problems.len() == 1 && problems[0].path == "severity"),
        "{wrong:?}"
    );
    assert_eq!(wrong[2].to_string(), "policy b is changed twice: `one version` and a deletion");
    assert_eq!(wrong.len(), 3);
    // A change that is repeated word for word is one change.
    assert_eq!(ChangeSet::new([delete("b"), delete("b")]).unwrap().changes().len(), 1);
}
