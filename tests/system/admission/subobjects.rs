//! Ways to change what runs without creating a plain pod (catalogue of bypasses, sub-objects 1–11).

use super::world::{FINE, PRIVILEGED, World, pod, workload};
use super::{Case, case};

pub(super) const CASES: &[Case] = &[
    case("1 ephemeral containers", "passes: its rules list no such sub-resource", ephemeral),
    case("2 init and sidecar containers", "passes without ROX_INIT_CONTAINER_SUPPORT", init),
    case("3 a Job is set free or makes more pods at once", "passes: no judged fact changes", jobs),
    case("4 pods/resize", "passes: no such sub-resource", resize),
    case("4 pods/eviction is left alone", "", evict),
    case("5 merge patch, strategic patch, server-side apply, raw replace", "", patches),
    case("6 an object being deleted that a finalizer holds", "", leaving),
    case("8 pods themselves are judged, whoever makes them", "", pods),
    case("9 a made-up owner", "passes: owner references are believed", made_up_owner),
    case("9 a real owner of another pod", "passes: owner references are believed", real_owner),
    case("9 the pods of a workload that was judged", "", owned),
    case("10 host paths, whatever the volume is called", "", volumes),
    case("11 null, absent and default are one", "", defaults),
];

const NS: &str = "-n subobjects";

