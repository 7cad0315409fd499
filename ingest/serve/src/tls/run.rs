//! The life of a server that speaks TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use hyper_util::server::graceful::Watcher;
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Certificates, ClientTrust};
use crate::connections::{self, Serve, Version, accept_until};
use crate::{DRAIN, Drained};

/// How long a server that is to stop goes on accepting: clients need a moment to learn that other replicas are ready.
/// Together with [`DRAIN`] it fits into the 30 s Kubernetes gives a pod.
pub const LINGER: Duration = Duration::from_secs(5);

/// A handshake is two round trips; who needs longer than this is not a client worth a connection.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How a server speaks TLS, and how it stops.
#[derive(Debug, Clone)]
pub struct TlsOptions {
    /// Which clients may connect.
    pub clients: ClientTrust,
    /// How long it goes on accepting once it is to stop.
    pub linger: Duration,
    /// How long requests under way may take after that.
    pub drain: Duration,
    /// Where handshakes are counted.
    pub handshakes: Handshakes,
}

/// Counts handshakes. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Handshakes(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    completed: AtomicU64,
    failed: AtomicU64,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            clients: ClientTrust::anyone(),
            linger: LINGER,
            drain: DRAIN,
            handshakes: Handshakes::default(),
        }
    }
}

impl Handshakes {
    /// Those that made a connection.
    pub fn completed(&self) -> u64 {
        self.0.completed.load(Ordering::Relaxed)
    }

    /// Those that did not: no TLS, no trust on either side, or too slow.
    pub fn failed(&self) -> u64 {
        self.0.failed.load(Ordering::Relaxed)
    }
}

/// Serves HTTP/2 and HTTP/1.1 over TLS until `shutdown` resolves. Then it goes on for `linger`, stops accepting,
/// tells its clients that their connections end, and gives requests under way at most `drain`. Whoever wants
/// `/readyz` to fail from `shutdown` on takes a handle of [`crate::Handles`] then.
///
/// A handler may ask for its client's address with [`axum::extract::ConnectInfo`]. A handshake that fails is counted
/// and logged at debug level, and does not affect other connections.
///
/// # Errors
/// When TLS cannot be set up. Once it serves, errors on individual connections do not stop it.
pub async fn run_tls(
    listener: TcpListener,
    router: Router,
    certificates: Certificates,
    shutdown: impl Future<Output = ()> + Send,
    options: TlsOptions,
) -> io::Result<Drained> {
    let acceptor = TlsAcceptor::from(Arc::new(config(certificates, options.clients)?));
    let stop = async {
        shutdown.await;
        sleep(options.linger).await;
    };
    let handshakes = options.handshakes;
    let serve: Serve = Box::new(move |stream, peer, watcher| {
        Box::pin(connection(acceptor.clone(), stream, peer, handshakes.clone(), router.clone(), watcher))
    });
    Ok(accept_until(listener, serve, Box::pin(stop), options.drain).await)
}

fn config(certificates: Certificates, clients: ClientTrust) -> io::Result<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(super::provider())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder = match clients.0 {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

async fn connection(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
    handshakes: Handshakes,
    router: Router,
    watcher: Watcher,
) {
    let Some(stream) = shake_hands(&acceptor, stream, peer, &handshakes).await else { return };
    let version = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Version::Http2,
        _ => Version::Http1,
    };
    connections::serve(stream, router, peer, version, watcher).await;
}

async fn shake_hands(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
    handshakes: &Handshakes,
) -> Option<TlsStream<TcpStream>> {
    let failure = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            handshakes.0.completed.fetch_add(1, Ordering::Relaxed);
            return Some(stream);
        }
        Ok(Err(error)) => error,
        Err(_) => io::ErrorKind::TimedOut.into(),
    };
    handshakes.0.failed.fetch_add(1, Ordering::Relaxed);
    tracing::debug!(%peer, error = %failure, "a TLS handshake failed");
    None
}
