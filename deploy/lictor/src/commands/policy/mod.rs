//! `lictor policy`: puts policies in force and shows them; reads, tries and compares those in files.

mod convert;
mod criteria;
mod delete;
mod diff;
mod explain;
mod lint;
mod select;
mod test;

use jiff::Timestamp;
use lictor_bus::{Bus, WriteError};
use lictor_policies::{BadChange, ChangeSet, Finding, Level};
use lictor_wire::topology::Role;
use lictor_wire::{Fingerprint, Policy, TransactionId};

use crate::cli::{self, Output};
use crate::exit::{Exit, Failure};
use crate::text;

pub(super) async fn run(command: cli::Policy) -> Result<Exit, Failure> {
    match command {
        cli::Policy::Apply { policies, nats } => {
            let changes = put(read(&policies)?)?;
            let bus = super::connect(&nats, Role::Author, "lictor-policy").await?;
            apply(&bus, changes).await
        }
        cli::Policy::List { nats, output } => {
            let bus = super::connect(&nats, Role::Viewer, "lictor-policy").await?;
            list(&bus, output).await
        }
        cli::Policy::Convert(options) => convert::run(&options),
        cli::Policy::Lint(options) => lint::run(&options),
        cli::Policy::Test(options) => test::run(&options),
        cli::Policy::Explain(options) => explain::run(&options),
        cli::Policy::Diff(options) => diff::run(&options),
        cli::Policy::Criteria { name, output } => criteria::run(name.as_deref(), output),
        cli::Policy::Export { .. } => {
            let failure = Failure::usage("there is no `lictor policy export`");
            Err(failure.hint(
                "`lictor policy list -o json` exports the policies in force, `lictor policy convert` those of files",
            ))
        }
        cli::Policy::Delete { ids, nats } => {
            let bus = super::connect(&nats, Role::Author, "lictor-policy").await?;
            delete::run(&bus, &ids).await
        }
    }
}

/// Reads what `--policies` names. Every finding is shown; an error in a policy ends the command.
pub(crate) fn load(names: &[String]) -> Result<lictor_policies::Read, Failure> {
    let read = select::read_some(names)?;
    let (errors, warnings): (Vec<_>, Vec<_>) =
        read.findings.iter().partition(|finding| finding.level == Level::Error);
    for warning in warnings {
        text::note(&warning.to_string());
    }
    if !errors.is_empty() {
        let errors: Vec<String> = errors.iter().map(|finding| said(finding)).collect();
        return Err(Failure::invalid_input(errors.join("\n")).hint("`lictor policy lint` shows the same"));
    }
    Ok(read)
}

/// An error, where something else says that it is one.
fn said(finding: &Finding) -> String {
    let place = finding.position.map_or_else(String::new, |position| format!(":{position}"));
    let hint = if finding.hint.is_empty() { String::new() } else { format!(" ({})", finding.hint) };
    format!("{}{place}: {}: {}{hint}", finding.file, finding.code, finding.message)
}

/// The policies that `--policies` names.
pub(super) fn read(names: &[String]) -> Result<Vec<Policy>, Failure> {
    Ok(load(names)?.policies.into_iter().map(|file| file.policy).collect())
}

/// The set of changes that puts policies in force.
pub(super) fn put(policies: Vec<Policy>) -> Result<ChangeSet, Failure> {
    change_set(ChangeSet::put(policies))
}

fn change_set(made: Result<ChangeSet, Vec<BadChange>>) -> Result<ChangeSet, Failure> {
    made.map_err(|wrong| {
        let lines: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        Failure::invalid_input(lines.join("\n"))
    })
}

async fn apply(bus: &Bus, changes: ChangeSet) -> Result<Exit, Failure> {
    let given = changes.changes().len();
    let (applied, sequence) = write_changed(bus, changes).await?;
    let policies = text::count(applied, "policy", "policies");
    let unchanged = given - applied;
    text::line(&format!("{policies} applied, {unchanged} unchanged; the policy log is at {sequence}"));
    bus.drain().await;
    Ok(Exit::Fine)
}

/// Writes what differs from what is in force; how much that is, and the sequence at which it is in force.
pub(super) async fn write_changed(bus: &Bus, changes: ChangeSet) -> Result<(usize, u64), Failure> {
    let (_, state) = bus.policy_log().state().await.map_err(Failure::unreachable)?;
    let changes = changes.without_unchanged(state.policies().map(|(_, policy)| policy));
    Ok((changes.changes().len(), write(bus, &changes).await?))
}

/// Writes a set to the policy log; the sequence at which it is in force.
async fn write(bus: &Bus, changes: &ChangeSet) -> Result<u64, Failure> {
    let (by, transaction) = signature();
    let written = lictor_store::write_policies(&bus.policy_log(), changes, &by, &transaction).await;
    written.map_err(|error| match error {
        WriteError::Invalid(taken) => Failure::unreachable(taken)
            .hint("rename one of the two, or delete the other with `lictor policy delete`"),
        error => not_written(error),
    })
}

/// Who writes, and the id of what is written.
fn signature() -> (String, TransactionId) {
    let by = std::env::var("USER").unwrap_or_else(|_| "command line".to_owned());
    let transaction = Fingerprint::new("transaction")
        .part(&by)
        .number(u64::from(std::process::id()))
        .part(Timestamp::now().as_nanosecond().to_le_bytes());
    (by, transaction.into())
}

/// Why a write did not happen, apart from what it says.
fn not_written<E: std::fmt::Display>(error: WriteError<E>) -> Failure {
    let hint = match &error {
        WriteError::Conflict { .. } | WriteError::Unsettled(_) => "run the command again",
        WriteError::Invalid(_) | WriteError::TooMany { .. } | WriteError::NotRecords | WriteError::Bus(_) => {
            ""
        }
    };
    Failure::unreachable(error).hint(hint)
}

async fn list(bus: &Bus, output: Output) -> Result<Exit, Failure> {
    let (_, state) = bus.policy_log().state().await.map_err(Failure::unreachable)?;
    let mut policies: Vec<&Policy> = state.policies().map(|(_, policy)| policy).collect();
    policies.sort_by(|a, b| a.name.cmp(&b.name));
    match output {
        Output::Json => {
            let exports: Result<Vec<_>, _> = policies.iter().map(|policy| policy.to_export()).collect();
            let export = serde_json::json!({ "policies": exports.map_err(Failure::unreachable)? });
            text::line(&export.to_string());
        }
        Output::Table => {
            let mut table = comfy_table::Table::new();
            table.load_style(comfy_table::presets::NOTHING).set_header(["severity", "name", "stages", "ID"]);
            for policy in policies {
                let stages: Vec<&str> = policy.lifecycle_stages.iter().map(|stage| stage.as_str()).collect();
                let disabled = if policy.disabled { " (disabled)" } else { "" };
                table.add_row([
                    text::severity(policy.severity).to_owned(),
                    format!("{}{disabled}", text::plain(&policy.name)),
                    stages.join("+"),
                    text::plain(policy.id.as_str()),
                ]);
            }
            text::line(&table.to_string());
        }
    }
    Ok(Exit::Fine)
}
