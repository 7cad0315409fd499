//! The paths to which the API server posts reviews.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::Instant;

use crate::receive::{Received, Receiver, Refused};
use crate::reviewer::Reviewer;

/// How long before the API server's timeout a response must be ready: it has to travel back.
const MARGIN: Duration = Duration::from_millis(250);

/// The timeout when the API server does not send one.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest timeout that a webhook configuration may have.
const MAX_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the API server waits, from the query: `timeout=5s`.
#[derive(Debug, Deserialize)]
struct Timeout {
    #[serde(default)]
    timeout: Option<String>,
}

/// What the paths share.
struct Webhook {
    reviewer: Arc<Reviewer>,
    receiver: Receiver,
}

/// The paths of the webhooks.
pub(crate) fn router(reviewer: Arc<Reviewer>) -> Router {
    let webhook = Arc::new(Webhook { reviewer, receiver: Receiver::default() });
    Router::new().route("/validate", post(review)).route("/events", post(review)).with_state(webhook)
}

async fn review(
    State(webhook): State<Arc<Webhook>>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    Query(query): Query<Timeout>,
    body: Body,
) -> Response {
    let began = Instant::now();
    let timeout = query.timeout.as_deref().and_then(seconds).unwrap_or(DEFAULT_TIMEOUT);
    let deadline = began + timeout.saturating_sub(MARGIN);
    let peer = peer.map(|Extension(ConnectInfo(peer))| peer.ip().to_string()).unwrap_or_default();
    let (reviewer, now) = (&webhook.reviewer, Timestamp::now());
    let received = webhook.receiver.receive(&peer, body, reviewer.lookup.cluster(), now, deadline).await;
    let reply = match received {
        Ok(Received { review, .. }) => {
            reviewer.review(review, now, deadline).await.map_err(|error| error.to_string())
        }
        Err(Refused { reason, head: Some(head) }) => Ok(reviewer.refuse(&head, &reason)),
        Err(Refused { reason, head: None }) => Err(reason),
    };
    match reply {
        Ok(reply) => match serde_json::to_vec(&reply.answer.review(&reply.uid)) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        },
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

/// Whole or fractional seconds as Go writes them: `5s`, `2.5s`.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok().filter(|timeout| *timeout <= MAX_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::http::Request;
    use kube::{Client, Config};
    use lictor_wire::ClusterId;
    use serde_json::Value;
    use tokio::sync::watch;
    use tower::ServiceExt;

    use super::*;
    use crate::decide::WhenUnknown;
    use crate::exempt::Exclusions;
    use crate::images::Images;
    use crate::lookup::Lookup;
    use crate::policies::tests::with_policy;
    use crate::recorder::recorder;
    use crate::reviewer::{Counts, Rules};

    const POLICY: &str = r#"{"id":"p-1","name":"No latest tag","severity":"LOW_SEVERITY","categories":["x"],
        "lifecycleStages":["DEPLOY"],"policyVersion":"1.1","enforcementActions":["SCALE_TO_ZERO_ENFORCEMENT"],
        "policySections":[{"policyGroups":[{"fieldName":"Image Tag","values":[{"value":"latest"}]}]}]}"#;

    /// A webhook with one policy, whose API server and bus are unreachable.
    fn webhook(when_unknown: WhenUnknown) -> Router {
        let policies = watch::Sender::new(with_policy(POLICY)).subscribe();
        let cluster = ClusterId::new("c1");
        let client = Client::try_from(Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        router(Arc::new(Reviewer {
            rules: Rules {
                exclusions: Exclusions::default(),
                when_unknown,
                break_glass_longest: DEFAULT_TIMEOUT,
            },
            policies,
            lookup: Lookup::new(client, cluster.clone()),
            images: Images::new(watch::Sender::new(None).subscribe()),
            cluster_labels: watch::Sender::new(None).subscribe(),
            recorder: recorder(cluster, "test").0,
            counts: Counts::default(),
        }))
    }

    async fn ask(webhook: &Router, body: &str) -> (StatusCode, Value) {
        let request = Request::post("/validate?timeout=2s").body(Body::from(body.to_owned())).unwrap();
        let answer = webhook.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    fn create(object: &str) -> String {
        format!(
            r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"u1","operation":"CREATE",
                "kind":{{"group":"","version":"v1","kind":"Pod"}},"resource":{{"group":"","version":"v1","resource":"pods"}},
                "namespace":"shop","userInfo":{{"username":"alice"}},"object":{object}}}}}"#
        )
    }

    #[tokio::test]
    async fn what_is_not_a_review_is_refused_and_nothing_else_suffers() {
        let webhook = webhook(WhenUnknown::Allow);
        let nested = format!(
            r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{}"#,
            "[".repeat(1_000_000)
        );
        let old = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1","request":{}}"#;
        for body in ["", "{}", "null", old, &nested, "\u{0}"] {
            assert_eq!(ask(&webhook, body).await.0, StatusCode::BAD_REQUEST);
        }
        let pod = |image: &str| {
            create(&format!(r#"{{"spec":{{"containers":[{{"name":"c","image":"{image}"}}]}}}}"#))
        };
        let (status, answer) = ask(&webhook, &pod("web:latest")).await;
        assert_eq!((status, &answer["response"]["uid"]), (StatusCode::OK, &Value::from("u1")));
        assert_eq!(answer["response"]["allowed"], false);
        assert!(answer["response"]["status"]["message"].as_str().unwrap().contains("No latest tag"));
        assert_eq!(ask(&webhook, &pod("web:1")).await.1["response"]["allowed"], true);
    }

    /// `<` is six bytes in a review, and an update has its object twice: 40 MiB of what was sent in 3.
    #[tokio::test]
    async fn a_review_as_large_as_any_the_api_server_sends_is_judged() {
        let webhook = webhook(WhenUnknown::Allow);
        let fat = "\\u003c".repeat(20 * 1024 * 1024 / 6);
        let pod = |image: &str| {
            format!(r#"{{"spec":{{"containers":[{{"name":"c","image":"{image}","args":["{fat}"]}}]}}}}"#)
        };
        let update = |image: &str| {
            let review = create(&format!(r#"{},"oldObject":{}"#, pod(image), pod("web:1")));
            review.replace("CREATE", "UPDATE")
        };
        let (status, answer) = ask(&webhook, &update("web:latest")).await;
        assert_eq!(
            (status, &answer["response"]["allowed"]),
            (StatusCode::OK, &Value::Bool(false)),
            "{answer}"
        );
        assert!(answer.to_string().contains("No latest tag"), "{answer}");
        assert_eq!(ask(&webhook, &update("web:2")).await.1["response"]["allowed"], true);
    }

    /// Refused by an answer, never by an HTTP error, which the failure policy `Ignore` takes for a yes.
    #[tokio::test]
    async fn what_exceeds_a_bound_is_denied_with_the_reason() {
        let webhook = webhook(WhenUnknown::Allow);
        let large = create(&format!(r#"{{"spec":{{"nodeName":"{}"}}}}"#, "x".repeat(49 * 1024 * 1024)));
        let many = create(&format!(r#"{{"spec":{{"containers":[{}]}}}}"#, vec!["{}"; 100_000].join(",")));
        let deep = create(&format!(r#"{{"spec":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000)));
        for (body, words) in [
            (&large, "larger than 50331648 bytes"),
            (&many, "hold too many bytes"),
            (&deep, "recursion limit"),
        ] {
            let (status, answer) = ask(&webhook, body).await;
            assert_eq!((status, &answer["response"]["uid"]), (StatusCode::OK, &Value::from("u1")));
            assert_eq!(answer["response"]["allowed"], false);
            assert!(answer["response"]["status"]["message"].as_str().unwrap().contains(words), "{answer}");
            // Nothing could deny it there.
            let exempt = body.replacen(r#""namespace":"shop""#, r#""namespace":"kube-system""#, 1);
            assert_eq!(ask(&webhook, &exempt).await.1["response"]["allowed"], true);
        }
    }

    #[tokio::test]
    async fn an_object_that_cannot_be_read_is_answered_as_the_installation_says() {
        let unreadable = create(r#"{"spec":{"containers":"many"}}"#);
        for (when_unknown, allowed) in [(WhenUnknown::Allow, true), (WhenUnknown::Deny, false)] {
            let (status, answer) = ask(&webhook(when_unknown), &unreadable).await;
            assert_eq!(status, StatusCode::OK);
            assert_eq!(answer["response"]["allowed"], allowed);
            assert!(answer.to_string().contains("could not judge"), "{answer}");
        }
    }

    #[test]
    fn timeouts_are_read() {
        assert_eq!(seconds("5s"), Some(Duration::from_secs(5)));
        assert_eq!(seconds("2.5s"), Some(Duration::from_millis(2500)));
        for text in ["", "5", "s", "-1s", "1e9s", "NaNs", "1m0s"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
