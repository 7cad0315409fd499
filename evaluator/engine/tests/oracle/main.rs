//! A second evaluator, written from the language's reference alone, agrees with the engine.
//!
//! It knows nothing of views, prefilters or three values: it lays out a plain tree, runs every query over the whole of
//! it, and ties the matches together by StackRox's own algorithm (paths, tries, merging, with all its leaks); and a
//! second time exactly. `LICTOR_ORACLE_SEED` repeats a run, `LICTOR_ORACLE_PAIRS` makes it longer.

#![cfg(test)]

mod criteria;
mod generate;
mod inputs;
mod linking;
mod tree;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use lictor_engine::{Findings, Input, Occurrence, Options, PolicyRevision, PolicySet};
use lictor_wire::policy::{Exclusion, LifecycleStage, Policy, Scope, Section};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use criteria::{About, Mode};
use inputs::Scene;

/// Pairs of policy and input in each mode.
const PAIRS: usize = 60_000;
/// Subjects that each policy is asked about.
const INPUTS: usize = 20;

const ABOUTS: [About; 11] = [
    About::Image,
    About::Workload,
    About::Workload,
    About::Workload,
    About::Process,
    About::Process,
    About::Network,
    About::Command,
    About::File,
    About::NodeFile,
    About::Audit,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Violated,
    Clean,
    Failed,
}

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn by_engine(set: &PolicySet, input: &Input<'_>, all_known: bool) -> Outcome {
    let findings = set.evaluate(input, now());
    match &findings {
        // What StackRox does not have never matches there; the engine says what is missing, and does not match.
        Findings { undecided, .. } if !undecided.is_empty() && all_known => {
            panic!("every fact is known: {undecided:?}")
        }
        Findings { failures, .. } if !failures.is_empty() => Outcome::Failed,
        Findings { violations, .. } if !violations.is_empty() => Outcome::Violated,
        _ => Outcome::Clean,
    }
}

fn by_oracle(policy: &Policy, input: &Input<'_>, mode: Mode) -> Outcome {
    if !applies(policy, input, mode) {
        return Outcome::Clean;
    }
    let skipped = policy.evaluation_filter.as_ref().map_or(&[][..], |filter| &filter.skip_container_types);
    let Ok(tree) = tree::of(input, skipped) else { return without_container(policy, input, mode) };
    let asked = policy.policy_sections.iter().filter(|section| is_asked(section, mode.about));
    let holds = |section: &Section| {
        let queries = criteria::queries(section, mode);
        if mode.parity { linking::merged(&tree, &queries) } else { linking::exact(&tree, &queries) }
    };
    if asked.into_iter().any(holds) { Outcome::Violated } else { Outcome::Clean }
}

/// A process whose container is not there is an error, once the process by itself is what some section means.
fn without_container(policy: &Policy, input: &Input<'_>, mode: Mode) -> Outcome {
    let tree = tree::of_process(input);
    let asked = policy.policy_sections.iter().filter(|section| is_asked(section, mode.about));
    let means = |section: &Section| {
        let groups = section.policy_groups.iter().filter(|group| group.field_name.contains("Process"));
        let alone = Section { section_name: String::new(), policy_groups: groups.cloned().collect() };
        linking::exact(&tree, &criteria::own_queries(&alone, mode))
    };
    if asked.into_iter().any(means) { Outcome::Failed } else { Outcome::Clean }
}

/// A runtime policy's section without a criterion of its kind is not asked.
fn is_asked(section: &Section, about: About) -> bool {
    let has = |part: &str| section.policy_groups.iter().any(|group| group.field_name.contains(part));
    match about {
        About::Process => has("Process"),
        About::Network => has("Unexpected"),
        About::Command => has("Kubernetes"),
        About::File => has("File"),
        About::Image | About::Workload | About::NodeFile | About::Audit => true,
    }
}

fn whole(pattern: &str, text: &str) -> bool {
    regex::Regex::new(&format!(r"(?i)\A(?:{pattern})\z")).is_ok_and(|pattern| pattern.is_match(text))
}

