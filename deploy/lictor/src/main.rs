//! The lictor executable: one process, one match.

use clap::Parser;
use lictor::{Cli, Exit};

/// Events and models are many small texts made by one task and dropped by another; the system's allocator spends a
/// sixth of an evaluator's time on that.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> Exit {
    lictor::run(Cli::parse())
}
