//! The read API, without a socket.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use futures_util::StreamExt;
use lictor_store::{Entry, Health, Ledger, Log, Record, router};
use lictor_wire::policy::EnforcementAction;
use lictor_wire::{Decision, ReceiptStep};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{apply, apply_receipt, deploy, memory, minute, policy, receipt, runtime, with};

struct Api {
    ledger: Ledger,
    health: Arc<Health>,
    router: Router,
}

fn api() -> Api {
    let (ledger, health) = (memory(), Arc::new(Health::default()));
    let (ready, _handles) = lictor_serve::readiness();
    let router = router(ledger.clone(), Arc::clone(&health), ready);
    Api { ledger, health, router }
}

impl Api {
    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn ok(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    /// The bodies of `/v1/stream` as they come.
    async fn stream(&self, last: Option<&str>) -> axum::body::BodyDataStream {
        let mut request = Request::get("/v1/stream");
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body().into_data_stream()
    }
}

/// A page in a browser on this machine, whose own host name resolves to 127.0.0.1, asks in that name.
#[tokio::test]
async fn a_foreign_host_is_not_answered() {
    let api = api();
    for (host, status) in [("127.0.0.1:8181", 200), ("evil.example:8181", 421)] {
        let request = Request::get("/v1/alerts").header("Host", host).body(Body::empty()).unwrap();
        let response = api.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{host}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }
}

async fn next(stream: &mut axum::body::BodyDataStream) -> (String, Option<String>, Value) {
    let text = String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap();
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(|v| v.trim().to_owned())
    };
    let data = serde_json::from_str(&field("data").unwrap()).unwrap();
    (field("event").unwrap(), field("id"), data)
}

#[tokio::test]
async fn alerts_are_listed_filtered_and_paged() {
    let api = api();
    for n in 0..5 {
        let name = format!("w{n}");
        apply(&api.ledger, [with(runtime(&name, "e", n), policy("curl", 6), "x")]);
    }
    apply(&api.ledger, [with(deploy("w0", "d", 9, [1, 1, 5]), policy("latest", 5), "x")]);
    apply(&api.ledger, [deploy("w0", "d2", 10, [2, 1, 5])]);

    let all = api.ok("/v1/alerts").await;
    assert_eq!(all["total"], 5, "resolved ones only for who asks");
    assert_eq!(all["alerts"][0]["entity"]["name"], "w4", "newest first");
    assert_eq!(api.ok("/v1/alerts?state=ALL").await["total"], 6);
    assert_eq!(api.ok("/v1/alerts?state=resolved").await["alerts"][0]["resolvedAt"], json!(minute(11)));
    for (query, total) in [
        ("severity=HIGH", 5),
        ("severity=low_severity,critical", 0),
        ("policy=CURL", 5),
        ("policyId=id-curl", 5),
        ("namespace=shop", 5),
        ("namespace=other", 0),
        ("cluster=c1&stage=RUNTIME", 5),
        ("stage=deploy", 0),
        ("entity=shop/Deployment/w3", 1),
        ("entity=deployment/c1/uid-w3", 1),
    ] {
        assert_eq!(api.ok(&format!("/v1/alerts?{query}")).await["total"], total, "{query}");
    }

    for query in ["state=ALL", "stage=RUNTIME"] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = api.ok(&format!("/v1/alerts?{query}&limit=2{after}")).await;
            seen.extend(page["alerts"].as_array().unwrap().iter().map(|a| a["id"].clone()));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        let whole = api.ok(&format!("/v1/alerts?{query}")).await;
        let ids: Vec<Value> = whole["alerts"].as_array().unwrap().iter().map(|a| a["id"].clone()).collect();
        assert_eq!(seen, ids);
    }

    let id = all["alerts"][0]["id"].as_str().unwrap();
    let alert = api.ok(&format!("/v1/alerts/{id}")).await;
    assert_eq!(alert["violations"][0]["sections"][0]["evidence"][0]["found"], "x");
    assert_eq!((&alert["lifecycleStage"], &alert["state"]), (&json!("RUNTIME"), &json!("ACTIVE")));
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let api = api();
    for (path, status, code) in [
        ("/v1/alerts/none", 404, "notFound"),
        ("/v1/none", 404, "notFound"),
        ("/v1/alerts?limit=1001", 400, "invalidArgument"),
        ("/v1/alerts?limit=many", 400, "invalidArgument"),
        ("/v1/alerts?sate=ACTIVE", 400, "invalidArgument"),
        ("/v1/alerts?severity=awful", 400, "invalidArgument"),
        ("/v1/alerts?after=here", 400, "invalidArgument"),
        ("/v1/stream?lastEventId=7", 400, "invalidArgument"),
    ] {
        let (found, body) = api.get(path).await;
        assert_eq!((found.as_u16(), body["code"].as_str()), (status, Some(code)), "{path}");
        assert!(!body["message"].as_str().unwrap().is_empty() && !body["hint"].as_str().unwrap().is_empty());
    }
    let request = Request::post("/v1/alerts").body(Body::empty()).unwrap();
    let response = api.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn receipts_dead_letters_and_coverage_are_listed() {
    let api = api();
    let verdict = with(runtime("web", "e1", 1), policy("p", 5), "a");
    let acted = receipt(&verdict, EnforcementAction::KillPod, ReceiptStep::Decision(Decision::Act), 2);
    apply_receipt(&api.ledger, acted.clone());
    let broken = Entry::read(Log::DeadLetters, 3, minute(3), b"{}\n");
    api.ledger.apply(Log::DeadLetters, &[broken]).unwrap();
    let line = r#"{"specversion":"1.0","id":"g1","source":"/bus","type":"io.lictor.coverage.v1",
        "time":"2026-01-02T03:04:05Z","cluster":"c1","data":{"notice":"sensorRateLimit","lost":7}}"#;
    let notice = Entry::read(Log::Coverage, 4, minute(4), line.replace('\n', "").as_bytes());
    api.ledger.apply(Log::Coverage, &[notice]).unwrap();

    let receipts = api.ok("/v1/receipts").await;
    assert_eq!((&receipts["total"], &receipts["receipts"][0]["sequence"]), (&json!(1), &json!(1)));
    for (query, total) in [
        (format!("violation={}", acted.violation), 1),
        (format!("actionKey={}&step=decision", acted.action_key), 1),
        ("action=kill_pod&step=outcome".to_owned(), 0),
        ("action=KILL_POD_ENFORCEMENT&namespace=shop&policyId=id-p".to_owned(), 1),
        ("violation=other".to_owned(), 0),
    ] {
        assert_eq!(api.ok(&format!("/v1/receipts?{query}")).await["total"], total, "{query}");
    }
    let letters = api.ok("/v1/deadletters").await;
    assert_eq!((&letters["deadLetters"][0]["role"], &letters["total"]), (&json!("store"), &json!(1)));
    let coverage = api.ok("/v1/coverage").await;
    assert_eq!(coverage["notices"][0]["event"]["data"]["lost"], 7);
}

