//! Setting an installation up on a server: its streams, and the document that names it in the policy log.
//!
//! A server that lost its data looks like a new one. Whoever knew an installation there must not take it for new: an
//! empty policy log would mean that every policy was deleted. So the log names the installation it belongs to, a
//! store writes that name once, and only a person says that a loss is real.

use std::time::Duration;

use lictor_wire::topology::Stream;
use lictor_wire::{InstallationDocument, InstallationId, PolicyLogKey, TransactionId};
use tokio::time::Instant;

use crate::bus::{Bus, BusOptions};
use crate::error::{BusError, ConnectError};
use crate::guarded::{GuardedLog, LogState, Record, WriteError, random_id};
use crate::log::LogEntry;
use crate::topology::Missing;

/// How often a running store looks whether its policy log is still there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often in a row it is not, before that is believed: a server of a cluster that starts may not know all streams.
const LOST_AFTER: u32 = 3;

/// What a store brings to a server.
#[derive(Debug, Clone, Default)]
pub struct SetUp {
    /// The installation that the store's ledger belongs to; `None` for a new ledger.
    pub known: Option<InstallationId>,
    /// The installation whose log is lost for good, as a person said.
    pub replace: Option<InstallationId>,
}

/// Why an installation was not set up. Nothing was written, and no stream was created.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The server has no log of the installation that is known here.
    #[error("the policy log on this server does not name an installation, and this store belongs to {known}")]
    Lost {
        /// The store's installation.
        known: InstallationId,
    },
    /// The server holds another installation.
    #[error("the policy log on this server belongs to installation {found}, and this store to {known}")]
    Other {
        /// The store's installation.
        known: InstallationId,
        /// The log's installation.
        found: InstallationId,
    },
    /// The installation to be replaced is alive on this server.
    #[error("installation {installation} is not lost: the policy log on this server belongs to it")]
    NotLost {
        /// The installation.
        installation: InstallationId,
    },
    /// The installation to be replaced is not this store's.
    #[error("this store belongs to installation {known}, and not to {replace}")]
    NotKnown {
        /// The store's installation.
        known: InstallationId,
        /// What was to be replaced.
        replace: InstallationId,
    },
    /// The streams could not be created.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The log could not be read or written.
    #[error("cannot set the installation up: {0}")]
    Bus(#[source] BusError),
}

/// What to do about the installation of a log.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// The log is the store's.
    Keep(InstallationDocument),
    /// The log gets a document.
    Write {
        /// The installation it names; `None` for a new one.
        installation: Option<InstallationId>,
        /// The installations it takes the place of, newest first.
        replaces: Vec<InstallationId>,
    },
}

/// The policy log, as far as the installation is concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Named {
    /// The last document that can be read.
    document: Option<InstallationDocument>,
    /// Whether a later one cannot be read.
    unreadable_since: bool,
}

impl LogState for Named {
    fn apply(&mut self, entry: &LogEntry) {
        if PolicyLogKey::of_subject(&entry.subject) == Some(PolicyLogKey::Installation) {
            let body = entry.body().ok();
            let document = body.and_then(|body| serde_json::from_slice(&body).ok());
            self.unreadable_since = document.is_none();
            self.document = document.or_else(|| self.document.take());
        }
    }
}

/// A document of the log keeps its installation: who followed it before goes on, and so does, after an order, who
/// followed the lost one.
fn plan(found: &Named, of: &SetUp) -> Result<Plan, SetUpError> {
    let SetUp { known, replace } = of;
    let document = found.document.as_ref();
    if let Some(replace) =
        replace.as_ref().filter(|replace| document.is_some_and(|of| of.installation == **replace))
    {
        return Err(SetUpError::NotLost { installation: replace.clone() });
    }
    if let Some(known) = known.as_ref().filter(|known| replace.as_ref() != Some(known)) {
        match (document, replace) {
            (Some(document), _) if document.continues(known) => {}
            (Some(document), _) => {
                return Err(SetUpError::Other { known: known.clone(), found: document.installation.clone() });
            }
            (None, Some(replace)) => {
                return Err(SetUpError::NotKnown { known: known.clone(), replace: replace.clone() });
            }
            (None, None) => return Err(SetUpError::Lost { known: known.clone() }),
        }
    }
    let replaced = replace.iter().filter(|replace| document.is_none_or(|of| !of.replaces.contains(replace)));
    let mut replaces: Vec<_> = replaced.cloned().collect();
    let Some(document) = document else { return Ok(Plan::Write { installation: None, replaces }) };
    if replaces.is_empty() && !found.unreadable_since {
        return Ok(Plan::Keep(document.clone()));
    }
    replaces.extend(document.replaces.iter().cloned());
    Ok(Plan::Write { installation: Some(document.installation.clone()), replaces })
}

