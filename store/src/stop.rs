//! The signal to stop, as every task of the role holds it.

use tokio::sync::watch;

/// Told once; clones are told alike.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// A signal, and what gives it.
    pub(crate) fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Waits for the signal. May be dropped and asked again.
    pub(crate) async fn asked(&mut self) {
        // The sender going away is a stop as well.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}
