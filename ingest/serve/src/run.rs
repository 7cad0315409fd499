//! The life of a server: accept, stop accepting, let what is in flight finish, stop.

use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;

use crate::connections::{self, Serve, Version, accept_until};

/// How long requests in flight may take once the server is to stop. By default Kubernetes kills a pod 30 s after its
/// termination began; this leaves the rest of the process some of that.
pub const DRAIN: Duration = Duration::from_secs(20);

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every request was answered.
    Fully,
    /// The time was up; requests still in flight were cut off.
    TimedOut,
}

/// Serves HTTP/1.1 until `shutdown` resolves, then for at most `drain` longer. A handler may ask for its client's
/// address with [`axum::extract::ConnectInfo`].
/// Once it serves, it goes on whatever the system says about single connections.
pub async fn run(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
    drain: Duration,
) -> Drained {
    let serve: Serve = Box::new(move |stream, peer, watcher| {
        Box::pin(connections::serve(stream, router.clone(), peer, Version::Http1, watcher))
    });
    accept_until(listener, serve, Box::pin(shutdown), drain).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

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
        assert_eq!(server.await.unwrap(), Drained::Fully);
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
        assert_eq!(server.await.unwrap(), Drained::TimedOut);
    }
}
