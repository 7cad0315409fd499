//! The validating admission webhook: the API server asks before it acts.
//!
//! A review passes `exempt` (whose requests are not judged), `harmless` (what is never denied), `owner` (whether the
//! judgement of its owner covers an object), the engine, `decide` (whether a verdict denies), `break_glass` and
//! `answer`. Those are pure; `reviewer` calls them in turn with what `lookup` and `images` read. `recorder` publishes
//! what was judged; no response waits for that.
//!
//! All replicas serve one `certificate`, from one Secret; `rotation` decides what is changed about it and when,
//! `registration` how the webhook is registered, `lease` which replica writes, and `controller` does what they decide.
//!
//! It works without the bus, with the policies that it read last, of which a copy is kept on disk. A missing fact is
//! named in the response, and `--when-unknown` says whether it denies.
//!
//! This crate must not know how to write to Kubernetes: `lictor-cluster` does.

mod answer;
mod break_glass;
mod certificate;
mod controller;
mod decide;
mod exempt;
mod follow;
mod harmless;
mod http;
mod images;
mod lease;
mod lookup;
mod owner;
mod policies;
mod receive;
mod recorder;
mod registration;
mod reviewer;
mod role;
mod rotation;
mod settings;

pub use reviewer::Summary;
pub use role::{AdmissionError, Config, run};
