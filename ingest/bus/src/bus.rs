//! The connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, ConnectOptions, Event as ClientEvent};
use futures_util::future::BoxFuture;
use lictor_wire::topology::{Role, Topology};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::error::{BusError, ConnectError};
use crate::servers::{NatsUrl, Servers};
use crate::topology::{self, Difference, Missing, TopologyReport};

/// The oldest server that has atomic batches.
const OLDEST_SERVER: &str = "2.12.0";

/// How long the server may take to answer. With every write synced to a slow disk an answer takes tens of
/// milliseconds; after this long the connection or the leader is lost, and a repeat is harmless.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Publishes of one process that wait for their acknowledgement: the client's sending queue twice over, so neither
/// waits for the other. More only grows memory.
const ACKS_IN_FLIGHT: usize = 4_096;

/// How often connecting is tried again.
const CONNECT_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// How long to wait before reconnecting.
const RECONNECT: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// How to reach NATS.
#[derive(Debug, Clone)]
pub struct BusOptions {
    /// Where.
    pub url: NatsUrl,
    /// The streams, buckets and consumers to create where they are missing.
    pub topology: Topology,
    /// Who connects: on a server with a user for each role, it must be this one's.
    pub role: Role,
    /// The connection's name, as the server's own tools show it.
    pub name: String,
    /// A credentials file, or a file with the seed of an nkey.
    pub credentials: Option<PathBuf>,
    /// The certificates that the server's must be signed by; the system's where none are given.
    pub ca: Option<PathBuf>,
    /// How long connecting is tried.
    pub connect_timeout: Duration,
}

