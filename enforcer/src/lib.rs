//! Decides what is done about a violation, and does it.
//!
//! Three steps, the first two pure: `plan` finds what a verdict asks for, `guard` decides whether it may be
//! done, and `role` publishes a receipt for what was decided and another for how it ended. Several enforcers
//! share the verdicts; what one decided the others read from the receipts, so limits count over all of them.
//!
//! Execution is a dry run: receipts say what would have been done, and that nothing was. This crate must not know
//! how a verdict came about.

mod guard;
mod history;
mod plan;
mod role;

pub use role::{Config, Summary, run};
