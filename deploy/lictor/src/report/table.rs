//! A report for people.

use super::Report;
use crate::text;

pub(super) fn write(report: &Report) {
    for result in report.results.iter().filter(|result| !result.violations.is_empty()) {
        let place = result.place.as_ref().map(|place| format!("  {}:{}", place.file, place.line));
        text::heading(&format!("{}{}", result.name, place.unwrap_or_default()));
        for violated in &result.violations {
            let mut more = Vec::new();
            if let Some(times) = violated.times {
                more.push(format!("{} times, {} to {}", times.count, times.first, times.last));
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
    let open: usize = report.results.iter().filter(|result| !result.undecided.is_empty()).count();
    let summary = &report.summary;
    let mut line = format!(
        "{} policies, {} entities: {} violations in {} entities",
        summary.policies, summary.entities, summary.violations, summary.violating
    );
    if summary.enforced > 0 {
        line.push_str(&format!(", {} enforced", summary.enforced));
    }
    if summary.undecided > 0 {
        line.push_str(&format!(
            "; {} undecided, because facts about {open} entities are missing",
            summary.undecided
        ));
    }
    if summary.unreadable > 0 {
        line.push_str(&format!("; {} lines could not be read", summary.unreadable));
    }
    text::line(&line);
}
