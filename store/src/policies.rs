//! Writing policies.

use lictor_bus::{PolicyLog, PolicyState, PolicyWrite, WriteError};
use lictor_policies::{ChangeSet, NamesTaken};
use lictor_wire::{PolicyChange, TransactionId};

/// A change set as the policy log takes it.
struct Rules<'a>(&'a ChangeSet);

impl PolicyWrite for Rules<'_> {
    type Refusal = NamesTaken;

    fn changes(&self) -> &[PolicyChange] {
        self.0.changes()
    }

    fn check(&self, in_force: &PolicyState) -> Result<(), NamesTaken> {
        self.0.check(in_force.policies().map(|(_, policy)| policy))
    }
}

/// Writes a change set to the policy log, all of it or nothing, and returns the sequence of the log at which it is in
/// force. `by` is the user or token that makes the changes. Everything that accepts policies from users (the API, the
/// command line, `lictor up`) calls it.
///
/// The same `transaction` is written once, however often it is tried.
///
/// # Errors
/// - [`WriteError::Invalid`]: another policy has a name of the set; retrying does not help.
/// - [`WriteError::TooMany`]: more changes than one atomic write holds.
/// - [`WriteError::Conflict`]: other writers came first at every attempt; nothing was written.
/// - [`WriteError::Unsettled`]: NATS did not answer in time; the same transaction may be tried again.
/// - [`WriteError::Bus`]: NATS refused the write, or the log cannot be read.
pub async fn write_policies(
    log: &PolicyLog,
    changes: &ChangeSet,
    by: &str,
    transaction: &TransactionId,
) -> Result<u64, WriteError<NamesTaken>> {
    if changes.changes().is_empty() {
        let (sequence, _) = log.state().await.map_err(WriteError::Bus)?;
        return Ok(sequence);
    }
    let written = log.write(&Rules(changes), by, transaction).await?;
    Ok(written.last)
}
