//! The file: opened once, written by batches, read at any time.

mod error;
mod read;
mod tables;
mod verdicts;

use std::path::Path;
use std::sync::Arc;

use lictor_wire::{DeadLetter, InstallationId, Receipt};
use redb::{Builder, Database, Durability, ReadableDatabase, StorageBackend};

pub use self::error::LedgerError;
use self::error::Result;
pub(crate) use self::tables::CHANGES_KEPT;
use self::tables::Tables;
use crate::rows::{Change, ORIGINAL_KEPT, StoredCoverage, StoredDeadLetter};
use crate::{Entry, Log, Record, schema};

/// Pages of the file held in memory: the open alerts and the upper levels of every tree of a large installation
/// fit, and so does the role's share of a small machine.
const CACHE_BYTES: usize = 128 * 1024 * 1024;

/// What is remembered. Clones are handles of the same file.
#[derive(Clone)]
pub struct Ledger {
    database: Arc<Database>,
}

impl Ledger {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// [`LedgerError::InUse`] while another process has it open; else when it cannot be opened, or another version
    /// made it.
    pub fn open(path: &Path) -> Result<Self> {
        let opened = Builder::new().set_cache_size(CACHE_BYTES).create(path);
        Self::with(opened.map_err(|source| match source {
            redb::DatabaseError::DatabaseAlreadyOpen => LedgerError::InUse { path: path.to_owned() },
            source if is_damage(&source) => {
                LedgerError::Damaged { path: path.to_owned(), source: Box::new(source) }
            }
            source => LedgerError::Open { path: path.to_owned(), source: Box::new(source) },
        })?)
    }

    /// Opens a ledger on storage of the caller's, such as one that lives in memory or loses writes.
    ///
    /// # Errors
    /// As for [`Ledger::open`].
    pub fn open_on(storage: impl StorageBackend) -> Result<Self> {
        let opened = Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(storage);
        Self::with(opened.map_err(|source| LedgerError::Open {
            path: Path::new("(storage of the caller)").to_owned(),
            source: Box::new(source),
        })?)
    }

    fn with(database: Database) -> Result<Self> {
        let found = {
            let reading = database.begin_read()?;
            match reading.open_table(schema::META) {
                Ok(meta) => meta.get("format")?.map(|value| value.value()),
                Err(redb::TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(error.into()),
            }
        };
        match found {
            Some(schema::FORMAT) => {}
            Some(found) => return Err(LedgerError::Format { found }),
            None => make_tables(&database)?,
        }
        Ok(Self { database: Arc::new(database) })
    }

    /// The installation whose logs are in the ledger; `None` for a new one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn installation(&self) -> Result<Option<InstallationId>> {
        match self.database.begin_read()?.open_table(schema::INSTALLATION) {
            Ok(table) => Ok(table.get("installation")?.map(|id| InstallationId::new(id.value()))),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the ledger the index of an installation's logs. Where it was another one's, the logs are read from their
    /// beginning: sequences and revisions of the lost logs say nothing about the new ones. Alerts stay.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn adopt(&self, installation: &InstallationId) -> Result<()> {
        let transaction = self.database.begin_write()?;
        let before = {
            let mut table = transaction.open_table(schema::INSTALLATION)?;
            let before = table.insert("installation", installation.as_str())?;
            before.map(|before| before.value().to_owned())
        };
        if before.is_some_and(|before| before != installation.as_str()) {
            Tables::open(&transaction, Log::Verdicts)?.forget_revisions()?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Has every log be read from its beginning, as far as its stream reaches. What is known stays, and what is read
    /// again changes nothing.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn read_again(&self) -> Result<()> {
        let transaction = self.database.begin_write()?;
        Tables::open(&transaction, Log::Verdicts)?.forget_revisions()?;
        transaction.commit()?;
        Ok(())
    }

    /// Applies messages of one log, in the log's order, and moves its checkpoint: all in one transaction that is on
    /// the medium when this returns the checkpoint.
    ///
    /// A message that was applied before changes nothing, whatever its sequence.
    ///
    /// # Errors
    /// When the file cannot be read or written. Stop then: see [`LedgerError`].
    pub fn apply(&self, log: Log, entries: &[Entry]) -> Result<u64> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        // Saves the allocator's state with each commit: a crash costs no walk over the whole file. It also commits
        // in two phases, without which somebody who chooses stored bytes (a process chooses its arguments) and can
        // crash the host might forge a checksum.
        transaction.set_quick_repair(true);
        let checkpoint = {
            let mut tables = Tables::open(&transaction, log)?;
            for entry in entries {
                tables.at(entry.sequence, entry.time);
                for record in &entry.records {
                    apply_record(&mut tables, record)?;
                }
            }
            tables.checkpoint()?
        };
        transaction.commit()?;
        Ok(checkpoint)
    }
}

/// Whether it is what is in the file that cannot be used. The system's own errors may pass.
fn is_damage(error: &redb::DatabaseError) -> bool {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    match error {
        redb::DatabaseError::Storage(redb::StorageError::Corrupted(_)) => true,
        redb::DatabaseError::Storage(redb::StorageError::Io(error)) => {
            matches!(error.kind(), InvalidData | UnexpectedEof)
        }
        _ => false,
    }
}

fn apply_record(tables: &mut Tables<'_>, record: &Record) -> Result<()> {
    match record {
        Record::Verdict(verdict) => verdicts::apply(tables, verdict),
        Record::Receipt(receipt) => apply_receipt(tables, receipt),
        Record::DeadLetter(letter) => tables.add_dead_letter(&stored(tables, letter)),
        Record::Coverage(event) => tables
            .add_coverage(&StoredCoverage { sequence: tables.sequence(), event: event.as_ref().clone() }),
    }
}

fn apply_receipt(tables: &mut Tables<'_>, receipt: &Receipt) -> Result<()> {
    if !tables.add_receipt(receipt)? {
        return Ok(());
    }
    let alert = tables.violation(&receipt.violation)?.and_then(|known| known.alert);
    if let Some(alert) = &alert
        && let Some(mut row) = tables.alert(alert)?
    {
        row.alert.add_receipt(receipt);
        tables.put_alert(&row)?;
    }
    tables.changed(&Change::Receipt { receipt: receipt.id.clone(), alert })
}

fn stored(tables: &Tables<'_>, letter: &DeadLetter) -> StoredDeadLetter {
    let mut kept = letter.clone();
    kept.original.truncate(kept.original.floor_char_boundary(ORIGINAL_KEPT));
    StoredDeadLetter {
        id: letter.id(),
        log: tables.log(),
        sequence: tables.sequence(),
        original_bytes: letter.original.len() as u64,
        letter: kept,
    }
}

/// Makes every table, so readers find them however empty.
fn make_tables(database: &Database) -> Result<()> {
    let transaction = database.begin_write()?;
    transaction.open_table(schema::META)?.insert("format", schema::FORMAT)?;
    drop(Tables::open(&transaction, Log::Verdicts)?);
    transaction.commit()?;
    Ok(())
}
