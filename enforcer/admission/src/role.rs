//! Wires the webhook together: finds out the cluster's id, serves, and drains.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::Args;
use futures_util::future::BoxFuture;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config as KubeConfig};
use lictor_bus::{Bus, BusOptions, new_presence};
use lictor_detection::PolicyStatus;
use lictor_serve::tls::{Certificates, ClientTrust, TlsOptions, run_tls};
use lictor_serve::{BindError, Handle, bind, probes, readiness};
use lictor_wire::{ClusterId, Presence};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::controller::Controller;
use crate::decide::WhenUnknown;
use crate::exempt::Exclusions;
use crate::images::Images;
use crate::lookup::{Lookup, cluster_id};
use crate::recorder::recorder;
use crate::reviewer::{Counts, Reviewer, Rules, Summary};
use crate::settings::RegistrationConfig;
use crate::{follow, http, policies};
use lictor_cluster::Cluster;

/// How long queued requests are still published after the last response.
const PUBLISH_WITHIN: Duration = Duration::from_secs(3);

/// Wait before the cluster's id is read again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The options of the webhook.
#[derive(Debug, Clone, Args)]
#[group(id = "admission")]
#[command(next_help_heading = "Admission")]
pub struct Config {
    /// The address that receives reviews.
    #[arg(long, default_value = "0.0.0.0:9443", value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// Certificate authorities, in PEM, of the client certificate that the API server presents (its
    /// `--admission-control-config-file` names one). Without it every client that reaches the port is answered.
    #[arg(long, value_name = "FILE")]
    pub(crate) client_authorities: Option<PathBuf>,
    /// The address of `/healthz` and `/readyz` without TLS, for clients without a certificate.
    #[arg(long, value_name = "ADDR")]
    pub(crate) probes: Option<SocketAddr>,
    /// What to answer when a fact that an enforced policy needs is missing.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) when_unknown: WhenUnknown,
    /// How long a break-glass exception may last, in hours.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=8760), value_name = "HOURS")]
    pub(crate) break_glass_longest: u64,
    /// A file for a copy of the policies in force, for a start without the bus.
    #[arg(long, env = "LICTOR_POLICY_COPY", value_name = "FILE")]
    pub(crate) policy_copy: Option<PathBuf>,
    /// The cluster's id; by default the UID of its namespace `kube-system`.
    #[arg(long, env = "LICTOR_CLUSTER", value_name = "ID")]
    pub(crate) cluster: Option<String>,
    /// The kubeconfig; by default the one that `kubectl` uses, or the service account of the pod.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Which requests are not judged.
    #[command(flatten)]
    pub(crate) exclusions: Exclusions,
    /// How the webhook registers itself.
    #[command(flatten)]
    pub(crate) registration: RegistrationConfig,
}

/// Why the webhook ended.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// There is no usable configuration of the Kubernetes client.
    #[error("cannot configure the Kubernetes client: {0}")]
    Kubeconfig(String),
    /// It cannot listen on an address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificate authorities of clients cannot be read.
    #[error("cannot read the client CA certificates `{}`: {problem}", path.display())]
    Clients {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The listener failed.
    #[error("cannot serve: {0}")]
    Serve(#[from] std::io::Error),
}

impl AdmissionError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Kubeconfig(_) => "set --kubeconfig, or run it as a pod of the cluster",
            Self::Bind(error) => error.hint(),
            Self::Clients { .. } => "--client-authorities is a file of CA certificates in PEM",
            Self::Serve(_) => "restart it; if that does not help, check the limits of the process",
        }
    }
}

/// Serves the webhook until `shutdown`, then drains: it keeps answering while `/readyz` says that it is not ready.
///
/// # Errors
/// When the Kubernetes client cannot be configured, or an address cannot be listened on. The bus may be unreachable
/// throughout; that is not an error.
pub fn run(
    config: Config,
    bus: BusOptions,
    shutdown: CancellationToken,
) -> BoxFuture<'static, Result<Summary, AdmissionError>> {
    Box::pin(run_until(config, bus, shutdown))
}

