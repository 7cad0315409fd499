//! What can be typed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use lictor_wire::Kind;
use lictor_wire::topology::{Sizes, Topology};

use crate::exit::Failure;
use crate::telemetry::LogFormat;

/// Security policies for Kubernetes as an open event stream.
#[derive(Debug, Parser)]
#[command(name = "lictor", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// Format of the logs, which go to standard error.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "LICTOR_LOG_FORMAT",
        help_heading = "Logs"
    )]
    pub log_format: LogFormat,
    /// Log level: error, warn, info, debug, trace, or a filter in the syntax of `RUST_LOG`.
    #[arg(long, global = true, default_value = "warn", env = "LICTOR_LOG_LEVEL", help_heading = "Logs")]
    pub log_level: String,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run every role in one process, with a private nats-server unless one is given.
    ///
    /// It judges what its sources (--audit-webhook, --audit-log, --tetragon, --events, --manifests) give it, and what
    /// others publish. Without a source it waits for those.
    Up(Box<Up>),
    /// Convert data from external systems into events.
    Ingest {
        #[command(flatten)]
        nats: Nats,
        #[command(flatten)]
        config: lictor_ingest::Config,
    },
    /// Match events against policies; run as many as you like.
    Evaluator {
        #[command(flatten)]
        nats: Nats,
        #[command(flatten)]
        config: lictor_evaluator::Config,
    },
    /// Decide what to do about violations.
    #[command(args_conflicts_with_subcommands = true)]
    Enforcer {
        #[command(flatten)]
        nats: Nats,
        #[command(flatten)]
        config: lictor_enforcer::Config,
        #[command(subcommand)]
        job: Option<EnforcerJob>,
    },
    /// Keep alerts and receipts, and serve them through the API.
    #[command(
        mut_arg("store_data", |arg| arg.value_parser(folder())),
        mut_arg("store_listen", |arg| arg.value_parser(loopback)),
        mut_arg("replace_installation", |arg| arg.value_parser(installation)),
    )]
    Store {
        #[command(flatten)]
        nats: Nats,
        #[command(flatten)]
        config: lictor_store::Config,
    },
    /// Apply, list, lint, test, explain and compare policies.
    #[command(subcommand)]
    Policy(Policy),
    /// Judge what is about to be deployed, without a cluster; exits with 1 when a policy is violated.
    #[command(subcommand)]
    Check(Check),
    /// Judge recorded events from files; exits with 1 when a policy is violated.
    Replay(Replay),
    /// Follow the stream of events.
    #[command(subcommand)]
    Events(Events),
    /// Follow the stream of verdicts.
    #[command(subcommand)]
    Verdicts(Verdicts),
    /// Follow the stream of receipts.
    #[command(subcommand)]
    Receipts(Receipts),
    /// Report streams, roles, lag and problems; exits with 1 when a role cannot put a policy in force.
    Doctor {
        #[command(flatten)]
        nats: Nats,
        /// Output format.
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Set up NATS servers.
    #[command(subcommand)]
    Nats(NatsCommand),
    /// Write the completion script of a shell to standard output.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// `lictor nats`.
#[derive(Debug, Subcommand)]
pub(crate) enum NatsCommand {
    /// Write a nats-server configuration with a user for each role, least permissions and TLS.
    ///
    /// The folder then holds nats-server.conf, a private key for each role (ROLE.nk, for --nats-credentials), and the
    /// server's certificate with the authority that signed it (ca.pem, for --nats-ca). Keys and certificates that exist
    /// are kept.
    Config(NatsConfig),
}

/// `lictor nats config`.
#[derive(Debug, Args)]
pub(crate) struct NatsConfig {
    /// The folder to write.
    #[arg(long, value_name = "DIR", default_value = "lictor-nats")]
    pub(crate) out: PathBuf,
    /// The address that the server listens on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4222")]
    pub(crate) listen: std::net::SocketAddr,
    /// A DNS name or IP address by which clients reach the server; repeat for several.
    #[arg(long = "host", value_name = "HOST", default_values = ["127.0.0.1", "localhost"])]
    pub(crate) hosts: Vec<String>,
    /// The folder in which the server keeps its data.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/lictor/nats")]
    pub(crate) store_dir: PathBuf,
    /// The server's certificate, in place of one that is made.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// The prefix of every subject, stream and bucket.
    #[arg(long, env = "LICTOR_PREFIX", default_value = "lictor")]
    pub(crate) prefix: String,
}

/// What an enforcer can do apart from consuming verdicts.
#[derive(Debug, Subcommand)]
pub(crate) enum EnforcerJob {
    /// Run the validating admission webhook for the Kubernetes API server; it registers itself.
    Admission {
        #[command(flatten)]
        nats: Nats,
        #[command(flatten)]
        config: Box<lictor_admission::Config>,
    },
}

/// Where the bus is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Nats {
    /// The NATS server, 2.12 or newer.
    ///
    /// A user and password may precede the host: `nats://user:password@host`.
    #[arg(
        long,
        env = "LICTOR_NATS_URL",
        hide_env_values = true,
        default_value = "nats://127.0.0.1:4222",
        help_heading = "Bus"
    )]
    pub(crate) nats_url: String,
    #[command(flatten)]
    pub(crate) bus: BusArgs,
}