fn applies(policy: &Policy, input: &Input<'_>, mode: Mode) -> bool {
    let in_force = |exclusion: &&Exclusion| exclusion.expiration.is_none_or(|end| end > now());
    let mut exclusions = policy.exclusions.iter().filter(in_force);
    if let Occurrence::Image(facts) = input.occurrence {
        let full_name = facts.names.first().map_or("", |name| &*name.full_name);
        return !exclusions.any(|exclusion| {
            exclusion.image.as_ref().is_some_and(|image| full_name.starts_with(&image.name))
        });
    }
    if mode.about == About::NodeFile {
        let in_scope = policy.scope.is_empty() || policy.scope.iter().any(|scope| of_node(scope, input));
        // What is excluded by name or namespace is not a node, unless the name is empty and nothing else is said.
        return mode.parity || in_scope && !exclusions.any(|exclusion| node_excluded(exclusion, input));
    }
    let in_scope = policy.scope.is_empty() || policy.scope.iter().any(|scope| within(scope, input));
    let excluded = exclusions.any(|exclusion| match &exclusion.deployment {
        None => mode.parity && exclusion.image.is_some(),
        Some(deployment) => {
            let name = input.deployment.map_or("", |deployment| &*deployment.name);
            (deployment.name.is_empty() || whole(&deployment.name, name))
                && deployment.scope.as_ref().is_none_or(|scope| within(scope, input))
        }
    });
    in_scope && !excluded
}

fn label(wanted: &lictor_wire::policy::ScopeLabel, labels: &BTreeMap<String, String>) -> bool {
    let part = |pattern: &str, text: &str| pattern.is_empty() || whole(pattern, text);
    labels.iter().any(|(key, value)| part(&wanted.key, key) && part(&wanted.value, value))
}

fn within(scope: &Scope, input: &Input<'_>) -> bool {
    let namespace = match (input.deployment, input.occurrence) {
        (Some(deployment), _) => &*deployment.namespace,
        (None, Occurrence::Audit(event)) => event.object_ref.as_ref().map_or("", |object| &*object.namespace),
        _ => "",
    };
    let namespaced = !namespace.is_empty();
    (scope.cluster.is_empty() || scope.cluster == input.cluster.as_str())
        && scope.cluster_label.as_ref().is_none_or(|wanted| label(wanted, input.cluster_labels.unwrap()))
        && (!namespaced || scope.namespace.is_empty() || whole(&scope.namespace, namespace))
        && (!namespaced
            || scope
                .namespace_label
                .as_ref()
                .is_none_or(|wanted| label(wanted, input.namespace_labels.unwrap())))
        && scope
            .label
            .as_ref()
            .is_none_or(|wanted| input.deployment.is_some_and(|deployment| label(wanted, &deployment.labels)))
}

fn of_node(scope: &Scope, input: &Input<'_>) -> bool {
    (scope.cluster.is_empty() || scope.cluster == input.cluster.as_str())
        && scope.cluster_label.as_ref().is_none_or(|wanted| label(wanted, input.cluster_labels.unwrap()))
}

fn node_excluded(exclusion: &Exclusion, input: &Input<'_>) -> bool {
    let Some(deployment) = &exclusion.deployment else { return false };
    let by_cluster = |scope: &Scope| {
        scope.namespace.is_empty()
            && scope.label.is_none()
            && scope.namespace_label.is_none()
            && of_node(scope, input)
    };
    deployment.name.is_empty() && deployment.scope.as_ref().is_none_or(by_cluster)
}

/// What a policy that builds and deploys is asked about.
fn about_of(policy: &Policy, about: About, rng: &mut StdRng) -> About {
    if policy.lifecycle_stages.len() < 2 {
        return about;
    }
    debug_assert!(policy.lifecycle_stages.contains(&LifecycleStage::Deploy));
    if rng.random_bool(0.5) { About::Workload } else { About::Image }
}

fn compile(policy: &Policy, parity: bool) -> PolicySet {
    let revision = PolicyRevision { policy: Arc::new(policy.clone()), revision: 1 };
    let compiled = PolicySet::compile([revision], Options { parity });
    assert_eq!(compiled.refused, [], "a generated policy is legal");
    compiled.set
}

