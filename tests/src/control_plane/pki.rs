//! Certificates of one control plane.

use std::net::Ipv4Addr;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::processes::stop;

/// Signs for one control plane.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "lictor tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        Self(made(CertifiedIssuer::self_signed(params, made(KeyPair::generate()))))
    }

    pub(super) fn certificate(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a user, of a group unless that is empty, or for a server on loopback; and its key.
    pub(super) fn sign(&self, user: &str, group: &str) -> (String, String) {
        let mut params =
            made(CertificateParams::new(["localhost".to_owned(), "kubernetes.default.svc".to_owned()]));
        params.subject_alt_names.push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
        params.distinguished_name.push(DnType::CommonName, user);
        if !group.is_empty() {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = made(KeyPair::generate());
        (made(params.signed_by(&key, &self.0)).pem(), key.serialize_pem())
    }
}

/// A key by itself: its private half and its public half.
pub(super) fn key() -> (String, String) {
    let key = made(KeyPair::generate());
    (key.serialize_pem(), key.public_key_pem())
}

fn made<T>(result: Result<T, rcgen::Error>) -> T {
    result.unwrap_or_else(|error| stop(&format!("cannot make a certificate: {error}")))
}