#[tokio::test]
async fn the_summary_counts() {
    let api = api();
    let event = |n: i64| with(runtime("web", &format!("e{n}"), n), policy("p", 6), "x");
    apply(&api.ledger, (0..50).map(event));
    apply(&api.ledger, [with(deploy("web", "d", 9, [1, 1, 5]), policy("q", 5), "x")]);
    apply(&api.ledger, [deploy("web", "d2", 10, [2, 1, 5])]);
    let summary = api.ok("/v1/summary").await;
    assert_eq!(summary["byState"], json!({"ACTIVE": 1, "RESOLVED": 1}));
    assert_eq!(summary["bySeverity"], json!({"HIGH_SEVERITY": 1}));
    assert_eq!(
        (&summary["byPolicy"][0]["name"], &summary["byPolicy"][0]["violations"]),
        (&json!("p"), &json!(50))
    );
    assert_eq!(summary["violations"], 51);
}

#[tokio::test]
async fn health_tells_what_stopped() {
    let api = api();
    api.health.log(Log::Verdicts, |log| {
        (log.checkpoint, log.last) = (9, 5);
        log.stopped = Some("the stream ends at 5".to_owned());
    });
    api.health.log(Log::Receipts, |log| (log.checkpoint, log.last) = (2, 5));
    let health = api.ok("/v1/health").await;
    assert_eq!((&health["healthy"], &health["ready"]), (&json!(false), &json!(false)));
    assert_eq!(health["logs"]["verdicts"]["stopped"], "the stream ends at 5");
    assert_eq!(health["logs"]["receipts"]["lag"], 3);
}

#[tokio::test]
async fn live_readers_are_told_and_go_on_where_they_were() {
    let api = api();
    let mut live = api.stream(None).await;
    let verdict = with(deploy("web", "d1", 1, [1, 1, 5]), policy("p", 5), "x");
    apply(&api.ledger, [with(verdict.clone(), policy("q", 5), "x"), deploy("web", "d2", 2, [2, 1, 5])]);
    let acted = receipt(&verdict, EnforcementAction::ScaleToZero, ReceiptStep::Decision(Decision::Act), 2);
    apply_receipt(&api.ledger, acted);
    api.health.applied();

    let (name, id, data) = next(&mut live).await;
    assert_eq!((name.as_str(), id, &data["sequence"]), ("alert.opened", None, &json!(1)));
    let (name, id, _) = next(&mut live).await;
    assert_eq!((name.as_str(), id.as_deref()), ("alert.opened", Some("verdicts:1,receipts:0")));
    next(&mut live).await;
    let (name, id, data) = next(&mut live).await;
    assert_eq!((name.as_str(), id.as_deref()), ("alert.resolved", Some("verdicts:2,receipts:0")));
    assert_eq!(data["alert"]["state"], "RESOLVED");
    let (name, id, data) = next(&mut live).await;
    assert_eq!((name.as_str(), id.as_deref()), ("receipt", Some("verdicts:2,receipts:1")));
    assert_eq!(data["alertId"], data["alertId"].as_str().unwrap());

    let mut again = api.stream(Some("verdicts:1,receipts:1")).await;
    assert_eq!(next(&mut again).await.0, "alert.resolved");
    api.health.close();
    while again.next().await.is_some() {}
    assert!(live.next().await.is_none());
}

#[tokio::test]
async fn who_is_too_far_behind_is_told_how_far() {
    let api = api();
    let verdict = |at: u64| {
        let verdict = with(runtime("web", &format!("e{at}"), 1), policy("p", 5), "x");
        Entry { sequence: at, time: minute(1), records: vec![Record::Verdict(Box::new(verdict))] }
    };
    api.ledger.apply(Log::Verdicts, &[verdict(1), verdict(12_000)]).unwrap();
    let mut stream = api.stream(Some("verdicts:0,receipts:0")).await;
    let (name, _, data) = next(&mut stream).await;
    assert_eq!((name.as_str(), &data["messages"]), ("missed", &json!(2_000)));
    let (name, id, _) = next(&mut stream).await;
    assert_eq!((name.as_str(), id.as_deref()), ("alert.merged", Some("verdicts:12000,receipts:0")));
}
