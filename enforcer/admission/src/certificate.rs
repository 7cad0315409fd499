//! A certificate authority, and the certificate that the webhook serves.
//!
//! A [`Bundle`] is the content of one Secret: the authority in force, its successor during a rotation, and the
//! certificate that is served. The private keys of the authorities are in it, too, since each replica must be able to
//! continue a rotation; whoever reads the Secret can impersonate the webhook either way.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::time::Duration;

use jiff::Timestamp;
use pem::{EncodeConfig, LineEnding};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData,
};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::X509Certificate;

use lictor_cluster::SecretData;

/// The host names and addresses at which the API server reaches the webhook.
pub(crate) type Names = BTreeSet<String>;

/// The content of the Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bundle {
    /// The authority in force.
    pub(crate) authority: Authority,
    /// Its successor.
    pub(crate) next: Option<Authority>,
    /// The certificate that is served, signed by one of the two. Absent until one of theirs may be served.
    pub(crate) leaf: Option<Leaf>,
    /// Authorities of a bundle that was lost, in PEM: trusted while replicas may still serve what they signed.
    pub(crate) retired: String,
}

/// A certificate and its private key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyedCertificate {
    certificate: String,
    key: String,
    der: Vec<u8>,
    validity: Validity,
    names: Names,
}

/// A certificate authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority(KeyedCertificate);

/// A server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf(KeyedCertificate);

/// From when until when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    /// The first moment.
    pub(crate) from: Timestamp,
    /// The last moment.
    pub(crate) until: Timestamp,
}

/// Why the content of a Secret is unusable. It is replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BundleError {
    /// A key of the Secret is absent.
    #[error("the Secret has no `{0}`")]
    Absent(&'static str),
    /// The value of a key is not what it should be.
    #[error("`{0}` of the Secret is unusable: {1}")]
    Unreadable(&'static str, String),
    /// A private key does not belong to its certificate.
    #[error("`{0}` of the Secret is not the private key of its certificate")]
    KeyMismatch(&'static str),
}

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a certificate: {0}")]
pub(crate) struct MakeError(#[from] rcgen::Error);

const AUTHORITY: (&str, &str) = ("ca.crt", "ca.key");
const NEXT: (&str, &str) = ("next-ca.crt", "next-ca.key");
/// The names the Secret's type asks for.
const LEAF: (&str, &str) = ("tls.crt", "tls.key");
const RETIRED: &str = "retired-ca.crt";

// === impl Bundle ===

impl Bundle {
    /// Reads the content of a Secret. An unusable certificate to serve (unreadable, or of neither authority) is left
    /// out, and so is an unusable successor: both are made again.
    ///
    /// # Errors
    /// When the authority in force cannot be used.
    pub(crate) fn read(data: &SecretData) -> Result<Self, BundleError> {
        let authority = Authority::read(data, AUTHORITY)?;
        let next = Authority::read(data, NEXT).ok();
        let leaf = read(data, LEAF).ok().map(|(leaf, _)| Leaf(leaf)).filter(|leaf| {
            authority.signed(leaf) || next.as_ref().is_some_and(|authority| authority.signed(leaf))
        });
        let retired = data.get(RETIRED).map(|pem| String::from_utf8_lossy(pem).into_owned());
        Ok(Self { authority, next, leaf, retired: retired.unwrap_or_default() })
    }

    /// The content for a Secret. Its type requires that `tls.crt` and `tls.key` exist.
    pub(crate) fn data(&self) -> SecretData {
        let mut data = SecretData::new();
        let mut put = |(certificate, key): (&str, &str), pem: (&str, &str)| {
            data.insert(certificate.to_owned(), pem.0.as_bytes().to_vec());
            data.insert(key.to_owned(), pem.1.as_bytes().to_vec());
        };
        put(AUTHORITY, (&self.authority.certificate, &self.authority.key));
        if let Some(next) = &self.next {
            put(NEXT, (&next.certificate, &next.key));
        }
        put(LEAF, self.leaf.as_ref().map_or(("", ""), |leaf| (&leaf.certificate, &leaf.key)));
        if !self.retired.is_empty() {
            data.insert(RETIRED.to_owned(), self.retired.as_bytes().to_vec());
        }
        data
    }

    /// The authorities, the one in force first.
    pub(crate) fn authorities(&self) -> impl Iterator<Item = &Authority> {
        [Some(&self.authority), self.next.as_ref()].into_iter().flatten()
    }
}

// === impl Authority ===

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// When there is no randomness, or the validity is out of range.
    pub(crate) fn new(validity: Validity) -> Result<Self, MakeError> {
        let mut params = params(validity, &format!("lictor admission authority {}", validity.from));
        // It signs what is served, and no other authority.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Self(KeyedCertificate::new(&certificate, &key, validity, Names::new())))
    }

    /// Signs a new certificate for these names. It never outlives the authority.
    ///
    /// # Errors
    /// When there is no randomness, or a name is invalid.
    pub(crate) fn sign(&self, names: &Names, validity: Validity) -> Result<Leaf, MakeError> {
        let validity = Validity { until: validity.until.min(self.validity.until), ..validity };
        let mut params = params(validity, "lictor admission");
        let names_given = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?;
        params.subject_alt_names = names_given.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, KeyPair::from_pem(&self.key)?)?;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(Leaf(KeyedCertificate::new(&certificate, &key, validity, names.clone())))
    }

    /// Whether this authority signed `leaf`.
    pub(crate) fn signed(&self, leaf: &Leaf) -> bool {
        let (Ok((_, own)), Ok((_, leaf))) =
            (x509_parser::parse_x509_certificate(&self.der), x509_parser::parse_x509_certificate(&leaf.der))
        else {
            return false;
        };
        leaf.issuer() == own.subject() && leaf.verify_signature(Some(own.public_key())).is_ok()
    }

    fn read(data: &SecretData, entry: (&'static str, &'static str)) -> Result<Self, BundleError> {
        match read(data, entry)? {
            (certificate, true) => Ok(Self(certificate)),
            (_, false) => Err(BundleError::Unreadable(entry.0, "it is not a CA certificate".to_owned())),
        }
    }
}

impl KeyedCertificate {
    fn new(certificate: &rcgen::Certificate, key: &KeyPair, validity: Validity, names: Names) -> Self {
        let (der, key) = (certificate.der().to_vec(), key.serialize_pem());
        Self { certificate: certificate.pem(), key, der, validity, names }
    }

    /// The certificate, in PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its private key, in PEM.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The certificate, in DER.
    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// From when until when it is valid.
    pub(crate) const fn validity(&self) -> Validity {
        self.validity
    }

    /// The names and addresses it is for.
    pub(crate) const fn names(&self) -> &Names {
        &self.names
    }
}

impl fmt::Debug for KeyedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { validity, names, .. } = self;
        f.debug_struct("KeyedCertificate")
            .field("validity", validity)
            .field("names", names)
            .finish_non_exhaustive()
    }
}

