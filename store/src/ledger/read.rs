//! Reading: each call sees one committed state, and never waits for a writer.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use lictor_wire::{AlertId, EventId, ReceiptId, ViolationId};
use redb::{Key, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTableMetadata, Value};
use serde::de::DeserializeOwned;

use super::tables::decode;
use super::{CHANGES_KEPT, Ledger, LedgerError};
use crate::alert::{Alert, AlertState, AlertSummary};
use crate::query::{AlertFilter, Changes, Cursor, Page, PolicyTotals, ReceiptFilter, Totals};
use crate::rows::{AlertRow, StoredCoverage, StoredDeadLetter, StoredReceipt};
use crate::{Log, schema};

type Rows = ReadOnlyTable<&'static str, &'static [u8]>;
type Sequences = ReadOnlyTable<(u64, &'static str), ()>;

impl Ledger {
    /// The last sequence of a log that was applied; 0 before the first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn checkpoint(&self, log: Log) -> Result<u64, LedgerError> {
        Ok(self.checkpoint_message(log)?.map_or(0, |(sequence, _)| sequence))
    }

    /// The last message of a log that was applied: its sequence, and when the stream stored it, in microseconds.
    pub(crate) fn checkpoint_message(&self, log: Log) -> Result<Option<(u64, i64)>, LedgerError> {
        let table = self.table(schema::CHECKPOINTS)?;
        Ok(table.get(log.as_str())?.map(|value| value.value()))
    }

    /// The alerts a filter asks for, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alerts(
        &self,
        filter: &AlertFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<AlertSummary>, LedgerError> {
        let reading = self.database.begin_read()?;
        let alerts = reading.open_table(schema::ALERTS)?;
        let order = reading.open_table(schema::ALERTS_BY_TIME)?;
        let mut page = Page { items: Vec::new(), total: 0, next: None };
        let open = filter.is_open();
        // A filter must see every alert for the total; without one the page itself is enough.
        let from = match after {
            Some(after) if open => Bound::Excluded((after.at, after.id.as_str())),
            _ => Bound::Unbounded,
        };
        for item in order.range::<(i64, &str)>((Bound::Unbounded, from))?.rev() {
            let (key, ()) = item.map(|(key, _)| (key, ()))?;
            let (time, id) = key.value();
            let Some(row) = get::<AlertRow>(&alerts, "alerts", id)? else { continue };
            if !filter.matches(&row.alert) {
                continue;
            }
            page.total += 1;
            if after.is_some_and(|after| (time, id) >= (after.at, after.id.as_str())) {
                continue;
            }
            if page.items.len() < limit {
                page.items.push(row.alert);
            } else if page.next.is_none() {
                page.next = page.items.last().map(|alert| Cursor::of_alert(alert).to_string());
            }
            if open && page.next.is_some() {
                break;
            }
        }
        if open {
            page.total = alerts.len()?;
        }
        Ok(page)
    }

    /// One alert with its violations.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert(&self, id: &AlertId) -> Result<Option<Alert>, LedgerError> {
        let reading = self.database.begin_read()?;
        let Some(row) = get::<AlertRow>(&reading.open_table(schema::ALERTS)?, "alerts", id.as_str())? else {
            return Ok(None);
        };
        let evidence = reading.open_table(schema::EVIDENCE)?;
        let mut violations = Vec::with_capacity(row.shown.len());
        for shown in &row.shown {
            if let Some(value) = evidence.get((id.as_str(), shown.id.as_str()))? {
                violations.push(decode("evidence", shown.id.as_str(), value.value())?);
            }
        }
        Ok(Some(Alert { summary: row.alert, violations }))
    }

    /// The alert's summary.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert_summary(&self, id: &AlertId) -> Result<Option<AlertSummary>, LedgerError> {
        let row = get::<AlertRow>(&self.table(schema::ALERTS)?, "alerts", id.as_str())?;
        Ok(row.map(|row| row.alert))
    }

    /// The ids of all violations ever seen, replays and drafts apart.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn violation_ids(&self) -> Result<BTreeSet<ViolationId>, LedgerError> {
        let mut ids = BTreeSet::new();
        for item in self.table(schema::VIOLATIONS)?.range::<&str>(..)? {
            ids.insert(ViolationId::new(item?.0.value()));
        }
        Ok(ids)
    }

    /// One receipt.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn receipt(&self, id: &ReceiptId) -> Result<Option<StoredReceipt>, LedgerError> {
        get(&self.table(schema::RECEIPTS)?, "receipts", id.as_str())
    }

    /// The receipts a filter asks for, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn receipts(
        &self,
        filter: &ReceiptFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredReceipt>, LedgerError> {
        let reading = self.database.begin_read()?;
        let rows = reading.open_table(schema::RECEIPTS)?;
        if let Some(ids) = few(&reading, filter)? {
            return page_of_few(&rows, &ids, filter, after, limit);
        }
        let order = reading.open_table(schema::RECEIPTS_BY_SEQUENCE)?;
        let open = filter.is_open();
        page(&rows, "receipts", &order, after, limit, open, |row: &StoredReceipt| {
            filter.matches(&row.receipt)
        })
    }

    /// The dead letters, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn dead_letters(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredDeadLetter>, LedgerError> {
        let reading = self.database.begin_read()?;
        let rows = reading.open_table(schema::DEAD_LETTERS)?;
        let order = reading.open_table(schema::DEAD_LETTERS_BY_SEQUENCE)?;
        page(&rows, "dead_letters", &order, after, limit, true, |_| true)
    }

    /// The coverage notices, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn coverage(
        &self,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<StoredCoverage>, LedgerError> {
        let reading = self.database.begin_read()?;
        let rows = reading.open_table(schema::COVERAGE)?;
        let order = reading.open_table(schema::COVERAGE_BY_SEQUENCE)?;
        page(&rows, "coverage", &order, after, limit, true, |_| true)
    }

    /// Whether a coverage notice is known.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn knows_coverage(&self, id: &EventId) -> Result<bool, LedgerError> {
        Ok(self.table(schema::COVERAGE)?.get(id.as_str())?.is_some())
    }

    /// The changes of the messages after `sequence`, message by message, until there are `limit` or more.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn changes(&self, log: Log, sequence: u64, limit: usize) -> Result<Changes, LedgerError> {
        let reading = self.database.begin_read()?;
        let checkpoint = reading.open_table(schema::CHECKPOINTS)?.get(log.as_str())?;
        let checkpoint = checkpoint.map_or(0, |value| value.value().0);
        let table = reading.open_table(schema::CHANGES)?;
        let mut found =
            Changes { items: Vec::new(), kept_after: checkpoint.saturating_sub(CHANGES_KEPT), read_to: 0 };
        let number = log.number();
        for item in table.range((number, sequence.saturating_add(1), 0)..(number + 1, 0, 0))? {
            let (key, value) = item?;
            let (_, of, index) = key.value();
            if found.items.len() >= limit && found.read_to != of {
                return Ok(found);
            }
            found.read_to = of;
            found.items.push((of, decode("changes", &format!("{log} {of} {index}"), value.value())?));
        }
        found.read_to = checkpoint.max(sequence);
        Ok(found)
    }

    /// Everything in numbers.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn totals(&self) -> Result<Totals, LedgerError> {
        let reading = self.database.begin_read()?;
        let alerts = reading.open_table(schema::ALERTS)?;
        let mut totals = Totals {
            alerts: alerts.len()?,
            violations: reading.open_table(schema::VIOLATIONS)?.len()?,
            receipts: reading.open_table(schema::RECEIPTS)?.len()?,
            dead_letters: reading.open_table(schema::DEAD_LETTERS)?.len()?,
            coverage_notices: reading.open_table(schema::COVERAGE)?.len()?,
            entities: reading.open_table(schema::ENTITIES)?.len()?,
            ..Totals::default()
        };
        let mut policies = BTreeMap::new();
        for item in alerts.range::<&str>(..)? {
            let (key, value) = item?;
            let row: AlertRow = decode("alerts", key.value(), value.value())?;
            add(&mut totals, &mut policies, &row.alert);
        }
        totals.by_policy = policies.into_values().collect();
        totals.by_policy.sort_by_key(|policy| std::cmp::Reverse(policy.active + policy.attempted));
        Ok(totals)
    }

    fn table<K: Key + 'static, V: Value + 'static>(
        &self,
        table: redb::TableDefinition<'_, K, V>,
    ) -> Result<ReadOnlyTable<K, V>, LedgerError> {
        Ok(self.database.begin_read()?.open_table(table)?)
    }
}

