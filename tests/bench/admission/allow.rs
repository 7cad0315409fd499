//! The webhook that says yes to everything, served as ours is.

use std::future::pending;

use axum::Router;
use axum::routing::post;
use lictor_serve::tls::{Certificates, Identity, TlsOptions, run_tls};
use lictor_serve::{Limits, bind, limited};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

/// Set in the process that is to be the webhook; the address it listens on.
pub(crate) const VARIABLE: &str = "LICTOR_BENCH_ALWAYS_ALLOW";

#[derive(Deserialize)]
struct Review {
    request: Request,
}

#[derive(Deserialize)]
struct Request {
    uid: String,
    #[serde(flatten)]
    _rest: std::collections::HashMap<String, IgnoredAny>,
}

pub(crate) fn is_wanted() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

pub(crate) async fn serve() {
    let address = std::env::var(VARIABLE).expect("set").parse().expect("an address");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let identity = Identity::from_pem(chain.as_bytes(), key.as_bytes()).expect("an identity");
    let router = Router::new().route("/validate", post(answer));
    let router = limited(router, Limits { body: 16 * 1024 * 1024, ..Limits::default() });
    let listener = bind(address).await.expect("a free port");
    run_tls(listener, router, Certificates::of(identity), pending(), TlsOptions::default())
        .await
        .expect("served");
}

async fn answer(body: String) -> String {
    let review: Review = serde_json::from_str(&body).expect("a review");
    let response = json!({"uid": review.request.uid, "allowed": true});
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}).to_string()
}
