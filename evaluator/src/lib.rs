//! Moves events through detection.
//!
//! An evaluator pulls events, has each judged with the state of the cluster and the policies in force, publishes
//! verdicts, and only then acknowledges the event. It keeps nothing it cannot rebuild: the state and the policies are
//! read again at every start. Run as many as you like; they share the work message by message.
//!
//! Follow one event: `follow` keeps the state of the cluster and the policies up to date; `role` is the loop that takes
//! events, hands them to [`lictor_detection`] and settles them. This crate must not know where events come from, nor what
//! is done about verdicts.

mod follow;
mod role;

pub use role::{Config, EvaluatorError, Summary, run};