fn add(totals: &mut Totals, policies: &mut BTreeMap<String, PolicyTotals>, alert: &AlertSummary) {
    *totals.by_state.entry(alert.state.as_str().to_owned()).or_default() += 1;
    if alert.state != AlertState::Resolved {
        *totals.by_severity.entry(alert.policy.severity.as_str().to_owned()).or_default() += 1;
    }
    let policy = policies.entry(alert.policy.id.as_str().to_owned()).or_insert_with(|| PolicyTotals {
        id: alert.policy.id.clone(),
        name: alert.policy.name.clone(),
        severity: alert.policy.severity,
        active: 0,
        attempted: 0,
        resolved: 0,
        violations: 0,
        last: alert.time,
    });
    if alert.time > policy.last {
        policy.name.clone_from(&alert.policy.name);
        (policy.severity, policy.last) = (alert.policy.severity, alert.time);
    }
    policy.violations += alert.count;
    match alert.state {
        AlertState::Active => policy.active += 1,
        AlertState::Attempted => policy.attempted += 1,
        AlertState::Resolved => policy.resolved += 1,
    }
}

/// The receipts of one violation or one action, by their index: a handful.
fn few(reading: &ReadTransaction, filter: &ReceiptFilter) -> Result<Option<Vec<String>>, LedgerError> {
    let (table, key) = match (&filter.violation, &filter.action_key) {
        (Some(violation), _) => (reading.open_table(schema::RECEIPTS_BY_VIOLATION)?, violation.as_str()),
        (None, Some(action)) => (reading.open_table(schema::RECEIPTS_BY_ACTION)?, action.as_str()),
        (None, None) => return Ok(None),
    };
    let mut ids = Vec::new();
    for item in table.range((key, "")..)? {
        let (found, _) = item?;
        let (of, receipt) = found.value();
        if of != key {
            break;
        }
        ids.push(receipt.to_owned());
    }
    Ok(Some(ids))
}

