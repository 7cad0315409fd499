//! `lictor policy`: puts policies in force and shows them; reads, tries and compares those in files.

mod convert;
mod criteria;
mod diff;
mod explain;
mod lint;
mod select;
mod test;

use std::collections::HashMap;

use jiff::Timestamp;
use lictor_bus::Bus;
use lictor_policies::Level;
use lictor_wire::{Fingerprint, Policy, PolicyChange, PolicyId};

use crate::cli::{self, Output};
use crate::exit::{Exit, Failure};
use crate::text;

pub(super) async fn run(command: cli::Policy) -> Result<Exit, Failure> {
    match command {
        cli::Policy::Apply { policies, nats } => {
            let policies = read(&policies)?;
            let bus = super::connect(&nats, "lictor-policy").await?;
            let count = policies.len();
            let sequence = put_in_force(&bus, policies).await?;
            text::line(&format!("{count} policies are in force, at sequence {sequence} of the policy log"));
            bus.drain().await;
            Ok(Exit::Fine)
        }
        cli::Policy::List { nats, output } => {
            let bus = super::connect(&nats, "lictor-policy").await?;
            list(&bus, output).await
        }
        cli::Policy::Convert(options) => convert::run(&options),
        cli::Policy::Lint(options) => lint::run(&options),
        cli::Policy::Test(options) => test::run(&options),
        cli::Policy::Explain(options) => explain::run(&options),
        cli::Policy::Diff(options) => diff::run(&options),
        cli::Policy::Criteria { name, output } => criteria::run(name.as_deref(), output),
        cli::Policy::Delete { ids, nats } => {
            let bus = super::connect(&nats, "lictor-policy").await?;
            let changes =
                ids.iter().map(|id| PolicyChange::Delete { id: PolicyId::new(id.as_str()) }).collect();
            write(&bus, changes).await?;
            text::line(&format!("{} policies are out of force", ids.len()));
            bus.drain().await;
            Ok(Exit::Fine)
        }
    }
}

/// Reads what `--policies` names. Every finding is shown; an error in a policy ends the command.
pub(crate) fn load(names: &[String]) -> Result<lictor_policies::Read, Failure> {
    let read = select::read(names)?;
    let (errors, warnings): (Vec<_>, Vec<_>) =
        read.findings.iter().partition(|finding| finding.level == Level::Error);
    for warning in warnings {
        text::note(&warning.to_string());
    }
    if !errors.is_empty() {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        return Err(Failure::not_understood(errors.join("\n")).hint("`lictor policy lint` shows the same"));
    }
    Ok(read)
}

/// The policies that `--policies` names.
pub(super) fn read(names: &[String]) -> Result<Vec<Policy>, Failure> {
    Ok(load(names)?.policies.into_iter().map(|file| file.policy).collect())
}

/// Puts policies in force: in one write, or none of them.
pub(super) async fn put_in_force(bus: &Bus, policies: Vec<Policy>) -> Result<u64, Failure> {
    let changes = policies.into_iter().map(|policy| PolicyChange::Put { policy: Box::new(policy) }).collect();
    write(bus, changes).await
}

async fn write(bus: &Bus, changes: Vec<PolicyChange>) -> Result<u64, Failure> {
    if changes.is_empty() {
        return bus
            .last_sequence(lictor_wire::topology::Stream::Policies)
            .await
            .map_err(Failure::unreachable);
    }
    let by = std::env::var("USER").unwrap_or_else(|_| "command line".to_owned());
    let transaction = Fingerprint::new("transaction")
        .part(&by)
        .number(u64::from(std::process::id()))
        .part(Timestamp::now().as_nanosecond().to_le_bytes())
        .into();
    let written = bus
        .policy_log()
        .write(changes.clone(), &by, &transaction, |state| {
            let mut names: HashMap<String, PolicyId> = HashMap::new();
            let changed: Vec<&PolicyId> = changes.iter().map(PolicyChange::id).collect();
            let kept =
                state.policies().map(|(_, policy)| policy).filter(|policy| !changed.contains(&&policy.id));
            let put = changes.iter().filter_map(|change| match change {
                PolicyChange::Put { policy } => Some(&**policy),
                PolicyChange::Delete { .. } => None,
            });
            for policy in kept.chain(put) {
                if let Some(other) = names.insert(policy.name.clone(), policy.id.clone()) {
                    return Err(format!(
                        "the name `{}` belongs to policy {other} and {}",
                        policy.name, policy.id
                    ));
                }
            }
            Ok(())
        })
        .await;
    match written {
        Ok(written) => Ok(written.last),
        Err(error) => Err(Failure::unreachable(error)),
    }
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
            table.load_style(comfy_table::presets::NOTHING).set_header(["severity", "name", "stages", "id"]);
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
