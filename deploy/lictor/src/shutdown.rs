//! Stopping on a signal: the first one drains, the second aborts.

use tokio_util::sync::CancellationToken;

/// Cancelled by Ctrl-C or SIGTERM. A second one ends the process at once, as if it had been killed: everything that
/// was acknowledged is safe, the rest is done again.
pub(crate) fn on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        signal().await;
        cancelled.cancel();
        signal().await;
        tracing::warn!("second stop signal, aborting");
        std::process::abort();
    });
    token
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut stream) => {
                stream.recv().await;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot listen for SIGTERM");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}
