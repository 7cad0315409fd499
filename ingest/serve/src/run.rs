//! The life of a server: accept, stop accepting, let what is under way finish, stop.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How long requests under way may take once the server is to stop. Kubernetes kills a pod 30 s after asking it to
/// stop; this leaves the rest of the process some of that.
pub const DRAIN: Duration = Duration::from_secs(20);

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every request was answered.
    Fully,
    /// The time was up; requests still under way were cut off.
    TimedOut,
}

/// Serves until `shutdown` resolves, then for at most `drain` longer. A handler may ask for its client's address
/// with [`axum::extract::ConnectInfo`].
///
/// # Errors
/// When the listener fails for good.
pub async fn run(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
    drain: Duration,
) -> io::Result<Drained> {
    serve(listener, router, Box::pin(shutdown), drain).await
}

/// Boxed, so that the server is compiled here once: an `async fn` is compiled again in each crate that awaits it.
fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: BoxFuture<'static, ()>,
    drain: Duration,
) -> BoxFuture<'static, io::Result<Drained>> {
    let (stopping, stopped) = oneshot::channel();
    let service: IntoMakeServiceWithConnectInfo<Router, std::net::SocketAddr> =
        router.into_make_service_with_connect_info();
    let server = axum::serve(listener, service).with_graceful_shutdown(async move {
        shutdown.await;
        // Whoever waits for this has gone only if the server has, too.
        let _ = stopping.send(());
    });
    let deadline = async move {
        match stopped.await {
            Ok(()) => tokio::time::sleep(drain).await,
            // The signal was dropped unused: the server has ended by itself.
            Err(_) => std::future::pending().await,
        }
    };
    Box::pin(async move {
        tokio::select! {
            served = server => served.map(|()| Drained::Fully),
            () = deadline => {
                tracing::warn!(?drain, "requests were still under way when the time to finish them was up");
                Ok(Drained::TimedOut)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(listener: &TcpListener, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    #[tokio::test]
    async fn what_is_under_way_is_finished() {
        let (started, mut entered) = tokio::sync::mpsc::channel::<()>(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new().route(
            "/",
            get(async move || {
                started.send(()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
                "done"
            }),
        );
        let listener = crate::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let mut client = ask(&listener, "/").await;
        let server =
            tokio::spawn(run(listener, router, async { stopped.await.unwrap() }, Duration::from_secs(5)));
        entered.recv().await.unwrap();
        stop.send(()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("done"), "{answer}");
        assert_eq!(server.await.unwrap().unwrap(), Drained::Fully);
    }

    #[tokio::test]
    async fn what_never_ends_is_cut_off() {
        let (started, mut entered) = tokio::sync::mpsc::channel::<()>(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new().route(
            "/",
            get(async move || {
                started.send(()).await.unwrap();
                std::future::pending::<()>().await;
            }),
        );
        let listener = crate::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let _client = ask(&listener, "/").await;
        let server =
            tokio::spawn(run(listener, router, async { stopped.await.unwrap() }, Duration::from_millis(20)));
        entered.recv().await.unwrap();
        stop.send(()).unwrap();
        assert_eq!(server.await.unwrap().unwrap(), Drained::TimedOut);
    }
}
