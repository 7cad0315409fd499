//! Why the role ended.

use std::io;
use std::path::PathBuf;

use lictor_bus::SetUpError;
use lictor_serve::{BindError, NotLoopback};

use crate::{LedgerError, Log};

/// Why the store could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Other machines could reach the API, which has no authentication. Choose a loopback address.
    #[error("the API has no authentication, and {0}; listen on a 127.0.0.1 address")]
    NotLoopback(#[from] NotLoopback),
    /// The address cannot be bound.
    #[error("{0}")]
    Bind(#[from] BindError),
    /// The directory cannot be made. Check that it may be written.
    #[error("cannot make directory `{path}`: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The ledger cannot be opened.
    #[error("cannot open the store's database: {0}")]
    Open(#[source] LedgerError),
    /// The ledger's file was removed or replaced while the store ran. A restart rebuilds it from the logs.
    #[error("`{path}` was removed or replaced while the store ran; start the store again to rebuild it")]
    Removed {
        /// The file.
        path: PathBuf,
    },
    /// The installation was not set up.
    #[error(transparent)]
    SetUp(#[from] SetUpError),
    /// A batch could not be applied. A restart goes on from the checkpoint.
    #[error("cannot apply messages of {log}: {source}")]
    Apply {
        /// Whose messages.
        log: Log,
        /// Why.
        #[source]
        source: LedgerError,
    },
    /// The server of the API failed.
    #[error("the API failed: {0}")]
    Serve(#[source] io::Error),
    /// A task of the role ended unexpectedly.
    #[error("a task of the store ended: {0}")]
    Task(#[from] tokio::task::JoinError),
}