impl Bus {
    /// Creates the streams, buckets and consumers that are missing, and names the installation where the policy log
    /// does not. Only a store does this. Returns the log's document: whoever knew another installation than it
    /// names begins anew with its streams.
    ///
    /// # Errors
    /// See [`SetUpError`].
    pub async fn set_up(&self, of: &SetUp, by: &str) -> Result<InstallationDocument, SetUpError> {
        let deadline = Instant::now() + self.connect_timeout();
        let log = GuardedLog::new(self.clone(), Stream::Policies, Named::default(), 0);
        let found = self.retrying(deadline, || named(&log)).await?;
        plan(&found, of)?;
        self.read_back(Missing::Create, deadline).await?;
        let transaction = TransactionId::new(random_id());
        loop {
            let (_, found) = log.state().await.map_err(SetUpError::Bus)?;
            let (installation, replaces) = match plan(&found, of)? {
                Plan::Keep(document) => return Ok(document),
                Plan::Write { installation, replaces } => (installation, replaces),
            };
            let document = InstallationDocument {
                transaction: transaction.clone(),
                by: by.to_owned(),
                at: jiff::Timestamp::now(),
                installation: installation.unwrap_or_else(|| InstallationId::new(random_id())),
                replaces,
            };
            let subject = self.topology().policy_log(&PolicyLogKey::Installation);
            let body = serde_json::to_value(&document)
                .map_err(|source| SetUpError::Bus(BusError::Encode { what: subject.clone(), source }))?;
            let unchanged = |now: &Named| if *now == found { Ok(()) } else { Err("another store was first") };
            match log.write(&transaction, vec![Record { subject, body }], unchanged).await {
                Ok(_) => return Ok(document),
                Err(WriteError::Invalid(_)) => {}
                Err(WriteError::Unsettled(error) | WriteError::Bus(error)) => {
                    return Err(SetUpError::Bus(error));
                }
                Err(error) => {
                    return Err(SetUpError::Bus(BusError::refused("the installation's document", error)));
                }
            }
        }
    }

    /// Waits until the policy log does not belong to an installation any more: the server lost it, or is another
    /// server. A request without an answer is repeated.
    pub async fn installation_lost(&self, known: &InstallationId) -> SetUpError {
        let log = GuardedLog::new(self.clone(), Stream::Policies, Named::default(), 0);
        let of = SetUp { known: Some(known.clone()), replace: None };
        let mut seen = 0;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let Ok(found) = named(&log).await else { continue };
            match plan(&found, &of) {
                Ok(_) => seen = 0,
                Err(error) if seen + 1 == LOST_AFTER => return error,
                Err(_) => seen += 1,
            }
        }
    }

    /// Connects to a server of the caller's own, and sets an installation up where there is none.
    ///
    /// # Errors
    /// As for [`Bus::open`] and [`Bus::set_up`].
    pub async fn connect_new(options: BusOptions) -> Result<Self, SetUpError> {
        let by = options.name.clone();
        let bus = Self::open(options).await?;
        bus.set_up(&SetUp::default(), &by).await?;
        Ok(bus)
    }
}

/// What a policy log names now. A stream that does not exist names nothing.
async fn named(log: &GuardedLog<Named>) -> Result<Named, BusError> {
    match log.state().await {
        Ok((_, named)) => Ok(named),
        Err(BusError::Missing { .. }) => Ok(Named::default()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> InstallationId {
        InstallationId::new(text)
    }

    fn document(installation: &str, replaces: &[&str]) -> InstallationDocument {
        InstallationDocument {
            transaction: TransactionId::new("t"),
            by: "store".to_owned(),
            at: jiff::Timestamp::UNIX_EPOCH,
            installation: id(installation),
            replaces: replaces.iter().map(|text| id(text)).collect(),
        }
    }

    /// What is planned for a log, a ledger and an order: `keep`, `write <installation> <replaced>`, or why not.
    fn planned(found: &Named, known: &str, replace: &str) -> String {
        let given = |text: &str| (!text.is_empty()).then(|| id(text));
        match plan(found, &SetUp { known: given(known), replace: given(replace) }) {
            Ok(Plan::Keep(_)) => "keep".to_owned(),
            Ok(Plan::Write { installation, replaces }) => {
                let ids = installation.iter().chain(&replaces).map(InstallationId::as_str);
                let new = installation.is_none().then_some("new");
                ["write"].into_iter().chain(new).chain(ids).collect::<Vec<_>>().join(" ")
            }
            Err(SetUpError::Lost { .. }) => "lost".to_owned(),
            Err(SetUpError::Other { .. }) => "other".to_owned(),
            Err(SetUpError::NotLost { .. }) => "not lost".to_owned(),
            Err(SetUpError::NotKnown { .. }) => "not known".to_owned(),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn only_what_nobody_knows_is_set_up_without_an_order() {
        let named = |document| Named { document: Some(document), unreadable_since: false };
        let (a, b, c) =
            (named(document("a", &[])), named(document("b", &["a", "z"])), named(document("c", &[])));
        let damaged = Named { unreadable_since: true, ..b.clone() };
        let none = Named::default();
        for (found, known, replace, wanted) in [
            (&none, "", "", "write new"),
            (&a, "", "", "keep"),
            (&a, "a", "", "keep"),
            (&b, "a", "", "keep"),
            (&none, "a", "", "lost"),
            (&c, "a", "", "other"),
            (&none, "a", "a", "write new a"),
            (&none, "", "a", "write new a"),
            (&none, "a", "x", "not known"),
            (&a, "a", "a", "not lost"),
            (&a, "", "a", "not lost"),
            (&b, "a", "a", "keep"),
            (&b, "b", "a", "keep"),
            // The log and the ledger were lost, and a store has set up a new installation before anybody said so.
            (&c, "c", "a", "write c a"),
            (&b, "a", "x", "write b x a z"),
            (&c, "", "a", "write c a"),
            (&c, "a", "a", "write c a"),
            (&b, "y", "y", "write b y a z"),
            (&c, "a", "x", "other"),
            // Whoever starts and reads the last document alone finds one that can be read.
            (&damaged, "a", "", "write b a z"),
            (&damaged, "", "", "write b a z"),
            (&damaged, "y", "", "other"),
        ] {
            let log = found.document.as_ref().map(|found| found.installation.as_str());
            assert_eq!(
                planned(found, known, replace),
                wanted,
                "log {log:?}, ledger {known}, order {replace}"
            );
        }
    }
}
