//! The sources: bytes come in from outside, events go out on the bus.
//!
//! Whatever comes in takes the same path. A source (a file, the API server's audit webhook, a folder of manifests)
//! gives text; `lictor-normalize` makes events of it whose ids come from the source's own; the publisher resolves
//! when the stream has them; only then does the source get its answer or its checkpoint. A crash anywhere repeats a
//! piece of that path, and the ids make the repeat harmless.
//!
//! What does not parse becomes a dead letter with its file and line, and its neighbours are not affected. When
//! evaluators fall behind, the sources wait: files are not read on, the webhook answers 429.

mod config;
mod counts;
mod error;
#[cfg(test)]
mod fake;
mod file;
pub mod files;
mod forward;
mod lines;
mod manifests;
mod outlet;
mod reading;
mod recent;
mod role;
mod webhook;

pub use config::Config;
pub use counts::Summary;
pub use error::IngestError;
pub use role::run;