impl Deref for Authority {
    type Target = KeyedCertificate;

    fn deref(&self) -> &KeyedCertificate {
        &self.0
    }
}

impl Deref for Leaf {
    type Target = KeyedCertificate;

    fn deref(&self) -> &KeyedCertificate {
        &self.0
    }
}

// === reading and making ===

/// The certificates of a PEM bundle in DER, each with the moment it expires. Anything else is left out.
pub(crate) fn certificates(pem: &[u8]) -> Vec<(Vec<u8>, Timestamp)> {
    Pem::iter_from_buffer(pem)
        .filter_map(Result::ok)
        .filter_map(|pem| {
            let until = validity(&pem.parse_x509().ok()?)?.until;
            Some((pem.contents, until))
        })
        .collect()
}

/// A certificate in PEM.
pub(crate) fn pem_of(der: &[u8]) -> String {
    let unix = EncodeConfig::new().set_line_ending(LineEnding::LF);
    pem::encode_config(&pem::Pem::new("CERTIFICATE", der), unix)
}

/// Reads a certificate and its key; whether it is a CA's.
fn read(
    data: &SecretData,
    entry: (&'static str, &'static str),
) -> Result<(KeyedCertificate, bool), BundleError> {
    let text = |name: &'static str| {
        let bytes = data.get(name).ok_or(BundleError::Absent(name))?;
        String::from_utf8(bytes.clone()).map_err(|error| BundleError::Unreadable(name, error.to_string()))
    };
    let unreadable = |message: &str| BundleError::Unreadable(entry.0, message.to_owned());
    let (certificate, key) = (text(entry.0)?, text(entry.1)?);
    let der = Pem::iter_from_buffer(certificate.as_bytes())
        .next()
        .and_then(Result::ok)
        .ok_or_else(|| unreadable("it is not PEM"))?
        .contents;
    let (_, parsed) =
        x509_parser::parse_x509_certificate(&der).map_err(|error| unreadable(&error.to_string()))?;
    let validity = validity(&parsed).ok_or_else(|| unreadable("its validity is out of range"))?;
    let pair =
        KeyPair::from_pem(&key).map_err(|error| BundleError::Unreadable(entry.1, error.to_string()))?;
    if pair.subject_public_key_info() != parsed.public_key().raw {
        return Err(BundleError::KeyMismatch(entry.1));
    }
    let (names, ca) = (names(&parsed), parsed.is_ca());
    Ok((KeyedCertificate { certificate, key, der, validity, names }, ca))
}

