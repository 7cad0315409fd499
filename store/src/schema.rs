//! Every table of the file.
//!
//! Values that have a shape are JSON; keys are text and numbers, so range queries work. What a table holds is changed
//! by changing [`FORMAT`] with it: an index of logs is rebuilt, never migrated.

use redb::TableDefinition;

/// The shape of all tables together.
pub(crate) const FORMAT: u64 = 1;

/// `format`: the [`FORMAT`] the file was made with.
pub(crate) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// `installation`: the id of the installation whose logs were read. Files of earlier releases do not have the table.
pub(crate) const INSTALLATION: TableDefinition<'_, &str, &str> = TableDefinition::new("installation");

/// Name of a log: the last sequence that was applied, and when the stream stored that message, in microseconds.
/// The time tells the stream from another of its name that grew as long.
pub(crate) const CHECKPOINTS: TableDefinition<'_, &str, (u64, i64)> = TableDefinition::new("checkpoints");

/// Violation id: the highest policy revision it was seen with, and the alert it went to first (empty: none).
/// Every violation that was ever seen is here: this is what makes a repeat harmless.
pub(crate) const VIOLATIONS: TableDefinition<'_, &str, (u64, &str)> = TableDefinition::new("violations");

/// Alert id, violation id: an `AlertViolation`, for the violations an alert still holds.
pub(crate) const EVIDENCE: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("evidence");

/// Alert id: an `AlertRow`.
pub(crate) const ALERTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("alerts");

/// Time in microseconds, alert id: the order people read alerts in.
pub(crate) const ALERTS_BY_TIME: TableDefinition<'_, (i64, &str), ()> =
    TableDefinition::new("alerts_by_time");

/// Entity key, slot, policy id: the one open alert of that key. An entity's open alerts are neighbours.
pub(crate) const OPEN_ALERTS: TableDefinition<'_, (&str, u8, &str), &str> =
    TableDefinition::new("open_alerts");

/// Entity key: an `EntityRow`.
pub(crate) const ENTITIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("entities");

/// Receipt id: a `StoredReceipt`.
pub(crate) const RECEIPTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("receipts");

/// Violation id, receipt id.
pub(crate) const RECEIPTS_BY_VIOLATION: TableDefinition<'_, (&str, &str), ()> =
    TableDefinition::new("receipts_by_violation");

/// Action key, receipt id.
pub(crate) const RECEIPTS_BY_ACTION: TableDefinition<'_, (&str, &str), ()> =
    TableDefinition::new("receipts_by_action");

/// Stream sequence, receipt id: the order people read receipts in.
pub(crate) const RECEIPTS_BY_SEQUENCE: TableDefinition<'_, (u64, &str), ()> =
    TableDefinition::new("receipts_by_sequence");

/// Dead letter id: a `StoredDeadLetter`.
pub(crate) const DEAD_LETTERS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("dead_letters");

/// Stream sequence, dead letter id: the order people read dead letters in. A letter the store itself wrote about a
/// message has that message's sequence as its key.
pub(crate) const DEAD_LETTERS_BY_SEQUENCE: TableDefinition<'_, (u64, &str), ()> =
    TableDefinition::new("dead_letters_by_sequence");

/// Event id: a `StoredCoverage`.
pub(crate) const COVERAGE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("coverage");

/// Stream sequence, event id.
pub(crate) const COVERAGE_BY_SEQUENCE: TableDefinition<'_, (u64, &str), ()> =
    TableDefinition::new("coverage_by_sequence");

/// Log number, stream sequence, index: a `Change`, for the newest messages of each log. Live readers follow it.
pub(crate) const CHANGES: TableDefinition<'_, (u8, u64, u32), &[u8]> = TableDefinition::new("changes");