/// How the bus is used.
#[derive(Debug, Clone, Args)]
pub(crate) struct BusArgs {
    /// A NATS credentials file, or a file with the private nkey of a user.
    #[arg(long, env = "LICTOR_NATS_CREDENTIALS", value_name = "FILE", help_heading = "Bus")]
    pub(crate) nats_credentials: Option<PathBuf>,
    /// The certificates that may have signed the server's (PEM); without it those of the system.
    #[arg(long, env = "LICTOR_NATS_CA", value_name = "FILE", help_heading = "Bus")]
    pub(crate) nats_ca: Option<PathBuf>,
    /// Seconds to wait for the server before giving up.
    #[arg(long, default_value_t = 30, help_heading = "Bus")]
    pub(crate) nats_wait: u64,
    /// The prefix of every subject, stream and bucket.
    #[arg(long, env = "LICTOR_PREFIX", default_value = "lictor", help_heading = "Bus")]
    pub(crate) prefix: String,
    /// Maximum size of each event stream when it is created, in MiB.
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u64).range(1..), help_heading = "Bus")]
    pub(crate) event_mib: u64,
    /// Duplicate window of streams when they are created, in seconds.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..), hide = true)]
    pub(crate) duplicate_window: u64,
    /// Ack wait of the consumers, in seconds: a message without an acknowledgement or progress signal for this long is
    /// redelivered.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..), hide = true)]
    pub(crate) ack_wait: u64,
    /// Replicas of every stream when it is created: 1, 3 or 5.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5), help_heading = "Bus")]
    pub(crate) replicas: u8,
}

/// `lictor up`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// The demo: a shop under attack, from real event formats to violations and receipts.
    #[arg(long)]
    pub(crate) demo: bool,
    /// Exit with a summary when everything that was read is judged.
    #[arg(long)]
    pub(crate) once: bool,
    /// Directory for all data, `./lictor-data` by default; a demo keeps nothing without it.
    #[arg(long, env = "LICTOR_DATA", value_name = "DIR", value_parser = folder())]
    pub(crate) data: Option<PathBuf>,
    /// After NATS lost messages for good: read again what its streams hold; alerts stay.
    #[arg(long)]
    pub(crate) accept_loss: bool,
    /// After NATS lost its data for good: the ID of the lost installation, as the error names it.
    #[arg(long, value_name = "ID", value_parser = installation)]
    pub(crate) replace_installation: Option<String>,
    /// The NATS server to use instead of a private one.
    ///
    /// A private nats-server is started on a free loopback port. Its URL, for the `--nats-url` of other commands, is
    /// printed at the start.
    #[arg(long, env = "LICTOR_NATS_URL", hide_env_values = true, help_heading = "Bus")]
    pub(crate) nats_url: Option<String>,
    /// Policies to put in force at the start: a file, a folder, or a built-in set (default, pod-security-baseline,
    /// pod-security-restricted). Repeat the option for several.
    #[arg(long, value_name = "POLICIES")]
    pub(crate) policies: Vec<String>,
    /// How many evaluators run in this process.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(..=64), value_name = "N")]
    pub(crate) evaluators: u16,
    /// Listen address of the store's API; loopback only.
    #[arg(long, default_value = "127.0.0.1:8181", value_name = "ADDR", value_parser = loopback)]
    pub(crate) api: SocketAddr,
    /// Output format of violations and the summary.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) bus: BusArgs,
    #[command(flatten)]
    pub(crate) ingest: lictor_ingest::Config,
    #[command(flatten)]
    pub(crate) enforcer: lictor_enforcer::Config,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Check {
    /// Judge the workloads in manifests at the deploy stage.
    Deployment(CheckDeployment),
}

/// `lictor check deployment`.
#[derive(Debug, Args)]
pub(crate) struct CheckDeployment {
    /// Manifests: a file, a folder, or `-` for standard input; repeat the option for several.
    #[arg(short = 'f', long = "file", required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) judging: Judging,
    /// Which violations make the command exit with 1.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) fail_on: FailOn,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: ReportFormat,
}

