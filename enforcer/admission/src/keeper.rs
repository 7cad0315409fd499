//! Keeps identity and registration as they should be: every replica serves what lies in the Secret; the holder of
//! the Lease writes the Secret and the registration.
//!
//! Everything is read anew at each turn and decided by [`rotation`] and [`Registration`]; nothing here remembers what
//! it did, so a replica that takes over goes on where the other was. Turns are taken when something changes, and
//! every few seconds all the same.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use lictor_serve::tls::{Certificates, Identity};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::certificate::{Bundle, Names};
use crate::lease::{RENEW_EVERY, Turn, Watching};
use crate::registration::{Registration, names, published};
use crate::rotation::{self, Change, Lifetimes, Published, Step};
use crate::settings::KeeperConfig;
use lictor_cluster::{Cluster, ClusterError, bytes};

/// Steps of one turn at the most: a rotation has four, and more would be two replicas undoing each other.
const STEPS: usize = 8;

/// Wait after a turn that failed.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Rest after each turn. Where somebody else keeps writing the registration, too, the API server is spared.
const REST: Duration = Duration::from_millis(200);

/// Changes that are answered with one turn: as many as come while one rests.
const AT_ONCE: usize = 64;

/// Keeps one replica.
pub(crate) struct Keeper {
    cluster: Cluster,
    config: KeeperConfig,
    excluded: BTreeSet<String>,
    names: Names,
    certificates: Certificates,
    lifetimes: Lifetimes,
    lease: Watching,
    /// The caBundle that was seen last, and since when it was seen to be that.
    seen: Option<(Vec<u8>, Timestamp)>,
}

/// Why a turn failed; it is taken again.
#[derive(Debug, thiserror::Error)]
enum TurnError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Make(#[from] super::certificate::MakeError),
    #[error("others write the secret or the registration at the same time, again and again")]
    Restless,
}

impl TurnError {
    const fn hint(&self) -> &'static str {
        match self {
            Self::Cluster(error) => error.hint(),
            Self::Make(_) => "check the clock, and the names the webhook is reached by",
            Self::Restless => "look who else writes them, and stop one of the two",
        }
    }
}

impl Keeper {
    /// A replica under a name of its own.
    #[must_use]
    pub(crate) fn new(
        cluster: Cluster,
        config: KeeperConfig,
        excluded: BTreeSet<String>,
        certificates: Certificates,
        instance: &str,
    ) -> Self {
        Self {
            names: names(&config.place()),
            lease: Watching::new(instance),
            lifetimes: Lifetimes::default(),
            seen: None,
            cluster,
            config,
            excluded,
            certificates,
        }
    }