fn agree(parity: bool) {
    let seed = number("LICTOR_ORACLE_SEED").unwrap_or_else(|| rand::rng().random());
    let pairs = number("LICTOR_ORACLE_PAIRS").map_or(PAIRS, |pairs| usize::try_from(pairs).unwrap());
    let mut rng = StdRng::seed_from_u64(seed);
    let mut outcomes: BTreeMap<(About, Outcome), usize> = BTreeMap::new();
    let (mut leaks, mut done) = (0, 0);
    while done < pairs {
        let about = *ABOUTS.choose(&mut rng).unwrap();
        let policy = generate::policy(about, now(), &mut rng);
        let set = compile(&policy, parity);
        for _ in 0..INPUTS {
            let about = about_of(&policy, about, &mut rng);
            let mode = Mode { about, parity, now: now() };
            let scene = inputs::scene(about, now(), &mut rng);
            scene.with(|input| {
                let expected = by_oracle(&policy, input, mode);
                // Without parity a process of a container that is left out is undecided about that container.
                if expected == Outcome::Failed && !parity {
                    return;
                }
                let found = by_engine(&set, input, scene.all_known());
                assert_eq!(found, expected, "{}", story(seed, &policy, &scene, parity));
                *outcomes.entry((about, found)).or_default() += 1;
                if parity && found != Outcome::Failed {
                    let exactly = by_oracle(&policy, input, Mode { parity: false, ..mode });
                    leaks += usize::from(exactly != found);
                }
            });
            done += 1;
        }
    }
    println!("seed {seed}, {done} pairs, parity {parity}: {outcomes:?}; parity alone decides {leaks}");
    for about in ABOUTS {
        for outcome in [Outcome::Violated, Outcome::Clean] {
            assert!(
                outcomes.get(&(about, outcome)).is_some_and(|count| *count > 20),
                "{about:?} {outcome:?}"
            );
        }
    }
    if parity {
        assert!(leaks > 20, "the leaks of StackRox's linking were hardly met: {leaks}");
    }
}

fn story(seed: u64, policy: &Policy, scene: &Scene, parity: bool) -> String {
    let policy = serde_json::to_string(policy).unwrap();
    format!(
        "engine and oracle differ (LICTOR_ORACLE_SEED={seed}, parity {parity})\n{policy}\n{}",
        scene.json()
    )
}

#[test]
fn the_engine_judges_as_stackrox_does() {
    agree(true);
}

#[test]
fn the_engine_judges_exactly() {
    agree(false);
}

/// Every criterion in every form is seen to hold and not to hold, by engine and oracle alike.
#[test]
fn every_form_of_every_criterion_is_seen_both_ways() {
    let seed = number("LICTOR_ORACLE_SEED").unwrap_or(7);
    let mut rng = StdRng::seed_from_u64(seed);
    let mut forms = 0;
    for (about, row) in generate::all_rows() {
        for (operator, negate) in row.forms() {
            forms += 1;
            let mut seen = [false, false];
            for _ in 0..400 {
                let mut policy = generate::policy(about, now(), &mut rng);
                (policy.scope, policy.exclusions, policy.evaluation_filter) = Default::default();
                let mut groups = vec![row.group(&mut rng, operator, negate)];
                // What has to be beside it, as wide as can be.
                let beside = |name: &str, values: &[&str]| lictor_wire::policy::Group {
                    field_name: name.to_owned(),
                    values: values
                        .iter()
                        .map(|value| lictor_wire::policy::PolicyValue { value: (*value).to_owned() })
                        .collect(),
                    ..lictor_wire::policy::Group::default()
                };
                let needed: &[(&str, &[&str])] = match about {
                    About::Audit => &[
                        (
                            "Kubernetes Resource",
                            &["SECRETS", "CONFIGMAPS", "CLUSTER_ROLES", "NETWORK_POLICIES"],
                        ),
                        ("Kubernetes API Verb", &["GET", "CREATE", "DELETE", "PATCH"]),
                    ],
                    About::Command => {
                        &[("Kubernetes Resource", &["PODS_EXEC", "PODS_ATTACH", "PODS_PORTFORWARD"])]
                    }
                    About::File | About::NodeFile => &[("File Path", &["/**"])],
                    _ => &[],
                };
                groups.extend(
                    needed
                        .iter()
                        .filter(|(name, _)| *name != row.name)
                        .map(|(name, values)| beside(name, values)),
                );
                policy.lifecycle_stages.truncate(1);
                if about == About::Workload {
                    policy.lifecycle_stages = vec![LifecycleStage::Deploy];
                }
                policy.policy_sections = vec![Section { section_name: String::new(), policy_groups: groups }];
                let set = compile(&policy, true);
                let mode = Mode { about, parity: true, now: now() };
                let scene = inputs::scene(about, now(), &mut rng);
                scene.with(|input| {
                    let expected = by_oracle(&policy, input, mode);
                    assert_eq!(
                        by_engine(&set, input, scene.all_known()),
                        expected,
                        "{}",
                        story(seed, &policy, &scene, true)
                    );
                    match expected {
                        Outcome::Violated => seen[0] = true,
                        Outcome::Clean => seen[1] = true,
                        Outcome::Failed => {}
                    }
                });
                if seen == [true, true] {
                    break;
                }
            }
            assert_eq!(seen, [true, true], "{about:?} {} {operator:?} negated {negate}", row.name);
        }
    }
    println!("{forms} forms, each seen to hold and not to hold");
}