fn page_of_few(
    rows: &Rows,
    ids: &[String],
    filter: &ReceiptFilter,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Page<StoredReceipt>, LedgerError> {
    let mut found = Vec::new();
    for id in ids {
        found.extend(get::<StoredReceipt>(rows, "receipts", id)?.filter(|row| filter.matches(&row.receipt)));
    }
    let total = found.len() as u64;
    found.sort_by(|a, b| (b.sequence, &b.receipt.id).cmp(&(a.sequence, &a.receipt.id)));
    found.retain(|row| {
        after.is_none_or(|after| {
            (row.sequence, row.receipt.id.as_str()) < (after.sequence(), after.id.as_str())
        })
    });
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().map(|row| Cursor::of_sequence(row.sequence, row.receipt.id.as_str()).to_string());
    Ok(Page { items: found, total, next: last.filter(|_| more) })
}

/// A page in order of sequence. `open`: everything matches, so the total is the table's length.
fn page<T: DeserializeOwned>(
    rows: &Rows,
    table: &'static str,
    order: &Sequences,
    after: Option<&Cursor>,
    limit: usize,
    open: bool,
    matches: impl Fn(&T) -> bool,
) -> Result<Page<T>, LedgerError> {
    let mut page = Page { items: Vec::new(), total: 0, next: None };
    let mut last = None;
    let until = match after {
        Some(after) if open => Bound::Excluded((after.sequence(), after.id.as_str())),
        _ => Bound::Unbounded,
    };
    for item in order.range::<(u64, &str)>((Bound::Unbounded, until))?.rev() {
        let (key, _) = item?;
        let (sequence, id) = key.value();
        let Some(row) = get::<T>(rows, table, id)?.filter(&matches) else { continue };
        page.total += 1;
        if after.is_some_and(|after| (sequence, id) >= (after.sequence(), after.id.as_str())) {
            continue;
        }
        if page.items.len() < limit {
            last = Some(Cursor::of_sequence(sequence, id));
            page.items.push(row);
        } else if page.next.is_none() {
            page.next = last.as_ref().map(Cursor::to_string);
        }
        if open && page.next.is_some() {
            break;
        }
    }
    if open {
        page.total = rows.len()?;
    }
    Ok(page)
}

fn get<T: DeserializeOwned>(rows: &Rows, table: &'static str, id: &str) -> Result<Option<T>, LedgerError> {
    match rows.get(id)? {
        None => Ok(None),
        Some(value) => decode(table, id, value.value()).map(Some),
    }
}
