//! Reconciles certificate and registration: every replica serves the certificate in the Secret; the holder of the
//! Lease writes the Secret and the webhook configuration.
//!
//! Each reconciliation reads everything again and leaves the decisions to [`rotation`] and [`Registration`]. No state
//! is kept between two of them, so a replica that takes over continues where the other stopped. Reconciliations are
//! triggered by changes, and every few seconds without one.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use lictor_serve::tls::{Certificates, Identity};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::certificate::{Bundle, Names};
use crate::lease::{Candidate, LeaseAction, RENEW_EVERY};
use crate::registration::{Registration, names, published};
use crate::rotation::{self, Change, Lifetimes, Published, Step};
use crate::settings::RegistrationConfig;
use lictor_cluster::{Cluster, ClusterError, bytes};

/// Writes of one reconciliation at most: a rotation needs four, and more would be two clients undoing each other.
const MAX_STEPS: usize = 8;

/// Wait after a reconciliation that failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Time between two reconciliations at least: it spares the API server when another client keeps writing, too.
const MIN_INTERVAL: Duration = Duration::from_millis(200);

/// Changes that trigger one reconciliation together: as many as come within [`MIN_INTERVAL`].
const MAX_COALESCED: usize = 64;

/// The controller of one replica.
pub(crate) struct Controller {
    cluster: Cluster,
    config: RegistrationConfig,
    excluded: BTreeSet<String>,
    names: Names,
    certificates: Certificates,
    lifetimes: Lifetimes,
    lease: Candidate,
    /// The caBundle that was read last, and since when it has been this one.
    observed: Option<(Vec<u8>, Timestamp)>,
}

/// Why a reconciliation failed; it is retried.
#[derive(Debug, thiserror::Error)]
enum ReconcileError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Make(#[from] super::certificate::MakeError),
    #[error("another client keeps changing the Secret or the webhook configuration")]
    Conflict,
}

impl ReconcileError {
    const fn hint(&self) -> &'static str {
        match self {
            Self::Cluster(error) => error.hint(),
            Self::Make(_) => "check the clock, and the host name of the webhook",
            Self::Conflict => "find the other client in their managedFields, and stop it",
        }
    }
}

impl Controller {
    /// The controller of the replica `instance`, a name that no other replica has.
    pub(crate) fn new(
        cluster: Cluster,
        config: RegistrationConfig,
        excluded: BTreeSet<String>,
        certificates: Certificates,
        instance: &str,
    ) -> Self {
        Self {
            names: names(&config.endpoint()),
            lease: Candidate::new(instance),
            lifetimes: Lifetimes::default(),
            observed: None,
            cluster,
            config,
            excluded,
            certificates,
        }
    }

    /// Reconciles until `stop`, and releases the lease then.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let changes = self.cluster.changes(&self.config.webhook_name, &self.config.certificate_secret);
        let mut changes = std::pin::pin!(changes.ready_chunks(MAX_COALESCED));
        while !stop.is_cancelled() {
            let wait = match self.reconcile().await {
                Ok(wait) => wait.min(RENEW_EVERY),
                Err(error) => {
                    let hint = error.hint();
                    tracing::warn!(%error, hint, "cannot reconcile the webhook registration; retrying");
                    RETRY_AFTER
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(MIN_INTERVAL) => {}
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(wait) => {}
                Some(_) = changes.next() => {}
            }
        }
        if let Err(error) = self.release_lease().await {
            tracing::debug!(%error, "cannot release the lease; it will expire");
        }
    }

    /// Reconciles once; returns when to reconcile again at the latest.
    async fn reconcile(&mut self) -> Result<Duration, ReconcileError> {
        // First of all: a replica that does not hold the lease serves, too.
        let (_, bundle) = self.read_secret().await?;
        self.serve(bundle.as_ref());
        if !self.holds_lease().await? {
            return Ok(RENEW_EVERY);
        }
        for _ in 0..MAX_STEPS {
            let (found, bundle) = self.read_secret().await?;
            self.serve(bundle.as_ref());
            let registered = self.cluster.webhooks(&self.config.webhook_name).await?;
            let now = Timestamp::now();
            let ca_bundle = registered.as_ref().map(|found| published(found).unwrap_or_default());
            self.observe(ca_bundle, now);
            let published = self.observed.as_ref().map(|(bundle, since)| Published { bundle, since: *since });
            let step = rotation::plan(bundle.as_ref(), published, now, &self.names, &self.lifetimes)?;
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
                tracing::info!(differences = differences.join(", "), "wrote the webhook configuration");
                self.cluster.write_webhooks(&repaired).await?;
                continue;
            }
            if let Some(until) = until {
                return Ok(Duration::try_from(until.duration_since(now)).unwrap_or_default());
            }
        }
        Err(ReconcileError::Conflict)
    }

    async fn holds_lease(&mut self) -> Result<bool, ReconcileError> {
        let name = &self.config.lease;
        let found = self.cluster.lease(name).await?;
        let spec = found.as_ref().map(|found| &found.value);
        match self.lease.decide(spec, Timestamp::now(), Instant::now()) {
            LeaseAction::Lead => Ok(true),
            LeaseAction::Follow => Ok(false),
            LeaseAction::Write(spec) => {
                let version = found.as_ref().map(|found| found.version.as_str());
                Ok(self.cluster.write_lease(name, version, spec).await?)
            }
        }
    }

    async fn release_lease(&self) -> Result<(), ClusterError> {
        let name = &self.config.lease;
        if let Some(found) = self.cluster.lease(name).await?
            && let Some(released) = self.lease.released(&found.value)
        {
            self.cluster.write_lease(name, Some(&found.version), released).await?;
        }
        Ok(())
    }

    /// The Secret, and the bundle in it if it is usable.
    async fn read_secret(&self) -> Result<(Option<Secret>, Option<Bundle>), ClusterError> {
        let Some(found) = self.cluster.secret(&self.config.certificate_secret).await? else {
            return Ok((None, None));
        };
        let bundle = Bundle::read(&bytes(&found))
            .inspect_err(
                |error| tracing::warn!(%error, "the certificate Secret is unusable and will be replaced"),
            )
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
            tracing::info!(?change, "wrote the certificate Secret");
        }
        Ok(())
    }

    /// Serves the certificate in the Secret, from the next handshake on.
    fn serve(&self, bundle: Option<&Bundle>) {
        let Some(leaf) = bundle.and_then(|bundle| bundle.leaf.as_ref()) else { return };
        if self.certificates.current().is_some_and(|current| current.certificate() == leaf.der()) {
            return;
        }
        match Identity::from_pem(leaf.certificate().as_bytes(), leaf.key().as_bytes()) {
            Ok(identity) => {
                tracing::info!(until = %leaf.validity().until, "serving a new certificate");
                self.certificates.replace(identity);
            }
            Err(error) => tracing::error!(%error, "cannot serve the certificate in the Secret"),
        }
    }

    /// Records since when the caBundle is this one. A replica that takes over starts counting again: later is harmless.
    fn observe(&mut self, ca_bundle: Option<&[u8]>, now: Timestamp) {
        match ca_bundle {
            None => self.observed = None,
            Some(ca_bundle) if self.observed.as_ref().is_some_and(|(seen, _)| seen == ca_bundle) => {}
            Some(ca_bundle) => self.observed = Some((ca_bundle.to_vec(), now)),
        }
    }
}

#[cfg(test)]
mod tests;
