//! The reference of the language, from the table that policies are compiled with.

use lictor_wire::policy::{EventSource, LifecycleStage};
use serde::Serialize;

use super::table::GROUPS;
use super::{Allows, Criterion, Extra, Family, Operator};

/// A criterion, described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CriterionReference {
    /// Its field name, as policies write it.
    pub name: &'static str,
    /// The title of its group.
    pub group: &'static str,
    /// What it evaluates.
    pub about: &'static str,
    /// What a value looks like.
    pub value: String,
    /// How a value is compared with what is found.
    pub comparison: &'static str,
    /// Whether a group may be negated.
    pub negation: bool,
    /// Which operators join several values; empty when it takes one value.
    pub operators: &'static [&'static str],
    /// The stages it can be used at, with the event source where one is needed.
    pub stages: Vec<&'static str>,
    /// Additional notes; often empty.
    pub note: String,
}

/// Every criterion, grouped, in the order of the table.
pub fn criteria() -> impl Iterator<Item = CriterionReference> {
    GROUPS.iter().flat_map(|group| group.criteria.iter().map(|criterion| reference(group.title, criterion)))
}

fn reference(group: &'static str, criterion: &'static Criterion) -> CriterionReference {
    CriterionReference {
        name: criterion.name,
        group,
        about: criterion.about,
        value: criterion.form.to_string(),
        comparison: criterion.operator.describe(),
        negation: criterion.allows.negation(),
        operators: match criterion.allows {
            Allows::One | Allows::NegatedOne => &[],
            Allows::ManyAlternatives => &["OR"],
            Allows::Many | Allows::NegatedMany => &["OR", "AND"],
        },
        stages: criterion.family.stages(),
        note: note(&criterion.extra),
    }
}

fn note(extra: &Extra) -> String {
    let mut notes = Vec::new();
    let forms: Vec<String> =
        extra.forms.iter().map(|(source, form)| format!("with {source} {form}")).collect();
    if !forms.is_empty() {
        notes.push(forms.join(", "));
    }
    notes.extend(extra.required_by.map(|source| format!("every section of {} needs it", policy_of(source))));
    notes.extend(extra.needs.map(|name| format!("needs `{name}` in its section")));
    if extra.never_enforced {
        notes.push("a policy with it cannot have enforcement actions".to_owned());
    }
    notes.join("; ")
}

/// What people call a policy with an event source.
pub(crate) const fn policy_of(source: EventSource) -> &'static str {
    match source {
        EventSource::AuditLogEvent => "an audit policy",
        EventSource::NodeEvent => "a node policy",
        EventSource::DeploymentEvent => "a runtime policy",
        EventSource::NotApplicable => "a policy",
    }
}

impl Family {
    /// Where its criteria can be used.
    fn stages(self) -> Vec<&'static str> {
        let places = [
            (LifecycleStage::Build, EventSource::NotApplicable, "BUILD"),
            (LifecycleStage::Deploy, EventSource::NotApplicable, "DEPLOY"),
            (LifecycleStage::Runtime, EventSource::DeploymentEvent, "RUNTIME (DEPLOYMENT_EVENT)"),
            (LifecycleStage::Runtime, EventSource::AuditLogEvent, "RUNTIME (AUDIT_LOG_EVENT)"),
            (LifecycleStage::Runtime, EventSource::NodeEvent, "RUNTIME (NODE_EVENT)"),
        ];
        let usable = places.into_iter().filter(|(stage, source, _)| self.is_usable(*stage, *source));
        usable.map(|(.., name)| name).collect()
    }
}

impl Operator {
    /// How a value is compared, for people.
    const fn describe(self) -> &'static str {
        match self {
            Self::Regex => "regular expression (RE2) that matches the whole text, in any case",
            Self::RegexSome => {
                "regular expression (RE2) that matches the whole text, in any case; `.*` means some text"
            }
            Self::Contains => "regular expression (RE2) that matches somewhere in the text, in any case",
            Self::TextMatcher => {
                "the text begins with it, in any case; `r/…` is a regular expression, `g/…` a glob, `\"…\"` the whole \
                 text, `!` before any of them turns it round"
            }
            Self::UpperText => "the text begins with it, in any case",
            Self::Int | Self::Uint => "whole number with an optional comparator",
            Self::Float => "number with an optional comparator; equal up to 0.0001",
            Self::Age => "older than so many days",
            Self::Enum(_) => "the same name, or where there is a comparator, that much in the order given",
            Self::AtLeast(_) => "this level or a higher one; negated, a lower one",
            Self::Propagation => "the same mode",
            Self::Bool => "equality",
            Self::Required => "regular expressions (RE2) for key and value; violated when no entry matches",
            Self::Disallowed => "regular expressions (RE2) for key and value; violated when an entry matches",
            Self::Parts(_) => {
                "a regular expression (RE2) for each part, all on one element; an empty part matches all"
            }
            Self::PathGlob => "glob over the whole path: `*`, `**`, `?`, `[a-z]`, `{a,b}`",
            Self::Listed => "the same name, in any case; AND: all of them",
            Self::NotDropped => "the same name, in any case",
            Self::NoneVerified => "the same id",
        }
    }
}
