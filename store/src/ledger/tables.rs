//! Typed access to the tables within one write transaction. No rules here.

use jiff::Timestamp;
use lictor_wire::{AlertId, PolicyId, Receipt, ViolationId};
use redb::{ReadableTable, Table, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::LedgerError;
use super::error::Result;
use crate::alert::{AlertSummary, AlertViolation};
use crate::rows::{AlertRow, Change, EntityRow, Slot, StoredCoverage, StoredDeadLetter, StoredReceipt};
use crate::{Log, schema};

/// How many of the newest messages of a log have their changes kept: a live reader that was away may catch up over
/// ten thousand messages, some minutes of a busy installation and a few megabytes.
pub(crate) const CHANGES_KEPT: u64 = 10_000;

type Bytes = &'static [u8];
type Pair = (&'static str, &'static str);
type Rows<'t> = Table<'t, &'static str, Bytes>;
type Sequences<'t> = Table<'t, (u64, &'static str), ()>;

/// The tables of one write transaction, and where in which log it is.
pub(super) struct Tables<'t> {
    log: Log,
    sequence: u64,
    time: i64,
    index: u32,
    checkpoints: Table<'t, &'static str, (u64, i64)>,
    violations: Table<'t, &'static str, (u64, &'static str)>,
    evidence: Table<'t, Pair, Bytes>,
    alerts: Rows<'t>,
    alerts_by_time: Table<'t, (i64, &'static str), ()>,
    open_alerts: Table<'t, (&'static str, u8, &'static str), &'static str>,
    entities: Rows<'t>,
    receipts: Rows<'t>,
    receipts_by_violation: Table<'t, Pair, ()>,
    receipts_by_action: Table<'t, Pair, ()>,
    receipts_by_sequence: Sequences<'t>,
    dead_letters: Rows<'t>,
    dead_letters_by_sequence: Sequences<'t>,
    coverage: Rows<'t>,
    coverage_by_sequence: Sequences<'t>,
    changes: Table<'t, (u8, u64, u32), Bytes>,
}

/// What is known of a violation.
pub(super) struct KnownViolation {
    pub(super) revision: u64,
    pub(super) alert: Option<AlertId>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction, log: Log) -> Result<Self> {
        Ok(Self {
            log,
            sequence: 0,
            time: 0,
            index: 0,
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

    /// Sets the message that the following writes come from.
    pub(super) fn at(&mut self, sequence: u64, time: Timestamp) {
        (self.sequence, self.time, self.index) = (sequence, time.as_microsecond(), 0);
    }

    /// Moves the checkpoint, never back, and forgets the changes of messages long past.
    pub(super) fn checkpoint(&mut self) -> Result<u64> {
        let known = self.checkpoints.get(self.log.as_str())?.map_or((0, 0), |value| value.value());
        let (last, time) = known.max((self.sequence, self.time));
        self.checkpoints.insert(self.log.as_str(), (last, time))?;
        let log = self.log.number();
        let oldest = last.saturating_sub(CHANGES_KEPT);
        self.changes.retain_in((log, 0, 0)..=(log, oldest, u32::MAX), |_, _| false)?;
        Ok(last)
    }

    /// Notifies live readers.
    pub(super) fn changed(&mut self, change: &Change) -> Result<()> {
        let value = encode("changes", change)?;
        self.changes.insert((self.log.number(), self.sequence, self.index), value.as_slice())?;
        self.index += 1;
        Ok(())
    }

    // --- violations ----------------------------------------------------------------------------------------------

    pub(super) fn violation(&self, id: &ViolationId) -> Result<Option<KnownViolation>> {
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
    ) -> Result<()> {
        self.violations.insert(id.as_str(), (revision, alert.map_or("", AlertId::as_str)))?;
        Ok(())
    }

    pub(super) fn put_evidence(&mut self, alert: &AlertId, violation: &AlertViolation) -> Result<()> {
        let value = encode("evidence", violation)?;
        self.evidence.insert((alert.as_str(), violation.id.as_str()), value.as_slice())?;
        Ok(())
    }

    pub(super) fn evidence(
        &self,
        alert: &AlertId,
        violation: &ViolationId,
    ) -> Result<Option<AlertViolation>> {
        evidence(&self.evidence, alert, violation)
    }

    pub(super) fn drop_evidence(&mut self, alert: &AlertId, violation: &ViolationId) -> Result<()> {
        self.evidence.remove((alert.as_str(), violation.as_str()))?;
        Ok(())
    }

    // --- alerts --------------------------------------------------------------------------------------------------

    pub(super) fn alert(&self, id: &AlertId) -> Result<Option<AlertRow>> {
        let row: Option<AlertRow> = get(&self.alerts, "alerts", id.as_str())?;
        Ok(row.map(|row| AlertRow { filed: Some(row.alert.time.as_microsecond()), ..row }))
    }

    pub(super) fn put_alert(&mut self, row: &AlertRow) -> Result<()> {
        let id = row.alert.id.as_str();
        let time = row.alert.time.as_microsecond();
        if row.filed != Some(time) {
            if let Some(filed) = row.filed {
                self.alerts_by_time.remove((filed, id))?;
            }
            self.alerts_by_time.insert((time, id), ())?;
        }
        put(&mut self.alerts, "alerts", id, row)
    }

    /// The open alert of an entity in a slot about a policy.
    pub(super) fn open_alert(&self, entity: &str, slot: Slot, policy: &PolicyId) -> Result<Option<AlertRow>> {
        match self.open_alerts.get((entity, slot.number(), policy.as_str()))? {
            Some(id) => self.alert(&AlertId::new(id.value())),
            None => Ok(None),
        }
    }

    /// The open alerts of an entity in a slot, by policy.
    pub(super) fn open_alerts(&self, entity: &str, slot: Slot) -> Result<Vec<(PolicyId, AlertId)>> {
        let slot = slot.number();
        let mut found = Vec::new();
        for item in self.open_alerts.range((entity, slot, "")..(entity, slot + 1, ""))? {
            let (key, value) = item?;
            found.push((PolicyId::new(key.value().2), AlertId::new(value.value())));
        }
        Ok(found)
    }

    pub(super) fn put_open(&mut self, entity: &str, slot: Slot, alert: &AlertSummary) -> Result<()> {
        self.open_alerts.insert((entity, slot.number(), alert.policy.id.as_str()), alert.id.as_str())?;
        Ok(())
    }

    pub(super) fn remove_open(&mut self, entity: &str, slot: Slot, policy: &PolicyId) -> Result<()> {
        self.open_alerts.remove((entity, slot.number(), policy.as_str()))?;
        Ok(())
    }

    // --- entities ------------------------------------------------------------------------------------------------

    /// Forgets every sequence and revision that later messages are compared with.
    pub(super) fn forget_revisions(&mut self) -> Result<()> {
        self.checkpoints.retain(|_, _| false)?;
        self.entities.retain(|_, _| false)?;
        let open = self.open_alerts.iter()?.map(|item| Ok(AlertId::new(item?.1.value())));
        for id in open.collect::<Result<Vec<_>>>()? {
            if let Some(mut row) = self.alert(&id)? {
                row.alert.policy.revision = 0;
                self.put_alert(&row)?;
            }
        }
        Ok(())
    }

    pub(super) fn entity(&self, key: &str) -> Result<Option<EntityRow>> {
        get(&self.entities, "entities", key)
    }

    pub(super) fn put_entity(&mut self, key: &str, row: &EntityRow) -> Result<()> {
        put(&mut self.entities, "entities", key, row)
    }

    // --- receipts, dead letters, coverage ------------------------------------------------------------------------

    /// Keeps a receipt; `false` when its id is known.
    pub(super) fn add_receipt(&mut self, receipt: &Receipt) -> Result<bool> {
        let id = receipt.id.as_str();
        let row = StoredReceipt { sequence: self.sequence, receipt: receipt.clone() };
        let order = &mut self.receipts_by_sequence;
        let added = add(&mut self.receipts, order, "receipts", (row.sequence, id), &row)?;
        if added {
            self.receipts_by_violation.insert((receipt.violation.as_str(), id), ())?;
            self.receipts_by_action.insert((receipt.action_key.as_str(), id), ())?;
        }
        Ok(added)
    }

    pub(super) fn receipts_of(&self, violation: &ViolationId) -> Result<Vec<Receipt>> {
        let mut found = Vec::new();
        for id in paired(&self.receipts_by_violation, violation.as_str())? {
            let row: Option<StoredReceipt> = get(&self.receipts, "receipts", &id)?;
            found.extend(row.map(|row| row.receipt));
        }
        Ok(found)
    }

    /// Keeps a dead letter, once.
    pub(super) fn add_dead_letter(&mut self, row: &StoredDeadLetter) -> Result<()> {
        let key = (row.sequence, row.id.as_str());
        add(&mut self.dead_letters, &mut self.dead_letters_by_sequence, "dead_letters", key, row)?;
        Ok(())
    }

    /// Keeps a coverage notice, once.
    pub(super) fn add_coverage(&mut self, row: &StoredCoverage) -> Result<()> {
        let key = (row.sequence, row.event.id.as_str());
        add(&mut self.coverage, &mut self.coverage_by_sequence, "coverage", key, row)?;
        Ok(())
    }

    pub(super) const fn log(&self) -> Log {
        self.log
    }

    pub(super) const fn sequence(&self) -> u64 {
        self.sequence
    }
}

// --- rows, in a transaction that writes or one that reads ----------------------------------------------------------

/// The row of an id.
pub(super) fn get<T: DeserializeOwned>(
    rows: &impl ReadableTable<&'static str, Bytes>,
    table: &'static str,
    id: &str,
) -> Result<Option<T>> {
    rows.get(id)?.map(|value| decode(table, id, value.value())).transpose()
}

/// The evidence that an alert holds of a violation.
pub(super) fn evidence(
    rows: &impl ReadableTable<Pair, Bytes>,
    alert: &AlertId,
    violation: &ViolationId,
) -> Result<Option<AlertViolation>> {
    let value = rows.get((alert.as_str(), violation.as_str()))?;
    value.map(|value| decode("evidence", violation.as_str(), value.value())).transpose()
}

/// What is paired with a key.
pub(super) fn paired(pairs: &impl ReadableTable<Pair, ()>, key: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for item in pairs.range((key, "")..)? {
        let (pair, _) = item?;
        match pair.value() {
            (of, second) if of == key => found.push(second.to_owned()),
            _ => break,
        }
    }
    Ok(found)
}

fn put<T: Serialize>(rows: &mut Rows<'_>, table: &'static str, id: &str, row: &T) -> Result<()> {
    rows.insert(id, encode(table, row)?.as_slice())?;
    Ok(())
}

/// Keeps a row with its place in the order of sequences; `false` when its id is known.
fn add<T: Serialize>(
    rows: &mut Rows<'_>,
    order: &mut Sequences<'_>,
    table: &'static str,
    (sequence, id): (u64, &str),
    row: &T,
) -> Result<bool> {
    if rows.get(id)?.is_some() {
        return Ok(false);
    }
    put(rows, table, id, row)?;
    order.insert((sequence, id), ())?;
    Ok(true)
}

fn encode<T: Serialize>(table: &'static str, value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|source| LedgerError::Value { table, source })
}

pub(super) fn decode<T: DeserializeOwned>(table: &'static str, key: &str, value: &[u8]) -> Result<T> {
    serde_json::from_slice(value).map_err(|source| LedgerError::Row { table, key: key.to_owned(), source })
}
