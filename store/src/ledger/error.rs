//! What can go wrong with the file.

use std::path::PathBuf;

/// What using the ledger gives.
pub(crate) type Result<T> = std::result::Result<T, LedgerError>;

/// Why the ledger could not be opened, read or written.
///
/// After an error of [`Ledger::apply`](crate::Ledger::apply) nothing of that batch is in the file, or all of it is;
/// the caller stops, and a restart goes on from the checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another process has the file open. End it, or give this one a directory of its own.
    #[error("`{path}` is in use by another process")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be opened or made.
    #[error("cannot open `{path}`: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<redb::DatabaseError>,
    },
    /// The file is damaged. It is an index of the logs: move it away, and it is rebuilt from them.
    #[error("`{path}` is damaged: {source}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        #[source]
        source: Box<redb::DatabaseError>,
    },
    /// Another version made the file. It is an index of the logs: remove it, and it is rebuilt from them.
    #[error("the file has format {found}, this version reads {}", crate::schema::FORMAT)]
    Format {
        /// The file's format.
        found: u64,
    },
    /// Reading or writing failed. Nothing may be assumed about what a commit left behind until it is opened again.
    #[error("storage failed: {0}")]
    Storage(#[source] Box<redb::Error>),
    /// A row is not what its table holds: the file was damaged. Remove it, and it is rebuilt from the logs.
    #[error("row `{key}` of table {table} cannot be read: {source}")]
    Row {
        /// The table.
        table: &'static str,
        /// The row.
        key: String,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// A value could not be written as JSON.
    #[error("a value of table {table} cannot be written: {source}")]
    Value {
        /// The table.
        table: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

macro_rules! storage {
    ($($error:ty),*) => {$(
        impl From<$error> for LedgerError {
            fn from(error: $error) -> Self {
                Self::Storage(Box::new(error.into()))
            }
        }
    )*};
}

storage!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::SetDurabilityError
);