fn ephemeral(world: &World) -> Result<(), String> {
    world.namespace("subobjects")?;
    world
        .ask_with(&format!("{NS} create -f -"), &pod("target", &format!(r#""containers":[{FINE}]"#)))
        .allowed()?;
    world.ask(&format!("{NS} wait --for=condition=Ready pod/target --timeout=30s")).allowed()?;
    world
        .ask(&format!("{NS} debug target --image=shop/tools:1 --profile=sysadmin -c spy -- sleep 60"))
        .denied(&["No privileged containers", "container spy"])?;
    world
        .ask(&format!("{NS} debug target --image=shop/tools:1 --profile=restricted -c helper -- sleep 60"))
        .allowed()
}

fn init(world: &World) -> Result<(), String> {
    world.namespace("subobjects")?;
    let hidden = PRIVILEGED.replace(r#""name":"c""#, r#""name":"hidden""#);
    let sidecar = hidden.replacen('{', r#"{"restartPolicy":"Always","#, 1);
    for (name, container) in [("init", &hidden), ("sidecar", &sidecar)] {
        let object = pod(name, &format!(r#""initContainers":[{container}],"containers":[{FINE}]"#));
        let said = world.ask_with(&format!("{NS} create -f -"), &object);
        said.denied(&["No privileged containers", "container hidden"])
            .map_err(|problem| format!("{name}: {problem}"))?;
    }
    Ok(())
}

fn jobs(world: &World) -> Result<(), String> {
    world.namespace("subobjects")?;
    let job = |name: &str| {
        format!(
            r#"{{"apiVersion":"batch/v1","kind":"Job","metadata":{{"name":"{name}"}},"spec":{{"suspend":true,
                "parallelism":2,"template":{{"spec":{{"restartPolicy":"Never","containers":[{PRIVILEGED}]}}}}}}}}"#
        )
    };
    world.ask_with(&format!("{NS} create -f -"), &job("own")).denied(&["No privileged containers"])?;
    // One that admission did not review, or that soft enforcement has suspended.
    let as_controller = "--as system:serviceaccount:kube-system:cronjob-controller";
    world.ask_with(&format!("{NS} {as_controller} create -f -"), &job("made")).allowed()?;
    for change in [r#"{"suspend":false}"#, r#"{"parallelism":50}"#] {
        let patch = format!(r#"{NS} patch job made --type=merge -p {{"spec":{change}}}"#);
        let said = world.ask(&patch).denied(&["No privileged containers"]);
        said.map_err(|problem| format!("{change}: {problem}"))?;
    }
    world.ask(&format!(r#"{NS} patch job made --type=merge -p {{"spec":{{"parallelism":1}}}}"#)).allowed()
}

fn resize(world: &World) -> Result<(), String> {
    world.namespace("subobjects")?;
    let container =
        r#"{"name":"c","image":"shop/web:1","resources":{"requests":{"cpu":"1"},"limits":{"cpu":"1"}}}"#;
    world
        .ask_with(&format!("{NS} create -f -"), &pod("small", &format!(r#""containers":[{container}]"#)))
        .allowed()?;
    world.ask(&format!("{NS} wait --for=condition=Ready pod/small --timeout=30s")).allowed()?;
    let patch = |cpu: &str| {
        let resources = format!(r#"{{"requests":{{"cpu":"{cpu}"}},"limits":{{"cpu":"{cpu}"}}}}"#);
        let patch = format!(r#"{{"spec":{{"containers":[{{"name":"c","resources":{resources}}}]}}}}"#);
        world.ask(&format!("{NS} patch pod small --subresource=resize --patch {patch}"))
    };
    patch("4").denied(&["A CPU limit of two cores"])?;
    patch("2").allowed()
}

fn evict(world: &World) -> Result<(), String> {
    world.namespace("subobjects")?;
    world
        .ask_with(&format!("{NS} create -f -"), &pod("leaves", &format!(r#""containers":[{FINE}]"#)))
        .allowed()?;
    let eviction = r#"{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"leaves","namespace":"subobjects"}}"#;
    world.ask_with("create --raw /api/v1/namespaces/subobjects/pods/leaves/eviction -f -", eviction).allowed()
}

fn patches(world: &World) -> Result<(), String> {
    world.namespace("subobjects")?;
    let good = workload("Deployment", "patched", 1, FINE);
    let bad = workload("Deployment", "patched", 1, PRIVILEGED);
    world.ask_with(&format!("{NS} create -f -"), &good).allowed()?;
    let container = r#"[{"name":"c","image":"shop/web:1","securityContext":{"privileged":true}}]"#;
    let patch = format!(r#"{{"spec":{{"template":{{"spec":{{"containers":{container}}}}}}}}}"#);
    for kind in ["merge", "strategic"] {
        world
            .ask(&format!("{NS} patch deployment patched --type={kind} -p {patch}"))
            .denied(&["No privileged containers"])?;
    }
    let json = r#"[{"op":"add","path":"/spec/template/spec/hostPID","value":true}]"#;
    world
        .ask(&format!("{NS} patch deployment patched --type=json -p {json}"))
        .denied(&["No host PID namespace"])?;
    world
        .ask_with(&format!("{NS} apply --server-side --force-conflicts -f -"), &bad)
        .denied(&["No privileged containers"])?;
    world.ask_with(&format!("{NS} replace -f -"), &bad).denied(&["No privileged containers"])?;
    world
        .ask_with("replace --raw /apis/apps/v1/namespaces/subobjects/deployments/patched -f -", &bad)
        .denied(&["No privileged containers"])
}

fn leaving(world: &World) -> Result<(), String> {
    world.namespace("subobjects")?;
    world.ask_with(&format!("{NS} create -f -"), &workload("Deployment", "held", 1, FINE)).allowed()?;
    let hold = r#"{"metadata":{"finalizers":["shop.example/hold"]}}"#;
    world.ask(&format!("{NS} patch deployment held --type=merge -p {hold}")).allowed()?;
    world.ask(&format!("{NS} delete deployment held --wait=false")).allowed()?;
    let json = r#"[{"op":"add","path":"/spec/template/spec/hostPID","value":true}]"#;
    world
        .ask(&format!("{NS} patch deployment held --type=json -p {json}"))
        .denied(&["No host PID namespace"])?;
    let free = r#"{"metadata":{"finalizers":null}}"#;
    world.ask(&format!("{NS} patch deployment held --type=merge -p {free}")).allowed()
}

fn pods(world: &World) -> Result<(), String> {
    world.namespace("subobjects")?;
    // An operator of some other group makes pods with its own service account.
    world.ask(&format!("{NS} create serviceaccount operator")).allowed()?;
    world
        .ask(&format!(
            "{NS} create rolebinding operator --clusterrole=admin --serviceaccount=subobjects:operator"
        ))
        .allowed()?;
    let owner = r#"{"apiVersion":"argoproj.io/v1alpha1","kind":"Rollout","name":"web","uid":"11111111-1111-4111-8111-111111111111","controller":true}"#;
    let object = pod("rolled", &format!(r#""containers":[{PRIVILEGED}]"#))
        .replace(r#""name":"rolled""#, &format!(r#""name":"rolled","ownerReferences":[{owner}]"#));
    world
        .ask_with(&format!("{NS} --as system:serviceaccount:subobjects:operator create -f -"), &object)
        .denied(&["No privileged containers"])
}

fn made_up_owner(world: &World) -> Result<(), String> {
    world.namespace("subobjects")?;
    let owner = r#"{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"none","uid":"22222222-2222-4222-8222-222222222222","controller":true}"#;
    let object = pod("claims", &format!(r#""containers":[{PRIVILEGED}]"#))
        .replace(r#""name":"claims""#, &format!(r#""name":"claims","ownerReferences":[{owner}]"#));
    world.ask_with(&format!("{NS} create -f -"), &object).denied(&["No privileged containers"])
}

fn real_owner(world: &World) -> Result<(), String> {
    world.namespace("subobjects")?;
    world.ask_with(&format!("{NS} create -f -"), &workload("ReplicaSet", "real", 0, FINE)).allowed()?;
    let uid = world.ask(&format!("{NS} get replicaset real -o jsonpath={{.metadata.uid}}")).output()?;
    let owner = format!(
        r#"{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"real","uid":"{uid}","controller":true}}"#
    );
    let with_owner = |name: &str, container: &str| {
        pod(name, &format!(r#""containers":[{container}]"#)).replace(
            &format!(r#""name":"{name}"}}"#),
            &format!(r#""name":"{name}","labels":{{"app":"real"}},"ownerReferences":[{owner}]}}"#),
        )
    };
    world
        .ask_with(&format!("{NS} create -f -"), &with_owner("other", PRIVILEGED))
        .denied(&["No privileged containers"])?;
    // What the owner's template says passes; the owner was judged for it. So does a sidecar that violates nothing.
    world.ask_with(&format!("{NS} create -f -"), &with_owner("same", FINE)).allowed()?;
    let beside = |image: &str| format!(r#"{FINE},{{"name":"mesh","image":"{image}"}}"#);
    world.ask_with(&format!("{NS} create -f -"), &with_owner("meshed", &beside("shop/mesh:1"))).allowed()?;
    let privileged = PRIVILEGED.replace(r#""name":"c""#, r#""name":"mesh""#);
    world
        .ask_with(&format!("{NS} create -f -"), &with_owner("worse", &format!("{FINE},{privileged}")))
        .denied(&["No privileged containers", "container mesh"])?;
    // A Deployment is nobody's, whatever it says, and a ReplicaSet has no more replicas than its Deployment.
    let claims = workload("Deployment", "many", 9, FINE).replacen(
        r#""labels""#,
        &format!(r#""ownerReferences":[{owner}],"labels""#),
        1,
    );
    world.ask_with(&format!("{NS} create -f -"), &claims).denied(&["At most three replicas"])
}

fn owned(world: &World) -> Result<(), String> {
    world.namespace("subobjects")?;
    world.ask_with(&format!("{NS} create -f -"), &workload("Deployment", "owner", 2, FINE)).allowed()?;
    world.ask(&format!("{NS} rollout status deployment/owner --timeout=30s")).allowed()
}

fn volumes(world: &World) -> Result<(), String> {
    world.namespace("subobjects")?;
    let mount = |sub: &str| {
        format!(
            r#""volumes":[{{"name":"kube-api-access-x","hostPath":{{"path":"/etc"}}}}],
               "containers":[{{"name":"c","image":"shop/web:1","volumeMounts":[{{"name":"kube-api-access-x","mountPath":"/data"{sub}}}]}}]"#
        )
    };
    for (name, sub) in [("host", ""), ("sub", r#","subPath":"kubernetes""#)] {
        world.ask_with(&format!("{NS} create -f -"), &pod(name, &mount(sub))).denied(&["No host paths"])?;
    }
    Ok(())
}

fn defaults(world: &World) -> Result<(), String> {
    world.namespace("strict")?;
    let contexts =
        ["null", "{}", r#"{"allowPrivilegeEscalation":null}"#, r#"{"allowPrivilegeEscalation":true}"#];
    for context in contexts {
        let container = format!(r#"{{"name":"c","image":"shop/web:1","securityContext":{context}}}"#);
        let said = world.ask_with(
            "-n strict create --dry-run=server -f -",
            &pod("a", &format!(r#""containers":[{container}]"#)),
        );
        said.denied(&["No privilege escalation"]).map_err(|problem| format!("{context}: {problem}"))?;
    }
    let container =
        r#"{"name":"c","image":"shop/web:1","securityContext":{"allowPrivilegeEscalation":false}}"#;
    world
        .ask_with(
            "-n strict create --dry-run=server -f -",
            &pod("a", &format!(r#""containers":[{container}]"#)),
        )
        .allowed()
}
