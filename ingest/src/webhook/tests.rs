use std::io::Write as _;

use axum::http::Request;
use flate2::Compression;
use flate2::write::GzEncoder;
use lictor_wire::Kind;
use tower::ServiceExt;

use super::*;
use crate::fake::Fake;

fn small() -> Bounds {
    Bounds {
        body: BodyLimits { bytes: 4 * MIB, time: Duration::from_millis(500) },
        unpacked: 8 * MIB,
        budget: BudgetLimits {
            requests: 8,
            requests_per_client: 8,
            bytes: 32 * MIB,
            bytes_per_client: 32 * MIB,
        },
        patience: Duration::from_millis(200),
    }
}

fn list(ids: &[&str]) -> String {
    let items: Vec<String> = ids
        .iter()
        .map(|id| format!(r#"{{"auditID":"{id}","stage":"ResponseComplete","verb":"get","requestURI":"/"}}"#))
        .collect();
    format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{}]}}"#, items.join(","))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

struct Client(Router);

impl Client {
    fn of(fake: &Fake, bounds: Bounds) -> Self {
        Self(router(Forward::new(fake.clone()), ClusterId::new("c1"), bounds))
    }

    async fn post(&self, encoding: Option<&str>, body: impl Into<Body>) -> Response {
        let mut request = Request::post("/audit");
        if let Some(encoding) = encoding {
            request = request.header(header::CONTENT_ENCODING, encoding);
        }
        self.0.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap()
    }

    async fn status(&self, body: impl Into<Body>) -> u16 {
        self.post(None, body).await.status().as_u16()
    }
}

#[tokio::test]
async fn answered_only_after_the_acknowledgement() {
    let fake = Fake::default();
    fake.hold(true);
    let client = Client::of(&fake, Bounds::default());
    let post = tokio::spawn(async move { client.status(list(&["a", "b"])).await });
    fake.waiting(2).await;
    assert!(!post.is_finished());
    fake.hold(false);
    assert_eq!(post.await.unwrap(), 200);
    assert_eq!(fake.ids().len(), 2);
}

#[tokio::test]
async fn a_repeated_batch_is_folded_once_it_is_acknowledged() {
    let fake = Fake::default();
    let client = Client::of(&fake, small());
    for _ in 0..3 {
        assert_eq!(client.status(list(&["a", "b"])).await, 200);
    }
    assert_eq!(fake.ids().len(), 2);
}

/// The header `Audit-ID` of a request is the client's to choose.
#[tokio::test]
async fn an_audit_id_chosen_by_a_client_hides_nothing() {
    let fake = Fake::default();
    let client = Client::of(&fake, small());
    let record = |uri: &str, micros: usize| {
        serde_json::json!({
            "auditID": "x", "stage": "ResponseComplete", "verb": "get", "requestURI": uri,
            "user": { "username": "mallory" },
            "requestReceivedTimestamp": format!("2026-01-02T03:04:05.{micros:06}Z"),
            "stageTimestamp": format!("2026-01-02T03:04:05.{:06}Z", micros + 1),
        })
    };
    let list = |items: &[serde_json::Value]| {
        serde_json::json!({ "kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": items })
            .to_string()
    };
    assert_eq!(client.status(list(&[record("/version", 0)])).await, 200);
    let reads: Vec<_> = (1..6).map(|i| record("/api/v1/namespaces/vault/secrets/key", i)).collect();
    for _ in 0..3 {
        assert_eq!(client.status(list(&reads)).await, 200);
    }
    let reused: Vec<_> = fake.events().into_iter().filter(|event| event.kind() == Kind::Audit).collect();
    assert_eq!(reused.len(), 6);
    // And it is said once.
    let notices = fake.events().into_iter().filter(|event| event.kind() == Kind::Coverage);
    assert_eq!(notices.count(), 1);
}

#[tokio::test]
async fn a_repeat_of_what_is_in_flight_is_not_answered_early() {
    let fake = Fake::default();
    fake.hold(true);
    let client = Client::of(&fake, small());
    assert_eq!(client.status(list(&["a"])).await, 503);
    assert_eq!(client.status(list(&["a"])).await, 503);
    fake.hold(false);
    assert_eq!(client.status(list(&["a"])).await, 200);
}

