//! The lictor executable: one process, one match.

use clap::Parser;
use lictor::{Cli, Exit};

fn main() -> Exit {
    lictor::run(Cli::parse())
}
