//! Who is left alone, and who only looks as if (catalogue of bypasses, exemptions 12–18).

use jiff::{SignedDuration, Timestamp};

use super::world::{FINE, PRIVILEGED, World, pod};
use super::{Case, case};

pub(super) const CASES: &[Case] = &[
    case("the four namespaces and their service accounts are left alone", "", left_alone),
    case("12 a label on the namespace exempts nobody", "", labels),
    case("13 kube-evil, kubeflow, openshift-x, redhat1", "passes: a loose pattern over names", squatting),
    case("15 service accounts of namespaces that look alike", "passes: the same pattern", accounts),
    case("14 break-glass without the right to", "passes: anybody's annotation", no_right),
    case("14 break-glass with the right, dated and told", "passes without a date, a log line", break_glass),
    case("16 an exception in the object's own namespace", "", own_exception),
    case("18 the label of a namespace made a moment ago", "", fresh_label),
];

const SYSTEM: [&str; 4] = ["stackrox", "kube-system", "cpaas-system", "istio-system"];
const LOOK_ALIKES: [&str; 5] = ["kube-evil", "kubeflow", "openshift-x", "redhat1", "istio-system2"];

fn left_alone(world: &World) -> Result<(), String> {
    world.namespace("exemptions")?;
    let grant =
        "create clusterrolebinding every-account --clusterrole=cluster-admin --group=system:serviceaccounts";
    world.ask(grant).allowed()?;
    for namespace in SYSTEM {
        world.namespace(namespace)?;
        world.privileged(namespace, "a").allowed()?;
        let create = format!(
            "-n exemptions --as system:serviceaccount:{namespace}:default create --dry-run=server -f -"
        );
        let object = pod("a", &format!(r#""containers":[{PRIVILEGED}]"#));
        world.ask_with(&create, &object).allowed().map_err(|problem| format!("{namespace}: {problem}"))?;
    }
    // Commands there are judged, since nobody else sees them, and never denied.
    world
        .ask_with("-n cpaas-system create -f -", &pod("repair", &format!(r#""containers":[{PRIVILEGED}]"#)))
        .allowed()?;
    world.ask("-n cpaas-system wait --for=condition=Ready pod/repair --timeout=30s").allowed()?;
    world.ask("-n cpaas-system exec repair -- id").refused(&[])?;
    let told = |alert: &serde_json::Value| {
        alert["entity"]["namespace"] == "cpaas-system"
            && alert["violations"][0]["admission"]["answer"]["type"] == "allowed"
    };
    world.alert("No commands in pods", told).map(drop)
}

fn labels(world: &World) -> Result<(), String> {
    world.namespace("exemptions")?;
    world.ask("label namespace exemptions lictor.io/ignore=true admission.gatekeeper.sh/ignore=true control-plane=true").allowed()?;
    world.privileged("exemptions", "a").denied(&[])?;
    // The name's own label is the API server's: whatever is written there, the name counts.
    let _ = world.ask("label namespace exemptions kubernetes.io/metadata.name=kube-system --overwrite");
    world.privileged("exemptions", "a").denied(&[])
}

fn squatting(world: &World) -> Result<(), String> {
    for namespace in LOOK_ALIKES {
        world.namespace(namespace)?;
        world.privileged(namespace, "a").denied(&[]).map_err(|problem| format!("{namespace}: {problem}"))?;
    }
    Ok(())
}

fn accounts(world: &World) -> Result<(), String> {
    world.namespace("exemptions")?;
    let object = pod("a", &format!(r#""containers":[{PRIVILEGED}]"#));
    for namespace in LOOK_ALIKES {
        world.namespace(namespace)?;
        let create = format!(
            "-n exemptions --as system:serviceaccount:{namespace}:default create --dry-run=server -f -"
        );
        world.ask_with(&create, &object).denied(&[]).map_err(|problem| format!("{namespace}: {problem}"))?;
    }
    // A name of the control plane without its groups, and groups spelt otherwise.
    for user in [
        "system:serviceaccount:kube-system:x --as-group=system:masters",
        "alice --as-group=system:masters --as-group=System:Nodes",
        "alice --as-group=system:masters --as-group=system:nodes:x",
    ] {
        let create = format!("-n exemptions --as {user} create --dry-run=server -f -");
        world.ask_with(&create, &object).denied(&[]).map_err(|problem| format!("{user}: {problem}"))?;
    }
    Ok(())
}

/// A privileged pod that breaks glass until some hours from now.
fn breaking(name: &str, key: &str, hours: i64) -> String {
    let until = Timestamp::now() + SignedDuration::from_hours(hours);
    let annotations = format!(r#"{{"{key}":"payments are down","lictor.io/break-glass-until":"{until}"}}"#);
    pod(name, &format!(r#""containers":[{PRIVILEGED}]"#))
        .replace(&format!(r#""name":"{name}""#), &format!(r#""name":"{name}","annotations":{annotations}"#))
}

fn no_right(world: &World) -> Result<(), String> {
    world.namespace("exemptions")?;
    world
        .ask("-n exemptions create rolebinding developers --clusterrole=admin --group=developers")
        .allowed()?;
    let create = "-n exemptions --as bob --as-group=developers create -f -";
    for key in ["lictor.io/break-glass", "admission.stackrox.io/break-glass"] {
        let said = world.ask_with(create, &breaking("bobs", key, 1));
        said.denied(&[
            "No privileged containers",
            "break-glass is not accepted: bob does not have the verb `break-glass` on `workloads.lictor.io`",
        ])?;
    }
    Ok(())
}

fn break_glass(world: &World) -> Result<(), String> {
    world.namespace("exemptions")?;
    world.ask("-n exemptions create rolebinding on-call --clusterrole=admin --user=carol").allowed()?;
    let role = r#"{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"break-glass"},
        "rules":[{"apiGroups":["lictor.io"],"resources":["workloads"],"verbs":["break-glass"]}]}"#;
    world.ask_with("-n exemptions create -f -", role).allowed()?;
    world.ask("-n exemptions create rolebinding break-glass --role=break-glass --user=carol").allowed()?;
    let create = "-n exemptions --as carol create -f -";
    for (hours, problem) in [(-1, "the exception ended at"), (48, "more than 24 h ahead")] {
        world.ask_with(create, &breaking("late", "lictor.io/break-glass", hours)).denied(&[problem])?;
    }
    world.ask_with(create, &breaking("carols", "lictor.io/break-glass", 1)).warned(&[
        "break-glass is used until",
        "payments are down",
        "No privileged containers",
    ])?;
    let told = |alert: &serde_json::Value| {
        let admission = &alert["violations"][0]["admission"];
        admission["answer"]["type"] == "brokeGlass"
            && admission["answer"]["reason"] == "payments are down"
            && admission["user"] == "carol"
    };
    world.alert("No privileged containers", told).map(drop)
}

fn own_exception(world: &World) -> Result<(), String> {
    world.namespace("exemptions")?;
    // Nothing an author writes into the object or beside it takes a policy away.
    let annotations = r#""annotations":{"kyverno.io/ignore":"true","lictor.io/exclude":"true","admission.stackrox.io/bypass":"true"}"#;
    let object = pod("a", &format!(r#""containers":[{PRIVILEGED}]"#)).replace(
        r#""name":"a""#,
        &format!(r#""name":"a","labels":{{"control-plane":"true"}},{annotations}"#),
    );
    world
        .ask_with("-n exemptions create --dry-run=server -f -", &object)
        .denied(&["No privileged containers"])
}

fn fresh_label(world: &World) -> Result<(), String> {
    let both = format!(
        r#"{{"apiVersion":"v1","kind":"List","items":[
            {{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"fresh","labels":{{"guarded":"yes"}}}}}},
            {}]}}"#,
        crate::admission::world::workload("Deployment", "quick", 1, FINE)
    );
    world.ask_with("-n fresh create -f -", &both).denied(&["Guarded by label"])
}
