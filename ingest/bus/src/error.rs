//! What can go wrong between a role and the bus.

use async_nats::jetstream::ErrorCode;

use crate::topology::Difference;

/// The JetStream API's status for "not now": no leader yet, JetStream starting.
const SERVICE_UNAVAILABLE: usize = 503;

/// Why a request to NATS failed.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The server did not answer in time, or the connection broke. Nobody knows whether it happened; what is
    /// published carries an id, so repeating it is harmless.
    #[error("NATS did not answer about {what}: {reason}")]
    Unanswered {
        /// What was requested.
        what: String,
        /// What was seen.
        reason: String,
    },
    /// The server answered no. Repeating it helps only after somebody changed something there.
    #[error("NATS refused {what}: {reason}")]
    Refused {
        /// What was requested.
        what: String,
        /// The server's own message.
        reason: String,
    },
    /// The server's limit on storage does not leave enough for it. Helps only to raise the limit (`max_file_store`),
    /// or to request a smaller stream.
    #[error("NATS does not have enough storage for {what}: {reason}")]
    InsufficientStorage {
        /// What was to be stored.
        what: String,
        /// The server's own message.
        reason: String,
    },
    /// A stream, consumer, bucket or object is not there.
    #[error("{what} does not exist on the server")]
    Missing {
        /// What was looked for.
        what: String,
    },
    /// It does not fit a message, even compressed. It was not sent, and nothing was cut off.
    #[error("{what} has {bytes} bytes; the server accepts at most {limit}")]
    TooLarge {
        /// What was to be sent.
        what: String,
        /// Its size.
        bytes: usize,
        /// The greatest size.
        limit: usize,
    },
    /// A value cannot be written as JSON.
    #[error("{what} cannot be written as JSON: {source}")]
    Encode {
        /// What was to be sent.
        what: String,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// What is stored cannot be read. Reading again does not help.
    #[error("{what} cannot be read: {reason}")]
    Unreadable {
        /// What was read.
        what: String,
        /// What does not fit.
        reason: String,
    },
    /// The stream no longer holds the position that was read up to: it was recreated, or the server lost writes it
    /// had acknowledged. A reader must not go on as if nothing had happened.
    #[error(
        "stream `{stream}` ends at {last}, and was read up to {position}: it lost messages or was recreated"
    )]
    PositionLost {
        /// The stream's name.
        stream: String,
        /// The sequence that was read up to.
        position: u64,
        /// The stream's last sequence.
        last: u64,
    },
    /// A delivery was settled with another number of outcomes than it has lines. Nothing was written.
    #[error("expected {wanted} outcomes, got {found}")]
    Outcomes {
        /// Lines.
        wanted: usize,
        /// Outcomes.
        found: usize,
    },
}

/// Why connecting failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No server answered in time. Trying again may help.
    #[error("no NATS server at `{url}`: {reason}")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// The last thing seen.
        reason: String,
    },
    /// A server answered, and does not let this client in.
    #[error("NATS server at `{url}` refuses the client: {reason}")]
    Unauthorized {
        /// The server.
        url: String,
        /// The server's own message.
        reason: String,
    },
    /// Different users are named for several servers of one cluster.
    #[error("`{url}` names different users for its servers")]
    SeveralUsers {
        /// The servers.
        url: String,
    },
    /// The credentials file cannot be used.
    #[error("credentials `{path}` cannot be used: {reason}")]
    Credentials {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The server is too old for atomic batches.
    #[error("NATS server {found} is too old, {wanted} or newer is needed")]
    TooOld {
        /// Its version.
        found: String,
        /// The least version.
        wanted: &'static str,
    },
    /// The server runs without JetStream, or this account may not use it.
    #[error("NATS server at `{url}` has no JetStream for this account: {reason}")]
    NoJetStream {
        /// The server.
        url: String,
        /// The server's own message.
        reason: String,
    },
    /// Something exists on the server and differs from the table in what it means. Nothing was changed.
    #[error("{}", describe(.differences))]
    Different {
        /// Every difference.
        differences: Vec<Difference>,
    },
    /// A stream or bucket is missing. Only a store creates them.
    #[error("{what} does not exist on the server")]
    NotSetUp {
        /// What is missing.
        what: String,
    },
    /// A stream, bucket or consumer could not be created or read back.
    #[error("cannot use the streams: {0}")]
    Topology(#[source] BusError),
}

impl BusError {
    /// Whether the same request may succeed later without anybody changing anything.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unanswered { .. })
    }

    /// Whether the server rejects what was sent: sending the same again would be rejected too, and other writes are not
    /// affected.
    pub const fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. } | Self::TooLarge { .. } | Self::Encode { .. } | Self::Unreadable { .. }
        )
    }

    pub(crate) fn unanswered(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Unanswered { what: what.into(), reason: reason.to_string() }
    }

    pub(crate) fn refused(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Refused { what: what.into(), reason: reason.to_string() }
    }

    /// What the JetStream API answered instead of a result.
    pub(crate) fn api(what: impl Into<String>, error: &async_nats::jetstream::Error) -> Self {
        match (error.error_code(), error.code()) {
            (ErrorCode::STORAGE_RESOURCES_EXCEEDED, _) => {
                Self::InsufficientStorage { what: what.into(), reason: error.to_string() }
            }
            (_, SERVICE_UNAVAILABLE) => Self::unanswered(what, error),
            _ => Self::refused(what, error),
        }
    }

    pub(crate) fn missing(what: impl Into<String>) -> Self {
        Self::Missing { what: what.into() }
    }

    pub(crate) fn unreadable(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Unreadable { what: what.into(), reason: reason.to_string() }
    }
}

fn describe(differences: &[Difference]) -> String {
    let list: Vec<String> = differences.iter().map(Difference::to_string).collect();
    format!("streams on the server differ from what lictor needs: {}", list.join("; "))
}
