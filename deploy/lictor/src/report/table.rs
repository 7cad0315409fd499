//! A report for people.

use std::collections::BTreeMap;

use super::{Open, Policies, Report};
use crate::text::{self, count};

pub(super) fn write(report: &Report) {
    for result in report.results.iter().filter(|result| !result.violations.is_empty()) {
        let place = result.place.as_ref().map(|place| format!("  {}:{}", place.file, place.line));
        text::heading(&format!("{}{}", result.name, place.unwrap_or_default()));
        for violated in &result.violations {
            let mut more = Vec::new();
            if let Some(times) = violated.times {
                let seen = count(times.count, "time", "times");
                more.push(format!("{seen}, {} to {}", times.first, times.last));
            }
            if violated.enforced {
                more.push("enforced".to_owned());
            }
            text::violated(violated.severity, &violated.policy, &more.join(", "));
            text::line(&format!("           {}", text::plain(&violated.why())));
            if let Some(first) = violated.remediation.lines().next().filter(|line| !line.is_empty()) {
                text::line(&format!("           remediation: {}", text::plain(first)));
            }
        }
    }
    let undecided = || report.results.iter().flat_map(|result| &result.undecided);
    open("undecided, because facts are missing", undecided());
    open("failed", report.results.iter().flat_map(|result| &result.failures));
    summary(report);
}

/// How many reasons are written out for each policy without an answer; the rest is counted.
const REASONS: usize = 3;

/// Policies without an answer, each once.
fn open<'r>(what: &str, all: impl Iterator<Item = &'r Open>) {
    let mut policies: BTreeMap<&str, (usize, Vec<&str>)> = BTreeMap::new();
    for one in all {
        let (entities, reasons) = policies.entry(&one.policy).or_default();
        *entities += 1;
        for reason in &one.reasons {
            if !reasons.contains(&reason.as_str()) {
                reasons.push(reason);
            }
        }
    }
    if !policies.is_empty() {
        text::heading(what);
    }
    for (policy, (entities, reasons)) in policies {
        let entities = count(entities, "entity", "entities");
        let shown: Vec<&str> = reasons.iter().take(REASONS).copied().collect();
        let more = reasons.len() - shown.len();
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let line = format!("  {policy} ({entities}): {}{more}", shown.join("; "));
        text::line(&text::plain(&line));
    }
}

fn summary(report: &Report) {
    let summary = &report.summary;
    let Policies { given, enabled, stage } = report.policies;
    if given > summary.policies {
        let others = [(given - enabled, "disabled"), (enabled - summary.policies, "for other stages")];
        let others = others.iter().filter(|(policies, _)| *policies > 0);
        let others: Vec<String> = others.map(|(policies, why)| format!("{policies} {why}")).collect();
        text::line(&format!(
            "{} of {} apply at {stage}: {}",
            summary.policies,
            count(given, "policy", "policies"),
            others.join(", "),
        ));
    }
    if !summary.events.is_empty() {
        let kinds: Vec<String> = summary.events.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        text::line(&format!("events read: {}", kinds.join(", ")));
    }
    let mut line = format!(
        "{}, {}: {} in {}",
        count(summary.policies, "policy", "policies"),
        count(summary.entities, "entity", "entities"),
        count(summary.violations, "violation", "violations"),
        count(summary.violating, "entity", "entities"),
    );
    if summary.enforced > 0 {
        line.push_str(&format!(", {} enforced", summary.enforced));
    }
    if summary.undecided > 0 {
        line.push_str(&format!("; {} undecided", summary.undecided));
    }
    if summary.unreadable > 0 {
        line.push_str(&format!("; {} could not be read", count(summary.unreadable, "line", "lines")));
    }
    text::line(&line);
}
