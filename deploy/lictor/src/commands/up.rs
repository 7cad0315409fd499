//! `lictor up`: every role in one process.
//!
//! Life: lay out the data, start the server, put policies in force, start store, evaluators and enforcer, let the
//! outside in, show what happens, and on a signal (or with `--once`, when everything is judged) stop in the same
//! order: the sources first, the store last, so that nothing acknowledged is left unseen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lictor_bus::{Bus, NatsUrl, ReadFrom};
use lictor_ingest::IngestError;
use lictor_wire::topology::{Role, Stream};
use lictor_wire::{ClusterId, Receipt, Verdict};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::summary::Summary;
use crate::cli::{Output, Up};
use crate::demo::Demo;
use crate::exit::{Exit, Failure};
use crate::nats::PrivateServer;
use crate::{shutdown, text};

/// The demo's cluster: the uid of its namespace `kube-system`.
const DEMO_CLUSTER: &str = "2254f6b9-b43f-409c-97a3-42eaa009358a";
/// Where everything is kept by default.
const DATA: &str = "lictor-data";
/// How often it is looked at whether everything is judged.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often progress is reported.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// How long a role may take to stop before it is left behind.
const STOP_WITHIN: Duration = Duration::from_secs(30);

pub(super) async fn run(options: Up) -> Result<Exit, Failure> {
    check_sources(&options)?;
    let stop = shutdown::on_signal();
    let place = Place::choose(&options)?;
    let server = match &options.nats_url {
        Some(_) => None,
        None => Some(PrivateServer::start(&place.folder.join("nats")).await.map_err(|error| {
            let hint = error.hint();
            Failure::unreachable(error).hint(hint)
        })?),
    };
    let ended = everything(&options, &place, server.as_ref(), &stop).await;
    if let Some(server) = server {
        server.stop().await;
    }
    ended
}

/// What is read is checked before anything is started. There may be no source, and the demo has its own.
fn check_sources(options: &Up) -> Result<(), Failure> {
    match options.ingest.check() {
        Err(IngestError::NoSource) => Ok(()),
        Err(IngestError::Read { .. }) if options.demo => Ok(()),
        checked => checked.map_err(super::not_ingested),
    }
}

/// Where everything is kept; a demo that nobody gave a place leaves nothing behind.
struct Place {
    folder: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Place {
    fn choose(options: &Up) -> Result<Self, Failure> {
        match &options.data {
            Some(folder) => Ok(Self { folder: folder.clone(), _temporary: None }),
            None if options.demo => {
                let folder = tempfile::Builder::new().prefix("lictor-demo-").tempdir();
                let folder =
                    folder.map_err(|error| Failure::unreachable(format!("no temporary folder: {error}")))?;
                Ok(Self { folder: folder.path().to_owned(), _temporary: Some(folder) })
            }
            None => Ok(Self { folder: DATA.into(), _temporary: None }),
        }
    }

    fn store(&self) -> PathBuf {
        self.folder.join("store")
    }
}

async fn everything(
    options: &Up,
    place: &Place,
    server: Option<&PrivateServer>,
    stop: &CancellationToken,
) -> Result<Exit, Failure> {
    let demo =
        options.demo.then(|| Demo::write_files(&place.folder.join("demo"), Timestamp::now())).transpose();
    let demo = demo.map_err(Failure::unreachable)?;
    let demo = demo.as_ref();
    let url = server.map(PrivateServer::url).or(options.nats_url.as_deref()).unwrap_or_default().to_owned();
    let connect = |name: &'static str| {
        let url = url.clone();
        async move { super::connect_to(&url, &options.bus, Role::Up, name).await }
    };
    let store = lictor_store::Config {
        data: place.store(),
        listen: api_address(options),
        accept_loss: options.accept_loss,
        replace_installation: options.replace_installation.clone(),
    };
    let bus = super::open(&url, &options.bus, Role::Up, "lictor-up").await?;
    super::set_up(&store, &bus).await?;
    put_policies(&bus, options, demo).await?;

