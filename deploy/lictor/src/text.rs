//! How things look on a terminal: colours there, none elsewhere, no control characters from input anywhere.

use std::io::Write as _;

use anstream::{eprintln, println, stdout};
use lictor_policies::{Finding, Level};
use lictor_wire::policy::Severity;
use lictor_wire::{Decision, Outcome, Receipt, ReceiptStep, Verdict, Violation};

use crate::exit::Failure;

const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const BLUE: &str = "\x1b[34m";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const OFF: &str = "\x1b[0m";

/// What went wrong, and below it what to do.
pub(crate) fn error(failure: &Failure) {
    let lines: Vec<String> = failure.message.lines().map(plain).collect();
    eprintln!("{RED}{BOLD}error:{OFF} {}", lines.join("\n"));
    if !failure.hint.is_empty() {
        eprintln!("{BOLD}hint:{OFF}  {}", plain(&failure.hint));
    }
}

/// Something a person should know while work goes on.
pub(crate) fn note(text: &str) {
    eprintln!("{DIM}{}{OFF}", plain(text));
}

/// A line of output.
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// A line above others.
pub(crate) fn heading(text: &str) {
    println!("{BOLD}{}{OFF}", plain(text));
}

/// A violated policy below its entity.
pub(crate) fn violated(severity_of: Severity, policy: &str, more: &str) {
    let colour = colour(severity_of);
    println!("  {colour}{:<8}{OFF} {} {DIM}{}{OFF}", severity(severity_of), plain(policy), plain(more));
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
    println!(
        "{BOLD}{}{place}:{OFF} {colour}{}{OFF} {}: {}",
        plain(&finding.file),
        finding.level,
        finding.code,
        plain(&finding.message)
    );
    if !finding.hint.is_empty() {
        println!("  {DIM}{}{OFF}", plain(&finding.hint));
    }
}

/// Writes what is buffered; a closed pipe is a reader that has seen enough.
pub(crate) fn flush() -> bool {
    stdout().flush().is_ok()
}

/// The head of the live table.
pub(crate) fn table_head() {
    println!("{BOLD}{:<8} {:<9} {:<48} {:<42} WHAT{OFF}", "TIME", "SEVERITY", "POLICY", "ENTITY");
}

/// A violation as a row of the live table.
pub(crate) fn violation_row(verdict: &Verdict, violation: &Violation) {
    let severity = severity(violation.policy.severity);
    let colour = colour(violation.policy.severity);
    let messages = violation.sections.first().map(|section| section.messages.join("; "));
    println!(
        "{} {colour}{severity:<9}{OFF} {:<48} {:<42} {}",
        verdict.event.time.strftime("%H:%M:%S"),
        clip(&plain(&violation.policy.name), 48),
        clip(&plain(&verdict.entity.display_name()), 42),
        clip(&plain(&messages.unwrap_or_default()), 100),
    );
}

/// A receipt as a row of the live table.
pub(crate) fn receipt_row(receipt: &Receipt) {
    let what = match &receipt.step {
        ReceiptStep::Decision(Decision::Act) => "will be done".to_owned(),
        ReceiptStep::Decision(Decision::DryRun) => "would be done (dry run)".to_owned(),
        ReceiptStep::Decision(Decision::Refuse { reason, .. }) => format!("refused: {reason}"),
        ReceiptStep::Outcome(Outcome::Succeeded { change }) => format!("done: {change}"),
        ReceiptStep::Outcome(Outcome::AlreadyDone) => "nothing left to do".to_owned(),
        ReceiptStep::Outcome(Outcome::Failed { message }) => format!("failed: {message}"),
        ReceiptStep::Outcome(Outcome::NotExecuted) => "not executed (dry run)".to_owned(),
    };
    println!(
        "{} {BOLD}{:<9}{OFF} {:<48} {:<42} {} {}",
        receipt.at.strftime("%H:%M:%S"),
        "receipt",
        clip(&plain(&receipt.policy.name), 48),
        clip(&plain(&receipt.entity.display_name()), 42),
        receipt.action,
        plain(&what),
    );
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

    #[test]
    fn clipping_shows() {
        assert_eq!(clip("abcdef", 4), "abc…");
        assert_eq!(clip("äöü", 3), "äöü");
    }
}
