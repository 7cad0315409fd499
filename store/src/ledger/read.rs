//! Reading: each call sees one committed state, and never waits for a writer.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use lictor_wire::{AlertId, EventId, ReceiptId, ViolationId};
use redb::{Key, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTableMetadata, Value};
use serde::de::DeserializeOwned;

use super::error::Result;
use super::tables::{decode, evidence, get, paired};
use super::{CHANGES_KEPT, Ledger};
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
    pub fn checkpoint(&self, log: Log) -> Result<u64> {
        Ok(self.checkpoint_message(log)?.map_or(0, |(sequence, _)| sequence))
    }

    /// The last message of a log that was applied: its sequence, and when the stream stored it, in microseconds.
    pub(crate) fn checkpoint_message(&self, log: Log) -> Result<Option<(u64, i64)>> {
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
    ) -> Result<Page<AlertSummary>> {
        let reading = self.database.begin_read()?;
        let rows = reading.open_table(schema::ALERTS)?;
        let order = reading.open_table(schema::ALERTS_BY_TIME)?;
        let open = filter.is_open();
        let keys = order.range::<(i64, &str)>((Bound::Unbounded, until(after, open)))?.rev();
        let keys = keys.map(|item| {
            let (key, _) = item?;
            let (at, id) = key.value();
            Ok(Cursor { at, id: id.to_owned() })
        });
        let page =
            page(&rows, "alerts", keys, after, limit, open, |row: &AlertRow| filter.matches(&row.alert))?;
        let items = page.items.into_iter().map(|row| row.alert).collect();
        Ok(Page { items, total: page.total, next: page.next })
    }

    /// One alert with its violations.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert(&self, id: &AlertId) -> Result<Option<Alert>> {
        let reading = self.database.begin_read()?;
        let Some(row) = get::<AlertRow>(&reading.open_table(schema::ALERTS)?, "alerts", id.as_str())? else {
            return Ok(None);
        };
        let table = reading.open_table(schema::EVIDENCE)?;
        let mut violations = Vec::with_capacity(row.shown.len());
        for shown in &row.shown {
            violations.extend(evidence(&table, id, &shown.id)?);
        }
        Ok(Some(Alert { summary: row.alert, violations }))
    }

    /// The alert's summary.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alert_summary(&self, id: &AlertId) -> Result<Option<AlertSummary>> {
        let row = get::<AlertRow>(&self.table(schema::ALERTS)?, "alerts", id.as_str())?;
        Ok(row.map(|row| row.alert))
    }

    /// The ids of all violations ever seen, except those of replays and drafts.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn violation_ids(&self) -> Result<BTreeSet<ViolationId>> {
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
    pub fn receipt(&self, id: &ReceiptId) -> Result<Option<StoredReceipt>> {
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
    ) -> Result<Page<StoredReceipt>> {
        let reading = self.database.begin_read()?;
        let rows = reading.open_table(schema::RECEIPTS)?;
        let matches = |row: &StoredReceipt| filter.matches(&row.receipt);
        if let Some(ids) = few(&reading, filter)? {
            let mut keys = Vec::with_capacity(ids.len());
            for id in ids {
                let row: Option<StoredReceipt> = get(&rows, "receipts", &id)?;
                keys.extend(row.map(|row| Cursor::of_sequence(row.sequence, &id)));
            }
            keys.sort_by(|a, b| b.cmp(a));
            return page(&rows, "receipts", keys.into_iter().map(Ok), after, limit, false, matches);
        }
        let order = reading.open_table(schema::RECEIPTS_BY_SEQUENCE)?;
        page_of_log(&rows, "receipts", &order, after, limit, filter.is_open(), matches)
    }

    /// The dead letters, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn dead_letters(&self, after: Option<&Cursor>, limit: usize) -> Result<Page<StoredDeadLetter>> {
        let reading = self.database.begin_read()?;
        let rows = reading.open_table(schema::DEAD_LETTERS)?;
        let order = reading.open_table(schema::DEAD_LETTERS_BY_SEQUENCE)?;
        page_of_log(&rows, "dead_letters", &order, after, limit, true, |_| true)
    }

    /// The coverage notices, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn coverage(&self, after: Option<&Cursor>, limit: usize) -> Result<Page<StoredCoverage>> {
        let reading = self.database.begin_read()?;
        let rows = reading.open_table(schema::COVERAGE)?;
        let order = reading.open_table(schema::COVERAGE_BY_SEQUENCE)?;
        page_of_log(&rows, "coverage", &order, after, limit, true, |_| true)
    }

    /// Whether a coverage notice is known.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn knows_coverage(&self, id: &EventId) -> Result<bool> {
        Ok(self.table(schema::COVERAGE)?.get(id.as_str())?.is_some())
    }

    /// The changes of the messages after `sequence`, message by message, until there are `limit` or more.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn changes(&self, log: Log, sequence: u64, limit: usize) -> Result<Changes> {
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
    pub fn totals(&self) -> Result<Totals> {
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
    ) -> Result<ReadOnlyTable<K, V>> {
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

/// The ids of the receipts of one violation or one action, by their index: a handful.
fn few(reading: &ReadTransaction, filter: &ReceiptFilter) -> Result<Option<Vec<String>>> {
    let (table, key) = match (&filter.violation, &filter.action_key) {
        (Some(violation), _) => (schema::RECEIPTS_BY_VIOLATION, violation.as_str()),
        (None, Some(action)) => (schema::RECEIPTS_BY_ACTION, action.as_str()),
        (None, None) => return Ok(None),
    };
    paired(&reading.open_table(table)?, key).map(Some)
}

/// Where keys end, oldest first: where everything matches, the rows of earlier pages need not be seen.
fn until(after: Option<&Cursor>, open: bool) -> Bound<(i64, &str)> {
    match after {
        Some(after) if open => Bound::Excluded((after.at, after.id.as_str())),
        _ => Bound::Unbounded,
    }
}

/// A page in order of sequence.
fn page_of_log<T: DeserializeOwned>(
    rows: &Rows,
    table: &'static str,
    order: &Sequences,
    after: Option<&Cursor>,
    limit: usize,
    open: bool,
    matches: impl Fn(&T) -> bool,
) -> Result<Page<T>> {
    let until = until(after, open).map(|(at, id)| (u64::try_from(at).unwrap_or(0), id));
    let keys = order.range::<(u64, &str)>((Bound::Unbounded, until))?.rev();
    let keys = keys.map(|item| {
        let (key, _) = item?;
        let (sequence, id) = key.value();
        Ok(Cursor::of_sequence(sequence, id))
    });
    page(rows, table, keys, after, limit, open, matches)
}

/// A page in order of `keys`. `open`: everything matches, so the total is the table's length; else every row must be
/// seen for the total.
fn page<T: DeserializeOwned>(
    rows: &Rows,
    table: &'static str,
    keys: impl Iterator<Item = Result<Cursor>>,
    after: Option<&Cursor>,
    limit: usize,
    open: bool,
    matches: impl Fn(&T) -> bool,
) -> Result<Page<T>> {
    let mut page = Page { items: Vec::new(), total: 0, next: None };
    let mut last = None;
    for key in keys {
        let key = key?;
        let Some(row) = get(rows, table, &key.id)?.filter(&matches) else { continue };
        page.total += 1;
        if after.is_some_and(|after| key >= *after) {
            continue;
        }
        if page.items.len() < limit {
            last = Some(key);
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
