//! `lictor policy delete`: takes policies out of force, those that are in force.

use lictor_bus::{Bus, PolicyState, PolicyWrite, WriteError};
use lictor_policies::ChangeSet;
use lictor_wire::{PolicyChange, PolicyId};

use super::{change_set, not_written, signature};
use crate::exit::{Exit, Failure};
use crate::text;

pub(super) async fn run(bus: &Bus, ids: &[String]) -> Result<Exit, Failure> {
    let deletions = ids.iter().map(|id| PolicyChange::Delete { id: PolicyId::new(id.as_str()) });
    let deletions = Deletions(change_set(ChangeSet::new(deletions))?);
    let (by, transaction) = signature();
    bus.policy_log().write(&deletions, &by, &transaction).await.map_err(|error| match error {
        WriteError::Invalid(unknown) => unknown.failure(),
        error => not_written(error),
    })?;
    let policies = text::count(deletions.changes().len(), "policy was", "policies were");
    text::line(&format!("{policies} deleted"));
    bus.drain().await;
    Ok(Exit::Fine)
}

/// Deletions, each of a policy in force.
struct Deletions(ChangeSet);

impl PolicyWrite for Deletions {
    type Refusal = Unknown;

    fn changes(&self) -> &[PolicyChange] {
        self.0.changes()
    }

    fn check(&self, in_force: &PolicyState) -> Result<(), Unknown> {
        let ids = self.changes().iter().map(PolicyChange::id);
        let unknown = ids.filter(|id| in_force.policy(id).is_none()).map(|id| {
            let named = |(_, policy): &(u64, &lictor_wire::Policy)| policy.name == id.as_str();
            (id.clone(), in_force.policies().find(named).map(|(_, policy)| policy.id.clone()))
        });
        let unknown = Unknown(unknown.collect());
        if unknown.0.is_empty() { Ok(()) } else { Err(unknown) }
    }
}

/// What is not the ID of a policy in force, with the ID of the policy that has it as its name.
#[derive(Debug, thiserror::Error)]
#[error("{}", lines(_0))]
struct Unknown(Vec<(PolicyId, Option<PolicyId>)>);

fn lines(unknown: &[(PolicyId, Option<PolicyId>)]) -> String {
    let lines: Vec<String> =
        unknown.iter().map(|(id, _)| format!("no policy in force has the ID `{id}`")).collect();
    lines.join("\n")
}

impl Unknown {
    /// The command line names what is not there; nothing was deleted.
    fn failure(self) -> Failure {
        let named =
            self.0.iter().filter_map(|(name, id)| Some(format!("`{name}` has the ID {}", id.as_ref()?)));
        let named: Vec<String> = named.collect();
        let hint = if named.is_empty() {
            "nothing was deleted; `lictor policy list` shows the IDs".to_owned()
        } else {
            format!("nothing was deleted; policies are deleted by ID: {}", named.join(", "))
        };
        Failure::usage(self).hint(hint)
    }
}
