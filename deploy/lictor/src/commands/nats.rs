//! `lictor nats config`: a nats-server for lictor, with a user for each role and TLS.
//!
//! What exists already in the folder is kept: keys, the certificate, and the authority that signed it. So it may run
//! again with another release, and nobody needs another key.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use lictor_wire::topology::{Permissions, Role, Sizes, Topology};
use nkeys::KeyPair;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose,
};
use serde_json::{Value, json};

use crate::cli::NatsConfig;
use crate::exit::{Exit, Failure};
use crate::nats::MOST_STORED;
use crate::text;

/// How long the authority and the certificate are valid: they are made by hand, and by hand again.
const VALID_FOR: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Above the largest pack (64 KB) and the largest single line; what is larger lies in the object store.
const MAX_PAYLOAD: u32 = 1024 * 1024;

/// What is written beside the configuration.
struct Folder(PathBuf);

/// The server's certificate and key, by the paths that the configuration names.
struct Tls {
    certificate: PathBuf,
    key: PathBuf,
}

pub(super) fn config(options: &NatsConfig) -> Result<Exit, Failure> {
    let topology = Topology::new(&options.prefix, Sizes::default()).map_err(Failure::usage)?;
    let folder = Folder::make(&options.out)?;
    let mut users = Vec::new();
    for role in Role::ALL {
        let key = folder.user(role)?;
        users.push(user(&key, &topology.permissions(role)));
    }
    let tls = match (&options.tls_cert, &options.tls_key) {
        (Some(certificate), Some(key)) => Tls { certificate: absolute(certificate)?, key: absolute(key)? },
        _ => folder.certificate(&options.hosts)?,
    };
    let configuration = folder.path("nats-server.conf");
    write(&configuration, &server(options, &tls, &users))?;
    text::note(&format!(
        "wrote {}; start it with: nats-server -c {}\nand lictor with, for example: --nats-url tls://{} \
         --nats-credentials {}{}",
        folder.0.display(),
        configuration.display(),
        address(options),
        folder.path("evaluator.nk").display(),
        if options.tls_cert.is_some() {
            String::new()
        } else {
            format!(" --nats-ca {}", folder.path("ca.pem").display())
        },
    ));
    Ok(Exit::Fine)
}

/// The configuration. What follows each name is JSON, which nats-server's language contains.
fn server(options: &NatsConfig, tls: &Tls, users: &[Value]) -> String {
    let sections = [
        ("listen", json!(options.listen.to_string())),
        ("server_name", json!("lictor-nats")),
        ("max_payload", json!(MAX_PAYLOAD)),
        (
            "jetstream",
            json!({
                "store_dir": options.store_dir,
                // Acknowledged means on disk. The default syncs every two minutes, and a power cut then takes
                // acknowledged messages with it.
                "sync_interval": "always",
                "max_file_store": MOST_STORED,
            }),
        ),
        ("tls", json!({ "cert_file": tls.certificate, "key_file": tls.key })),
        ("accounts", json!({ "LICTOR": { "jetstream": "enabled", "users": users }, "SYS": { "users": [] } })),
        ("system_account", json!("SYS")),
    ];
    let mut text = "# Written by `lictor nats config`. One node; for several give each a name and a cluster block.\n\
                    # Users are named by their public keys; the private ones are in the files NAME.nk beside this one.\n"
        .to_owned();
    for (name, value) in sections {
        text.push_str(&format!("\n{name}: {value:#}\n"));
    }
    text
}

fn user(public_key: &str, permissions: &Permissions) -> Value {
    let Permissions { publish, deny_publish, subscribe } = permissions;
    json!({
        "nkey": public_key,
        "permissions": {
            "publish": { "allow": publish, "deny": deny_publish },
            "subscribe": { "allow": subscribe },
        },
    })
}

/// Where clients connect: the first host of the certificate, at the port that is listened on.
fn address(options: &NatsConfig) -> String {
    let host = options.hosts.first().map_or("127.0.0.1", String::as_str);
    format!("{host}:{}", options.listen.port())
}

// === impl Folder ===

impl Folder {
    fn make(path: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(path).map_err(|error| unusable(path, &error))?;
        Ok(Self(absolute(path)?))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The public key of a role's user; the private one is kept for whoever runs the role.
    fn user(&self, role: Role) -> Result<String, Failure> {
        let path = self.path(&format!("{}.nk", role.as_str()));
        let key = match read(&path)? {
            Some(seed) => KeyPair::from_seed(seed.trim()).map_err(|error| {
                Failure::invalid_input(format!("{} is not an nkey: {error}", path.display()))
                    .hint("delete it to have another one made")
            })?,
            None => {
                let key = KeyPair::new_user();
                write(&path, &format!("{}\n", key.seed().map_err(Failure::unreachable)?))?;
                key
            }
        };
        Ok(key.public_key())
    }

    /// A certificate for these hosts, by an authority of its own; what is there is kept.
    fn certificate(&self, hosts: &[String]) -> Result<Tls, Failure> {
        let tls = Tls { certificate: self.path("server.pem"), key: self.path("server.key") };
        if tls.certificate.exists() && tls.key.exists() {
            return Ok(tls);
        }
        let refused = |error: rcgen::Error| {
            Failure::usage(format!("no certificate for {}: {error}", hosts.join(", ")))
                .hint("--host takes DNS names and IP addresses")
        };
        let (ca, ca_key) = (self.path("ca.pem"), self.path("ca.key"));
        let issuer = match (read(&ca)?, read(&ca_key)?) {
            (Some(certificate), Some(key)) => {
                let key = rcgen::KeyPair::from_pem(&key).map_err(refused)?;
                Issuer::from_ca_cert_pem(&certificate, key).map_err(refused)?
            }
            _ => {
                let mut params = params("lictor NATS authority");
                params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
                params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
                let key = rcgen::KeyPair::generate().map_err(refused)?;
                let certificate = params.self_signed(&key).map_err(refused)?;
                write(&ca, &certificate.pem())?;
                write(&ca_key, &key.serialize_pem())?;
                Issuer::new(params, key)
            }
        };
        let mut params = params("lictor NATS");
        params.subject_alt_names = CertificateParams::new(hosts.to_vec()).map_err(refused)?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = rcgen::KeyPair::generate().map_err(refused)?;
        let certificate = params.signed_by(&key, &issuer).map_err(refused)?;
        write(&tls.certificate, &certificate.pem())?;
        write(&tls.key, &key.serialize_pem())?;
        Ok(tls)
    }
}

fn params(name: &str) -> CertificateParams {
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or(0);
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(now);
    let mut params = CertificateParams::default();
    params.not_before = now;
    params.not_after = now + VALID_FOR;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize().map_err(|error| unusable(path, &error))
}

/// A file's text; `None` where there is none.
fn read(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(path, &error)),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("{} cannot be used: {error}", path.display()))
}