fn validity(certificate: &X509Certificate<'_>) -> Option<Validity> {
    let moment = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    let found = certificate.validity();
    Some(Validity { from: moment(found.not_before)?, until: moment(found.not_after)? })
}

fn names(certificate: &X509Certificate<'_>) -> Names {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Names::new() };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
            _ => None,
        })
        .collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

fn params(validity: Validity, name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let moment = |time: Timestamp| {
        let seconds = u64::try_from(time.as_second()).unwrap_or(0);
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    params.not_before = moment(validity.from);
    params.not_after = moment(validity.until);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validity() -> Validity {
        Validity {
            from: "2026-01-01T00:00:00Z".parse().unwrap(),
            until: "2026-02-01T00:00:00Z".parse().unwrap(),
        }
    }

    fn names() -> Names {
        ["lictor.lictor.svc", "192.0.2.7", "2001:db8::7"].map(ToOwned::to_owned).into()
    }

    fn bundle() -> Bundle {
        let authority = Authority::new(validity()).unwrap();
        let leaf = authority.sign(&names(), validity()).unwrap();
        let next = Some(Authority::new(validity()).unwrap());
        Bundle { next, leaf: Some(leaf), authority, retired: String::new() }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bundle = bundle();
        assert_eq!(Bundle::read(&bundle.data()).unwrap(), bundle);
        bundle.next = None;
        bundle.leaf = None;
        bundle.retired = Authority::new(validity()).unwrap().certificate().to_owned();
        assert_eq!(Bundle::read(&bundle.data()).unwrap(), bundle);
        assert!(bundle.data().contains_key("tls.crt") && bundle.data().contains_key("tls.key"));
    }

    #[test]
    fn nothing_outlives_its_authority() {
        let authority = Authority::new(validity()).unwrap();
        let until = "2030-01-01T00:00:00Z".parse().unwrap();
        let leaf = authority.sign(&names(), Validity { until, ..validity() }).unwrap();
        assert_eq!(leaf.validity(), validity());
        let bundle = Bundle { authority, next: None, leaf: Some(leaf), retired: String::new() };
        let read = Bundle::read(&bundle.data()).unwrap().leaf.unwrap();
        assert_eq!(read.validity(), validity());
    }

    #[test]
    fn what_is_foreign_or_broken_is_not_used() {
        let (ours, theirs) = (bundle(), bundle());
        let with = |change: &dyn Fn(&mut SecretData)| {
            let mut data = ours.data();
            change(&mut data);
            Bundle::read(&data)
        };
        let copy = |data: &mut SecretData, name: &str| {
            data.insert(name.to_owned(), theirs.data()[name].clone());
        };
        assert_eq!(with(&|data| drop(data.remove("ca.crt"))), Err(BundleError::Absent("ca.crt")));
        assert_eq!(with(&|data| copy(data, "ca.key")), Err(BundleError::KeyMismatch("ca.key")));
        let junk = with(&|data| drop(data.insert("ca.crt".to_owned(), b"junk".to_vec())));
        assert!(matches!(junk, Err(BundleError::Unreadable("ca.crt", _))));
        let no_authority = with(&|data| {
            data.insert("ca.crt".to_owned(), data["tls.crt"].clone());
            data.insert("ca.key".to_owned(), data["tls.key"].clone());
        });
        assert!(matches!(no_authority, Err(BundleError::Unreadable("ca.crt", _))));
        // A certificate of another authority, or without its key, is not served.
        let foreign = with(&|data| {
            copy(data, "tls.crt");
            copy(data, "tls.key");
        });
        assert_eq!(foreign.unwrap().leaf, None);
        assert_eq!(with(&|data| copy(data, "tls.key")).unwrap().leaf, None);
        assert_eq!(with(&|data| copy(data, "next-ca.key")).unwrap().next, None);
    }

    #[test]
    fn keys_are_not_shown() {
        let bundle = bundle();
        let (shown, key) = (format!("{bundle:?}"), bundle.leaf.as_ref().unwrap().key());
        assert!(!shown.contains("PRIVATE") && !shown.contains(key.lines().nth(1).unwrap()), "{shown}");
    }
}
