//! What is denied, warned about, and let through.

use super::world::{FINE, PRIVILEGED, World, pod, workload};
use super::{Case, case};

pub(super) const CASES: &[Case] = &[
    case(
        "a denied create names every policy, what to do, and how to ask for an exception",
        "nothing about policies that are not enforced",
        create,
    ),
    case("a denied update", "", update),
    case("permitted with a warning", "no warnings", warned),
    case("nothing to object to, nothing said", "", fine),
    case("the kinds of workload", "", kinds),
    case(
        "a StatefulSet is not scaled up, and is scaled down",
        "scales up: only deployments/scale is asked",
        scale,
    ),
    case("ReplicaSets and ReplicationControllers are not scaled up", "scales up", scale_others),
    case("commands in pods are denied, port forwarding is told", "", commands),
    case("an update that changes nothing judged is never denied", "", unchanged),
];

fn create(world: &World) -> Result<(), String> {
    world.namespace("answers")?;
    let both = pod(
        "both",
        r#""hostPID":true,"containers":[{"name":"c","image":"shop/web:latest","securityContext":{"privileged":true}}]"#,
    );
    world.ask_with("-n answers create -f -", &both).denied(&[
        "2 enforced policies are violated",
        "No privileged containers (high)",
        "Privileged Container in container c",
        "what to do: Drop privileged mode.",
        "No host PID namespace (high)",
        "what to do: Remove hostPID.",
        "also violated, not enforced: No latest tag",
        "for an exception",
        "lictor.io/break-glass",
        "verdict ",
    ])
}

fn update(world: &World) -> Result<(), String> {
    world.namespace("answers")?;
    world.ask_with("-n answers create -f -", &workload("Deployment", "web", 1, FINE)).allowed()?;
    world
        .ask_with("-n answers apply -f -", &workload("Deployment", "web", 1, PRIVILEGED))
        .denied(&["No privileged containers"])
}

fn warned(world: &World) -> Result<(), String> {
    world.namespace("answers")?;
    let latest = pod("latest", r#""containers":[{"name":"c","image":"shop/web:latest"}]"#);
    world.ask_with("-n answers create -f -", &latest).warned(&["No latest tag", "Name a release."])
}

fn fine(world: &World) -> Result<(), String> {
    world.namespace("answers")?;
    let said = world.ask_with("-n answers create -f -", &pod("fine", &format!(r#""containers":[{FINE}]"#)));
    said.quiet()
}

fn kinds(world: &World) -> Result<(), String> {
    world.namespace("answers")?;
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"] {
        let said = world.ask_with("-n answers create -f -", &workload(kind, "bad", 1, PRIVILEGED));
        said.denied(&["No privileged containers"]).map_err(|problem| format!("{kind}: {problem}"))?;
    }
    let template = format!(
        r#"{{"metadata":{{"labels":{{"app":"bad"}}}},"spec":{{"restartPolicy":"Never","containers":[{PRIVILEGED}]}}}}"#
    );
    let job = format!(
        r#"{{"apiVersion":"batch/v1","kind":"Job","metadata":{{"name":"bad"}},"spec":{{"template":{template}}}}}"#
    );
    world.ask_with("-n answers create -f -", &job).denied(&["No privileged containers"])?;
    let cron = format!(
        r#"{{"apiVersion":"batch/v1","kind":"CronJob","metadata":{{"name":"bad"}},"spec":{{"schedule":"0 0 * * *","jobTemplate":{{"spec":{{"template":{template}}}}}}}}}"#
    );
    world.ask_with("-n answers create -f -", &cron).denied(&["No privileged containers"])?;
    let controller = format!(
        r#"{{"apiVersion":"v1","kind":"ReplicationController","metadata":{{"name":"bad"}},"spec":{{"replicas":1,"selector":{{"app":"bad"}},
            "template":{{"metadata":{{"labels":{{"app":"bad"}}}},"spec":{{"containers":[{PRIVILEGED}]}}}}}}}}"#
    );
    world.ask_with("-n answers create -f -", &controller).denied(&["No privileged containers"])
}

