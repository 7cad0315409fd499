//! How things look on a terminal: colours there, none elsewhere, no control characters from input anywhere.
//!
//! All output goes through here. Standard output that cannot be written to ends no command half way: nothing more is
//! written, and [`unwritten`] says why once the command has ended.

use std::fmt;
use std::io::{self, Write as _};
use std::sync::OnceLock;

use anstream::{stderr, stdout};
use lictor_policies::{Finding, Level};
use lictor_wire::policy::{EnforcementAction, Severity};
use lictor_wire::{Decision, Outcome, Receipt, ReceiptStep, Verdict, Violation};

use crate::exit::Failure;

/// Why standard output takes no more.
static CLOSED: OnceLock<io::Error> = OnceLock::new();

const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const BLUE: &str = "\x1b[34m";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const OFF: &str = "\x1b[0m";

/// What went wrong, and below it what to do.
pub(crate) fn error(failure: &Failure) {
    let lines: Vec<String> = failure.message.lines().map(plain).collect();
    tell(format_args!("{RED}{BOLD}error:{OFF} {}", lines.join("\n")));
    if !failure.hint.is_empty() {
        tell(format_args!("{BOLD}hint:{OFF}  {}", plain(&failure.hint)));
    }
}

/// Something a person should know while work goes on.
pub(crate) fn note(text: &str) {
    tell(format_args!("{DIM}{}{OFF}", plain(text)));
}

/// A line to standard error; where that cannot be written to, there is nobody to tell.
fn tell(line: fmt::Arguments<'_>) {
    let _ = writeln!(stderr(), "{line}");
}

/// A line to standard output.
fn print(line: fmt::Arguments<'_>) {
    if CLOSED.get().is_none() {
        noted(writeln!(stdout(), "{line}"));
    }
}

fn noted(written: io::Result<()>) {
    if let Err(error) = written {
        let _ = CLOSED.set(error);
    }
}

/// A line of output.
pub(crate) fn line(text: &str) {
    print(format_args!("{text}"));
}

/// A line above others.
pub(crate) fn heading(text: &str) {
    print(format_args!("{BOLD}{}{OFF}", plain(text)));
}

/// A violated policy below its entity.
pub(crate) fn violated(severity_of: Severity, policy: &str, more: &str) {
    let colour = colour(severity_of);
    print(format_args!(
        "  {colour}{:<8}{OFF} {} {DIM}{}{OFF}",
        severity(severity_of),
        plain(policy),
        plain(more)
    ));
}

const fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => RED,
        Severity::Medium => YELLOW,
        Severity::Low | Severity::Unset => BLUE,
    }
}

/// Something that is wrong with a policy file, as editors and CI systems know how to read it.
pub(crate) fn finding(finding: &Finding) {
    let colour = match finding.level {
        Level::Error => RED,
        Level::Warning => YELLOW,
    };
    let place = finding.position.map_or_else(String::new, |position| format!(":{position}"));
    print(format_args!(
        "{BOLD}{}{place}:{OFF} {colour}{}{OFF} {}: {}",
        plain(&finding.file),
        finding.level,
        finding.code,
        plain(&finding.message)
    ));
    if !finding.hint.is_empty() {
        print(format_args!("  {DIM}{}{OFF}", plain(&finding.hint)));
    }
}

/// Writes what is buffered; whether more can be written.
pub(crate) fn flush() -> bool {
    noted(stdout().flush());
    CLOSED.get().is_none()
}

/// Why the output is not complete. A closed pipe is a reader that has seen enough.
pub(crate) fn unwritten() -> Option<Failure> {
    flush();
    let error = CLOSED.get().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)?;
    Some(Failure::unreachable(format!("cannot write to standard output: {error}")))
}

/// The head of the live table.
pub(crate) fn table_head() {
    print(format_args!("{BOLD}{:<8} {:<9} {:<48} {:<42} WHAT{OFF}", "TIME", "SEVERITY", "POLICY", "ENTITY"));
}

/// The head of a table of events.
pub(crate) fn event_head() {
    print(format_args!("{BOLD}{:<12} {:<10} {:<20} WHAT{OFF}", "TIME", "KIND", "NAMESPACE"));
}

