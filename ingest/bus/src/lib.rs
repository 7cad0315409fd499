//! How events, facts, policies and verdicts get on and off NATS JetStream.
//!
//! This is the only crate that knows NATS; what exists there is in `lictor_wire::topology`, and [`Bus::connect`]
//! creates it. It must not know what an event means: it moves lines.
//!
//! - [`Publisher`] packs events into messages, numbers them, and repeats them until the stream has them.
//! - [`Intake`] hands out [`Delivery`]s of a shared consumer; [`Delivery::settle`] is the one place that
//!   acknowledges, after what became of each line ([`Fate`]) is itself safe.
//! - [`Feed`] is a bucket as a stream of changes that tells when it is complete.
//! - [`Bus::follow_policies`] keeps a reader of the policy log up to date.
//! - [`LogReader`] reads a stream in order, from wherever the reader likes, without touching anybody's progress.
//! - [`PolicyLog`] and [`GuardedLog`] write to a log only what is valid at the very sequence it is written at.
//! - [`Bus::watch_continuity`] finds messages that were acknowledged and are not there.
//! - [`Bus::heartbeat`] says who runs, for as long as it runs.
//!
//! # Why nothing is lost
//!
//! A publisher forgets a message when the stream has acknowledged it, and not before; repeats carry the same
//! `Nats-Msg-Id`. An intake acknowledges a message when the verdicts, parked lines and dead letters made of it are
//! acknowledged themselves. A crash anywhere repeats a step, and every step is named by an id, so the repeat changes
//! nothing. What the server loses nevertheless is found by [`ContinuityWatch`] (a number is missing that was
//! acknowledged), by [`BusError::PositionLost`] (a stream ends before where it was read), or by the publisher's
//! monitor (messages fell out of a full stream unjudged), and each becomes an event that people see.
//!
//! # Boxed futures
//!
//! An `async fn` is compiled in each crate that awaits it, and with it all of the client that it awaits in turn: the
//! executable held five copies. Whatever calls the client is therefore boxed, or runs in a task that a plain function
//! here starts.
//!
//! # An example
//!
//! ```no_run
//! use lictor_bus::{Bus, BusOptions, Consumer, IntakeOptions, Line, LineOutcome};
//! use lictor_wire::{Kind, topology::Topology};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = Bus::connect(BusOptions::new("nats://127.0.0.1:4222", Topology::default(), "evaluator")).await?;
//! let mut intake = bus.intake(Consumer::Judge(Kind::Process), IntakeOptions::default()).await?;
//! while let Some(delivery) = intake.next().await {
//!     let delivery = delivery?;
//!     let outcomes = delivery
//!         .lines
//!         .iter()
//!         .map(|line| match line.read() {
//!             Ok(Line::Event(event)) => LineOutcome::judged(judge(&event)),
//!             Ok(_) => LineOutcome::judged(Vec::new()),
//!             Err(bad) => bad.into(),
//!         })
//!         .collect();
//!     delivery.settle(outcomes).await?;
//! }
//! # Ok(()) }
//! # fn judge(_: &lictor_wire::Event) -> Vec<lictor_wire::Verdict> { Vec::new() }
//! ```

mod ack;
mod backoff;
mod buckets;
mod bus;
mod continuity;
mod cursor;
mod delivery;
mod error;
mod feed;
mod guarded;
mod headers;
mod installation;
mod intake;
mod isolation;
mod line;
mod log;
mod message;
mod offload;
mod pack;
mod policies;
mod policy_log;
mod presence;
mod pressure;
mod publish;
mod publisher;
mod servers;
mod time;
mod topology;

pub use backoff::Backoff;
pub use bus::{Bus, BusOptions};
pub use continuity::{ContinuityWatch, Gap};
pub use delivery::{Delivery, Fate, LineOutcome};
pub use error::{BusError, ConnectError};
pub use feed::{Feed, FeedItem};
pub use guarded::{GuardedLog, LogState, Record, WriteError, Written};
pub use headers::{ACKED, CONTENT_ENCODING, CONTENT_TYPE, EVENTS, Headers, MESSAGE_ID, ORIGIN};
pub use installation::{SetUp, SetUpError};
pub use intake::{Intake, IntakeOptions};
pub use lictor_wire::topology::{Bucket, Consumer, Stream};
pub use line::{BadLine, Line, LineText};
pub use log::{LogEntry, LogReader, ReadFrom};
pub use message::{MessageInfo, ParkedLine};
pub use pack::{UnpackError, unpack};
pub use policy_log::{PolicyLog, PolicyState, PolicyWrite};
pub use presence::new_presence;
pub use pressure::Pressure;
pub use publisher::{PreparedLine, PublishError, Publishable, Published, Publisher};
pub use servers::NatsUrl;
pub use topology::{ConsumerReport, Difference, StreamReport, TopologyReport};