    let began = Instant::now();
    let mut roles = Roles::default();
    let mut buses = vec![bus.clone()];
    let listener = store.bind().await.map_err(|error| {
        Failure::unreachable(error).hint("another lictor may run here; choose another address with --api")
    })?;
    let health = Arc::new(lictor_store::Health::default());
    let (store_bus, store_health) = (bus.clone(), Arc::clone(&health));
    roles.start("store", |stop| async move {
        let ended = lictor_store::run(&store, store_bus, listener, store_health, &stop).await;
        ended.map_err(super::store_failure)
    });
    for _ in 0..options.evaluators {
        let bus = connect("lictor-evaluator").await?;
        buses.push(bus.clone());
        let config = lictor_evaluator::Config::default();
        roles.start("evaluator", |stop| async move {
            lictor_evaluator::run(config, bus, stop).await.map_err(Failure::unreachable)
        });
    }
    let enforcer = connect("lictor-enforcer").await?;
    buses.push(enforcer.clone());
    let config = options.enforcer.clone();
    roles.start("enforcer", |stop| async move { Ok(lictor_enforcer::run(config, enforcer, stop).await) });
    let live =
        (options.output == Output::Table || !options.once).then(|| show_live(bus.clone(), options.output));
    if !options.once {
        text::note(&format!(
            "NATS at {}, API at http://{}/v1/alerts; Ctrl-C stops",
            NatsUrl::new(url.as_str()),
            api_address(options)
        ));
    }

    let sources = sources(options, demo);
    if sources.is_empty() && !options.once {
        text::note("no source is named: events come from other programs, or from `lictor ingest`");
    }
    let mut published = BTreeMap::new();
    for config in sources {
        let summary = lictor_ingest::run(config, bus.clone(), stop.clone()).await;
        for (kind, count) in summary.map_err(Failure::unreachable)?.published {
            *published.entry(kind.to_string()).or_insert(0) += count;
        }
        if let Some(failed) = roles.failed().await {
            return Err(failed);
        }
    }
    if options.once {
        wait_until_judged(&bus, &mut roles, stop).await?;
        wait_until_stored(&bus, &health, &mut roles, stop).await?;
    } else {
        tokio::select! {
            () = stop.cancelled() => {}
            failed = roles.any_failed() => return Err(failed),
        }
        text::note("stopping");
    }
    let took = began.elapsed();
    let failed = roles.stop().await;
    if let Some(live) = live {
        live.abort();
    }
    for bus in buses {
        bus.drain().await;
    }
    if let Some(failed) = failed {
        return Err(failed);
    }
    if options.once {
        let summary = Summary::gather(&place.store(), published, took)?;
        summary.show(options.output)?;
    }
    Ok(if stop.is_cancelled() && options.once { Exit::Unreachable } else { Exit::Fine })
}

/// With `--once` nobody calls the API, and several may run at once.
fn api_address(options: &Up) -> std::net::SocketAddr {
    if options.once { std::net::SocketAddr::from(([127, 0, 0, 1], 0)) } else { options.api }
}

/// What is let in, one after the other. The demo's late manifests come when its events wait for them.
fn sources(options: &Up, demo: Option<&Demo>) -> Vec<lictor_ingest::Config> {
    let given = &options.ingest;
    let Some(demo) = demo else {
        // Without a source it still runs: others may let events in.
        return if given.has_source() { vec![given.clone()] } else { Vec::new() };
    };
    let base = lictor_ingest::Config { cluster: ClusterId::new(DEMO_CLUSTER), ..options.ingest.clone() };
    vec![
        lictor_ingest::Config { manifests: vec![demo.manifests()], ..base.clone() },
        lictor_ingest::Config {
            audit_log: vec![demo.audit_log()],
            tetragon: vec![demo.tetragon()],
            ..base.clone()
        },
        lictor_ingest::Config { manifests: vec![demo.late_manifests()], ..base },
    ]
}

async fn put_policies(bus: &Bus, options: &Up, demo: Option<&Demo>) -> Result<(), Failure> {
    let mut names = options.policies.clone();
    names.extend(demo.map(|demo| demo.policies().display().to_string()));
    let policies = super::policy::read(&names)?;
    // What is in force already stays as it is: a restart is not an edit.
    super::policy::write_changed(bus, super::policy::put(policies)?).await?;
    Ok(())
}

