//! The role's life: open, follow, serve, stop.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use lictor_bus::{Bus, SetUp, new_presence};
use lictor_serve::{DRAIN, readiness};
use lictor_wire::{InstallationId, Presence};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::continuity::watch_streams;
use crate::follow::Follower;
use crate::loss::{watch_installation, watch_topology};
use crate::{Config, Health, Ledger, LedgerError, Log, StoreError, router};

/// The ledger's file in the data directory.
const FILE: &str = "ledger.redb";

/// How often it is checked that the file is still there; a `stat` costs nothing.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Follows the logs and answers on `listener` until `stop`; `health` says how far it is.
///
/// # Errors
/// When the ledger or the HTTP server of the API fails; the role ends then.
pub fn run<'a>(
    config: &'a Config,
    bus: Bus,
    listener: TcpListener,
    health: Arc<Health>,
    stop: &CancellationToken,
) -> BoxFuture<'a, Result<(), StoreError>> {
    Box::pin(run_until(config, bus, listener, health, stop.child_token()))
}

async fn run_until(
    config: &Config,
    bus: Bus,
    listener: TcpListener,
    health: Arc<Health>,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    let address = listener.local_addr().map_err(StoreError::Serve)?;
    lictor_serve::loopback_only(address, false)?;
    let ledger = open(config).await?;
    let (ready, handles) = readiness();
    let _stopped = stop.clone().drop_guard();

    let mut tasks = JoinSet::new();
    for log in Log::ALL {
        let follower = Follower {
            log,
            bus: bus.clone(),
            ledger: ledger.clone(),
            health: Arc::clone(&health),
            stop: stop.clone(),
        };
        let caught_up = handles.handle(log.as_str());
        tasks.spawn(follower.run(caught_up));
    }
    tasks.spawn(watch_file(config.data.join(FILE), stop.clone()));
    tasks.spawn(watch_streams(bus.clone(), ledger.clone(), Arc::clone(&health), stop.clone()));
    tasks.spawn(watch_installation(bus.clone(), ledger.clone(), stop.clone()));
    tasks.spawn(watch_topology(bus.clone(), Arc::clone(&health), stop.clone()));
    tasks.spawn(present(bus, Arc::clone(&health), stop.clone()));
    drop(handles);
    let routes = router(ledger, Arc::clone(&health), ready);
    let server = lictor_serve::run(listener, routes, stop.clone().cancelled_owned(), DRAIN);
    tasks.spawn(async move {
        server.await;
        Ok(())
    });
    tracing::info!(%address, data = %config.data.display(), "serving the API");

    let failure = tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = first_failure(&mut tasks) => ended,
    };
    stop.cancel();
    health.close();
    failure.and(first_failure(&mut tasks).await)
}

/// Sets the installation up: creates the streams that are missing, and has the policy log and the ledger name the
/// same installation. Before [`run`], and before any other role can start on a new server.
///
/// # Errors
/// When the ledger cannot be opened, or the server's policy log is not the one that the ledger was made from; see
/// [`lictor_bus::SetUpError`].
pub fn set_up<'a>(config: &'a Config, bus: &'a Bus) -> BoxFuture<'a, Result<(), StoreError>> {
    Box::pin(async move {
        let ledger = open(config).await?;
        let known = ledger.installation().map_err(StoreError::Open)?;
        let replace = config.replace_installation.as_deref().map(InstallationId::new);
        let document = bus.set_up(&SetUp { known: known.clone(), replace }, "store").await?;
        let installation = document.installation;
        if known.as_ref() != Some(&installation) {
            tracing::info!(%installation, replaced = known.as_ref().map(InstallationId::as_str), "set up");
        }
        let accept_loss = config.accept_loss;
        let adopt = move || {
            ledger.adopt(&installation)?;
            if accept_loss { ledger.read_again() } else { Ok(()) }
        };
        tokio::task::spawn_blocking(adopt).await?.map_err(StoreError::Open)
    })
}

/// Ends the role when the ledger's file is removed or replaced: what is written then is in a file that no name leads
/// to. A restart rebuilds it.
async fn watch_file(file: PathBuf, stop: CancellationToken) -> Result<(), StoreError> {
    let inode = |file: &Path| std::fs::metadata(file).map(|found| (found.dev(), found.ino())).ok();
    let opened = inode(&file);
    while tokio::time::timeout(LOOK_EVERY, stop.cancelled()).await.is_err() {
        if inode(&file) != opened {
            return Err(StoreError::Removed { path: file });
        }
    }
    Ok(())
}

/// Says that this store runs, and how far it has applied each log.
async fn present(bus: Bus, health: Arc<Health>, stop: CancellationToken) -> Result<(), StoreError> {
    let refresh = |who: &mut Presence| {
        let report = health.report();
        who.problems = report.problems();
        who.counts = report.logs.iter().map(|(log, of)| (log.as_str().to_owned(), of.checkpoint)).collect();
    };
    bus.heartbeat(new_presence("store"), refresh, stop.cancelled()).await;
    Ok(())
}

async fn open(config: &Config) -> Result<Ledger, StoreError> {
    let data = config.data.clone();
    tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&data)
            .map_err(|source| StoreError::Directory { path: data.clone(), source })?;
        let file = data.join(FILE);
        match Ledger::open(&file) {
            Err(damaged @ LedgerError::Damaged { .. }) => {
                // An index of the logs: it is rebuilt from them, as far back as they reach.
                let aside = file.with_extension(format!("damaged-{}", Timestamp::now().as_second()));
                tracing::error!(error = %damaged, aside = %aside.display(), "rebuilding the ledger");
                std::fs::rename(&file, &aside).map_err(|_| StoreError::Open(damaged))?;
                Ledger::open(&file).map_err(StoreError::Open)
            }
            opened => opened.map_err(StoreError::Open),
        }
    })
    .await?
}

/// Waits until a task fails, or all have ended well.
async fn first_failure(tasks: &mut JoinSet<Result<(), StoreError>>) -> Result<(), StoreError> {
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}
