//! The role: gets to know the cluster, serves, and stops when told to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config as KubeConfig};
use lictor_bus::{Bus, BusOptions, introduce};
use lictor_serve::tls::{Certificates, ClientTrust, TlsOptions, run_tls};
use lictor_serve::{BindError, Handle, bind, probes, readiness};
use lictor_wire::{ClusterId, Presence};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::decide::WhenUnknown;
use crate::exempt::Exclusions;
use crate::images::Images;
use crate::keeper::Keeper;
use crate::lookup::{Lookup, cluster_id};
use crate::recorder::recorder;
use crate::reviewer::{Counts, Reviewer, Rules, Summary};
use crate::settings::KeeperConfig;
use crate::{follow, http};
use lictor_cluster::Cluster;

/// How long what was judged may take to be published once the last answer is given.
const RECORD_WITHIN: Duration = Duration::from_secs(3);

/// Wait before the API server is asked again who it is.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What can be configured.
#[derive(Debug, Clone, Args)]
#[group(id = "admission")]
#[command(next_help_heading = "Admission")]
pub struct Config {
    /// Where reviews are received.
    #[arg(long, default_value = "0.0.0.0:9443", value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// Who may ask: the authorities, in PEM, of the client certificates the API server shows (its
    /// `--admission-control-config-file` names one). Without it anybody who reaches the port may ask and is answered.
    #[arg(long, value_name = "FILE")]
    pub(crate) client_authorities: Option<PathBuf>,
    /// Where `/healthz` and `/readyz` answer without TLS, for whoever has no client certificate.
    #[arg(long, value_name = "ADDR")]
    pub(crate) probes: Option<SocketAddr>,
    /// What becomes of a request while a fact that an enforced policy asks for is not known.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) when_unknown: WhenUnknown,
    /// How far ahead breaking glass may reach, in hours.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=8760), value_name = "HOURS")]
    pub(crate) break_glass_longest: u64,
    /// Where a copy of the policies in force is kept, for a start without the bus.
    #[arg(long, env = "LICTOR_POLICY_COPY", value_name = "FILE")]
    pub(crate) policy_copy: Option<PathBuf>,
    /// The cluster's id; else the UID of its namespace `kube-system`.
    #[arg(long, env = "LICTOR_CLUSTER", value_name = "ID")]
    pub(crate) cluster: Option<String>,
    /// How the Kubernetes API is reached; else as `kubectl` does, or as a pod of the cluster.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// What is left alone.
    #[command(flatten)]
    pub(crate) exclusions: Exclusions,
    /// How it registers itself.
    #[command(flatten)]
    pub(crate) keeper: KeeperConfig,
}

/// Why admission ended.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// Nobody says how the Kubernetes API is reached.
    #[error("cannot tell how the Kubernetes API is reached: {0}")]
    Kubeconfig(String),
    /// The address is taken.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The authorities of clients cannot be read.
    #[error("the client authorities `{}`: {problem}", path.display())]
    Clients {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Serving failed for good.
    #[error("cannot serve: {0}")]
    Serve(#[from] std::io::Error),
}

impl AdmissionError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Kubeconfig(_) => "name a file with --kubeconfig, or run it as a pod of the cluster",
            Self::Bind(error) => error.hint(),
            Self::Clients { .. } => "give a file of certificates of authorities, in PEM",
            Self::Serve(_) => "start it again; if it stays so, look at the limits of the process",
        }
    }
}

