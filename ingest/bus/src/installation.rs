//! Setting an installation up on a server: its streams, and the document that names it in the policy log.
//!
//! A server that lost its data looks like a new one. Whoever knew an installation there must not take it for new: an
//! empty policy log would mean that every policy was deleted. So the log names the installation it belongs to, a
//! store writes that name once, and only a person says that a loss is real.

use lictor_wire::topology::Stream;
use lictor_wire::{InstallationDocument, InstallationId, PolicyLogKey, TransactionId};
use tokio::time::Instant;

use crate::bus::{Bus, BusOptions};
use crate::error::{BusError, ConnectError};
use crate::guarded::{GuardedLog, LogState, Record, WriteError, random_id};
use crate::log::LogEntry;
use crate::topology::Missing;

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
    /// The log gets a document, which takes the place of these installations.
    Write(Vec<InstallationId>),
}

/// The policy log, as far as the installation is concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Named(Option<InstallationDocument>);

impl LogState for Named {
    fn apply(&mut self, entry: &LogEntry) {
        if PolicyLogKey::of_subject(&entry.subject) == Some(PolicyLogKey::Installation) {
            let body = entry.body().ok();
            self.0 = body.and_then(|body| serde_json::from_slice(&body).ok()).or_else(|| self.0.take());
        }
    }
}

fn plan(found: Option<&InstallationDocument>, of: &SetUp) -> Result<Plan, SetUpError> {
    let SetUp { known, replace } = of;
    match (replace, known) {
        (Some(replace), Some(known)) if replace != known => {
            // It was replaced already, and this store has followed.
            if found.is_some_and(|found| found.installation == *known && found.replaces.contains(replace)) {
                return plan(found, &SetUp { known: Some(known.clone()), replace: None });
            }
            Err(SetUpError::NotKnown { known: known.clone(), replace: replace.clone() })
        }
        (Some(replace), _) => match found {
            Some(found) if found.installation == *replace => {
                Err(SetUpError::NotLost { installation: replace.clone() })
            }
            Some(found) if found.replaces.contains(replace) => Ok(Plan::Keep(found.clone())),
            Some(found) => {
                let mut replaced = vec![replace.clone(), found.installation.clone()];
                replaced.extend(found.replaces.iter().cloned());
                Ok(Plan::Write(replaced))
            }
            None => Ok(Plan::Write(vec![replace.clone()])),
        },
        (None, Some(known)) => match found {
            Some(found) if found.continues(known) => Ok(Plan::Keep(found.clone())),
            Some(found) => Err(SetUpError::Other { known: known.clone(), found: found.installation.clone() }),
            None => Err(SetUpError::Lost { known: known.clone() }),
        },
        (None, None) => Ok(found.map_or_else(|| Plan::Write(Vec::new()), |found| Plan::Keep(found.clone()))),
    }
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
        plan(found.0.as_ref(), of)?;
        self.read_back(Missing::Create, deadline).await?;
        let transaction = TransactionId::new(random_id());
        loop {
            let (_, found) = log.state().await.map_err(SetUpError::Bus)?;
            let replaces = match plan(found.0.as_ref(), of)? {
                Plan::Keep(document) => return Ok(document),
                Plan::Write(replaces) => replaces,
            };
            let document = InstallationDocument {
                transaction: transaction.clone(),
                by: by.to_owned(),
                at: jiff::Timestamp::now(),
                installation: InstallationId::new(random_id()),
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

    /// What is planned for a log, a ledger and an order: `keep`, `write <replaced>`, or why not.
    fn planned(found: Option<&InstallationDocument>, known: &str, replace: &str) -> String {
        let given = |text: &str| (!text.is_empty()).then(|| id(text));
        match plan(found, &SetUp { known: given(known), replace: given(replace) }) {
            Ok(Plan::Keep(_)) => "keep".to_owned(),
            Ok(Plan::Write(replaces)) => {
                let ids: Vec<&str> = replaces.iter().map(InstallationId::as_str).collect();
                format!("write {}", ids.join(" ")).trim_end().to_owned()
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
        let a = document("a", &[]);
        let b = document("b", &["a", "z"]);
        let c = document("c", &[]);
        for (found, known, replace, wanted) in [
            (None, "", "", "write"),
            (Some(&a), "", "", "keep"),
            (Some(&a), "a", "", "keep"),
            (Some(&b), "a", "", "keep"),
            (None, "a", "", "lost"),
            (Some(&c), "a", "", "other"),
            (None, "a", "a", "write a"),
            (None, "", "a", "write a"),
            (None, "a", "x", "not known"),
            (Some(&a), "a", "a", "not lost"),
            (Some(&a), "", "a", "not lost"),
            (Some(&b), "a", "a", "keep"),
            (Some(&b), "b", "a", "keep"),
            (Some(&c), "a", "a", "write a c"),
            (Some(&b), "y", "y", "write y b a z"),
        ] {
            let named = found.map(|found| found.installation.as_str());
            assert_eq!(
                planned(found, known, replace),
                wanted,
                "log {named:?}, ledger {known}, order {replace}"
            );
        }
    }
}
