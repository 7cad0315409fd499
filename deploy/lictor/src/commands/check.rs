//! `lictor check`: judges what is about to be deployed, without a cluster.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use lictor_engine::PolicySet;
use lictor_normalize::manifest::{self, Ignored, Text};
use lictor_wire::Deployment;
use lictor_wire::policy::{LifecycleStage, Policy};

use super::policy::load;
use crate::cli::{Check, CheckDeployment, FailOn};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::offline::{OfflineCluster, compile, seen};
use crate::report::{EntityResult, Open, Place, Policies, Report, Violated};
use crate::text;

pub(super) fn run(command: Check) -> Result<Exit, Failure> {
    match command {
        Check::Deployment(options) => deployment(&options),
    }
}

fn deployment(options: &CheckDeployment) -> Result<Exit, Failure> {
    let Rules { enabled: rules, given } = rules(&options.judging.policies)?;
    let texts = read(&options.files)?;
    let mut known = OfflineCluster::new(&options.judging.cluster);
    let named = texts.iter().map(|(name, text)| Text { name, text });
    let found = manifest::read(named, known.cluster());
    for error in &found.errors {
        text::note(&format!("{error} ({})", error.hint()));
    }
    known.know_manifests(&found);
    let set = compile(rules.clone(), options.judging.parity);
    let now = Timestamp::now();
    let judged = found.deployments.iter().zip(&found.places);
    let results: Vec<EntityResult> = judged
        .flat_map(|(model, place)| {
            let place = Place { file: place.file.clone(), line: place.line };
            judge(&known, &set, &rules, model, &place, now)
        })
        .collect();
    let rules_on = rules.len();
    let evaluated =
        rules.into_iter().filter(|policy| policy.lifecycle_stages.contains(&LifecycleStage::Deploy));
    let entities = results.len();
    let mut report = Report::new(results, evaluated.collect(), entities);
    report.policies = Policies { given, enabled: rules_on, stage: "the deploy stage" };
    report.write(options.output)?;
    skipped("hold no workload", &found.ignored);
    skipped("have ended", &found.ended);
    if !found.errors.is_empty() {
        let documents = text::count(found.errors.len(), "document", "documents");
        return Err(Failure::invalid_input(format!("{documents} not readable, and so not judged")));
    }
    if entities == 0 {
        let failure = Failure::invalid_input("the input contains no workload");
        return Err(failure.hint("render templates first, with `helm template` or `kubectl kustomize`"));
    }
    let fails = match options.fail_on {
        FailOn::Violation => report.summary.violations > 0,
        FailOn::Enforced => report.summary.enforced > 0,
    };
    Ok(if fails { Exit::Violated } else { Exit::Fine })
}

/// Says which objects were not judged, by kind.
fn skipped(why: &str, objects: &[Ignored]) {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    objects.iter().for_each(|object| *kinds.entry(&object.kind).or_default() += 1);
    if !kinds.is_empty() {
        let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        text::note(&format!("skipped, because they {why}: {}", kinds.join(", ")));
    }
}

/// What `--policies` names.
pub(super) struct Rules {
    /// The policies that are on.
    pub(super) enabled: Vec<Policy>,
    /// How many there are with those that are off.
    pub(super) given: usize,
}

pub(super) fn rules(names: &[String]) -> Result<Rules, Failure> {
    let policies = load(names)?.policies;
    let given = policies.len();
    let policies = policies.into_iter().map(|file| file.policy);
    Ok(Rules { enabled: policies.filter(|policy| !policy.disabled).collect(), given })
}

fn judge(
    known: &OfflineCluster,
    set: &PolicySet,
    rules: &[Policy],
    model: &Deployment,
    place: &Place,
    now: Timestamp,
) -> Vec<EntityResult> {
    let mut results = Vec::new();
    let event = seen(model.clone(), now);
    known.inputs(&event, &mut |input, entity| {
        let findings = set.evaluate(input, now);
        let violations = findings.violations.iter().map(|found| {
            Violated::of(&found.policy, &found.sections, &found.enforcement, findings.stage, rules)
        });
        results.push(EntityResult {
            name: entity.display_name(),
            entity,
            place: Some(place.clone()),
            violations: violations.collect(),
            undecided: findings.undecided.iter().map(Open::undecided).collect(),
            failures: findings.failures.iter().map(Open::failed).collect(),
        });
    });
    results
}

/// Files by name; folders give the manifests in them, `-` is standard input.
fn read(paths: &[PathBuf]) -> Result<Vec<(String, String)>, Failure> {
    let mut texts = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            texts.push(("stdin".to_owned(), files::stdin()?));
            continue;
        }
        for file in files::below(path)? {
            texts.push((file.display().to_string(), files::text(&file)?));
        }
    }
    Ok(texts)
}
