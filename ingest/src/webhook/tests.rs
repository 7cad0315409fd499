use std::io::Write as _;

use axum::http::Request;
use flate2::Compression;
use flate2::write::GzEncoder;
use tower::ServiceExt;

use super::*;
use crate::fake::Fake;

fn small() -> Bounds {
    Bounds { body: 4 * MIB, unpacked: 8 * MIB, in_flight: 8 * MIB, patience: Duration::from_millis(200) }
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
    let bounds = Bounds { in_flight: 4 * MIB, patience: Duration::from_secs(60), ..small() };
    let client = Arc::new(Client::of(&fake, bounds));
    let first = tokio::spawn({
        let (client, body) = (client.clone(), large("b"));
        async move { client.status(body).await }
    });
    fake.waiting(1).await;
    assert_eq!(client.status(large("c")).await, 429);
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
