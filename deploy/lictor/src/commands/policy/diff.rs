//! `lictor policy diff`: what changed between two sets of policies, by meaning.
//!
//! Policies are matched by id, or else by name. What a policy means does not depend on the order of categories, stages,
//! scopes, exclusions, sections, groups and values, nor on when and by whom it was written.

use std::collections::BTreeMap;
use std::fmt;

use lictor_wire::Policy;
use lictor_wire::policy::{BooleanOperator, Exclusion, Group, Scope, Section};
use serde::Serialize;

use super::load;
use crate::cli::{Output, PolicyDiff};
use crate::exit::{Exit, Failure};
use crate::text;

/// What changed about one policy.
#[derive(Debug, Serialize)]
struct Change {
    policy: String,
    id: String,
    change: Kind,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    Added,
    Removed,
    Changed,
}

/// One part of a policy that is another now.
#[derive(Debug, Serialize)]
struct Part {
    /// What it is, such as `severity` or `criteria`.
    part: &'static str,
    /// What was there before and is not there now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    removed: Vec<String>,
    /// What is there now and was not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    added: Vec<String>,
    /// Whether it changes what is found, and not only what people read about it.
    verdicts: bool,
}

pub(super) fn run(options: &PolicyDiff) -> Result<Exit, Failure> {
    let read = |name: &String| -> Result<Vec<Policy>, Failure> {
        Ok(load(std::slice::from_ref(name))?.policies.into_iter().map(|file| file.policy).collect())
    };
    let changes = compare(&read(&options.old)?, &read(&options.new)?);
    for change in &changes {
        match options.output {
            Output::Json => text::line(&serde_json::to_string(change).map_err(Failure::unreachable)?),
            Output::Table => tell(change),
        }
    }
    if changes.is_empty() && options.output == Output::Table {
        text::line("nothing changed");
    }
    Ok(if changes.is_empty() { Exit::Fine } else { Exit::Violated })
}

fn tell(change: &Change) {
    let word = match change.change {
        Kind::Added => "new",
        Kind::Removed => "gone",
        Kind::Changed => "changed",
    };
    text::heading(&format!("{word}: {}", text::plain(&change.policy)));
    for part in &change.parts {
        text::line(&format!("  {}{}", part.part, if part.verdicts { "" } else { " (no verdict changes)" }));
        part.removed.iter().for_each(|line| text::line(&format!("    - {}", text::plain(line))));
        part.added.iter().for_each(|line| text::line(&format!("    + {}", text::plain(line))));
    }
}

fn compare(old: &[Policy], new: &[Policy]) -> Vec<Change> {
    let counterpart = |policy: &Policy, among: &[Policy]| -> Option<Policy> {
        let by_id = among.iter().find(|other| other.id == policy.id);
        by_id.or_else(|| among.iter().find(|other| other.name == policy.name)).cloned()
    };
    let change = |policy: &Policy, change, parts| Change {
        policy: policy.name.clone(),
        id: policy.id.to_string(),
        change,
        parts,
    };
    let mut changes = Vec::new();
    for policy in old {
        match counterpart(policy, new) {
            None => changes.push(change(policy, Kind::Removed, Vec::new())),
            Some(now) => {
                let parts = parts(policy, &now);
                if !parts.is_empty() {
                    changes.push(change(&now, Kind::Changed, parts));
                }
            }
        }
    }
    let added = new.iter().filter(|policy| counterpart(policy, old).is_none());
    changes.extend(added.map(|policy| change(policy, Kind::Added, Vec::new())));
    changes
}

fn parts(old: &Policy, new: &Policy) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut add = |part, verdicts, was: Vec<String>, is: Vec<String>| {
        let (removed, added) = difference(was, is);
        if !removed.is_empty() || !added.is_empty() {
            parts.push(Part { part, removed, added, verdicts });
        }
    };
    let one = |text: &dyn fmt::Display| vec![text.to_string()];
    let switch = |policy: &Policy| one(&if policy.disabled { "off" } else { "on" });
    add("enabled", true, switch(old), switch(new));
    add("criteria", true, sections(&old.policy_sections), sections(&new.policy_sections));
    add("stages", true, each(&old.lifecycle_stages), each(&new.lifecycle_stages));
    add("event source", true, one(&old.event_source), one(&new.event_source));
    add("scope", true, old.scope.iter().map(scope).collect(), new.scope.iter().map(scope).collect());
    add(
        "exclusions",
        true,
        old.exclusions.iter().map(exclusion).collect(),
        new.exclusions.iter().map(exclusion).collect(),
    );
    let skipped = |policy: &Policy| {
        policy.evaluation_filter.as_ref().map(|filter| each(&filter.skip_container_types)).unwrap_or_default()
    };
    add("containers left out", true, skipped(old), skipped(new));
    add("enforcement", true, each(&old.enforcement_actions), each(&new.enforcement_actions));
    add("severity", false, one(&old.severity), one(&new.severity));
    add("name", false, one(&old.name), one(&new.name));
    add("categories", false, old.categories.clone(), new.categories.clone());
    add("notifiers", false, old.notifiers.clone(), new.notifiers.clone());
    let vectors = |policy: &Policy| -> Vec<String> {
        let vectors = policy.mitre_attack_vectors.iter();
        vectors.map(|vector| format!("{}: {}", vector.tactic, vector.techniques.join(", "))).collect()
    };
    add("MITRE ATT&CK", false, vectors(old), vectors(new));
    add("description", false, one(&old.description), one(&new.description));
    add("rationale", false, one(&old.rationale), one(&new.rationale));
    add("remediation", false, one(&old.remediation), one(&new.remediation));
    parts
}

