//! Reviews as an API server posts them all day, and a thousand policies about what they hold.

use axum::body::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Namespaces.
const NAMESPACES: usize = 200;

/// Policies about workloads, in StackRox's form; every second one asks for a denial. None is violated by more than
/// some few reviews.
pub(crate) fn policies(count: usize) -> String {
    let policies: Vec<Value> = (0..count).map(policy).collect();
    json!({"policies": policies}).to_string()
}

fn policy(number: usize) -> Value {
    let group = |field: &str, value: String| json!({"fieldName": field, "values": [{"value": value}]});
    let groups = match number % 8 {
        0 => vec![group("Image Registry", format!(r"registry-{number}\.example"))],
        1 => vec![group("Image Remote", format!("forbidden-{number}/.*"))],
        2 => vec![group("Environment Variable", format!("RAW=.*TOKEN_{number}=.+"))],
        3 => vec![
            group("Privileged Container", "true".to_owned()),
            group("Image Tag", format!("latest|dev-{number}")),
        ],
        4 => vec![group("Volume Source", format!("/var/lib/private-{number}/.*"))],
        5 => vec![
            group("Required Label", format!("team-{}=.+", number % 40)),
            group("Namespace", format!("strict-{number}")),
        ],
        6 => vec![
            group("Add Capabilities", "SYS_ADMIN".to_owned()),
            group("Container Name", format!("tool-{number}")),
        ],
        _ => vec![group("Container CPU Limit", format!("> {}", 64 + number % 64))],
    };
    let actions: &[&str] = if number.is_multiple_of(2) { &["SCALE_TO_ZERO_ENFORCEMENT"] } else { &[] };
    json!({
        "id": format!("9d2cb7a4-0000-4000-8000-{number:012}"), "name": format!("Bench policy {number}"),
        "categories": ["Kubernetes"], "lifecycleStages": ["DEPLOY"], "severity": "HIGH_SEVERITY",
        "policyVersion": "1.1", "enforcementActions": actions, "remediation": "Change it.",
        "policySections": [{"policyGroups": groups}],
    })
}

/// The namespaces the reviews are about.
pub(crate) fn namespaces() -> String {
    let namespace = |number: usize| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("team-{number}")}});
    json!({"apiVersion": "v1", "kind": "List", "items": (0..NAMESPACES).map(namespace).collect::<Vec<_>>()})
        .to_string()
}

/// Creates and updates of deployments and pods in two hundred namespaces; one in a hundred violates something.
pub(crate) fn reviews(seed: u64, count: usize) -> Vec<Bytes> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count).map(|number| Bytes::from(review(number, &mut rng).to_string())).collect()
}

fn review(number: usize, rng: &mut StdRng) -> Value {
    let (namespace, name) =
        (format!("team-{}", rng.random_range(0..NAMESPACES)), format!("web-{}", rng.random_range(0..5000)));
    let bad = number % 100 == 7;
    let spec = pod_spec(bad, rng);
    let (kind, group, resource, object) = if rng.random_ratio(3, 10) {
        let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata(&namespace, &name, rng), "spec": spec});
        ("Pod", "", "pods", object)
    } else {
        let labels = json!({"app": name});
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(&namespace, &name, rng),
            "spec": {
                "replicas": rng.random_range(1..10), "selector": {"matchLabels": labels}, "strategy": {"type": "RollingUpdate"},
                "template": {"metadata": {"labels": labels, "annotations": {"prometheus.io/scrape": "true"}}, "spec": spec},
            },
        });
        ("Deployment", "apps", "deployments", object)
    };
    let version = "v1";
    let update = rng.random_ratio(1, 4);
    let mut old = Value::Null;
    if update {
        old = object.clone();
        old["metadata"]["labels"]["release"] = json!("before");
    }
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": format!("0f2c1d7e-0000-4000-8000-{number:012}"),
            "kind": {"group": group, "version": version, "kind": kind},
            "resource": {"group": group, "version": version, "resource": resource},
            "requestKind": {"group": group, "version": version, "kind": kind},
            "requestResource": {"group": group, "version": version, "resource": resource},
            "name": name, "namespace": namespace, "operation": if update { "UPDATE" } else { "CREATE" },
            "userInfo": {"username": "ci", "groups": ["developers", "system:authenticated"]},
            "object": object, "oldObject": old, "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "kubectl-client-side-apply"},
        },
    })
}

fn metadata(namespace: &str, name: &str, rng: &mut StdRng) -> Value {
    json!({
        "name": name, "namespace": namespace, "uid": format!("6a9b1c00-0000-4000-8000-{:012}", rng.random_range(0..1_000_000)),
        "generation": 1, "creationTimestamp": "2026-09-21T08:13:20Z",
        "labels": {"app": name, "app.kubernetes.io/part-of": "shop", "release": format!("r{}", rng.random_range(0..1000))},
        "managedFields": [{"manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "apps/v1",
            "time": "2026-09-21T08:13:20Z", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": {"f:labels": {".": {}, "f:app": {}, "f:release": {}}}, "f:spec": {"f:replicas": {}, "f:selector": {},
                "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"c0\"}": {".": {}, "f:env": {}, "f:image": {}, "f:resources": {}}}}}}}}],
    })
}

fn pod_spec(bad: bool, rng: &mut StdRng) -> Value {
    let containers: Vec<Value> = (0..rng.random_range(1..4)).map(|i| container(i, bad, rng)).collect();
    json!({
        "containers": containers, "serviceAccountName": "web", "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
        "terminationGracePeriodSeconds": 30, "schedulerName": "default-scheduler",
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "config", "configMap": {"name": "web", "defaultMode": 420}}, {"name": "tmp", "emptyDir": {}}],
    })
}

fn container(i: usize, bad: bool, rng: &mut StdRng) -> Value {
    let env: Vec<Value> = (0..rng.random_range(3..12))
        .map(|j| json!({"name": format!("SETTING_{j}"), "value": format!("value-{}", rng.random_range(0..1_000_000))}))
        .collect();
    let tag = if bad { "latest".to_owned() } else { format!("1.{}", rng.random_range(0..50)) };
    json!({
        "name": format!("c{i}"), "image": format!("registry.shop.example/team/web-{}:{tag}", rng.random_range(0..300)),
        "imagePullPolicy": "IfNotPresent", "env": env,
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}},
        "securityContext": {"allowPrivilegeEscalation": false, "privileged": bad, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/web"}, {"name": "tmp", "mountPath": "/tmp"}],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}}, "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
    })
}
