//! TLS whose identity can be replaced while it is served.
//!
//! [`Certificates`] holds the identity that new handshakes see; whoever renews it keeps a clone and calls
//! [`Certificates::replace`]. Connections that exist keep what they were opened with. Sessions are never resumed,
//! since a resumed one would go on under an identity that was replaced.
//!
//! The cryptography is ring's, handed over explicitly: nothing here reads or sets a default of the process.

mod certificates;
mod identity;
mod run;

pub use certificates::Certificates;
pub use identity::{ClientTrust, Identity, IdentityError};
pub use run::{Handshakes, LINGER, TlsOptions, run_tls};

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