    /// Keeps until told to stop; gives the lease back then.
    pub(crate) async fn keep(mut self, stop: CancellationToken) {
        let changes = self.cluster.changes(&self.config.webhook_name, &self.config.certificate_secret);
        let mut changes = std::pin::pin!(changes.ready_chunks(AT_ONCE));
        while !stop.is_cancelled() {
            let wait = match self.turn().await {
                Ok(wait) => wait.min(RENEW_EVERY),
                Err(error) => {
                    let hint = error.hint();
                    tracing::warn!(%error, hint, "the registration could not be looked after; it is tried again");
                    AGAIN_AFTER
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(REST) => {}
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(wait) => {}
                Some(_) = changes.next() => {}
            }
        }
        if let Err(error) = self.give_back().await {
            tracing::debug!(%error, "the lease was not given back; it runs out");
        }
    }

    /// Looks once, and does what is to be done; when to look again at the latest.
    async fn turn(&mut self) -> Result<Duration, TurnError> {
        // First of all: a replica serves even where it can have no lease.
        let (_, bundle) = self.read_secret().await?;
        self.serve(bundle.as_ref());
        if !self.holds_lease().await? {
            return Ok(RENEW_EVERY);
        }
        for _ in 0..STEPS {
            let (found, bundle) = self.read_secret().await?;
            self.serve(bundle.as_ref());
            let registered = self.cluster.webhooks(&self.config.webhook_name).await?;
            let now = Timestamp::now();
            let told = registered.as_ref().map(|found| published(found).unwrap_or_default().to_vec());
            self.note(told.as_deref(), now);
            let told = self.seen.as_ref().map(|(bundle, since)| Published { bundle, since: *since });
            let step = rotation::plan(bundle.as_ref(), told, now, &self.names, &self.lifetimes)?;
            let registration = Registration { config: &self.config, excluded: &self.excluded };
            let (publication, until) = match step {
                Step::Write(bundle, change) => {
                    self.write_secret(found.as_ref(), &bundle, change).await?;
                    continue;
                }
                Step::Publish(publication) => (publication, None),
                Step::Settled { publication, until } => (publication, Some(until)),
            };
            if let Some((repaired, differences)) = registration.repaired(registered.as_ref(), &publication) {
                tracing::info!(differences = differences.join(", "), "the registration is written");
                self.cluster.write_webhooks(&repaired).await?;
                continue;
            }
            if let Some(until) = until {
                return Ok(Duration::try_from(until.duration_since(now)).unwrap_or_default());
            }
        }
        Err(TurnError::Restless)
    }

    async fn holds_lease(&mut self) -> Result<bool, TurnError> {
        let name = &self.config.lease;
        let found = self.cluster.lease(name).await?;
        let spec = found.as_ref().map(|found| &found.value);
        match self.lease.turn(spec, Timestamp::now(), Instant::now()) {
            Turn::Holding => Ok(true),
            Turn::Waiting => Ok(false),
            Turn::Write(spec) => {
                let version = found.as_ref().map(|found| found.version.as_str());
                Ok(self.cluster.write_lease(name, version, spec).await?)
            }
        }
    }

    async fn give_back(&self) -> Result<(), ClusterError> {
        let name = &self.config.lease;
        if let Some(found) = self.cluster.lease(name).await?
            && let Some(free) = self.lease.given_back(&found.value)
        {
            self.cluster.write_lease(name, Some(&found.version), free).await?;
        }
        Ok(())
    }

    /// The Secret, and the bundle in it when it is of use.
    async fn read_secret(&self) -> Result<(Option<Secret>, Option<Bundle>), ClusterError> {
        let Some(found) = self.cluster.secret(&self.config.certificate_secret).await? else {
            return Ok((None, None));
        };
        let bundle = Bundle::read(&bytes(&found))
            .inspect_err(|error| tracing::warn!(%error, "the secret is of no use, and is replaced"))
            .ok();
        Ok((Some(found), bundle))
    }

    async fn write_secret(
        &self,
        found: Option<&Secret>,
        bundle: &Bundle,
        change: Change,
    ) -> Result<(), ClusterError> {
        let name = &self.config.certificate_secret;
        if self.cluster.write_secret(name, found, bundle.data()).await? {
            tracing::info!(?change, "the secret is written");
        }
        Ok(())
    }

    /// Serves what lies in the Secret, from the next handshake on.
    fn serve(&self, bundle: Option<&Bundle>) {
        let Some(leaf) = bundle.and_then(|bundle| bundle.leaf.as_ref()) else { return };
        if self.certificates.current().is_some_and(|current| current.certificate() == leaf.der()) {
            return;
        }
        match Identity::from_pem(leaf.certificate().as_bytes(), leaf.key().as_bytes()) {
            Ok(identity) => {
                tracing::info!(until = %leaf.validity().until, "another certificate is served");
                self.certificates.replace(identity);
            }
            Err(error) => tracing::error!(%error, "the certificate of the secret cannot be served"),
        }
    }

    /// Notes since when the caBundle is what it is. Whoever takes over begins to count anew: later is harmless.
    fn note(&mut self, told: Option<&[u8]>, now: Timestamp) {
        match told {
            None => self.seen = None,
            Some(told) if self.seen.as_ref().is_some_and(|(seen, _)| seen == told) => {}
            Some(told) => self.seen = Some((told.to_vec(), now)),
        }
    }
}

#[cfg(test)]
mod tests;
