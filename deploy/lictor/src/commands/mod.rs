//! One file per command; here they are only dispatched.

mod check;
mod completions;
mod doctor;
mod policy;
mod replay;
mod roles;
mod summary;
mod tail;
mod up;

use lictor_bus::{Bus, BusError, BusOptions, ConnectError, NatsUrl};

use crate::cli::{BusArgs, Command, EnforcerJob, Nats};
use crate::exit::{Exit, Failure};

pub(crate) async fn run(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Up(options) => up::run(*options).await,
        Command::Ingest { nats, config } => roles::ingest(nats, config).await,
        Command::Evaluator { nats, config } => roles::evaluator(nats, config).await,
        Command::Enforcer { job: Some(EnforcerJob::Admission { nats, config }), .. } => {
            roles::admission(nats, *config).await
        }
        Command::Enforcer { nats, config, job: None } => roles::enforcer(nats, config).await,
        Command::Store { nats, config } => roles::store(nats, config).await,
        Command::Policy(command) => policy::run(command).await,
        Command::Check(command) => check::run(command),
        Command::Replay(options) => replay::run(&options),
        Command::Events(command) => tail::events(command).await,
        Command::Verdicts(command) => tail::verdicts(command).await,
        Command::Receipts(command) => tail::receipts(command).await,
        Command::Doctor { nats, output } => doctor::run(nats, output).await,
        Command::Completions { shell } => completions::run(shell),
    }
}

/// Connects as `name`.
async fn connect(nats: &Nats, name: &str) -> Result<Bus, Failure> {
    connect_to(&nats.nats_url, &nats.bus, name).await
}

fn options(url: &str, args: &BusArgs, name: &str) -> Result<BusOptions, Failure> {
    Ok(BusOptions {
        url: NatsUrl::new(url),
        topology: args.topology()?,
        name: name.to_owned(),
        credentials: args.nats_credentials.clone(),
        connect_timeout: std::time::Duration::from_secs(args.nats_wait),
    })
}

async fn connect_to(url: &str, args: &BusArgs, name: &str) -> Result<Bus, Failure> {
    Bus::connect(options(url, args, name)?).await.map_err(|error| {
        let hint = match &error {
            ConnectError::Topology(BusError::InsufficientStorage { .. }) => {
                "give the server more storage (max_file_store), or make smaller streams with --event-mib"
            }
            ConnectError::Unauthorized { .. } | ConnectError::Credentials { .. } => {
                "check the user and password in --nats-url, or the file of --nats-credentials"
            }
            ConnectError::SeveralUsers { .. } => "name the same user for every server, or only once",
            _ => "start nats-server 2.12 or newer with JetStream and name it with --nats-url, or use `lictor up`",
        };
        Failure::unreachable(error).hint(hint)
    })
}