/// Which policies judge files, and how.
#[derive(Debug, Args)]
pub(crate) struct Judging {
    /// A file or folder with policies, or a built-in set: default, pod-security-baseline, pod-security-restricted.
    /// Repeat the option for several.
    #[arg(long, value_name = "POLICIES", default_value = "default")]
    pub(crate) policies: Vec<String>,
    /// The cluster ID to use where the files do not contain one.
    #[arg(long, default_value = "local", value_name = "ID")]
    pub(crate) cluster: String,
    /// Judge exactly as StackRox does, without lictor's fixes.
    #[arg(long)]
    pub(crate) parity: bool,
}

/// What makes a check fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum FailOn {
    /// Any violation.
    #[default]
    Violation,
    /// A violation of a policy that enforces at this stage.
    Enforced,
}

/// Output formats of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ReportFormat {
    /// Human-readable.
    #[default]
    Table,
    /// Machine-readable.
    Json,
    /// JUnit XML, for CI systems: a suite for each workload, a case for each policy.
    Junit,
    /// SARIF 2.1.0, for code hosts.
    Sarif,
}

/// `lictor replay`.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Audit logs, Tetragon exports, lictor events, and manifests as context; `-` is standard input.
    ///
    /// Lictor events are what `lictor events tail -o json` prints. The format is detected from the content, and what is
    /// compressed with gzip is unpacked. Of a folder the files that end in `.json`, `.yaml` or `.yml` are read.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) judging: Judging,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// Output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Output {
    /// Human-readable.
    #[default]
    Table,
    /// Machine-readable.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Put policies in force, replacing those with the same id.
    Apply {
        /// Files and folders, or built-in sets: default, pod-security-baseline, pod-security-restricted.
        #[arg(required = true, value_name = "POLICIES")]
        policies: Vec<String>,
        #[command(flatten)]
        nats: Nats,
    },
    /// List the policies in force; with `-o json` as a StackRox export.
    List {
        #[command(flatten)]
        nats: Nats,
        /// Output format.
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Convert policies to a StackRox export or to SecurityPolicy resources, on standard output.
    Convert(PolicyConvert),
    /// Report everything that is wrong with policy files; exits with 1 when there are findings.
    Lint(PolicyLint),
    /// Run test cases written in YAML; exits with 1 when one fails.
    Test(PolicyTest),
    /// Explain why a policy matches an event or a workload, or why not.
    Explain(PolicyExplain),
    /// Compare two sets of policies by meaning, not by text; exits with 1 when they differ.
    Diff(PolicyDiff),
    /// Show the reference of the policy language.
    Criteria {
        /// One criterion, such as `Process Name`.
        name: Option<String>,
        /// Output format.
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// What other tools call what `list -o json` and `convert` do.
    #[command(hide = true)]
    Export {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        rest: Vec<String>,
    },
    /// Delete policies that are in force: all that are named, or none.
    Delete {
        /// The policies' IDs, as `lictor policy list` shows them.
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        #[command(flatten)]
        nats: Nats,
    },
}

/// `lictor policy convert`.
#[derive(Debug, Args)]
pub(crate) struct PolicyConvert {
    /// Files and folders, or built-in sets: default, pod-security-baseline, pod-security-restricted.
    #[arg(required = true, value_name = "POLICIES")]
    pub(crate) policies: Vec<String>,
    /// The form.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) to: PolicyForm,
}

/// A form of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum PolicyForm {
    /// StackRox's export: JSON.
    #[default]
    Json,
    /// SecurityPolicy custom resources: YAML, one document per policy.
    Resource,
}