/// Waits until nothing waits: every event judged, every verdict answered and stored.
async fn wait_until_judged(bus: &Bus, roles: &mut Roles, stop: &CancellationToken) -> Result<(), Failure> {
    let mut reported = Instant::now();
    while !stop.is_cancelled() {
        if let Some(failed) = roles.failed().await {
            return Err(failed);
        }
        let report = bus.report().await.map_err(Failure::unreachable)?;
        let waiting: u64 =
            report.consumers.iter().map(|consumer| consumer.pending + consumer.in_flight).sum();
        if waiting == 0 {
            return Ok(());
        }
        if reported.elapsed() > REPORT_EVERY {
            text::note(&format!("{waiting} messages are not judged or acknowledged yet"));
            reported = Instant::now();
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Waits until the store has read everything there is, as its health says.
async fn wait_until_stored(
    bus: &Bus,
    health: &lictor_store::Health,
    roles: &mut Roles,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let mut wanted = Vec::new();
    for stream in [Stream::Verdicts, Stream::Receipts, Stream::DeadLetters] {
        let last = bus.last_sequence(stream).await.map_err(Failure::unreachable)?;
        wanted.push((bus.topology().stream_name(stream), last));
    }
    while !stop.is_cancelled() {
        if let Some(failed) = roles.failed().await {
            return Err(failed);
        }
        let logs = health.report().logs;
        let stored = |(name, last): &(String, u64)| {
            logs.values().any(|log| log.stream == *name && log.checkpoint >= *last)
        };
        if wanted.iter().all(stored) {
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Violations and receipts as they come.
fn show_live(bus: Bus, output: Output) -> JoinHandle<()> {
    tokio::spawn(async move {
        if output == Output::Table {
            text::table_head();
        }
        let mut verdicts = bus.read(Stream::Verdicts, ReadFrom::New, false);
        let mut receipts = bus.read(Stream::Receipts, ReadFrom::New, false);
        loop {
            let (entry, verdict) = tokio::select! {
                entry = verdicts.next() => (entry, true),
                entry = receipts.next() => (entry, false),
            };
            let Some(Ok(entry)) = entry else { continue };
            let Ok(body) = entry.body() else { continue };
            match output {
                Output::Json => text::line(&String::from_utf8_lossy(&body)),
                Output::Table if verdict => {
                    let Ok(verdict) = serde_json::from_slice::<Verdict>(&body) else { continue };
                    for violation in &verdict.violations {
                        text::violation_row(&verdict, violation);
                    }
                }
                Output::Table => {
                    let Ok(receipt) = serde_json::from_slice::<Receipt>(&body) else { continue };
                    text::receipt_row(&receipt);
                }
            }
            if !text::flush() {
                break;
            }
        }
    })
}

/// Roles that run, in the order they were started; they are stopped the other way round.
#[derive(Default)]
struct Roles(Vec<RunningRole>);

struct RunningRole {
    name: &'static str,
    stop: CancellationToken,
    task: JoinHandle<Result<(), Failure>>,
}

impl Roles {
    fn start<F, T>(&mut self, name: &'static str, run: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let running = run(stop.clone());
        let task = tokio::spawn(async move { running.await.map(|_| ()) });
        self.0.push(RunningRole { name, stop, task });
    }

    /// The first role that has ended with a failure.
    async fn failed(&mut self) -> Option<Failure> {
        let ended = self.0.iter().position(|role| role.task.is_finished())?;
        let role = self.0.remove(ended);
        Some(role.ended().await)
    }

    async fn any_failed(&mut self) -> Failure {
        loop {
            if let Some(failed) = self.failed().await {
                return failed;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn stop(self) -> Option<Failure> {
        let mut failed = None;
        for role in self.0.into_iter().rev() {
            role.stop.cancel();
            match tokio::time::timeout(STOP_WITHIN, role.task).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(failure))) => failed = Some(failure.of(role.name)),
                Ok(Err(error)) => failed = Some(Failure::unreachable(format!("{}: {error}", role.name))),
                Err(_) => tracing::warn!(role = role.name, "did not stop in time"),
            }
        }
        failed
    }
}

impl RunningRole {
    async fn ended(self) -> Failure {
        let failure = match self.task.await {
            Ok(Ok(())) => Failure::unreachable("ended by itself"),
            Ok(Err(failure)) => failure,
            Err(error) => Failure::unreachable(error),
        };
        failure.of(self.name)
    }
}

/// A store's folder, for whoever looks into it after it was closed.
pub(super) fn ledger_file(store: &Path) -> PathBuf {
    store.join("ledger.redb")
}
