//! The role's life: check, bind, say where, read, stop, drain.

use std::time::Duration;

use futures_util::future::BoxFuture;
use lictor_bus::{Bus, Publisher, new_presence};
use lictor_normalize::Format;
use lictor_serve::Handles;
use lictor_wire::Presence;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::counts::Summary;
use crate::file::{self, FileSource};
use crate::forward::Forward;
use crate::outlet::{BusOutlet, Outlet};
use crate::{IngestError, manifests, webhook};

/// How long what is under way may take once the role is to stop; what is not acknowledged then is read again at the
/// next start. Ten seconds less than Kubernetes gives a pod.
const DRAIN: Duration = Duration::from_secs(20);

/// Reads every source until it ends, or until `stop`. A webhook and a followed file never end by
/// themselves.
///
/// # Errors
/// When the configuration cannot work, an address cannot be bound, a file cannot be opened, or the bus refuses a fact.
/// What was acknowledged stays; a new start goes on from the checkpoints.
pub fn run(
    config: Config,
    bus: Bus,
    stop: CancellationToken,
) -> BoxFuture<'static, Result<Summary, IngestError>> {
    Box::pin(run_until(config, bus, stop))
}

async fn run_until(config: Config, bus: Bus, stop: CancellationToken) -> Result<Summary, IngestError> {
    config.check()?;
    let producer = format!("ingest-{}", config.cluster);
    let publisher = Publisher::start(bus.clone(), &producer).await.map_err(|error| IngestError::Refused {
        what: "a publisher".to_owned(),
        reason: error.to_string(),
    })?;
    let forward = Forward::new(BusOutlet { bus: bus.clone(), publisher: publisher.clone() });
    let counts = forward.counts.clone();
    let refresh = move |who: &mut Presence| who.counts = counts.summary().totals();
    let ended = CancellationToken::new();
    let reading = async {
        let summary = read_all(config, forward, stop.child_token()).await;
        ended.cancel();
        summary
    };
    let (summary, ()) =
        tokio::join!(reading, bus.heartbeat(new_presence("ingest"), refresh, ended.cancelled()));
    publisher.close().await;
    summary
}

async fn read_all<O: Outlet>(
    config: Config,
    forward: Forward<O>,
    stop: CancellationToken,
) -> Result<Summary, IngestError> {
    let (ready, handles) = lictor_serve::readiness();
    // Servers go on while sources are read; sources decide when the role ends.
    let mut servers = JoinSet::new();
    let mut sources = JoinSet::new();
    if let Some(address) = config.listen {
        let listener = lictor_serve::bind(address).await?;
        say("probes", &listener);
        spawn_server(&mut servers, listener, lictor_serve::probes(ready), &stop);
    }
    if let Some(address) = config.audit_webhook {
        let listener = lictor_serve::bind(address).await?;
        say("audit webhook", &listener);
        let router = webhook::router(forward.clone(), config.cluster.clone(), webhook::Bounds::default());
        spawn_server(&mut sources, listener, router, &stop);
    }
    spawn_sources(&mut sources, &config, &forward, &stop, &handles);
    drop(handles);

    let outcome = tokio::select! {
        outcome = all(&mut sources) => outcome,
        () = stop.cancelled() => Ok(()),
    };
    stop.cancel();
    let drained = tokio::time::timeout(DRAIN, async {
        let sources = all(&mut sources).await;
        all(&mut servers).await.and(sources)
    });
    match drained.await {
        Ok(drained) => outcome.and(drained)?,
        Err(_) => {
            tracing::warn!("stopped before everything was acknowledged; the next start reads it again");
            outcome?;
        }
    }
    Ok(forward.counts.summary())
}

type Parts = JoinSet<Result<(), IngestError>>;

fn spawn_sources<O: Outlet>(
    sources: &mut Parts,
    config: &Config,
    forward: &Forward<O>,
    stop: &CancellationToken,
    handles: &Handles,
) {
    // Events of a pod are joined with what manifests say of it: these first.
    let first = CancellationToken::new();
    if config.manifests.is_empty() {
        first.cancel();
    } else {
        let reading = manifests::run(config.manifests.clone(), config.cluster.clone(), forward.clone());
        let (read, stop, handle) = (first.clone().drop_guard(), stop.clone(), handles.handle("manifests"));
        sources.spawn(async move {
            let outcome = stop.run_until_cancelled(reading).await.unwrap_or(Ok(()));
            drop((read, handle));
            outcome
        });
    }
    let files = [
        (&config.audit_log, Format::Audit),
        (&config.tetragon, Format::Tetragon),
        (&config.events, Format::Events),
    ];
    for (paths, format) in files {
        for path in paths {
            let source = FileSource {
                path: path.clone(),
                format,
                follow: config.follow,
                cluster: config.cluster.clone(),
                node: config.node.clone(),
            };
            let reading = file::run(source, forward.clone(), stop.clone());
            let first = first.clone();
            sources.spawn(async move {
                first.cancelled().await;
                reading.await
            });
        }
    }
}

fn spawn_server(
    parts: &mut Parts,
    listener: tokio::net::TcpListener,
    router: axum::Router,
    stop: &CancellationToken,
) {
    let stopped = stop.clone().cancelled_owned();
    parts.spawn(async move {
        lictor_serve::run(listener, router, stopped, lictor_serve::DRAIN).await;
        Ok(())
    });
}

fn say(what: &str, listener: &tokio::net::TcpListener) {
    match listener.local_addr() {
        Ok(address) => tracing::info!(%address, "{what} listens"),
        Err(error) => tracing::warn!(%error, "{what} listens on an unknown address"),
    }
}

/// Waits for every part; the first failure ends the wait.
async fn all(parts: &mut Parts) -> Result<(), IngestError> {
    while let Some(part) = parts.join_next().await {
        part.map_err(|error| IngestError::Part(error.to_string()))??;
    }
    Ok(())
}
