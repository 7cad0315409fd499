//! The lictor executable: one process, one match.

use clap::Parser;
use lictor::{Cli, Exit};

/// Events and models are many small texts made by one task and dropped by another; the system's allocator spends a
/// sixth of an evaluator's time on that.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> Exit {
    // Policies, alerts and the private NATS server's files are for the user who runs this; its children inherit it.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    lictor::run(Cli::parse())
}