impl BusOptions {
    /// The usual options: any role, no credentials, ten seconds to connect.
    pub fn new(url: &str, topology: Topology, name: &str) -> Self {
        Self {
            url: NatsUrl::new(url),
            topology,
            role: Role::Up,
            name: name.to_owned(),
            credentials: None,
            ca: None,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// A connection to NATS on which every stream, bucket and consumer of the topology exists. Cheap to clone; clones share
/// the connection.
#[derive(Debug, Clone)]
pub struct Bus(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    jetstream: Context,
    options: BusOptions,
    /// Counts connections: whoever waits for the server tries again when it changes.
    connections: watch::Receiver<u64>,
}

impl Bus {
    /// Connects, trying again until the time is over, and waits that long for the streams, which a store creates.
    ///
    /// # Errors
    /// When no server answers in time, it is too old or without JetStream, a stream is missing, or something there
    /// conflicts with the topology.
    pub async fn connect(options: BusOptions) -> Result<Self, ConnectError> {
        let deadline = Instant::now() + options.connect_timeout;
        let bus = Self::open_until(options, deadline).await?;
        let mut waiting = false;
        loop {
            let checked = bus.read_back(Missing::Report, deadline).await;
            match checked {
                Ok(()) => return Ok(bus),
                Err(ConnectError::Topology(BusError::Missing { what })) => {
                    if Instant::now() + CONNECT_AGAIN_AFTER >= deadline {
                        return Err(ConnectError::NotSetUp { what });
                    }
                    if !waiting {
                        tracing::warn!(missing = what, "waiting for `lictor store` to create the streams");
                        waiting = true;
                    }
                    tokio::time::sleep(CONNECT_AGAIN_AFTER).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Connects, trying again until the time is over, whatever is on the server.
    ///
    /// # Errors
    /// When no server answers in time, or it is too old.
    pub async fn open(options: BusOptions) -> Result<Self, ConnectError> {
        let deadline = Instant::now() + options.connect_timeout;
        Self::open_until(options, deadline).await
    }

    async fn open_until(options: BusOptions, deadline: Instant) -> Result<Self, ConnectError> {
        let (client, connections) = open(&options, deadline).await?;
        if !client.is_server_compatible(2, 12, 0) {
            let found = client.server_info().version;
            return Err(ConnectError::TooOld { found, wanted: OLDEST_SERVER });
        }
        let jetstream = ContextBuilder::new()
            .timeout(ANSWER_WITHIN)
            .max_ack_inflight(ACKS_IN_FLIGHT)
            .build(client.clone());
        Ok(Self(Arc::new(Inner { client, jetstream, options, connections })))
    }

    /// Compares everything on the server with the topology.
    pub(crate) async fn read_back(&self, missing: Missing, deadline: Instant) -> Result<(), ConnectError> {
        let read = || topology::read_back(self.jetstream(), self.topology(), missing);
        accept(self.retrying(deadline, read).await?)
    }

    /// Repeats what JetStream does not answer yet: it is starting, or has no leader.
    pub(crate) async fn retrying<T, F: Future<Output = Result<T, BusError>>>(
        &self,
        deadline: Instant,
        work: impl Fn() -> F,
    ) -> Result<T, ConnectError> {
        loop {
            match work().await {
                Ok(done) => return Ok(done),
                Err(error) if error.is_retryable() && Instant::now() + CONNECT_AGAIN_AFTER < deadline => {
                    tokio::time::sleep(CONNECT_AGAIN_AFTER).await;
                }
                Err(error) if error.is_retryable() => {
                    let (url, reason) = (self.0.options.url.to_string(), error.to_string());
                    return Err(ConnectError::NoJetStream { url, reason });
                }
                Err(error) => return Err(ConnectError::Topology(error)),
            }
        }
    }

    /// The topology this connection uses.
    pub fn topology(&self) -> &Topology {
        &self.0.options.topology
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.0.options.connect_timeout
    }

    /// What is on the server, for people. Changes nothing.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn report(&self) -> Result<TopologyReport, BusError> {
        let mut report = topology::report(self.jetstream(), self.topology()).await?;
        report.server = self.0.client.server_info().version;
        Ok(report)
    }

    /// Sends what still waits to be sent and ends the connection. The bus cannot be used afterwards.
    pub async fn drain(&self) {
        let flushed = tokio::time::timeout(ANSWER_WITHIN, self.0.client.flush()).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("some messages were not sent to NATS before shutdown; their senders retry");
        }
        if let Err(error) = self.0.client.drain().await {
            tracing::debug!(%error, "the connection is already closed");
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    pub(crate) fn jetstream(&self) -> &Context {
        &self.0.jetstream
    }

    /// Changes whenever the client reconnected: requests sent before are lost.
    pub(crate) fn connections(&self) -> watch::Receiver<u64> {
        self.0.connections.clone()
    }
}

/// Refuses differences that change what something means, and logs the others.
fn accept(differences: Vec<Difference>) -> Result<(), ConnectError> {
    let (differences, shown): (Vec<_>, Vec<_>) =
        differences.into_iter().partition(|difference| difference.changes_meaning);
    if !differences.is_empty() {
        return Err(ConnectError::Different { differences });
    }
    for difference in shown {
        tracing::info!(%difference, "limits on the server differ from the configured ones");
    }
    Ok(())
}

fn open(
    options: &BusOptions,
    deadline: Instant,
) -> BoxFuture<'_, Result<(Client, watch::Receiver<u64>), ConnectError>> {
    Box::pin(async move {
        let servers = options.url.servers()?;
        loop {
            let (count, connections) = watch::channel(0_u64);
            let count = Arc::new(count);
            let left = deadline.saturating_duration_since(Instant::now()).max(CONNECT_AGAIN_AFTER);
            let connect = authenticated(options, &servers)
                .await?
                .name(&options.name)
                .custom_inbox_prefix(options.role.inbox())
                .connection_timeout(left.min(ANSWER_WITHIN))
                .reconnect_delay_callback(|attempts| {
                    RECONNECT.after(u32::try_from(attempts).unwrap_or(u32::MAX))
                })
                .event_callback(move |event| {
                    let count = Arc::clone(&count);
                    async move { note(&event, &count) }
                });
            match connect.connect(servers.addresses.as_slice()).await {
                Ok(client) => return Ok((client, connections)),
                // Waiting does not make it right.
                Err(error) if is_refusal(&error) => {
                    return Err(ConnectError::Unauthorized {
                        url: options.url.to_string(),
                        reason: error.to_string(),
                    });
                }
                Err(error) if Instant::now() + CONNECT_AGAIN_AFTER < deadline => {
                    tracing::debug!(%error, url = %options.url, "cannot reach NATS; retrying");
                    tokio::time::sleep(CONNECT_AGAIN_AFTER).await;
                }
                Err(error) => {
                    return Err(ConnectError::Unreachable {
                        url: options.url.to_string(),
                        reason: error.to_string(),
                    });
                }
            }
        }
    })
}

fn is_refusal(error: &async_nats::ConnectError) -> bool {
    use async_nats::ConnectErrorKind::{Authentication, AuthorizationViolation};
    matches!(error.kind(), Authentication | AuthorizationViolation)
}

async fn authenticated(options: &BusOptions, servers: &Servers) -> Result<ConnectOptions, ConnectError> {
    let mut connect = servers.authenticate(ConnectOptions::new());
    if let Some(ca) = &options.ca {
        connect = connect.add_root_certificates(ca.clone());
    }
    let Some(path) = &options.credentials else { return Ok(connect) };
    let text = tokio::fs::read_to_string(path).await.map_err(|error| unusable(path, &error))?;
    if text.contains("BEGIN NATS USER JWT") {
        connect.credentials(&text).map_err(|error| unusable(path, &error))
    } else {
        Ok(connect.nkey(text.trim().to_owned()))
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> ConnectError {
    ConnectError::Credentials { path: path.display().to_string(), reason: error.to_string() }
}

fn note(event: &ClientEvent, count: &watch::Sender<u64>) {
    match event {
        ClientEvent::Connected => {
            count.send_modify(|count| *count += 1);
            tracing::info!("connected to NATS");
        }
        ClientEvent::Disconnected => {
            tracing::warn!("connection to NATS lost; unacknowledged messages will be sent again");
        }
        // Only the client's own bookkeeping runs over plain subscriptions that could overflow; everything that
        // counts is pulled.
        ClientEvent::ServerError(error) if error.to_string().contains("Permissions Violation") => {
            tracing::error!(%error, "the NATS user may not do this; each role needs the key of its own user");
        }
        ClientEvent::SlowConsumer(_) | ClientEvent::ServerError(_) | ClientEvent::ClientError(_) => {
            tracing::warn!(%event, "NATS client event");
        }
        ClientEvent::LameDuckMode | ClientEvent::Draining | ClientEvent::Closed => {
            tracing::info!(%event, "NATS client event");
        }
    }
}
