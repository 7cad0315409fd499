//! One file per command; here they are only dispatched.

mod check;
mod completions;
mod doctor;
mod nats;
mod policy;
mod replay;
mod roles;
mod summary;
mod tail;
mod up;

use lictor_bus::{Bus, BusError, BusOptions, ConnectError, NatsUrl, SetUpError};
use lictor_ingest::IngestError;
use lictor_store::StoreError;
use lictor_wire::topology::Role;

use crate::cli::{BusArgs, Command, EnforcerJob, Nats, NatsCommand};
use crate::exit::{Exit, Failure};

/// What the URL of a NATS server begins with.
const SCHEMES: [&str; 4] = ["nats", "tls", "ws", "wss"];

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
        Command::Nats(NatsCommand::Config(options)) => nats::config(&options),
        Command::Completions { shell } => completions::run(shell),
    }
}

/// Connects in a role, under a name that the server's own tools show.
async fn connect(nats: &Nats, role: Role, name: &str) -> Result<Bus, Failure> {
    connect_to(&nats.nats_url, &nats.bus, role, name).await
}

fn options(url: &str, args: &BusArgs, role: Role, name: &str) -> Result<BusOptions, Failure> {
    let schemes = url.split(',').filter_map(|server| Some(server.trim().split_once("://")?.0));
    if let Some(other) = schemes.into_iter().find(|scheme| !SCHEMES.contains(scheme)) {
        let failure = Failure::usage(format!("a NATS server has no URL that begins with `{other}://`"));
        return Err(failure.hint("write nats://HOST:PORT, or tls://HOST:PORT"));
    }
    Ok(BusOptions {
        url: NatsUrl::new(url),
        topology: args.topology()?,
        role,
        name: name.to_owned(),
        credentials: args.nats_credentials.clone(),
        ca: args.nats_ca.clone(),
        connect_timeout: std::time::Duration::from_secs(args.nats_wait),
    })
}

async fn connect_to(url: &str, args: &BusArgs, role: Role, name: &str) -> Result<Bus, Failure> {
    Bus::connect(options(url, args, role, name)?).await.map_err(unconnected)
}

/// Connects to a server on which nothing may exist yet.
async fn open(url: &str, args: &BusArgs, role: Role, name: &str) -> Result<Bus, Failure> {
    Bus::open(options(url, args, role, name)?).await.map_err(unconnected)
}

fn unconnected(error: ConnectError) -> Failure {
    let hint = connect_hint(&error);
    Failure::unreachable(error).hint(hint)
}

const fn connect_hint(error: &ConnectError) -> &'static str {
    match error {
        ConnectError::Topology(BusError::InsufficientStorage { .. }) => {
            "give the server more storage (max_file_store), or make smaller streams with --event-mib"
        }
        ConnectError::Unauthorized { .. } | ConnectError::Credentials { .. } => {
            "check the user and password in --nats-url, or the file of --nats-credentials"
        }
        ConnectError::SeveralUsers { .. } => "name the same user for every server, or only once",
        ConnectError::Different { .. } => {
            "if another installation uses these streams, choose another --prefix; their names have it in upper \
             case, and `-` as `_`"
        }
        ConnectError::NotSetUp { .. } => {
            "start `lictor store`, which creates the streams, or use `lictor up`"
        }
        _ => "start nats-server 2.12 or newer with JetStream and name it with --nats-url, or use `lictor up`",
    }
}

fn not_ingested(error: IngestError) -> Failure {
    let hint = error.hint();
    let failure = match &error {
        IngestError::NoSource | IngestError::NotLoopback(_) => Failure::usage(error),
        IngestError::Read { .. } => Failure::invalid_input(error),
        IngestError::Bind(_) | IngestError::Refused { .. } | IngestError::Part(_) => {
            Failure::unreachable(error)
        }
    };
    failure.hint(hint)
}

/// Sets the installation up, as a store does.
async fn set_up(config: &lictor_store::Config, bus: &Bus) -> Result<(), Failure> {
    lictor_store::set_up(config, bus).await.map_err(store_failure)
}

/// Why a store could not start, or ended.
fn store_failure(error: StoreError) -> Failure {
    let hint = match &error {
        StoreError::SetUp(SetUpError::Connect(error)) => connect_hint(error).to_owned(),
        StoreError::SetUp(SetUpError::Lost { known }) => format!(
            "check --nats-url, or restore the server's data; if it is lost for good, start the store once with \
             --replace-installation {known}"
        ),
        StoreError::SetUp(SetUpError::Other { known, .. }) => format!(
            "check --nats-url and --data; if the log of {known} is lost for good, start the store once with \
             --replace-installation {known}"
        ),
        StoreError::SetUp(SetUpError::NotLost { .. } | SetUpError::NotKnown { .. }) => {
            "start the store without --replace-installation".to_owned()
        }
        _ => String::new(),
    };
    Failure::unreachable(error).hint(hint)
}
