//! The log of policies: what is in force, how it came about, and how it is changed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lictor_wire::topology::Stream;
use lictor_wire::{Policy, PolicyChange, PolicyDocument, PolicyId, PolicyLogKey, TransactionId};

use crate::bus::Bus;
use crate::error::BusError;
use crate::guarded::{GuardedLog, LogState, Record, WriteError, Written};
use crate::log::LogEntry;

/// The log of policies. Any number of processes may write to it.
#[derive(Debug)]
pub struct PolicyLog {
    bus: Bus,
    log: GuardedLog<PolicyState>,
}

/// The policies in force at a sequence of the log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PolicyState {
    policies: BTreeMap<PolicyId, (u64, PolicyDocument)>,
}

/// Changes of policies that are written together, with the rules they must obey. The bus knows neither what a valid
/// policy is nor what must be unique among policies.
pub trait PolicyWrite {
    /// Why the changes cannot follow a state of the log.
    type Refusal;

    /// The changes, in the order in which they are written.
    fn changes(&self) -> &[PolicyChange];

    /// Checks that the changes may follow `in_force`: the state at the very sequence they would follow.
    ///
    /// # Errors
    /// When they may not. Nothing is written then.
    fn check(&self, in_force: &PolicyState) -> Result<(), Self::Refusal>;
}

impl Bus {
    /// The log of policies. Reads nothing yet.
    pub fn policy_log(&self) -> PolicyLog {
        let log = GuardedLog::new(self.clone(), Stream::Policies, PolicyState::default(), 0);
        PolicyLog { bus: self.clone(), log }
    }
}

impl PolicyLog {
    /// Writes changes, all or none, if their own rules let them follow the state of the log. After a conflict with
    /// another writer the rules are checked again.
    ///
    /// # Errors
    /// See [`WriteError`]. After [`WriteError::Unsettled`] the same transaction may be tried again.
    pub async fn write<W: PolicyWrite>(
        &self,
        write: &W,
        by: &str,
        transaction: &TransactionId,
    ) -> Result<Written, WriteError<W::Refusal>> {
        let at = Timestamp::now();
        let mut records = Vec::with_capacity(write.changes().len());
        for change in write.changes() {
            let subject = self.bus.topology().policy(change.id());
            let document = PolicyDocument {
                transaction: transaction.clone(),
                by: by.to_owned(),
                at,
                change: change.clone(),
            };
            let body = serde_json::to_value(&document)
                .map_err(|source| WriteError::Bus(BusError::Encode { what: subject.clone(), source }))?;
            records.push(Record { subject, body });
        }
        self.log.write(transaction, records, |in_force| write.check(in_force)).await
    }

    /// What is in force, and up to which sequence.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn state(&self) -> Result<(u64, PolicyState), BusError> {
        self.log.state().await
    }
}

fn read(entry: &LogEntry) -> Result<PolicyDocument, String> {
    let body = entry.body().map_err(|error| error.to_string())?;
    serde_json::from_slice(&body).map_err(|error| error.to_string())
}

// === impl PolicyState ===

impl PolicyState {
    /// A policy in force, with its revision: the sequence of its document.
    pub fn policy(&self, id: &PolicyId) -> Option<(u64, &Policy)> {
        self.document(id).and_then(|(revision, document)| Some((revision, policy_of(document)?)))
    }

    /// The document that put a policy in force, with its sequence.
    pub fn document(&self, id: &PolicyId) -> Option<(u64, &PolicyDocument)> {
        self.policies.get(id).map(|(revision, document)| (*revision, document))
    }

    /// Every policy in force, by id.
    pub fn policies(&self) -> impl Iterator<Item = (u64, &Policy)> {
        self.policies.values().filter_map(|(revision, document)| Some((*revision, policy_of(document)?)))
    }
}

impl LogState for PolicyState {
    fn apply(&mut self, entry: &LogEntry) {
        let Some(PolicyLogKey::Policy(_)) = PolicyLogKey::of_subject(&entry.subject) else { return };
        match read(entry) {
            Ok(document) => match &document.change {
                PolicyChange::Put { policy } => {
                    let id = policy.id.clone();
                    self.policies.insert(id, (entry.sequence, document));
                }
                PolicyChange::Delete { id } => {
                    self.policies.remove(id);
                }
            },
            Err(error) => {
                tracing::error!(
                    sequence = entry.sequence,
                    error,
                    "a policy document cannot be read; the previous one stays in force"
                );
            }
        }
    }
}

fn policy_of(document: &PolicyDocument) -> Option<&Policy> {
    match &document.change {
        PolicyChange::Put { policy } => Some(policy),
        PolicyChange::Delete { .. } => None,
    }
}