async fn run_until(
    config: Config,
    bus: BusOptions,
    shutdown: CancellationToken,
) -> Result<Summary, AdmissionError> {
    let stop = CancellationToken::new();
    let _stopped = stop.clone().drop_guard();
    let client = client(config.kubeconfig.as_deref()).await?;
    let clients = clients(config.client_authorities.as_deref())?;
    let listener = bind(config.listen).await?;
    let probed = match config.probes {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    tracing::info!(address = %config.listen, "listening for admission reviews");
    let cluster = tokio::select! {
        cluster = cluster(&client, config.cluster.as_deref()) => cluster,
        () = shutdown.cancelled() => return Ok(Summary::default()),
    };

    let (connected, bus_ready) = watch::channel(None);
    let (read, mut policies) = watch::channel(PolicyStatus::default());
    let (labels, cluster_labels) = watch::channel(None);
    let who = Presence { settings: config.settings(), ..new_presence("admission") };
    let (recorder, recording) = recorder(cluster.clone(), &who.instance);
    let reviewer = Arc::new(Reviewer {
        rules: config.rules(),
        policies: policies.clone(),
        lookup: Lookup::new(client.clone(), cluster.clone()),
        images: Images::new(bus_ready.clone()),
        cluster_labels,
        recorder,
        counts: Counts::default(),
    });
    let certificates = Certificates::default();
    let (ready, handles) = readiness();

    let mut tasks = JoinSet::new();
    tasks.spawn(follow::connect(bus, connected));
    tasks.spawn(policies::follow(bus_ready.clone(), config.policy_copy.clone(), read));
    tasks.spawn(follow::cluster_labels(bus_ready.clone(), cluster, labels));
    tasks.spawn(release_after(handles.handle("policies"), async move {
        let _ = policies.wait_for(|status| status.in_force.is_some()).await;
    }));
    tasks.spawn(release_after(handles.handle("certificate"), {
        let certificates = certificates.clone();
        async move { certificates.wait_until_set().await }
    }));
    drop(handles);
    let excluded = config.exclusions.protected.names().into_iter().map(ToOwned::to_owned).collect();
    let controller = Controller::new(
        Cluster::new(client),
        config.registration.clone(),
        excluded,
        certificates.clone(),
        &who.instance,
    );
    let controlling = tokio::spawn(controller.run(stop.clone()));
    let presenting = tokio::spawn(present(bus_ready.clone(), who, reviewer.clone(), stop.clone()));
    let (publish_until, deadline) = watch::channel(None);
    let recording = tokio::spawn(recording.run(bus_ready, deadline));

    if let Some(probed) = probed {
        let (router, stop) = (probes(ready.clone()), stop.clone().cancelled_owned());
        tasks.spawn(async move {
            lictor_serve::run(probed, router, stop, Duration::ZERO).await;
        });
    }
    let router = http::router(reviewer.clone()).merge(probes(ready.clone()));
    let left = Arc::new(OnceLock::new());
    let leaving = {
        let left = left.clone();
        async move {
            shutdown.cancelled().await;
            tracing::info!("shutting down; other replicas take over");
            let _ = left.set(ready.mark_not_ready("shutdown"));
        }
    };
    let served =
        run_tls(listener, router, certificates, leaving, TlsOptions { clients, ..TlsOptions::default() })
            .await;
    stop.cancel();
    let _ = tokio::join!(controlling, presenting);
    tasks.shutdown().await;
    let summary = reviewer.counts.summary();
    // It has the last recorder: once that is dropped, the publisher ends with its queue.
    drop(reviewer);
    publish_until.send_replace(Some(Instant::now() + PUBLISH_WITHIN));
    let _ = recording.await;
    served?;
    Ok(summary)
}

impl Config {
    fn rules(&self) -> Rules {
        Rules {
            exclusions: self.exclusions.clone(),
            when_unknown: self.when_unknown,
            break_glass_longest: Duration::from_secs(self.break_glass_longest.saturating_mul(3600)),
        }
    }

    /// The settings that explain why a request was not denied, for `doctor`.
    fn settings(&self) -> BTreeMap<String, Vec<String>> {
        let Exclusions { exempt_users, exempt_groups, .. } = &self.exclusions;
        let namespaces = self.exclusions.protected.names().into_iter().map(ToOwned::to_owned).collect();
        BTreeMap::from([
            ("excluded namespaces".to_owned(), namespaces),
            ("exempt users".to_owned(), exempt_users.clone()),
            ("exempt groups".to_owned(), exempt_groups.clone()),
            ("when unknown".to_owned(), vec![format!("{:?}", self.when_unknown).to_lowercase()]),
        ])
    }
}

async fn client(kubeconfig: Option<&Path>) -> Result<Client, AdmissionError> {
    let refused = |error: String| AdmissionError::Kubeconfig(error);
    let config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(|error| refused(error.to_string()))?;
            let options = KubeConfigOptions::default();
            KubeConfig::from_custom_kubeconfig(file, &options)
                .await
                .map_err(|error| refused(error.to_string()))?
        }
        None => KubeConfig::infer().await.map_err(|error| refused(error.to_string()))?,
    };
    Client::try_from(config).map_err(|error| refused(error.to_string()))
}

fn clients(authorities: Option<&Path>) -> Result<ClientTrust, AdmissionError> {
    let Some(path) = authorities else { return Ok(ClientTrust::anyone()) };
    let refused = |problem: String| AdmissionError::Clients { path: path.to_owned(), problem };
    let pem = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
    ClientTrust::signed_by(&pem).map_err(|error| refused(error.to_string()))
}

/// The cluster's id, retried until it is known: the webhook may start before the API server.
async fn cluster(client: &Client, given: Option<&str>) -> ClusterId {
    if let Some(given) = given {
        return ClusterId::new(given);
    }
    loop {
        match cluster_id(client).await {
            Ok(cluster) => return cluster,
            Err(error) => tracing::warn!(%error, "cannot read the cluster's id; retrying"),
        }
        sleep(RETRY_AFTER).await;
    }
}

/// Holds a handle until `ready`.
async fn release_after(handle: Handle, ready: impl Future<Output = ()>) {
    ready.await;
    drop(handle);
}

/// Publishes heartbeats with the policies in force and the settings.
async fn present(
    mut bus: watch::Receiver<Option<Bus>>,
    who: Presence,
    reviewer: Arc<Reviewer>,
    stop: CancellationToken,
) {
    let Some(bus) = stop.run_until_cancelled(follow::ready(&mut bus)).await.flatten() else { return };
    let refresh = |who: &mut Presence| {
        let summary = reviewer.counts.summary();
        reviewer.policies.borrow().report(who);
        who.counts =
            BTreeMap::from([("reviews".to_owned(), summary.reviews), ("denied".to_owned(), summary.denied)]);
    };
    bus.heartbeat(who, refresh, stop.cancelled()).await;
}
