//! A real server and real TLS clients on loopback.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Version};
use axum::routing::get;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lictor_serve::Drained;
use lictor_serve::tls::{Certificates, ClientTrust, Handshakes, Identity, TlsOptions, run_tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const PATIENCE: Duration = Duration::from_secs(10);

/// How long `/slow` takes.
const SLOW: Duration = Duration::from_millis(1500);

struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A server that runs, and what it takes to stop it.
struct Server {
    address: SocketAddr,
    certificates: Certificates,
    handshakes: Handshakes,
    /// One message for each request that has begun.
    begun: mpsc::Receiver<()>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<Drained>>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for `localhost` and its key, in PEM.
    fn sign(&self, usage: ExtendedKeyUsagePurpose) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    fn identity(&self) -> Identity {
        let (certificate, key) = self.sign(ExtendedKeyUsagePurpose::ServerAuth);
        Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }

    /// Connects trusting this authority alone.
    async fn connect(&self, server: &Server, protocol: &str) -> io::Result<TlsStream<TcpStream>> {
        connect(server.address, self, None, protocol).await
    }
}

async fn connect(
    address: SocketAddr,
    trusted: &Authority,
    own: Option<&Authority>,
    protocol: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.0.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        Some(authority) => {
            let (certificate, key) = authority.sign(ExtendedKeyUsagePurpose::ClientAuth);
            let key = PrivatePkcs8KeyDer::from(key.serialize_der());
            builder.with_client_auth_cert(vec![certificate.der().clone()], key.into()).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// `/` answers with the client's address, `/slow` after a moment, `/never` not at all.
fn router(begun: mpsc::Sender<()>) -> Router {
    let never = begun.clone();
    Router::new()
        .route("/", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()))
        .route(
            "/slow",
            get(async move || {
                begun.send(()).await.unwrap();
                sleep(SLOW).await;
                "done"
            }),
        )
        .route(
            "/never",
            get(async move || {
                never.send(()).await.unwrap();
                std::future::pending::<()>().await;
            }),
        )
}

async fn start(identity: Option<Identity>, options: TlsOptions) -> Server {
    let listener = lictor_serve::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let certificates = identity.map(Certificates::of).unwrap_or_default();
    let handshakes = options.handshakes.clone();
    let (entered, begun) = mpsc::channel(8);
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move { stopped.await.unwrap() };
    let task = tokio::spawn(run_tls(listener, router(entered), certificates.clone(), shutdown, options));
    Server { address, certificates, handshakes, begun, stop, task }
}

fn at_once() -> TlsOptions {
    TlsOptions { linger: Duration::ZERO, drain: PATIENCE, ..TlsOptions::default() }
}

/// Asks once over HTTP/1.1 and leaves the connection open.
async fn ask(stream: &mut TlsStream<TcpStream>, path: &str) -> io::Result<String> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
    let mut answer = vec![0; 4096];
    let length = timeout(PATIENCE, stream.read(&mut answer)).await??;
    answer.truncate(length);
    Ok(String::from_utf8(answer).unwrap())
}

async fn end(server: Server) -> Drained {
    server.stop.send(()).unwrap();
    timeout(PATIENCE, server.task).await.unwrap().unwrap().unwrap()
}

#[tokio::test]
async fn both_versions_of_http_are_spoken() {
    let authority = Authority::new();
    let server = start(Some(authority.identity()), at_once()).await;

    let stream = authority.connect(&server, "h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("https://localhost/").body(Body::empty()).unwrap();
    let answer = client.send_request(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_2));
    let body = axum::body::to_bytes(Body::new(answer.into_body()), 1024).await.unwrap();
    assert!(body.starts_with(b"127.0.0.1:"), "{body:?}");

    let stream = authority.connect(&server, "http/1.1").await.unwrap();
    let (mut client, http1) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(http1);
    let request = Request::get("/").header("host", "localhost").body(Body::empty()).unwrap();
    let answer = client.send_request(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_11));

    // Idle connections are told to go, and do.
    assert_eq!(end(server).await, Drained::Fully);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_new_identity_is_for_new_handshakes() {
    let (old, new) = (Authority::new(), Authority::new());
    let first = old.identity();
    let server = start(Some(first.clone()), at_once()).await;
    let mut before = old.connect(&server, "http/1.1").await.unwrap();
    assert!(ask(&mut before, "/").await.unwrap().starts_with("HTTP/1.1 200"));

    let second = new.identity();
    server.certificates.replace(second.clone());
    assert!(old.connect(&server, "http/1.1").await.is_err());
    let mut after = new.connect(&server, "http/1.1").await.unwrap();
    let shown = after.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    assert_eq!(shown, second.certificate());
    assert_ne!(shown, first.certificate());
    for stream in [&mut before, &mut after] {
        assert!(ask(stream, "/").await.unwrap().starts_with("HTTP/1.1 200"));
    }
    assert_eq!(end(server).await, Drained::Fully);
}

#[tokio::test]
async fn without_an_identity_nobody_gets_in_yet() {
    let authority = Authority::new();
    let server = start(None, at_once()).await;
    assert!(authority.connect(&server, "h2").await.is_err());
    let certificates = server.certificates.clone();
    let waiting = tokio::spawn(async move { certificates.wait_until_set().await });
    server.certificates.replace(authority.identity());
    timeout(PATIENCE, waiting).await.unwrap().unwrap();
    authority.connect(&server, "h2").await.unwrap();
    assert_eq!(end(server).await, Drained::Fully);
}

#[tokio::test]
async fn it_lingers_then_finishes_what_is_under_way() {
    let authority = Authority::new();
    let options = TlsOptions { linger: Duration::from_secs(1), ..at_once() };
    let mut server = start(Some(authority.identity()), options).await;
    let (address, stopping) = (server.address, tokio::time::Instant::now());
    server.stop.send(()).unwrap();
    sleep(Duration::from_millis(50)).await;
    // It is to stop, and still takes a new client, whose request outlasts the lingering.
    let mut late = connect(address, &authority, None, "http/1.1").await.unwrap();
    let answer = tokio::spawn(async move { ask(&mut late, "/slow").await.unwrap() });
    server.begun.recv().await.unwrap();
    let answer = answer.await.unwrap();
    assert!(answer.ends_with("done"), "{answer}");
    assert_eq!(server.task.await.unwrap().unwrap(), Drained::Fully);
    assert!(stopping.elapsed() >= SLOW);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_never_ends_is_cut_off() {
    let authority = Authority::new();
    let options = TlsOptions { drain: Duration::from_millis(50), ..at_once() };
    let mut server = start(Some(authority.identity()), options).await;
    let mut stream = authority.connect(&server, "http/1.1").await.unwrap();
    let client = tokio::spawn(async move { ask(&mut stream, "/never").await });
    server.begun.recv().await.unwrap();
    assert_eq!(end(server).await, Drained::TimedOut);
    // Nothing of an answer came: an end, or a reset.
    assert_eq!(client.await.unwrap().unwrap_or_default(), "");
}

#[tokio::test]
async fn a_bad_handshake_hurts_nobody_else() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = start(Some(authority.identity()), at_once()).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut junk = TcpStream::connect(server.address).await.unwrap();
    junk.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    drop(TcpStream::connect(server.address).await.unwrap());
    assert!(stranger.connect(&server, "h2").await.is_err());
    assert!(authority.connect(&server, "spdy/3").await.is_err());
    let mut good = authority.connect(&server, "http/1.1").await.unwrap();
    assert!(ask(&mut good, "/").await.unwrap().starts_with("HTTP/1.1 200"));
    // The one that says nothing is put out in the end.
    let mut rest = Vec::new();
    timeout(PATIENCE, silent.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(ask(&mut good, "/").await.unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!((server.handshakes.completed(), server.handshakes.failed()), (1, 5));
    assert_eq!(end(server).await, Drained::Fully);
}

#[tokio::test]
async fn only_clients_with_a_certificate_get_in_where_that_is_wanted() {
    let (authority, clients, stranger) = (Authority::new(), Authority::new(), Authority::new());
    let trust = ClientTrust::signed_by(clients.0.pem().as_bytes()).unwrap();
    let server = start(Some(authority.identity()), TlsOptions { clients: trust, ..at_once() }).await;
    for (own, gets_in) in [(Some(&clients), true), (Some(&stranger), false), (None, false)] {
        // In TLS 1.3 a client learns only from the first answer that it was refused.
        let answer = match connect(server.address, &authority, own, "http/1.1").await {
            Ok(mut stream) => ask(&mut stream, "/").await.unwrap_or_default(),
            Err(_) => String::new(),
        };
        assert_eq!(answer.starts_with("HTTP/1.1 200"), gets_in, "{answer}");
    }
    assert_eq!((server.handshakes.completed(), server.handshakes.failed()), (1, 2));
    assert_eq!(end(server).await, Drained::Fully);
}
