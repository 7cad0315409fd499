//! Decides what is done about a violation, and does it.
//!
//! Three steps, the first two pure: `plan` finds the actions that a verdict calls for, `guard` decides whether they may
//! be taken, by the `history` of what was decided lately, and `role` publishes a receipt for the decision and another
//! for the outcome. Several enforcers share the verdicts; each reads the receipts of the others, so that limits count
//! over all of them.
//!
//! Execution is a dry run: receipts say what would have been done, and that nothing was. This crate must not know
//! how a verdict came about.

mod guard;
mod history;
mod plan;
mod role;

pub use role::{Config, Summary, run};
