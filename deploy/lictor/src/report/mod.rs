//! What judging files came to: one shape for `check` and `replay`, in every format.

mod junit;
mod sarif;
mod table;

use std::collections::BTreeMap;

use jiff::Timestamp;
use lictor_wire::policy::{EnforcementAction, LifecycleStage, Policy, Severity};
use lictor_wire::{Entity, Evidence, PolicyFailure, PolicyRef, SectionMatch, Undecided};
use serde::Serialize;

use crate::cli::ReportFormat;
use crate::exit::Failure;
use crate::text;

/// Everything.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// One for each entity that was judged by `check`, or that violated something in a `replay`.
    pub(crate) results: Vec<EntityResult>,
    pub(crate) summary: Summary,
    /// The policies that were evaluated, for formats that list them.
    #[serde(skip)]
    pub(crate) rules: Vec<Policy>,
    /// Of how many policies these are the ones.
    #[serde(skip)]
    pub(crate) policies: Policies,
}

/// The policies that were given, of which those of other stages are not evaluated.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    /// All.
    pub(crate) given: usize,
    /// Those that are on.
    pub(crate) enabled: usize,
    /// The stages that are evaluated, in words.
    pub(crate) stage: &'static str,
}

/// The result for one entity.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntityResult {
    pub(crate) entity: Entity,
    /// A short name for people.
    pub(crate) name: String,
    /// Where it is written, where it is.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<Place>,
    pub(crate) violations: Vec<Violated>,
    /// Policies that depend on facts that are not known here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) undecided: Vec<Open>,
    /// Policies that could not be evaluated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) failures: Vec<Open>,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: u64,
}

/// A policy that was violated.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Violated {
    pub(crate) policy: String,
    pub(crate) id: String,
    pub(crate) severity: Severity,
    pub(crate) stage: LifecycleStage,
    /// Whether the policy has an enforcement action at this stage.
    pub(crate) enforced: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) actions: Vec<EnforcementAction>,
    pub(crate) evidence: Vec<Evidence>,
    /// The same for people.
    pub(crate) messages: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) remediation: String,
    /// How often, and when, for what happened; absent for what is written.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) times: Option<Times>,
}

/// How often something happened.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Times {
    pub(crate) count: u64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

/// A policy with no answer.
#[derive(Debug, Serialize)]
pub(crate) struct Open {
    pub(crate) policy: String,
    pub(crate) id: String,
    /// The facts that were missing, or what went wrong.
    pub(crate) reasons: Vec<String>,
}

/// The figures.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    /// Policies that were evaluated: those that are enabled.
    pub(crate) policies: usize,
    /// Entities that were judged.
    pub(crate) entities: usize,
    /// Entities with a violation.
    pub(crate) violating: usize,
    pub(crate) violations: u64,
    pub(crate) enforced: u64,
    /// Violations by severity.
    pub(crate) severities: BTreeMap<String, u64>,
    pub(crate) undecided: usize,
    pub(crate) failures: usize,
    /// Events by kind; absent where files hold no events.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) events: BTreeMap<&'static str, u64>,
    /// Lines that could not be read.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) unreadable: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Violated {
    /// A violation as it was found.
    pub(crate) fn of(
        policy: &PolicyRef,
        sections: &[SectionMatch],
        actions: &[EnforcementAction],
        stage: LifecycleStage,
        rules: &[Policy],
    ) -> Self {
        let rule = rules.iter().find(|rule| rule.id == policy.id);
        Self {
            policy: policy.name.clone(),
            id: policy.id.to_string(),
            severity: policy.severity,
            stage,
            enforced: !actions.is_empty(),
            actions: actions.to_vec(),
            evidence: evidence(sections),
            messages: messages(sections),
            remediation: rule.map(|rule| rule.remediation.clone()).unwrap_or_default(),
            times: None,
        }
    }

    /// What was found, as one line.
    pub(crate) fn why(&self) -> String {
        self.messages.join("; ")
    }
}

/// The sentences of all sections, each once, in their order.
fn messages(sections: &[SectionMatch]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for message in sections.iter().flat_map(|section| &section.messages) {
        if !all.contains(message) {
            all.push(message.clone());
        }
    }
    all
}

/// The evidence of all sections, each piece once.
fn evidence(sections: &[SectionMatch]) -> Vec<Evidence> {
    let mut all: Vec<Evidence> = sections.iter().flat_map(|section| section.evidence.clone()).collect();
    all.sort();
    all.dedup();
    all
}

impl Open {
    /// Because facts are missing.
    pub(crate) fn undecided(undecided: &Undecided) -> Self {
        let policy = &undecided.policy;
        Self { policy: policy.name.clone(), id: policy.id.to_string(), reasons: undecided.missing.clone() }
    }

    /// For what went wrong.
    pub(crate) fn failed(failure: &PolicyFailure) -> Self {
        let policy = &failure.policy;
        let reasons = vec![failure.message.clone()];
        Self { policy: policy.name.clone(), id: policy.id.to_string(), reasons }
    }
}

impl Report {
    /// Counts, and orders what people read: entities by name, violations by severity.
    pub(crate) fn new(mut results: Vec<EntityResult>, rules: Vec<Policy>, judged: usize) -> Self {
        results.sort_by(|a, b| {
            (&a.place.as_ref().map(|p| (&p.file, p.line)), &a.name)
                .cmp(&(&b.place.as_ref().map(|p| (&p.file, p.line)), &b.name))
        });
        let mut summary = Summary { policies: rules.len(), entities: judged, ..Summary::default() };
        for result in &mut results {
            result.violations.sort_by(|a, b| (b.severity, &a.policy).cmp(&(a.severity, &b.policy)));
            summary.violating += usize::from(!result.violations.is_empty());
            summary.undecided += result.undecided.len();
            summary.failures += result.failures.len();
            for violated in &result.violations {
                let count = violated.times.map_or(1, |times| times.count);
                summary.violations += count;
                summary.enforced += if violated.enforced { count } else { 0 };
                *summary.severities.entry(violated.severity.to_string()).or_default() += count;
            }
        }
        Self { results, summary, rules, policies: Policies::default() }
    }

    /// Writes it to standard output.
    pub(crate) fn write(&self, format: ReportFormat) -> Result<(), Failure> {
        match format {
            ReportFormat::Table => table::write(self),
            ReportFormat::Json => text::line(&serde_json::to_string(self).map_err(Failure::unreachable)?),
            ReportFormat::Sarif => text::line(&sarif::document(self).to_string()),
            ReportFormat::Junit => text::line(junit::document(self)?.trim_end()),
        }
        Ok(())
    }
}
