//! Secrets that others made, spoilt or deleted, on a real API server.

use std::collections::BTreeMap;

use axum::Router;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use lictor_serve::tls::{TlsOptions, run_tls};
use lictor_tests::{ControlPlane, connect_trusting};
use tokio::net::TcpListener;

use super::super::*;
use super::config;
use crate::certificate::certificates;

const NAMESPACE: &str = "lictor";
const SECRET: &str = "lictor-admission";

/// A change of authority takes seconds, and nothing else changes meanwhile.
const LIFETIMES: Lifetimes = Lifetimes {
    authority: Duration::from_secs(3600),
    leaf: Duration::from_secs(3600),
    backdate: Duration::ZERO,
    propagation: Duration::from_secs(2),
    overlap: Duration::from_secs(4),
};

fn controller(client: &Client, url: &str, certificates: &Certificates) -> Controller {
    let excluded = BTreeSet::from(["kube-system".to_owned()]);
    let cluster = Cluster::new(client.clone());
    let controller = Controller::new(cluster, config(url), excluded, certificates.clone(), "a");
    Controller { lifetimes: LIFETIMES, ..controller }
}

/// A Secret that somebody made by hand is taken over as it is; when it is deleted, or spoilt, clients notice nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_secret_is_not_noticed() {
    let plane = ControlPlane::start().await;
    assert!(plane.run_kubectl(&["create", "namespace", NAMESPACE], "").ok);
    let client = plane.client().await;
    let secrets = Api::<Secret>::namespaced(client.clone(), NAMESPACE);
    let webhooks = Api::<ValidatingWebhookConfiguration>::all(client.clone());
    let noted = BTreeMap::from([("example.com/owner".to_owned(), "somebody".to_owned())]);
    let metadata =
        ObjectMeta { name: Some(SECRET.to_owned()), annotations: Some(noted), ..ObjectMeta::default() };
    let junk = BTreeMap::from([("ca.crt".to_owned(), ByteString(b"junk".to_vec()))]);
    let foreign = Secret { metadata, data: Some(junk), ..Secret::default() };
    secrets.create(&PostParams::default(), &foreign).await.unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (presented, stop) = (Certificates::default(), CancellationToken::new());
    let running =
        tokio::spawn(controller(&client, &format!("https://{address}"), &presented).run(stop.clone()));
    let options = TlsOptions { linger: Duration::ZERO, ..TlsOptions::default() };
    let stopped = stop.clone().cancelled_owned();
    let serving = tokio::spawn(run_tls(listener, Router::new(), presented.clone(), stopped, options));
    tokio::time::timeout(Duration::from_secs(20), presented.wait_until_set()).await.unwrap();
    let taken = secrets.get(SECRET).await.unwrap();
    assert_eq!(taken.type_.as_deref(), Some("Opaque"));
    assert_eq!(taken.metadata.annotations.as_ref().unwrap()["example.com/owner"], "somebody");
    let deadline = Instant::now() + Duration::from_secs(10);
    while webhooks.get_opt("lictor").await.unwrap().is_none() {
        assert!(Instant::now() < deadline, "it is not registered");
        sleep(Duration::from_millis(50)).await;
    }

    for spoil in [true, false] {
        let before = secrets.get(SECRET).await.unwrap();
        let served = Bundle::read(&bytes(&before)).unwrap().leaf.unwrap();
        if spoil {
            let mut spoilt = before.clone();
            spoilt.data.as_mut().unwrap().insert("ca.key".to_owned(), ByteString(b"junk".to_vec()));
            secrets.replace(SECRET, &PostParams::default(), &spoilt).await.unwrap();
        } else {
            secrets.delete(SECRET, &DeleteParams::default()).await.unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(40);
        let mut counts = BTreeSet::new();
        loop {
            let found = webhooks.get("lictor").await.unwrap();
            let bundle = published(&found).unwrap();
            let authorities: Vec<Vec<u8>> = certificates(bundle).into_iter().map(|(der, _)| der).collect();
            let trusted = authorities.len();
            counts.insert(trusted);
            connect_trusting(address, authorities).await.unwrap();
            let changed = presented.current().unwrap().certificate() != served.der();
            if changed && trusted == 1 {
                break;
            }
            assert!(Instant::now() < deadline, "it is not replaced");
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(counts, BTreeSet::from([1, 2]));
    }
    let remade = secrets.get(SECRET).await.unwrap();
    assert_eq!(remade.type_.as_deref(), Some("kubernetes.io/tls"));
    stop.cancel();
    running.await.unwrap();
    serving.await.unwrap().unwrap();
}
