//! A client as the API server is one: HTTP/2 over TLS, many requests on one connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsConnector;

/// Requests under way when the most is asked for: what a busy API server has waiting at one webhook.
const UNDER_WAY: usize = 32;

/// How long answers took.
pub(crate) struct Latencies {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// One connection.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(address).await.expect("a webhook");
        stream.set_nodelay(true).expect("a socket");
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS");
        let (sender, connection) =
            handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
        tokio::spawn(connection);
        Self { sender, authority: address.to_string() }
    }

    async fn post(sender: &mut SendRequest<Full<Bytes>>, authority: &str, review: Bytes) {
        let request = Request::post(format!("https://{authority}/validate?timeout=5s"))
            .header("content-type", "application/json")
            .body(Full::new(review))
            .expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
        let body = answer.into_body().collect().await.expect("all of it").to_bytes();
        assert!(body.starts_with(b"{"), "an answer that is not a review");
    }

    /// Posts at a rate; the latencies from the moment each review was due.
    pub(crate) async fn at_rate(&self, reviews: &[Bytes], rate: u32, time: Duration) -> Latencies {
        let every = Duration::from_secs(1) / rate;
        let count = u32::try_from(time.as_nanos() / every.as_nanos()).expect("a moderate time");
        let began = Instant::now() + Duration::from_millis(10);
        let mut answers = JoinSet::new();
        for i in 0..count {
            let due = began + every * i;
            sleep_until(due).await;
            let review = reviews[i as usize % reviews.len()].clone();
            let (mut sender, authority) = (self.sender.clone(), self.authority.clone());
            answers.spawn(async move {
                Self::post(&mut sender, &authority, review).await;
                due.elapsed()
            });
        }
        let mut took = answers.join_all().await;
        took.sort_unstable();
        Latencies { p50: took[took.len() / 2], p99: took[took.len() * 99 / 100] }
    }

    /// Posts as fast as answers come; reviews a second.
    pub(crate) async fn at_most(&self, reviews: &[Bytes], time: Duration) -> f64 {
        let (began, done) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
        let mut workers = JoinSet::new();
        for worker in 0..UNDER_WAY {
            let (mut sender, authority, done) = (self.sender.clone(), self.authority.clone(), done.clone());
            let own: Vec<Bytes> = reviews.iter().skip(worker).step_by(UNDER_WAY).cloned().collect();
            workers.spawn(async move {
                for review in own.iter().cycle() {
                    if began.elapsed() >= time {
                        break;
                    }
                    Self::post(&mut sender, &authority, review.clone()).await;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        workers.join_all().await;
        let done = u32::try_from(done.load(Ordering::Relaxed)).expect("a moderate count");
        f64::from(done) / began.elapsed().as_secs_f64()
    }
}

/// Trusts whoever answers: it is started here, on loopback.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
