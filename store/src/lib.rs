//! Stores alerts and receipts, and serves queries about them.
//!
//! Verdicts, receipts, dead letters and coverage notices are logs on the bus. The store follows each from where it
//! was, makes alerts of them in one file, and answers over HTTP. It decides nothing about policies and changes
//! nothing on a cluster; whoever loses the file loses no more than the time to read the logs again.
//!
//! ```
//! use lictor_store::{AlertFilter, Entry, Ledger, Log};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! let ledger = Ledger::open(&directory.path().join("ledger.redb"))?;
//! let line = br#"{"id":"v1","event":{"id":"e1","kind":"process","time":"2026-01-02T03:04:05Z"},"cause":"observed",
//!   "stage":"RUNTIME","entity":{"type":"NODE","name":"n1","cluster":"c1"},"revisions":{"policies":7},
//!   "judgedAt":"2026-01-02T03:04:06Z","violations":[{"id":"x1","sections":[],
//!   "policy":{"id":"p1","name":"No shells","revision":7,"severity":"HIGH_SEVERITY"}}]}"#;
//! let line: Vec<u8> = line.iter().copied().filter(|byte| *byte != b'\n').collect();
//! let entry = Entry::read(Log::Verdicts, 1, "2026-01-02T03:04:06Z".parse()?, &line);
//!
//! ledger.apply(Log::Verdicts, &[entry.clone()])?;
//! ledger.apply(Log::Verdicts, &[entry])?; // a repeat changes nothing
//! let page = ledger.alerts(&AlertFilter::default(), None, 100)?;
//! assert_eq!((page.total, page.items[0].count), (1, 1));
//! # Ok(()) }
//! ```
//!
//! # The file
//!
//! One redb file; its tables are, with what each holds, at the top of `schema.rs`. Decisions behind it:
//!
//! - **The id makes a repeat harmless, the sequence is only a checkpoint.** Every violation's id is kept for ever
//!   with the highest policy revision it was seen with. A message that comes twice, in another batch, after a restart
//!   or under another sequence finds its ids known.
//! - **One transaction per batch of one log**, with that log's checkpoint in it, synced before the next begins. A
//!   crash leaves the state between two batches that the checkpoints name. After a failed commit nobody goes on: the
//!   role ends, and a restart finds out what the medium holds.
//! - **Times and ids come from messages.** An alert's id is a fingerprint of policy, stage, entity and first
//!   violation. Two stores that read the same logs hold the same bytes, and so does one that is rebuilt.
//! - **Two logs, no order between them.** Receipts reach an alert through its violations. A violation is given to one
//!   alert once, and what receipts add is counts and a maximum: the same whichever log was read first.
//! - **Alerts are small.** The evidence of the 40 newest violations is in a table of its own; counting one more
//!   writes one short row and one piece of evidence. Raw events stay in their streams.
//! - **What is trusted.** The file's directory belongs to the store's user. Process arguments and image names, which
//!   attackers choose, end up in it; commits are in two phases so that after a crash a checksum chosen by an attacker
//!   does not make a commit count as valid.
//!
//! # Alert lifecycle
//!
//! | verdict | alert |
//! |---|---|
//! | deploy, a violation, none open | opened |
//! | deploy, a violation, one open | its evidence is replaced; its time moves only if what was found differs |
//! | deploy, no violation of an open alert's policy | resolved; kept open, with the reason, where the policy could not be decided |
//! | deploy, read nothing newer than what was applied | nothing |
//! | runtime, a violation | opened, or counted by the open one |
//! | a request the policy wants denied | as runtime, in state ATTEMPTED |
//! | the entity was deleted | its deploy alerts are resolved, the others are inactive |
//! | a replay, a draft, a build | nothing |

mod alert;
mod config;
mod continuity;
mod error;
mod follow;
mod health;
mod http;
mod ledger;
mod loss;
mod policies;
mod query;
mod record;
mod role;
mod rows;
mod schema;

pub use alert::{
    ActionSummary, Alert, AlertState, AlertSummary, AlertViolation, LastReceipt, UndecidedNote,
    VIOLATIONS_SHOWN,
};
pub use config::Config;
pub use error::StoreError;
pub use health::{Health, HealthReport, LogHealth, StreamContinuity};
pub use http::router;
pub use ledger::{Ledger, LedgerError};
pub use policies::write_policies;
pub use query::{AlertFilter, BadCursor, Changes, Cursor, Page, PolicyTotals, ReceiptFilter, Step, Totals};
pub use record::{Entry, Log, Record};
pub use role::{run, set_up};
pub use rows::{Change, ORIGINAL_KEPT, StoredCoverage, StoredDeadLetter, StoredReceipt};
