//! Accepts connections, bounds them, and ends them: what servers with and without TLS have in common.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use futures_util::future::BoxFuture;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Drained;

/// Connections at a time; more wait in the system's queue. An API server keeps a handful to each webhook, so this is
/// far beyond a control plane of any size, and 256 × at most 300 KB of buffers stays within a small pod's memory.
const CONNECTIONS: usize = 256;

/// Connections of one address at a time; more are closed at once. Half of all, so that one client leaves room for the
/// others, and those behind one address translation still have enough.
const CONNECTIONS_PER_ADDRESS: usize = CONNECTIONS / 2;

/// Time for the head of a request in HTTP/1.1, and for the answer to a ping in HTTP/2.
const SILENCE: Duration = Duration::from_secs(10);

/// Time between pings of an HTTP/2 connection, so that one whose client vanished does not count for ever.
const PING: Duration = Duration::from_secs(30);

/// Bytes that an HTTP/2 client may have sent and nobody has read, over all streams of a connection.
const WINDOW: u32 = 256 * 1024;

/// Wait after the system could not give a connection: file descriptors are free again only later.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// The versions of HTTP that a connection speaks. They are agreed on or fixed, so nothing is guessed from the first
/// bytes, for which there would be no deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// What becomes of an accepted connection. Boxed, so that HTTP and TLS are compiled here once: an `async fn` is
/// compiled again in each crate that awaits it.
pub(crate) type Serve = Box<dyn Fn(TcpStream, SocketAddr, Watcher) -> BoxFuture<'static, ()> + Send + Sync>;

/// Connections of each address.
#[derive(Debug, Clone, Default)]
struct Addresses(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection's place; free again when it is dropped.
#[derive(Debug)]
struct Place {
    addresses: Addresses,
    address: IpAddr,
    _permit: OwnedSemaphorePermit,
}

/// Accepts connections until `stop`, then gives those that exist at most `drain` to finish their requests.
pub(crate) fn accept_until(
    listener: TcpListener,
    serve: Serve,
    mut stop: BoxFuture<'_, ()>,
    drain: Duration,
) -> BoxFuture<'_, Drained> {
    Box::pin(async move {
        let graceful = GracefulShutdown::new();
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        let addresses = Addresses::default();
        // Dropped with this function, and what still runs in it then is cut off.
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut stop => break,
                Some(_) = connections.join_next() => continue,
                accepted = accept(&listener, &permits) => accepted,
            };
            let Some((stream, peer, permit)) = accepted else { continue };
            let Some(place) = addresses.place(peer.ip(), permit) else {
                tracing::debug!(%peer, "too many connections of this address; this one is closed");
                continue;
            };
            // Taken before a handshake, so that a stop waits for it.
            let connection = serve(stream, peer, graceful.watcher());
            connections.spawn(async move {
                connection.await;
                drop(place);
            });
        }
        drop(listener);
        match timeout(drain, graceful.shutdown()).await {
            Ok(()) => Drained::Fully,
            Err(_) => {
                tracing::warn!(?drain, "requests were still in flight at the end of the drain timeout");
                Drained::TimedOut
            }
        }
    })
}

/// Serves one connection until its client, a deadline or the watcher ends it.
pub(crate) async fn serve<S>(stream: S, router: Router, peer: SocketAddr, version: Version, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(SILENCE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(SILENCE)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    let builder = match version {
        Version::Http1 => builder.http1_only(),
        Version::Http2 => builder.http2_only(),
    };
    let service = TowerToHyperService::new(router.layer(Extension(ConnectInfo(peer))));
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%peer, %error, "a connection ended with an error");
    }
}

/// Waits for a place and then for a client.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // An answer is one small write; held back for more it would only be late.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%peer, %error, "a connection closed before it was served");
            }
            Some((stream, peer, permit))
        }
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            // Most errors are the one connection's; these are the process'.
            if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
                sleep(ACCEPT_AGAIN_AFTER).await;
            }
            None
        }
    }
}

impl Addresses {
    fn place(&self, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Place> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= CONNECTIONS_PER_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Place { addresses: self.clone(), address, _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_leaves_room_for_others() {
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        let permit = || Arc::clone(&permits).try_acquire_owned().unwrap();
        let addresses = Addresses::default();
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|address| address.parse().unwrap());
        let mut places: Vec<Place> =
            (0..CONNECTIONS_PER_ADDRESS).map(|_| addresses.place(a, permit()).unwrap()).collect();
        assert!(addresses.place(a, permit()).is_none());
        assert!(addresses.place(b, permit()).is_some());
        places.pop();
        assert!(addresses.place(a, permit()).is_some());
        drop(places);
        assert!(addresses.0.lock().unwrap().is_empty());
        assert_eq!(permits.available_permits(), CONNECTIONS);
    }
}
