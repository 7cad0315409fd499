//! What an event's id is made of: the same record has one id wherever it comes from, and nothing that the observed party
//! chooses makes two records equal.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "all of this is test code, helpers included"
)]

use std::collections::BTreeSet;

use lictor_normalize::{Batch, Format, Origin};
use lictor_wire::ClusterId;
use serde_json::{Value, json};

fn ids(format: Format, text: &str) -> Vec<String> {
    let origin = Origin {
        cluster: ClusterId::new("c1"),
        source: "/x".to_owned(),
        received: "2026-06-01T00:00:00Z".parse().unwrap(),
    };
    let mut batch = Batch::default();
    format.read(text, &origin, &mut batch).unwrap();
    assert!(batch.rejected.is_empty());
    batch.events.into_iter().map(|event| event.id.to_string()).collect()
}

fn id(format: Format, value: &Value) -> String {
    let ids = ids(format, &value.to_string());
    assert_eq!(ids.len(), 1);
    ids[0].clone()
}

fn record() -> Value {
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse",
        "auditID": "a", "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/vault/secrets", "verb": "create",
        "user": { "username": "mallory", "uid": "1", "groups": ["g"], "extra": { "k": ["v"] } },
        "impersonatedUser": { "username": "alice" },
        "sourceIPs": ["10.0.0.1"], "userAgent": "curl",
        "objectRef": { "resource": "secrets", "namespace": "vault", "name": "key", "apiVersion": "v1" },
        "responseStatus": { "metadata": {}, "code": 201 },
        "requestObject": { "kind": "Secret" }, "responseObject": { "kind": "Secret" },
        "requestReceivedTimestamp": "2026-01-02T03:04:05.000001Z", "stageTimestamp": "2026-01-02T03:04:05.000002Z",
        "annotations": { "authorization.k8s.io/decision": "allow" },
    })
}

#[test]
fn a_record_has_one_id_by_log_webhook_and_wrapper() {
    let whole = record();
    let wanted = id(Format::Audit, &whole);
    // The log writes a record with its kind; a webhook posts lists without it, and may cut bodies.
    let mut cut = record();
    for field in ["kind", "apiVersion", "level", "requestObject", "responseObject", "annotations"] {
        cut.as_object_mut().unwrap().remove(field);
    }
    cut["annotations"] = json!({ "audit.k8s.io/truncated": "true" });
    cut["responseStatus"] = json!({ "code": 201 });
    cut["stageTimestamp"] = json!("2026-01-02T03:04:05.0000020Z");
    let list = json!({ "kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [cut] });
    let azure = json!({ "category": "kube-audit", "properties": { "log": whole.to_string() } });
    let amazon = json!({ "timestamp": 1, "message": cut.to_string() });
    for other in [cut, list, azure, amazon] {
        assert_eq!(id(Format::Audit, &other), wanted, "{other}");
    }
    assert_eq!(ids(Format::Audit, &serde_json::to_string_pretty(&whole).unwrap()), [wanted]);
}

/// Changes one field after the other; every result has an id of its own.
fn each_differs(format: Format, record: &Value, changes: &[(&str, Value)]) {
    let mut ids = BTreeSet::from([id(format, record)]);
    for (pointer, value) in changes {
        let mut changed = record.clone();
        *changed.pointer_mut(pointer).unwrap() = value.clone();
        assert!(ids.insert(id(format, &changed)), "{pointer}");
    }
}

#[test]
fn requests_of_one_audit_id_are_told_apart() {
    each_differs(
        Format::Audit,
        &record(),
        &[
            ("/auditID", json!("b")),
            ("/stage", json!("RequestReceived")),
            ("/requestURI", json!("/api/v1/namespaces/vault/secrets/other")),
            ("/verb", json!("get")),
            ("/user/username", json!("bob")),
            ("/user/uid", json!("2")),
            ("/user/groups", json!(["g", "h"])),
            ("/user/extra", json!({})),
            ("/impersonatedUser", json!(null)),
            ("/sourceIPs", json!(["10.0.0.2"])),
            ("/objectRef/name", json!("other")),
            ("/objectRef/namespace", json!("shop")),
            ("/responseStatus/code", json!(403)),
            ("/requestReceivedTimestamp", json!("2026-01-02T03:04:05.000000Z")),
            ("/stageTimestamp", json!("2026-01-02T03:04:05.000003Z")),
        ],
    );
}

#[test]
fn without_times_all_of_a_record_counts() {
    let mut record = record();
    record.as_object_mut().unwrap().remove("stageTimestamp");
    each_differs(Format::Audit, &record, &[("/userAgent", json!("kubectl")), ("/requestObject", json!({}))]);
}

#[test]
fn what_a_sensor_says_of_a_process_counts() {
    let line = json!({
        "process_exec": { "process": {
            "exec_id": "e", "pid": 7, "binary": "/bin/sh", "start_time": "2026-01-02T03:04:05.000000001Z",
        }},
        "node_name": "n1", "time": "2026-01-02T03:04:05.000000002Z",
    });
    each_differs(
        Format::Tetragon,
        &line,
        &[
            ("/process_exec/process/exec_id", json!("f")),
            ("/process_exec/process/pid", json!(8)),
            ("/process_exec/process/binary", json!("/bin/bash")),
            ("/process_exec/process/start_time", json!("2026-01-02T03:04:05.000000002Z")),
            ("/node_name", json!("n2")),
            ("/time", json!("2026-01-02T03:04:05.000000003Z")),
        ],
    );
}
