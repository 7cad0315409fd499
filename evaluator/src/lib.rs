//! Moves events through the engine.
//!
//! An evaluator pulls events, joins each with what it knows of the cluster, asks the policies in force, publishes
//! verdicts, and only then lets go of the event. It keeps nothing it cannot rebuild: views of the buckets and the
//! policies are read anew at every start. Run as many as you like; they share the work message by message.
//!
//! Follow one event: [`follow`] keeps the state of the cluster and the policies up to date; [`judge`] turns one event into verdicts
//! and a fate; [`role`] is the loop around them. This crate must not know where events come from, nor what is done
//! about verdicts.

pub mod follow;
pub mod judge;
pub mod role;

pub use role::{Config, EvaluatorError, Summary, run};