fn each<T: fmt::Display>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// What is only in one of two collections; order does not matter, repetition does.
fn difference(was: Vec<String>, is: Vec<String>) -> (Vec<String>, Vec<String>) {
    let mut count: BTreeMap<String, i64> = BTreeMap::new();
    was.into_iter().for_each(|text| *count.entry(text).or_default() -= 1);
    is.into_iter().for_each(|text| *count.entry(text).or_default() += 1);
    let only = |sign: i64| {
        let chosen = count.iter().filter(move |(text, n)| n.signum() == sign && !text.is_empty());
        chosen.map(|(text, _)| text.clone()).collect()
    };
    (only(-1), only(1))
}

/// A section as one line that is the same for the same meaning.
fn sections(sections: &[Section]) -> Vec<String> {
    let line = |section: &Section| {
        let mut groups: Vec<String> = section.policy_groups.iter().map(group).collect();
        groups.sort();
        groups.join(" and ")
    };
    sections.iter().map(line).collect()
}

fn group(group: &Group) -> String {
    let mut values: Vec<&str> = group.values.iter().map(|value| value.value.as_str()).collect();
    values.sort_unstable();
    let joint = match group.boolean_operator {
        BooleanOperator::Or => " or ",
        BooleanOperator::And => " and ",
    };
    let not = if group.negate { "not " } else { "" };
    format!("{} = {not}({})", group.field_name, values.join(joint))
}

fn scope(scope: &Scope) -> String {
    let mut parts = Vec::new();
    let mut text = |name: &str, value: &str| {
        if !value.is_empty() {
            parts.push(format!("{name} {value}"));
        }
    };
    text("cluster", &scope.cluster);
    text("namespace", &scope.namespace);
    let labels = [
        ("label", &scope.label),
        ("cluster label", &scope.cluster_label),
        ("namespace label", &scope.namespace_label),
    ];
    for (name, label) in labels {
        if let Some(label) = label {
            text(name, &format!("{}={}", label.key, label.value));
        }
    }
    if parts.is_empty() { "everything".to_owned() } else { parts.join(", ") }
}

fn exclusion(exclusion: &Exclusion) -> String {
    let mut parts = Vec::new();
    if let Some(deployment) = &exclusion.deployment {
        if !deployment.name.is_empty() {
            parts.push(format!("deployment {}", deployment.name));
        }
        parts.extend(deployment.scope.as_ref().map(|within| format!("in {}", scope(within))));
    }
    parts.extend(exclusion.image.as_ref().map(|image| format!("image {}", image.name)));
    parts.extend(exclusion.expiration.map(|end| format!("until {end}")));
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use lictor_wire::policy::{PolicyValue, Severity};

    use super::*;

    fn policy(groups: &[(&str, &[&str])]) -> Policy {
        let groups = groups.iter().map(|(name, values)| Group {
            field_name: (*name).to_owned(),
            values: values.iter().map(|value| PolicyValue { value: (*value).to_owned() }).collect(),
            ..Group::default()
        });
        let section = Section { section_name: String::new(), policy_groups: groups.collect() };
        Policy { name: "No shells".to_owned(), policy_sections: vec![section], ..Policy::default() }
    }

    #[test]
    fn order_and_names_of_sections_mean_nothing() {
        let old = policy(&[("Process Name", &["sh", "bash"]), ("Namespace", &["pay"])]);
        let mut new = policy(&[("Namespace", &["pay"]), ("Process Name", &["bash", "sh"])]);
        new.policy_sections[0].section_name = "Shells".to_owned();
        assert!(compare(&[old], &[new]).is_empty());
    }

    #[test]
    fn changes_are_told_by_part() {
        let old = policy(&[("Process Name", &["sh"])]);
        let new = Policy { severity: Severity::High, ..policy(&[("Process Name", &["sh", "zsh"])]) };
        let changes = compare(std::slice::from_ref(&old), &[new]);
        let parts: Vec<(&str, bool)> =
            changes[0].parts.iter().map(|part| (part.part, part.verdicts)).collect();
        assert_eq!(parts, [("criteria", true), ("severity", false)]);
        assert_eq!(changes[0].parts[0].added, ["Process Name = (sh or zsh)"]);
        assert!(matches!(
            compare(std::slice::from_ref(&old), &[])[..],
            [Change { change: Kind::Removed, .. }]
        ));
        assert!(matches!(compare(&[], &[old])[..], [Change { change: Kind::Added, .. }]));
    }
}
