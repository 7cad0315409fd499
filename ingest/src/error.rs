//! Why the role could not start, or stopped.

use std::io;
use std::path::PathBuf;

use lictor_serve::{BindError, NotLoopback};

use crate::files::FileError;

/// Why the role could not start, or stopped. What was acknowledged before stays so; a new start goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Nothing names a source.
    #[error("no source is named")]
    NoSource,
    /// Others could reach an address, and that is not allowed.
    #[error(transparent)]
    NotLoopback(#[from] NotLoopback),
    /// An address is taken or not ours.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A file or folder cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The bus refused something for good.
    #[error("the bus refused {what}: {reason}")]
    Refused {
        /// What was to be written.
        what: String,
        /// The bus' words.
        reason: String,
    },
    /// A part of the role ended without a result.
    #[error("a part of ingest ended unexpectedly: {0}")]
    Part(String),
}

impl IngestError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoSource => {
                "name a source: --audit-webhook, --audit-log, --tetragon, --events or --manifests"
            }
            Self::NotLoopback(_) => {
                "listen on 127.0.0.1, or let others connect with --allow-remote and protect the port with a network \
                 policy"
            }
            Self::Bind(error) => error.hint(),
            Self::Read { .. } => "check the path and that this user may read it",
            Self::Refused { .. } => "`lictor doctor` shows what is on the server",
            Self::Part(_) => "start again; reading goes on from the last checkpoint",
        }
    }
}

impl From<FileError> for IngestError {
    fn from(FileError { path, source }: FileError) -> Self {
        Self::Read { path, source }
    }
}
