//! The policies that ship.

#![cfg(test)]

use std::collections::BTreeSet;

use lictor_policies::{Set, read, read_all};

#[test]
fn every_policy_that_ships_can_be_asked_and_says_what_to_do() {
    for set in Set::ALL {
        let read = read_all(set.files());
        assert_eq!(read.findings, [], "{}", set.as_str());
        assert_eq!(read.policies.len(), set.files().count(), "{}: one policy a file", set.as_str());
        for file in &read.policies {
            let policy = &file.policy;
            for (part, text) in [
                ("description", &policy.description),
                ("rationale", &policy.rationale),
                ("remediation", &policy.remediation),
            ] {
                assert!(text.len() > 20, "{}: the {part} says nothing: {text:?}", policy.name);
            }
            assert!(
                policy.is_default && policy.criteria_locked && policy.mitre_vectors_locked,
                "{}",
                policy.name
            );
            assert!(!policy.id.is_empty(), "{}", policy.name);
        }
    }
}

#[test]
fn ids_and_names_are_unique() {
    let read = read_all(Set::ALL.into_iter().flat_map(Set::files));
    let ids: BTreeSet<&str> = read.policies.iter().map(|file| file.policy.id.as_str()).collect();
    let names: BTreeSet<&str> = read.policies.iter().map(|file| file.policy.name.as_str()).collect();
    assert_eq!((ids.len(), names.len()), (read.policies.len(), read.policies.len()));
}

#[test]
fn files_are_written_as_an_export_is() {
    for set in Set::ALL {
        for (name, text) in set.files() {
            let policy = &read(&name, text).policies[0].policy;
            let mut export = policy.to_export().unwrap();
            for sort_key in ["SORTName", "SORTLifecycleStage", "SORTEnforcement"] {
                export.as_object_mut().unwrap().remove(sort_key);
            }
            let here: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(here, export, "{name}");
        }
    }
}