#[tokio::test]
async fn pressure_and_fullness_are_said() {
    let fake = Fake::default();
    let client = Client::of(&fake, small());
    fake.press(true);
    let response = client.post(None, list(&["a"])).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()[header::RETRY_AFTER], RETRY_AFTER);
    fake.press(false);
    assert_eq!(client.status(list(&["a"])).await, 200);

    // One large batch that waits takes the room of the next.
    fake.hold(true);
    let large = |id: &str| format!("{}{}", list(&[id]), " ".repeat(3 * MIB));
    let budget = BudgetLimits { bytes: 12 * MIB, ..small().budget };
    let bounds = Bounds { budget, patience: Duration::from_secs(60), ..small() };
    let client = Arc::new(Client::of(&fake, bounds));
    let first = tokio::spawn({
        let (client, body) = (client.clone(), large("b"));
        async move { client.status(body).await }
    });
    fake.waiting(1).await;
    let response = client.post(None, large("c")).await;
    assert_eq!(response.status(), 429);
    let message = axum::body::to_bytes(response.into_body(), MIB).await.unwrap();
    assert_eq!(message, "the requests in flight hold too many bytes, and 12582912 is the limit\n");
    fake.hold(false);
    assert_eq!(first.await.unwrap(), 200);
    assert_eq!(client.status(large("c")).await, 200);
}

#[tokio::test]
async fn bodies_are_bounded_as_sent_and_unpacked() {
    let fake = Fake::default();
    let client = Client::of(&fake, small());
    let padded = |bytes: usize| format!("{}{}", list(&["a"]), " ".repeat(bytes)).into_bytes();
    assert_eq!(client.post(Some("gzip"), gzip(&padded(5 * MIB))).await.status(), 200);
    assert_eq!(client.post(Some("gzip"), gzip(&padded(9 * MIB))).await.status(), 413);
    assert_eq!(client.status(padded(5 * MIB)).await, 413);
    // Without a length announced, too.
    let chunks = futures_util::stream::iter((0..5).map(|_| Ok::<_, std::io::Error>(vec![b' '; MIB])));
    assert_eq!(client.status(Body::from_stream(chunks)).await, 413);
    assert_eq!(client.post(Some("br"), list(&["a"])).await.status(), 415);
    assert_eq!(client.post(Some("gzip"), list(&["a"])).await.status(), 400);
}

/// A short body may hold millions of items.
#[tokio::test]
async fn items_are_bounded_and_bad_ones_kept_together() {
    let fake = Fake::default();
    let client = Client::of(&fake, small());
    let list = |item: &str, items: usize| {
        let items = vec![item; items].join(",");
        format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{items}]}}"#)
    };
    assert_eq!(client.status(list("0", 10_001)).await, 413);
    assert_eq!(client.post(Some("gzip"), gzip(list("0", 3_000_000).as_bytes())).await.status(), 413);
    let wrapped = format!(r#"{{"records":[{}]}}"#, vec!["{}"; 10_001].join(","));
    assert_eq!(client.status(wrapped).await, 413);
    assert_eq!(fake.letters().len(), 0);
    assert_eq!(client.status(list("{}", 5_000)).await, 200);
    let letters = fake.letters();
    assert_eq!(letters.len(), 101);
    assert!(
        letters[100].reason.ends_with("and 4899 further items that cannot be read"),
        "{}",
        letters[100].reason
    );
    assert_eq!(letters[100].original.lines().count(), 4_900);
}

#[tokio::test]
async fn a_slow_client_holds_only_what_it_sent_and_not_for_long() {
    let fake = Fake::default();
    let budget = BudgetLimits { bytes: MIB, ..small().budget };
    let client = Arc::new(Client::of(&fake, Bounds { budget, ..small() }));
    let slow = (0..4).map(|_| {
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>(vec![b'{'; 5])]);
        let body = Body::from_stream(futures_util::StreamExt::chain(first, futures_util::stream::pending()));
        let client = client.clone();
        tokio::spawn(async move { client.status(body).await })
    });
    let slow: Vec<_> = slow.collect();
    tokio::task::yield_now().await;
    assert_eq!(client.status(list(&["a"])).await, 200);
    for answer in slow {
        assert_eq!(answer.await.unwrap(), 408);
    }
}

#[tokio::test]
async fn what_is_no_list_is_refused_with_the_place() {
    let fake = Fake::default();
    let client = Client::of(&fake, small());
    for (body, words) in [
        (r#"{"kind":"EventList","items":[}"#, "line 1 column 30"),
        (r#"{"kind":"Pod","apiVersion":"v1"}"#, "`v1` `Pod`"),
        ("", "line 1 column 0"),
    ] {
        let response = client.post(None, body).await;
        assert_eq!(response.status(), 400, "{body}");
        let message = axum::body::to_bytes(response.into_body(), MIB).await.unwrap();
        let message = String::from_utf8(message.to_vec()).unwrap();
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn a_bad_item_becomes_a_dead_letter_and_the_rest_is_published() {
    let fake = Fake::default();
    let client = Client::of(&fake, small());
    let body = list(&["a", "b"]).replacen("\"a\"", "[]", 1);
    assert_eq!(client.status(body).await, 200);
    assert_eq!(fake.ids().len(), 1);
    let letters = fake.letters();
    assert_eq!((letters[0].origin.as_str(), letters[0].position), ("/audit/webhook", 0));
}
