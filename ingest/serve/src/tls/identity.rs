//! The identity of a server and the clients it accepts, read from PEM.

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;

/// A certificate chain and its private key.
#[derive(Clone)]
pub struct Identity(pub(super) Arc<CertifiedKey>);

/// Which clients may connect.
#[derive(Debug, Clone, Default)]
pub struct ClientTrust(pub(super) Option<Arc<dyn ClientCertVerifier>>);

/// PEM that cannot be used. Nothing was changed: what was served before goes on being served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// It is not PEM.
    #[error("the {what} is not readable PEM: {source}")]
    Pem {
        /// Which of the parts.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// It is PEM, and holds no certificate.
    #[error("the {what} contains no certificate")]
    NoCertificate {
        /// Which of the parts.
        what: &'static str,
    },
    /// The certificate or the key is of no use, or they do not belong together.
    #[error("the {what} cannot be used: {source}")]
    Unusable {
        /// Which of the parts.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: rustls::Error,
    },
    /// The bundle of authorities is of no use.
    #[error("the client CA certificates cannot be used: {0}")]
    Clients(#[source] rustls::server::VerifierBuilderError),
}

const CHAIN: &str = "certificate chain";
const KEY: &str = "private key";
const CLIENTS: &str = "bundle of client authorities";

impl Identity {
    /// Reads a chain (the server's own certificate first) and its key (PKCS #8, SEC 1 or PKCS #1). Whether the
    /// certificate is valid now is not checked.
    ///
    /// # Errors
    /// When one of them is not PEM or is unusable, or when the key is another certificate's.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain = certificates(chain, CHAIN)?;
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|source| IdentityError::Pem { what: KEY, source })?;
        let key = CertifiedKey::from_der(chain, key, &super::provider())
            .map_err(|source| IdentityError::Unusable { what: "certificate with its key", source })?;
        Ok(Self(Arc::new(key)))
    }

    /// The server's own certificate, in DER.
    pub fn certificate(&self) -> &[u8] {
        self.0.cert.first().map_or(&[], AsRef::as_ref)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.0.cert.len()).finish_non_exhaustive()
    }
}

impl ClientTrust {
    /// Accepts any client; client certificates are not verified.
    pub fn anyone() -> Self {
        Self::default()
    }

    /// Lets those in who hold a certificate of one of these authorities (PEM, one or more).
    ///
    /// # Errors
    /// When the bundle is not PEM, is empty, or holds something that is not an authority.
    pub fn signed_by(authorities: &[u8]) -> Result<Self, IdentityError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(authorities, CLIENTS)? {
            roots.add(authority).map_err(|source| IdentityError::Unusable { what: CLIENTS, source })?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), super::provider())
            .build()
            .map_err(IdentityError::Clients)?;
        Ok(Self(Some(verifier)))
    }
}

impl IdentityError {
    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Pem { .. } | Self::NoCertificate { .. } => {
                "give PEM text: blocks between `-----BEGIN …-----` and `-----END …-----`"
            }
            Self::Unusable { .. } => "check that the key is the one the certificate was made for",
            Self::Clients(_) => "give the certificates of authorities, not of clients",
        }
    }
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|source| IdentityError::Pem { what, source })?;
    if certificates.is_empty() { Err(IdentityError::NoCertificate { what }) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn what_belongs_together_is_read() {
        let (certificate, key) = pair();
        let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        assert!(!identity.certificate().is_empty());
        assert!(!format!("{identity:?}").contains("key"), "{identity:?}");
    }

    #[test]
    fn what_does_not_says_why() {
        let ((certificate, key), (_, other)) = (pair(), pair());
        let read = |chain: &str, key: &str| Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
        assert!(matches!(read(&certificate, &other), IdentityError::Unusable { .. }));
        assert!(matches!(read("", &key), IdentityError::NoCertificate { what: CHAIN }));
        assert!(matches!(read(&key, &key), IdentityError::NoCertificate { what: CHAIN }));
        assert!(matches!(read(&certificate, ""), IdentityError::Pem { what: KEY, .. }));
        assert!(matches!(read(&certificate, &certificate), IdentityError::Pem { what: KEY, .. }));
        let cut = certificate.replace("-----END", "");
        assert!(matches!(read(&cut, &key), IdentityError::Pem { what: CHAIN, .. }));
        assert!(matches!(ClientTrust::signed_by(b"").unwrap_err(), IdentityError::NoCertificate { .. }));
        let junk = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(ClientTrust::signed_by(junk).unwrap_err(), IdentityError::Unusable { .. }));
    }
}
