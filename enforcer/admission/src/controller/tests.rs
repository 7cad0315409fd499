//! Registration and certificate on a real API server.

mod secrets;

use axum::Router;
use clap::{Args, Command, FromArgMatches};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use lictor_serve::tls::{TlsOptions, run_tls};
use lictor_tests::{ControlPlane, connect_trusting};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::certificate::certificates;

const NAME: &str = "lictor";

struct Replica {
    certificates: Certificates,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

fn config(url: &str) -> RegistrationConfig {
    let command = RegistrationConfig::augment_args(Command::new("test"));
    let matches = command.get_matches_from(["test", "--webhook-url", url, "--failure-policy", "ignore"]);
    RegistrationConfig::from_arg_matches(&matches).unwrap()
}

fn replica(client: &Client, url: &str, instance: &str, lifetimes: Lifetimes) -> Replica {
    let (certificates, stop) = (Certificates::default(), CancellationToken::new());
    let excluded = BTreeSet::from(["kube-system".to_owned()]);
    let cluster = Cluster::new(client.clone());
    let controller = Controller::new(cluster, config(url), excluded, certificates.clone(), instance);
    let running = tokio::spawn(Controller { lifetimes, ..controller }.run(stop.clone()));
    Replica { certificates, stop, running }
}

async fn eventually<T>(what: &str, within: Duration, mut holds: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = holds().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come about within {within:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Two replicas start together, the registration is damaged, and the one that holds the lease leaves.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_agree_and_repair() {
    let plane = ControlPlane::start().await;
    let made = plane.run_kubectl(&["create", "namespace", NAME], "");
    assert!(made.ok, "{made:?}");
    let client = plane.client().await;
    let url = "https://127.0.0.1:1";
    let replicas = ["a", "b"].map(|name| replica(&client, url, name, Lifetimes::default()));
    for replica in &replicas {
        replica.certificates.wait_until_set().await;
    }
    let webhooks = Api::<ValidatingWebhookConfiguration>::all(client.clone());
    let made =
        eventually("a registration", Duration::from_secs(10), async || webhooks.get_opt(NAME).await.unwrap())
            .await;
    let [a, b] = &replicas;
    assert_eq!(
        a.certificates.current().unwrap().certificate(),
        b.certificates.current().unwrap().certificate()
    );
    assert_eq!(certificates(published(&made).unwrap()).len(), 1);

    let whole = async || {
        let found = webhooks.get_opt(NAME).await.unwrap()?;
        (found.webhooks == made.webhooks).then_some(())
    };
    webhooks.delete(NAME, &DeleteParams::default()).await.unwrap();
    eventually("deleted, restored", Duration::from_secs(5), whole).await;
    for edit in [
        r#"[{"op":"replace","path":"/webhooks/0/rules","value":[]}]"#,
        r#"[{"op":"replace","path":"/webhooks/1/failurePolicy","value":"Fail"}]"#,
        r#"[{"op":"remove","path":"/webhooks/2"}]"#,
        r#"[{"op":"replace","path":"/webhooks/0/clientConfig/caBundle","value":"LS0t"}]"#,
    ] {
        let patch: Patch<()> = Patch::Json(serde_json::from_str(edit).unwrap());
        webhooks.patch(NAME, &PatchParams::default(), &patch).await.unwrap();
        eventually(edit, Duration::from_secs(5), whole).await;
    }

    let lease = async || {
        let answered = plane.run_kubectl(
            &["-n", NAME, "get", "lease", "lictor-admission", "-o", "jsonpath={.spec.holderIdentity}"],
            "",
        );
        answered.out
    };
    let holder = lease().await;
    let (first, second) = if holder == "a" { (a, "b") } else { (b, "a") };
    first.stop.cancel();
    eventually("the lease moves", Duration::from_secs(8), async || (lease().await == second).then_some(()))
        .await;
    webhooks.delete(NAME, &DeleteParams::default()).await.unwrap();
    eventually("restored by the other", Duration::from_secs(5), whole).await;
    for replica in replicas {
        replica.stop.cancel();
        replica.running.await.unwrap();
    }
}

/// A client that trusts only what is published connects all the time while authority and certificate change.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_not_noticed() {
    let plane = ControlPlane::start().await;
    assert!(plane.run_kubectl(&["create", "namespace", NAME], "").ok);
    let client = plane.client().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let lifetimes = Lifetimes {
        authority: Duration::from_secs(18),
        leaf: Duration::from_secs(9),
        backdate: Duration::ZERO,
        propagation: Duration::from_millis(1500),
        overlap: Duration::from_secs(2),
    };
    let replica = replica(&client, &format!("https://{address}"), "a", lifetimes);
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let options = TlsOptions { linger: Duration::ZERO, ..TlsOptions::default() };
    let serving =
        tokio::spawn(run_tls(listener, Router::new(), replica.certificates.clone(), stopped, options));

    let webhooks = Api::<ValidatingWebhookConfiguration>::all(client.clone());
    eventually("a registration", Duration::from_secs(10), async || webhooks.get_opt(NAME).await.unwrap())
        .await;
    let (mut served, mut authorities) = (BTreeSet::new(), BTreeSet::new());
    let mut handshakes = 0;
    let deadline = Instant::now() + Duration::from_secs(60);
    // Two authorities come and go.
    while authorities.len() < 3 {
        assert!(Instant::now() < deadline, "{} authorities in a minute", authorities.len());
        let found = webhooks.get(NAME).await.unwrap();
        let trusted = certificates(published(&found).unwrap()).into_iter().map(|(der, _)| der);
        let trusted: Vec<Vec<u8>> = trusted.collect();
        authorities.extend(trusted.iter().cloned());
        let stream = connect_trusting(address, trusted).await;
        let stream = stream.unwrap_or_else(|error| panic!("handshake {handshakes} failed: {error}"));
        let certificate = stream.get_ref().1.peer_certificates().unwrap().first().unwrap().to_vec();
        served.insert(certificate);
        handshakes += 1;
        sleep(Duration::from_millis(20)).await;
    }
    assert!(served.len() >= 3, "{} certificates", served.len());
    println!("{handshakes} handshakes, {} certificates, {} authorities", served.len(), authorities.len());
    replica.stop.cancel();
    replica.running.await.unwrap();
    stop.cancel();
    serving.await.unwrap().unwrap();
}
