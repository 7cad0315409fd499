//! Typed access to the tables within one write transaction. No rules here.

use jiff::Timestamp;
use lictor_wire::{AlertId, PolicyId, Receipt, ReceiptId, ViolationId};
use redb::{ReadableTable, Table, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::LedgerError;
use crate::alert::AlertViolation;
use crate::rows::{AlertRow, Change, EntityRow, Slot, StoredCoverage, StoredDeadLetter, StoredReceipt};
use crate::{Log, schema};

/// How many of the newest messages of a log have their changes kept: a live reader that was away may catch up over
/// ten thousand messages, some minutes of a busy installation and a few megabytes.
pub(crate) const CHANGES_KEPT: u64 = 10_000;

type Bytes = &'static [u8];
type Pair = (&'static str, &'static str);

/// The tables of one write transaction, and where in which log it is.
pub(super) struct Tables<'t> {
    log: Log,
    sequence: u64,
    time: i64,
    index: u32,
    pub(super) changes_made: u64,
    checkpoints: Table<'t, &'static str, (u64, i64)>,
    violations: Table<'t, &'static str, (u64, &'static str)>,
    evidence: Table<'t, Pair, Bytes>,
    alerts: Table<'t, &'static str, Bytes>,
    alerts_by_time: Table<'t, (i64, &'static str), ()>,
    open_alerts: Table<'t, (&'static str, u8, &'static str), &'static str>,
    entities: Table<'t, &'static str, Bytes>,
    receipts: Table<'t, &'static str, Bytes>,
    receipts_by_violation: Table<'t, Pair, ()>,
    receipts_by_action: Table<'t, Pair, ()>,
    receipts_by_sequence: Table<'t, (u64, &'static str), ()>,
    dead_letters: Table<'t, &'static str, Bytes>,
    dead_letters_by_sequence: Table<'t, (u64, &'static str), ()>,
    coverage: Table<'t, &'static str, Bytes>,
    coverage_by_sequence: Table<'t, (u64, &'static str), ()>,
    changes: Table<'t, (u8, u64, u32), Bytes>,
}