fn scale(world: &World) -> Result<(), String> {
    world.namespace("answers")?;
    world.ask_with("-n answers create -f -", &workload("StatefulSet", "db", 3, FINE)).allowed()?;
    world
        .ask("-n answers scale statefulset db --replicas=5")
        .denied(&["At most three replicas", "Ask for a quota."])?;
    world.ask("-n answers scale statefulset db --replicas=1").allowed()?;
    world.ask("-n answers scale statefulset db --replicas=0").allowed()
}

fn scale_others(world: &World) -> Result<(), String> {
    world.namespace("answers")?;
    world.ask_with("-n answers create -f -", &workload("ReplicaSet", "set", 1, FINE)).allowed()?;
    let controller = format!(
        r#"{{"apiVersion":"v1","kind":"ReplicationController","metadata":{{"name":"old"}},"spec":{{"replicas":1,"selector":{{"app":"old"}},
            "template":{{"metadata":{{"labels":{{"app":"old"}}}},"spec":{{"containers":[{FINE}]}}}}}}}}"#
    );
    world.ask_with("-n answers create -f -", &controller).allowed()?;
    for name in ["replicaset set", "replicationcontroller old"] {
        world.ask(&format!("-n answers scale {name} --replicas=9")).denied(&["At most three replicas"])?;
        world.ask(&format!("-n answers scale {name} --replicas=0")).allowed()?;
    }
    Ok(())
}

fn commands(world: &World) -> Result<(), String> {
    world.namespace("answers")?;
    world.ask_with("-n answers apply -f -", &pod("shell", &format!(r#""containers":[{FINE}]"#))).allowed()?;
    world.ask("-n answers wait --for=condition=Ready pod/shell --timeout=30s").allowed()?;
    world.ask("-n answers exec shell -- id").denied(&["No commands in pods", "Debug in staging."])?;
    world.ask("-n answers attach shell").denied(&["No commands in pods"])?;
    // Nobody is there to forward to; but the question was asked, and let through.
    world
        .ask("-n answers port-forward shell 8080:80 --pod-running-timeout=1s --request-timeout=2s")
        .refused(&[])?;
    let told = |alert: &serde_json::Value| alert["state"] == "ACTIVE";
    world.alert("Port forwarding is seen", told)?;
    let attempted = |alert: &serde_json::Value| {
        alert["state"] == "ATTEMPTED" && alert["violations"][0]["admission"]["answer"]["type"] == "denied"
    };
    world.alert("No commands in pods", attempted).map(drop)
}

fn unchanged(world: &World) -> Result<(), String> {
    world.namespace("kube-system")?;
    world.namespace("labels")?;
    // Made by the control plane, which is not held up: it has no team.
    let as_controller = "--as system:serviceaccount:kube-system:deployment-controller";
    let grant = "create clusterrolebinding controllers --clusterrole=cluster-admin --group=system:serviceaccounts:kube-system";
    world.ask(grant).allowed()?;
    world
        .ask_with(&format!("-n labels {as_controller} create -f -"), &workload("Deployment", "old", 1, FINE))
        .allowed()?;
    // A finalizer is nothing that is judged; a label is.
    let add = r#"{"metadata":{"finalizers":["shop.example/hold"]}}"#;
    world.ask(&format!("-n labels patch deployment old --type=merge -p {add}")).allowed()?;
    let label = r#"{"metadata":{"labels":{"other":"x"}}}"#;
    world
        .ask(&format!("-n labels patch deployment old --type=merge -p {label}"))
        .denied(&["Team is named"])?;
    world.ask("-n labels delete deployment old --wait=false").allowed()?;
    // On its way out its labels no longer matter, and the finalizer can go.
    world.ask(&format!("-n labels patch deployment old --type=merge -p {label}")).allowed()?;
    let remove = r#"{"metadata":{"finalizers":null}}"#;
    world.ask(&format!("-n labels patch deployment old --type=merge -p {remove}")).allowed()?;
    world.ask("-n labels wait --for=delete deployment/old --timeout=30s").allowed()
}
