//! The identity that new handshakes see.

use std::fmt;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use super::Identity;

/// Holds the identity (certificate and key) that a server presents. Clones hold the same one. Empty at first: until an
/// identity is there, handshakes fail.
#[derive(Clone, Default)]
pub struct Certificates(watch::Sender<Option<Identity>>);

impl Certificates {
    /// Holds an identity from the start.
    pub fn of(identity: Identity) -> Self {
        Self(watch::Sender::new(Some(identity)))
    }

    /// Presents this identity from the next handshake on.
    pub fn replace(&self, identity: Identity) {
        self.0.send_replace(Some(identity));
    }

    /// The identity presented now.
    pub fn current(&self) -> Option<Identity> {
        self.0.borrow().clone()
    }

    /// Waits until there is an identity to present.
    pub async fn wait_until_set(&self) {
        // It fails only when the sender is gone, and the sender is here.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificates").field(&self.0.borrow()).finish()
    }
}

impl ResolvesServerCert for Certificates {
    // One name is served, so what the client calls the server does not matter: the client checks the names.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.borrow().as_ref().map(|identity| Arc::clone(&identity.0))
    }
}
