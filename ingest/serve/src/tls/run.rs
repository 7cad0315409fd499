//! The life of a server that speaks TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use futures_util::future::BoxFuture;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Certificates, ClientTrust};
use crate::{DRAIN, Drained};

/// How long a server that is to stop goes on accepting: clients need a moment to learn that other replicas are ready.
/// Together with [`DRAIN`] it fits into the 30 s Kubernetes gives a pod.
pub const LINGER: Duration = Duration::from_secs(5);

/// Connections at a time; more wait in the system's queue. An API server keeps a handful to each webhook, so this is
/// far beyond a control plane of any size, and 512 × about 50 KB of buffers stays within a small pod's memory.
const CONNECTIONS: usize = 512;

/// A handshake is two round trips; who needs longer than this is not a client worth a connection.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Time for the head of a request in HTTP/1.1, and for the answer to a ping in HTTP/2.
const SILENCE: Duration = Duration::from_secs(10);

/// Time between pings of an HTTP/2 connection, so that one whose client vanished does not count for ever.
const PING: Duration = Duration::from_secs(30);

/// Wait after the system could not give a connection: file descriptors are free again only later.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(500);

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
/// A handler may ask for its client's address with [`ConnectInfo`]. A handshake that fails is counted and logged at
/// debug level, and hurts nobody else.
///
/// # Errors
/// When TLS cannot be set up. Once it serves, it goes on whatever the system says about single connections.
pub async fn run_tls(
    listener: TcpListener,
    router: Router,
    certificates: Certificates,
    shutdown: impl Future<Output = ()>,
    options: TlsOptions,
) -> io::Result<Drained> {
    let acceptor = TlsAcceptor::from(Arc::new(config(certificates, options.clients)?));
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // Dropped with this function, and what still runs in it then is cut off.
    let mut connections = JoinSet::new();
    let stop = async {
        shutdown.await;
        sleep(options.linger).await;
    };
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let (acceptor, handshakes) = (acceptor.clone(), options.handshakes.clone());
        // Taken before the handshake, so that a stop waits for it.
        let watcher = graceful.watcher();
        let router = router.clone();
        let connection = connection(acceptor, stream, peer, handshakes, router, watcher);
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);
    match timeout(options.drain, graceful.shutdown()).await {
        Ok(()) => Ok(Drained::Fully),
        Err(_) => {
            let drain = options.drain;
            tracing::warn!(?drain, "requests were still under way when the time to finish them was up");
            Ok(Drained::TimedOut)
        }
    }
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

/// Waits for a place and then for a client.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // An answer is one small write; held back for more it would only be late.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%peer, %error, "a connection is gone before it began");
            }
            Some((stream, peer, place))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection cannot be accepted");
            sleep(ACCEPT_AGAIN_AFTER).await;
            None
        }
    }
}

/// Boxed, so that HTTP and TLS are compiled here once: an `async fn` is compiled again in each crate that awaits it.
fn connection(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
    handshakes: Handshakes,
    router: Router,
    watcher: Watcher,
) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        if let Some(stream) = shake_hands(&acceptor, stream, peer, &handshakes).await {
            serve(stream, router, peer, watcher).await;
        }
    })
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
    tracing::debug!(%peer, error = %failure, "a handshake failed");
    None
}

async fn serve(stream: TlsStream<TcpStream>, router: Router, peer: SocketAddr, watcher: Watcher) {
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(SILENCE);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(SILENCE);
    // What was agreed on is spoken; so nothing has to be guessed from the first bytes.
    let builder = if h2 { builder.http2_only() } else { builder.http1_only() };
    let service = TowerToHyperService::new(router.layer(Extension(ConnectInfo(peer))));
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}