/// What is known of a violation.
pub(super) struct KnownViolation {
    pub(super) revision: u64,
    pub(super) alert: Option<AlertId>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction, log: Log) -> Result<Self, LedgerError> {
        Ok(Self {
            log,
            sequence: 0,
            time: 0,
            index: 0,
            changes_made: 0,
            checkpoints: transaction.open_table(schema::CHECKPOINTS)?,
            violations: transaction.open_table(schema::VIOLATIONS)?,
            evidence: transaction.open_table(schema::EVIDENCE)?,
            alerts: transaction.open_table(schema::ALERTS)?,
            alerts_by_time: transaction.open_table(schema::ALERTS_BY_TIME)?,
            open_alerts: transaction.open_table(schema::OPEN_ALERTS)?,
            entities: transaction.open_table(schema::ENTITIES)?,
            receipts: transaction.open_table(schema::RECEIPTS)?,
            receipts_by_violation: transaction.open_table(schema::RECEIPTS_BY_VIOLATION)?,
            receipts_by_action: transaction.open_table(schema::RECEIPTS_BY_ACTION)?,
            receipts_by_sequence: transaction.open_table(schema::RECEIPTS_BY_SEQUENCE)?,
            dead_letters: transaction.open_table(schema::DEAD_LETTERS)?,
            dead_letters_by_sequence: transaction.open_table(schema::DEAD_LETTERS_BY_SEQUENCE)?,
            coverage: transaction.open_table(schema::COVERAGE)?,
            coverage_by_sequence: transaction.open_table(schema::COVERAGE_BY_SEQUENCE)?,
            changes: transaction.open_table(schema::CHANGES)?,
        })
    }

    // --- where it is ---------------------------------------------------------------------------------------------

    /// What follows comes from this message.
    pub(super) fn at(&mut self, sequence: u64, time: Timestamp) {
        (self.sequence, self.time, self.index) = (sequence, time.as_microsecond(), 0);
    }

    /// Moves the checkpoint, never back, and forgets the changes of messages long past.
    pub(super) fn checkpoint(&mut self) -> Result<u64, LedgerError> {
        let known = self.checkpoints.get(self.log.as_str())?.map_or((0, 0), |value| value.value());
        let (last, time) = known.max((self.sequence, self.time));
        self.checkpoints.insert(self.log.as_str(), (last, time))?;
        let log = self.log.number();
        let oldest = last.saturating_sub(CHANGES_KEPT);
        self.changes.retain_in((log, 0, 0)..=(log, oldest, u32::MAX), |_, _| false)?;
        Ok(last)
    }

    /// Tells live readers.
    pub(super) fn changed(&mut self, change: &Change) -> Result<(), LedgerError> {
        let value = encode("changes", change)?;
        self.changes.insert((self.log.number(), self.sequence, self.index), value.as_slice())?;
        self.index += 1;
        self.changes_made += 1;
        Ok(())
    }

    // --- violations ----------------------------------------------------------------------------------------------

    pub(super) fn violation(&self, id: &ViolationId) -> Result<Option<KnownViolation>, LedgerError> {
        Ok(self.violations.get(id.as_str())?.map(|value| {
            let (revision, alert) = value.value();
            KnownViolation { revision, alert: (!alert.is_empty()).then(|| AlertId::new(alert)) }
        }))
    }

    pub(super) fn put_violation(
        &mut self,
        id: &ViolationId,
        revision: u64,
        alert: Option<&AlertId>,
    ) -> Result<(), LedgerError> {
        self.violations.insert(id.as_str(), (revision, alert.map_or("", AlertId::as_str)))?;
        Ok(())
    }

    pub(super) fn put_evidence(
        &mut self,
        alert: &AlertId,
        violation: &AlertViolation,
    ) -> Result<(), LedgerError> {
        let value = encode("evidence", violation)?;
        self.evidence.insert((alert.as_str(), violation.id.as_str()), value.as_slice())?;
        Ok(())
    }

    pub(super) fn evidence(
        &self,
        alert: &AlertId,
        violation: &ViolationId,
    ) -> Result<Option<AlertViolation>, LedgerError> {
        match self.evidence.get((alert.as_str(), violation.as_str()))? {
            None => Ok(None),
            Some(value) => decode("evidence", violation.as_str(), value.value()).map(Some),
        }
    }

    pub(super) fn drop_evidence(
        &mut self,
        alert: &AlertId,
        violation: &ViolationId,
    ) -> Result<(), LedgerError> {
        self.evidence.remove((alert.as_str(), violation.as_str()))?;
        Ok(())
    }

    // --- alerts --------------------------------------------------------------------------------------------------

    pub(super) fn alert(&self, id: &AlertId) -> Result<Option<AlertRow>, LedgerError> {
        let Some(value) = self.alerts.get(id.as_str())? else { return Ok(None) };
        let mut row: AlertRow = decode("alerts", id.as_str(), value.value())?;
        row.filed = Some(row.alert.time.as_microsecond());
        Ok(Some(row))
    }

    pub(super) fn put_alert(&mut self, row: &mut AlertRow) -> Result<(), LedgerError> {
        let id = row.alert.id.as_str();
        let time = row.alert.time.as_microsecond();
        if row.filed != Some(time) {
            if let Some(filed) = row.filed {
                self.alerts_by_time.remove((filed, id))?;
            }
            self.alerts_by_time.insert((time, id), ())?;
        }
        let value = encode("alerts", row)?;
        self.alerts.insert(id, value.as_slice())?;
        row.filed = Some(time);
        Ok(())
    }

    pub(super) fn open_alert(
        &self,
        entity: &str,
        slot: Slot,
        policy: &PolicyId,
    ) -> Result<Option<AlertId>, LedgerError> {
        let found = self.open_alerts.get((entity, slot.number(), policy.as_str()))?;
        Ok(found.map(|value| AlertId::new(value.value())))
    }

    /// The open alerts of an entity in a slot, by policy.
    pub(super) fn open_alerts(
        &self,
        entity: &str,
        slot: Slot,
    ) -> Result<Vec<(PolicyId, AlertId)>, LedgerError> {
        let slot = slot.number();
        let mut found = Vec::new();
        for item in self.open_alerts.range((entity, slot, "")..(entity, slot + 1, ""))? {
            let (key, value) = item?;
            found.push((PolicyId::new(key.value().2), AlertId::new(value.value())));
        }
        Ok(found)
    }

    pub(super) fn put_open(
        &mut self,
        entity: &str,
        slot: Slot,
        policy: &PolicyId,
        alert: &AlertId,
    ) -> Result<(), LedgerError> {
        self.open_alerts.insert((entity, slot.number(), policy.as_str()), alert.as_str())?;
        Ok(())
    }

    pub(super) fn remove_open(
        &mut self,
        entity: &str,
        slot: Slot,
        policy: &PolicyId,
    ) -> Result<(), LedgerError> {
        self.open_alerts.remove((entity, slot.number(), policy.as_str()))?;
        Ok(())
    }

    // --- entities ------------------------------------------------------------------------------------------------

    pub(super) fn entity(&self, key: &str) -> Result<Option<EntityRow>, LedgerError> {
        match self.entities.get(key)? {
            None => Ok(None),
            Some(value) => decode("entities", key, value.value()).map(Some),
        }
    }

    pub(super) fn put_entity(&mut self, key: &str, row: EntityRow) -> Result<(), LedgerError> {
        let value = encode("entities", &row)?;
        self.entities.insert(key, value.as_slice())?;
        Ok(())
    }

    // --- receipts, dead letters, coverage ------------------------------------------------------------------------

    /// Keeps a receipt; `false` when its id is known.
    pub(super) fn add_receipt(&mut self, receipt: &Receipt) -> Result<bool, LedgerError> {
        let id = receipt.id.as_str();
        if self.receipts.get(id)?.is_some() {
            return Ok(false);
        }
        let row = StoredReceipt { sequence: self.sequence, receipt: receipt.clone() };
        self.receipts.insert(id, encode("receipts", &row)?.as_slice())?;
        self.receipts_by_violation.insert((receipt.violation.as_str(), id), ())?;
        self.receipts_by_action.insert((receipt.action_key.as_str(), id), ())?;
        self.receipts_by_sequence.insert((self.sequence, id), ())?;
        Ok(true)
    }

    pub(super) fn receipts_of(&self, violation: &ViolationId) -> Result<Vec<Receipt>, LedgerError> {
        let mut ids = Vec::new();
        for item in self.receipts_by_violation.range((violation.as_str(), "")..)? {
            let (key, _) = item?;
            let (of, receipt) = key.value();
            if of != violation.as_str() {
                break;
            }
            ids.push(ReceiptId::new(receipt));
        }
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(value) = self.receipts.get(id.as_str())? {
                let row: StoredReceipt = decode("receipts", id.as_str(), value.value())?;
                found.push(row.receipt);
            }
        }
        Ok(found)
    }

    /// Keeps a dead letter, once.
    pub(super) fn add_dead_letter(&mut self, row: &StoredDeadLetter) -> Result<(), LedgerError> {
        if self.dead_letters.get(row.id.as_str())?.is_none() {
            self.dead_letters.insert(row.id.as_str(), encode("dead_letters", row)?.as_slice())?;
            self.dead_letters_by_sequence.insert((row.sequence, row.id.as_str()), ())?;
        }
        Ok(())
    }

    /// Keeps a coverage notice, once.
    pub(super) fn add_coverage(&mut self, row: &StoredCoverage) -> Result<(), LedgerError> {
        let id = row.event.id.as_str();
        if self.coverage.get(id)?.is_none() {
            self.coverage.insert(id, encode("coverage", row)?.as_slice())?;
            self.coverage_by_sequence.insert((row.sequence, id), ())?;
        }
        Ok(())
    }

    pub(super) const fn log(&self) -> Log {
        self.log
    }

    pub(super) const fn sequence(&self) -> u64 {
        self.sequence
    }
}

pub(super) fn encode<T: Serialize>(table: &'static str, value: &T) -> Result<Vec<u8>, LedgerError> {
    serde_json::to_vec(value).map_err(|source| LedgerError::Value { table, source })
}

pub(super) fn decode<T: DeserializeOwned>(
    table: &'static str,
    key: &str,
    value: &[u8],
) -> Result<T, LedgerError> {
    serde_json::from_slice(value).map_err(|source| LedgerError::Row { table, key: key.to_owned(), source })
}
