//! The system tests: what needs two rooms, a real server, or the real executable.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test stops at the first surprise, and prints what it counted"
)]

mod admission;
mod chaos;
mod crossing;
mod demo;
mod full;
mod hostile;
mod house;
mod kills;
mod loss;
mod offline;
mod pack;
mod permissions;
mod policies;
mod present;
mod support;
mod threats;
mod twice;
mod up;

/// Tests that need the machine to themselves hold this: side by side they would measure each other.
static MACHINE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
