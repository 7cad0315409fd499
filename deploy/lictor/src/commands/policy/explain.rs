//! `lictor policy explain`: why a policy matches something, or why not.

use std::path::Path;

use jiff::Timestamp;
use lictor_detection::Target;
use lictor_engine::{CriterionExplanation, Explanation, Outcome, PolicySet, SectionExplanation};
use lictor_normalize::yaml;
use lictor_wire::{Entity, Policy, PolicyId};
use serde::Serialize;
use serde_json::Value;

use super::load;
use crate::cli::{Output, PolicyExplain};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::offline::{Document, OfflineCluster, compile};
use crate::text;

/// The cluster of documents that name none.
const CLUSTER: &str = "local";

pub(super) fn run(options: &PolicyExplain) -> Result<Exit, Failure> {
    let policy = named(options)?;
    let id = policy.id.clone();
    // Disabled policies are explained as if they were enabled: the question is what they would do.
    let set = compile([Policy { disabled: false, ..policy }], options.parity);
    let now = Timestamp::now();
    let mut known = OfflineCluster::new(CLUSTER);
    let mut given = Vec::new();
    for path in &options.given {
        given.extend(documents(path, &known, now)?);
    }
    let judged = documents(&options.event, &known, now)?;
    let named = |error: &dyn std::fmt::Display| {
        Failure::invalid_input(format!("{}: {error}", options.event.display()))
    };
    Document::know(&given, &mut known).map_err(|error| named(&error))?;
    let mut all = Vec::new();
    for document in &judged {
        explain(document, &given, &known, &set, &id, now, &mut all).map_err(|error| named(&error))?;
    }
    if all.is_empty() {
        return Err(named(&"there is nothing in it that a policy can be about"));
    }
    match options.output {
        Output::Json => {
            let all = all.iter().map(|(entity, explanation)| Explained { entity, explanation });
            let all = serde_json::to_value(all.collect::<Vec<_>>()).map_err(Failure::unreachable)?;
            text::line(&all.to_string());
        }
        Output::Table => all.iter().for_each(|(entity, explanation)| print(entity, explanation)),
    }
    let violated = all.iter().any(|(_, explanation)| explanation.outcome == Outcome::Holds);
    Ok(if violated { Exit::Violated } else { Exit::Fine })
}

fn explain(
    document: &Document,
    given: &[Document],
    known: &OfflineCluster,
    set: &PolicySet,
    id: &PolicyId,
    now: Timestamp,
    all: &mut Vec<(Entity, Explanation)>,
) -> Result<(), crate::offline::DocumentError> {
    if let Document::Image(facts) = document {
        known.state().join(known.cluster(), Target::Image(facts), &mut |input, entity| {
            all.extend(set.explain(id, input, now).map(|explanation| (entity, explanation)));
        });
    }
    for event in document.events(given, known.cluster(), now)? {
        known.inputs(&event, &mut |input, entity| {
            all.extend(set.explain(id, input, now).map(|explanation| (entity, explanation)));
        });
    }
    Ok(())
}

fn named(options: &PolicyExplain) -> Result<Policy, Failure> {
    let policies = load(&options.policies)?.policies;
    let is_meant = |policy: &Policy| policy.name == options.policy || policy.id.as_str() == options.policy;
    let found = policies.iter().find(|file| is_meant(&file.policy));
    found.map(|file| file.policy.clone()).ok_or_else(|| {
        let part = options.policy.to_lowercase();
        let near: Vec<&str> = policies
            .iter()
            .map(|file| file.policy.name.as_str())
            .filter(|name| name.to_lowercase().contains(&part))
            .take(5)
            .collect();
        let failure = Failure::invalid_input(format!("there is no policy `{}`", options.policy));
        match near.as_slice() {
            [] => failure.hint("name its file with --policies"),
            near => failure.hint(format!("did you mean {}?", near.join(", "))),
        }
    })
}

/// The documents of a file: YAML with several, JSON, or lines of JSON.
fn documents(path: &Path, known: &OfflineCluster, now: Timestamp) -> Result<Vec<Document>, Failure> {
    let named =
        |error: &dyn std::fmt::Display| Failure::invalid_input(format!("{}: {error}", path.display()));
    let content = if path == Path::new("-") { files::stdin()? } else { files::text(path)? };
    let values: Vec<Value> = if content.trim_start().starts_with(['{', '[']) {
        let values = serde_json::Deserializer::from_str(&content).into_iter();
        values.collect::<Result<_, _>>().map_err(|error| named(&error))?
    } else {
        let documents = yaml::read(&content).map_err(|error| {
            let line = error.position.map(|at| format!("line {}: ", at.line)).unwrap_or_default();
            named(&format!("{line}{error}"))
        })?;
        documents.into_iter().map(yaml::Document::into_json).collect()
    };
    values
        .iter()
        .map(|value| Document::read(value, known.cluster(), now).map_err(|error| named(&error)))
        .collect()
}

// --- for people ----------------------------------------------------------------------------------------------------

fn print(entity: &Entity, explanation: &Explanation) {
    text::heading(&format!(
        "{} {} {}",
        explanation.policy.name,
        match &explanation.outcome {
            Outcome::Holds => "is violated by",
            Outcome::DoesNotHold => "is not violated by",
            Outcome::Unknown(_) => "cannot be decided for",
        },
        text::plain(&entity.display_name())
    ));
    if !explanation.not_evaluated.is_empty() {
        text::line(&format!("  not evaluated: {}", explanation.not_evaluated));
    }
    for section in &explanation.sections {
        tell_section(section);
    }
}

fn tell_section(section: &SectionExplanation) {
    let name = if section.name.is_empty() { String::new() } else { format!(" `{}`", section.name) };
    text::line(&format!("  section {}{name}: {}", section.index + 1, word(&section.outcome)));
    for (i, criterion) in section.criteria.iter().enumerate() {
        let mark = if section.first_failing == Some(i) { "  <- the first that fails" } else { "" };
        text::line(&format!(
            "    {} requires {}: {}{mark}",
            criterion.criterion,
            text::plain(&criterion.wanted),
            word(&criterion.outcome)
        ));
        tell_found(criterion);
    }
    if section.first_failing.is_none() && section.outcome == Outcome::DoesNotHold {
        text::line("    each criterion is met, but not all of them by the same one");
    }
}

fn tell_found(criterion: &CriterionExplanation) {
    if criterion.found.is_empty() {
        text::line("      found nothing to look at");
    }
    for found in &criterion.found {
        let at = if found.at.is_empty() { String::new() } else { format!("{}: ", found.at) };
        let value = if found.value.is_empty() { "nothing" } else { &found.value };
        let line = format!("      found {at}{value} ({})", word(&found.outcome));
        text::line(&text::plain(&line));
    }
    if criterion.more > 0 {
        text::line(&format!("      and {} more", criterion.more));
    }
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Holds => "holds".to_owned(),
        Outcome::DoesNotHold => "does not hold".to_owned(),
        Outcome::Unknown(missing) => format!("not known, because this is missing: {}", missing.join(", ")),
    }
}

// --- for programs --------------------------------------------------------------------------------------------------

#[derive(Serialize)]
struct Explained<'a> {
    entity: &'a Entity,
    #[serde(flatten)]
    explanation: &'a Explanation,
}
