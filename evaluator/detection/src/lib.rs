//! Detection: joins an event with the state of the cluster and the policies in force.
//!
//! This crate does no I/O and reads no clock: what is known of the cluster is put in, and what time it is comes with
//! each question. It must not know where events come from, who publishes verdicts, or how anything is acknowledged.

mod packed;
pub mod views;