/// `lictor policy lint`.
#[derive(Debug, Args)]
pub(crate) struct PolicyLint {
    /// Files and folders, or built-in sets: default, pod-security-baseline, pod-security-restricted.
    #[arg(required = true, value_name = "POLICIES")]
    pub(crate) policies: Vec<String>,
    /// Output format; json is one object per line.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// `lictor policy test`.
#[derive(Debug, Args)]
pub(crate) struct PolicyTest {
    /// Files of cases, or folders with them.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The policies that the test cases refer to by name or ID; repeat the option for several files.
    #[arg(long, value_name = "POLICIES")]
    pub(crate) policies: Vec<String>,
    /// Judge exactly as StackRox does, without lictor's fixes.
    #[arg(long)]
    pub(crate) parity: bool,
    /// List the entries of the test cases' `covers:` fields.
    #[arg(long)]
    pub(crate) covered: bool,
    /// Output format; json is one object per case.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// `lictor policy explain`.
#[derive(Debug, Args)]
pub(crate) struct PolicyExplain {
    /// The policy, by name or id.
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: String,
    /// The event or workload to explain: a file with one document, or `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) event: PathBuf,
    /// Further facts: manifests, facts about images, labels of namespaces.
    #[arg(long, value_name = "FILE")]
    pub(crate) given: Vec<PathBuf>,
    /// A file, folder or built-in set in which to look up the policy; repeat the option for several.
    #[arg(long, value_name = "POLICIES", default_value = "default")]
    pub(crate) policies: Vec<String>,
    /// Judge exactly as StackRox does, without lictor's fixes.
    #[arg(long)]
    pub(crate) parity: bool,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// `lictor policy diff`.
#[derive(Debug, Args)]
pub(crate) struct PolicyDiff {
    /// The old policies: a file, a folder, or a built-in set.
    #[arg(value_name = "OLD")]
    pub(crate) old: String,
    /// The new policies.
    #[arg(value_name = "NEW")]
    pub(crate) new: String,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Events {
    /// Follow events until Ctrl-C.
    ///
    /// Each kind has a stream of its own; events are shown in the order of their streams, so times may jump back.
    Tail {
        #[command(flatten)]
        nats: Nats,
        #[command(flatten)]
        tail: TailArgs,
        /// Only events of this kind; may be repeated.
        #[arg(long, value_name = "KIND")]
        kind: Vec<Kind>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verdicts {
    /// Follow verdicts until Ctrl-C.
    Tail {
        #[command(flatten)]
        nats: Nats,
        #[command(flatten)]
        tail: TailArgs,
        /// Also show verdicts without a violation.
        #[arg(long)]
        clean: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Receipts {
    /// Follow receipts until Ctrl-C.
    Tail {
        #[command(flatten)]
        nats: Nats,
        #[command(flatten)]
        tail: TailArgs,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct TailArgs {
    /// Start with the oldest message still in the stream instead of with new messages.
    #[arg(long)]
    pub(crate) all: bool,
    /// Only this namespace.
    #[arg(long, short)]
    pub(crate) namespace: Option<String>,
    /// Stop after this many messages.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Output format; json is one object per line.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

impl From<Output> for ReportFormat {
    fn from(output: Output) -> Self {
        match output {
            Output::Table => Self::Table,
            Output::Json => Self::Json,
        }
    }
}

impl BusArgs {
    /// The table these flags describe.
    pub(crate) fn topology(&self) -> Result<Topology, Failure> {
        let sizes = Sizes {
            event_bytes: self.event_mib.saturating_mul(1024 * 1024),
            duplicate_window: Duration::from_secs(self.duplicate_window),
            ack_wait: Duration::from_secs(self.ack_wait),
            replicas: self.replicas,
            ..Sizes::default()
        };
        Topology::new(&self.prefix, sizes).map_err(Failure::usage)
    }
}

/// A folder that is there or may be made.
fn folder() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match std::fs::metadata(&path) {
        Ok(found) if !found.is_dir() => Err("it is not a directory"),
        _ => Ok(path),
    })
}

/// An address that only this machine reaches.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|error: std::net::AddrParseError| error.to_string())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("other machines could reach the API, which has no authentication; use 127.0.0.1".to_owned())
    }
}

/// The ID of an installation, as stores make them.
fn installation(text: &str) -> Result<String, String> {
    let is_id = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_id {
        Ok(text.to_owned())
    } else {
        Err("an installation's ID is 32 digits and letters from a to f; a store that refuses to start names it".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    /// What cannot work is a wrong command line, of a store as of `up`.
    #[test]
    fn values_that_cannot_work_are_refused() {
        let id = "0123456789abcdef0123456789abcdef";
        let parse = |args: &[&str]| Cli::try_parse_from([&["lictor"], args].concat()).map(drop);
        for (store, up, good, bad) in [
            ("--listen", "--api", "127.0.0.1:8181", &["0.0.0.0:8181", "8181", ""][..]),
            (
                "--replace-installation",
                "--replace-installation",
                id,
                &["x", "", "0123456789ABCDEF0123456789ABCDEF"],
            ),
            ("--data", "--data", "/nowhere/yet", &["/dev/null"]),
        ] {
            for (role, option) in [("store", store), ("up", up)] {
                assert!(parse(&[role, option, good]).is_ok(), "{role} {option} {good}");
                for bad in bad {
                    let error = parse(&[role, option, bad]).unwrap_err();
                    assert_eq!(
                        error.exit_code(),
                        i32::from(crate::Exit::Usage.code()),
                        "{role} {option} {bad}"
                    );
                }
            }
        }
    }
}
