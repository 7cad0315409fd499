//! The lictor executable, as a library so that tests can reach its parts.
//!
//! Everything that knows about more than one role is here: the command line, how roles are wired together, logs,
//! exit codes, the private nats-server, the demo. [`run`] is the life of the process: read the command line, start
//! logging, run one command until it ends or is stopped, say how it ended.

mod cli;
mod commands;
mod demo;
mod exit;
mod files;
mod nats;
mod offline;
mod report;
mod shutdown;
mod telemetry;
mod text;

pub use cli::Cli;
pub use demo::{Demo, DemoError};
pub use exit::{Exit, Failure};
pub use nats::{PrivateServer, PrivateServerError, SERVER_VARIABLE};
pub use telemetry::LogFormat;

/// Runs the program.
pub fn run(cli: Cli) -> Exit {
    telemetry::start(cli.log_format, &cli.log_level);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return tell(&Failure::unreachable(format!("the asynchronous runtime did not start: {error}")));
        }
    };
    let exit = match runtime.block_on(commands::run(cli.command)) {
        Ok(exit) => exit,
        Err(failure) => tell(&failure),
    };
    // Whatever the command found, its reader has not seen all of it.
    text::unwritten().map_or(exit, |failure| tell(&failure))
}

/// Says what went wrong where people look for it, apart from what the command printed.
fn tell(failure: &Failure) -> Exit {
    text::error(failure);
    failure.exit
}