/// A violation as a row of the live table.
pub(crate) fn violation_row(verdict: &Verdict, violation: &Violation) {
    let severity = severity(violation.policy.severity);
    let colour = colour(violation.policy.severity);
    let messages = violation.sections.first().map(|section| section.messages.join("; "));
    print(format_args!(
        "{} {colour}{severity:<9}{OFF} {:<48} {:<42} {}",
        verdict.event.time.strftime("%H:%M:%S"),
        clip(&plain(&violation.policy.name), 48),
        clip(&plain(&verdict.entity.display_name()), 42),
        clip(&plain(&messages.unwrap_or_default()), 100),
    ));
}

/// A receipt as a row of the live table.
pub(crate) fn receipt_row(receipt: &Receipt) {
    print(format_args!(
        "{} {BOLD}{:<9}{OFF} {:<48} {:<42} {}",
        receipt.at.strftime("%H:%M:%S"),
        "receipt",
        clip(&plain(&receipt.policy.name), 48),
        clip(&plain(&receipt.entity.display_name()), 42),
        plain(&step(receipt)),
    ));
}

/// What a receipt says, in words.
pub(crate) fn step(receipt: &Receipt) -> String {
    let action = action(receipt.action);
    match &receipt.step {
        ReceiptStep::Decision(Decision::Act) => format!("will {action}"),
        ReceiptStep::Decision(Decision::DryRun) => format!("would {action} (dry run)"),
        ReceiptStep::Decision(Decision::Refuse { reason, .. }) => format!("will not {action}: {reason}"),
        ReceiptStep::Outcome(Outcome::Succeeded { change }) => format!("done: {change}"),
        ReceiptStep::Outcome(Outcome::AlreadyDone) => format!("already done: {action}"),
        ReceiptStep::Outcome(Outcome::Failed { message }) => format!("could not {action}: {message}"),
        ReceiptStep::Outcome(Outcome::NotExecuted) => format!("did not {action} (dry run)"),
    }
}

const fn action(action: EnforcementAction) -> &'static str {
    match action {
        EnforcementAction::Unset => "act",
        EnforcementAction::ScaleToZero => "scale to zero",
        EnforcementAction::UnsatisfiableNodeConstraint => "add a node constraint that no node meets",
        EnforcementAction::KillPod => "kill the pod",
        EnforcementAction::FailBuild => "fail the build",
        EnforcementAction::FailKubeRequest => "deny the request",
        EnforcementAction::FailDeploymentCreate => "deny the create",
        EnforcementAction::FailDeploymentUpdate => "deny the update",
    }
}

/// A severity in one short word.
pub(crate) const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Unset => "-",
        Severity::Low => "LOW",
        Severity::Medium => "MEDIUM",
        Severity::High => "HIGH",
        Severity::Critical => "CRITICAL",
    }
}

/// Replaces control characters: what attackers write must not steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// A number with what it counts: `1 policy`, `2 policies`.
pub(crate) fn count(number: impl fmt::Display, one: &str, many: &str) -> String {
    let number = number.to_string();
    let word = if number == "1" { one } else { many };
    format!("{number} {word}")
}

/// Cuts a text to a number of characters, and shows that it did.
fn clip(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_cannot_steer_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
    }

    /// Nothing reads as done in a dry run.
    #[test]
    fn a_dry_run_says_what_it_would_do() {
        let said = |step: ReceiptStep| {
            let receipt = serde_json::json!({
                "id": "r", "actionKey": "k", "violation": "v", "verdict": "t", "enforcer": "e",
                "at": "2026-01-01T00:00:00Z", "action": "SCALE_TO_ZERO_ENFORCEMENT",
                "policy": {"id": "p", "name": "P", "severity": "LOW_SEVERITY", "revision": 1},
                "entity": {"type": "NODE", "id": "n", "name": "n", "cluster": "c"},
                "decision": {"verdict": "act"},
            });
            let receipt: Receipt = serde_json::from_value(receipt).unwrap();
            super::step(&Receipt { step, ..receipt })
        };
        assert_eq!(said(ReceiptStep::Decision(Decision::DryRun)), "would scale to zero (dry run)");
        assert_eq!(said(ReceiptStep::Outcome(Outcome::NotExecuted)), "did not scale to zero (dry run)");
        assert_eq!(said(ReceiptStep::Decision(Decision::Act)), "will scale to zero");
    }

    #[test]
    fn one_is_not_many() {
        let said = [0, 1, 2].map(|number| count(number, "policy", "policies"));
        assert_eq!(said, ["0 policies", "1 policy", "2 policies"]);
    }

    #[test]
    fn clipping_shows() {
        assert_eq!(clip("abcdef", 4), "abc…");
        assert_eq!(clip("äöü", 3), "äöü");
    }
}
