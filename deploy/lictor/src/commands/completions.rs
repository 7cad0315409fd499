//! `lictor completions`

use clap::CommandFactory;

use crate::cli::Cli;
use crate::exit::{Exit, Failure};

pub(super) fn run(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lictor", &mut script);
    crate::text::line(&String::from_utf8_lossy(&script));
    Ok(Exit::Fine)
}