/// Serves admission until `shutdown`, then drains: it goes on answering while others learn that it is leaving.
///
/// # Errors
/// When the cluster or the address cannot be used. The bus may be away, from the start and for ever.
pub async fn run(
    config: Config,
    bus: BusOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
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
    tracing::info!(address = %config.listen, "reviews are received");
    let mut shutdown = Box::pin(shutdown);
    let cluster = tokio::select! {
        cluster = cluster(&client, config.cluster.as_deref()) => cluster,
        () = &mut shutdown => return Ok(Summary::default()),
    };

    let (connected, bus_there) = watch::channel(None);
    let (in_force, mut policies) = watch::channel(None);
    let (labels, cluster_labels) = watch::channel(None);
    let who = Presence { settings: config.settings(), ..introduce("admission") };
    let (recorder, recording) = recorder(cluster.clone(), &who.instance);
    let reviewer = Arc::new(Reviewer {
        rules: config.rules(),
        policies: policies.clone(),
        lookup: Lookup::new(client.clone(), cluster.clone()),
        images: Images::new(bus_there.clone()),
        cluster_labels,
        recorder,
        counts: Counts::default(),
    });
    let certificates = Certificates::default();
    let (ready, handles) = readiness();

    let mut tasks = JoinSet::new();
    tasks.spawn(follow::connect(bus, connected));
    tasks.spawn(follow::policies(bus_there.clone(), config.policy_copy.clone(), in_force));
    tasks.spawn(follow::cluster_labels(bus_there.clone(), cluster, labels));
    tasks.spawn(let_go(handles.handle("policies"), async move {
        let _ = policies.wait_for(Option::is_some).await;
    }));
    tasks.spawn(let_go(handles.handle("certificate"), {
        let certificates = certificates.clone();
        async move { certificates.present().await }
    }));
    drop(handles);
    let excluded = config.exclusions.protected.names().into_iter().map(ToOwned::to_owned).collect();
    let keeper = Keeper::new(
        Cluster::new(client),
        config.keeper.clone(),
        excluded,
        certificates.clone(),
        &who.instance,
    );
    let keeping = tokio::spawn(keeper.keep(stop.clone()));
    let presenting = tokio::spawn(present(bus_there.clone(), who, reviewer.clone(), stop.clone()));
    let (give_up, deadline) = watch::channel(None);
    let recording = tokio::spawn(recording.run(bus_there, deadline));

    if let Some(probed) = probed {
        tasks.spawn({
            let (router, stop) = (probes(ready.clone()), stop.clone().cancelled_owned());
            async move {
                if let Err(error) = lictor_serve::run(probed, router, stop, Duration::ZERO).await {
                    tracing::error!(%error, "probes are not answered any more");
                }
            }
        });
    }
    let router = http::router(reviewer.clone()).merge(probes(ready.clone()));
    let left = Arc::new(OnceLock::new());
    let leaving = {
        let left = left.clone();
        async move {
            shutdown.await;
            tracing::info!("leaving: others are to take over");
            let _ = left.set(ready.take_back("others to take over"));
        }
    };
    let served =
        run_tls(listener, router, certificates, leaving, TlsOptions { clients, ..TlsOptions::default() })
            .await;
    stop.cancel();
    let _ = tokio::join!(keeping, presenting);
    tasks.shutdown().await;
    let summary = reviewer.counts.summary();
    // The last holder of the recorder: when it goes, what waits is published.
    drop(reviewer);
    give_up.send_replace(Some(Instant::now() + RECORD_WITHIN));
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

    /// What people may want to know who ask why nothing happened.
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

/// The cluster's id, asking until it is known: admission may well start before the API server.
async fn cluster(client: &Client, given: Option<&str>) -> ClusterId {
    if let Some(given) = given {
        return ClusterId::new(given);
    }
    loop {
        match cluster_id(client).await {
            Ok(cluster) => return cluster,
            Err(error) => tracing::warn!(%error, "the Kubernetes API does not say which cluster this is"),
        }
        sleep(ASK_AGAIN_AFTER).await;
    }
}

/// Holds a handle until something has come about.
async fn let_go(handle: Handle, come_about: impl Future<Output = ()>) {
    come_about.await;
    drop(handle);
}

/// Says that it is there, by which policies it judges, and what it leaves alone.
async fn present(
    mut bus: watch::Receiver<Option<Bus>>,
    who: Presence,
    reviewer: Arc<Reviewer>,
    stop: CancellationToken,
) {
    let Some(bus) = stop.run_until_cancelled(follow::ready(&mut bus)).await.flatten() else { return };
    let refresh = |who: &mut Presence| {
        let summary = reviewer.counts.summary();
        who.policies = reviewer.policies.borrow().as_ref().map_or(0, |policies| policies.revision);
        who.counts =
            BTreeMap::from([("reviews".to_owned(), summary.reviews), ("denied".to_owned(), summary.denied)]);
    };
    bus.present(who, refresh, stop.cancelled()).await;
}
