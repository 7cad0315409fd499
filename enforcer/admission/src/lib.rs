//! The validating admission webhook: the API server asks before it acts.
//!
//! A review goes one way: `exempt` (whose requests are not held up), `harmless` (what is never denied),
//! `owner` (whether the judgement of another object stands for this one), the engine, `decide` (what a verdict
//! means for yes or no), `break_glass`, `answer`. Those are pure; `reviewer` strings them together with what
//! `lookup` and `images` know. What was judged is published by `recorder`; no answer waits for that.
//!
//! Its identity is one `certificate` for all replicas, in one Secret; `rotation` decides what is changed about it
//! and when, `registration` says what the API server is told, `lease` decides which replica writes, and
//! `keeper` does what these decide.
//!
//! It works without the bus: by the policies it read last, of which a copy is kept on disk. What is not known is
//! said, and the installation says whether that denies.
//!
//! This crate must not know how to write to Kubernetes: `lictor-cluster` does.

mod answer;
mod break_glass;
mod certificate;
mod decide;
mod exempt;
mod follow;
mod harmless;
mod http;
mod images;
mod keeper;
mod lease;
mod lookup;
mod owner;
mod policies;
mod recorder;
mod registration;
mod reviewer;
mod role;
mod rotation;
mod settings;

pub use reviewer::Summary;
pub use role::{AdmissionError, Config, run};
