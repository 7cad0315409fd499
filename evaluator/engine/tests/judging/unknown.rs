//! What is not known is neither true nor false, and the finding names it.

use lictor_engine::{Occurrence, PolicySet};
use lictor_wire::policy::{EvaluationFilter, FilteredContainerType, Group, Scope, ScopeLabel, Section};
use lictor_wire::{
    ImageFacts, ImageMetadata, ImageScan, Policy, ProcessEvent, RequestEvent, RequestOperation,
};

use crate::fixture::{
    Outcome, Scene, any, build_policy, container, deploy_policy, deployment, group, labels, not, outcome,
    process, runtime_policy, section, set, undecided,
};

const NO_DEPLOYMENT: &str = "deployment of pod shop/web-1";

fn bash_with(policy: Policy, scene: &Scene) -> Outcome {
    outcome(&scene.judge_event(&set(policy), Occurrence::Process(&process("a", "bash"))))
}

fn bash(groups: impl IntoIterator<Item = Group>) -> Outcome {
    bash_with(runtime_policy([section(groups)]), &Scene::unknown())
}

#[test]
fn a_process_alone_is_judged_without_its_deployment() {
    assert_eq!(bash([group("Process Name", "bash")]), Outcome::Violated);
    assert_eq!(bash([group("Process Name", "sh")]), Outcome::Clean);
    assert_eq!(bash([group("Process Name", "bash"), group("Namespace", "shop")]), Outcome::Violated);
    assert_eq!(bash([group("Process Name", "bash"), group("Container Name", "a")]), Outcome::Violated);
}

#[test]
fn what_hangs_on_the_deployment_is_undecided() {
    let privileged = || group("Privileged Container", "true");
    assert_eq!(bash([group("Process Name", "bash"), privileged()]), undecided(NO_DEPLOYMENT));
    assert_eq!(bash([group("Process Name", "bash"), group("Image Tag", "1")]), undecided(NO_DEPLOYMENT));
    assert_eq!(bash([group("Process Name", "bash"), group("Exposed Port", "22")]), undecided(NO_DEPLOYMENT));
    assert_eq!(
        bash([group("Process Name", "bash"), not(group("Volume Name", "x"))]),
        undecided(NO_DEPLOYMENT)
    );
    // False whatever the deployment is.
    assert_eq!(bash([group("Process Name", "sh"), privileged()]), Outcome::Clean);
    assert_eq!(bash([privileged(), group("Process Name", "bash"), group("Namespace", "x")]), Outcome::Clean);
}

#[test]
fn one_certain_section_is_enough() {
    let sections = || -> [Section; 2] {
        [
            section([group("Process Name", "bash"), group("Host PID", "true")]),
            section([group("Process Name", "bash")]),
        ]
    };
    assert_eq!(bash_with(runtime_policy(sections()), &Scene::unknown()), Outcome::Violated);
}

#[test]
fn filters_and_scopes_hang_on_the_deployment_too() {
    let mut filtered = runtime_policy([section([group("Process Name", "bash")])]);
    filtered.evaluation_filter =
        Some(EvaluationFilter { skip_container_types: vec![FilteredContainerType::Init] });
    assert_eq!(bash_with(filtered, &Scene::unknown()), undecided(NO_DEPLOYMENT));

    let mut labelled = runtime_policy([section([group("Process Name", "bash")])]);
    let label = |key: &str| Some(ScopeLabel { key: key.to_owned(), value: String::new() });
    labelled.scope = vec![Scope { label: label("app"), ..Scope::default() }];
    assert_eq!(bash_with(labelled.clone(), &Scene::unknown()), undecided(NO_DEPLOYMENT));
    labelled.scope = vec![Scope { namespace_label: label("env"), ..Scope::default() }];
    assert_eq!(bash_with(labelled.clone(), &Scene::unknown()), undecided("labels of namespace shop"));
    labelled.scope = vec![Scope { cluster_label: label("env"), ..Scope::default() }];
    assert_eq!(bash_with(labelled.clone(), &Scene::unknown()), undecided("labels of cluster c1"));
    let known = Scene { cluster_labels: Some(labels(&[("env", "prod")])), ..Scene::default() };
    assert_eq!(bash_with(labelled, &known), Outcome::Violated);
}

#[test]
fn facts_a_sensor_did_not_send() {
    let mut event = process("a", "bash");
    event.uid = None;
    let root = set(runtime_policy([section([not(group("Process UID", "0"))])]));
    let judge = |set: &PolicySet, event: &ProcessEvent| {
        outcome(&Scene::unknown().judge_event(set, Occurrence::Process(event)))
    };
    assert_eq!(judge(&root, &event), undecided("user id of the process"));

    event.args = "-c curl".to_owned();
    event.truncated = true;
    let arguments = |value| set(runtime_policy([section([group("Process Arguments", value)])]));
    assert_eq!(judge(&arguments("curl"), &event), Outcome::Violated);
    let cut = undecided("arguments of the process beyond what the sensor sent");
    assert_eq!(judge(&arguments("wget"), &event), cut);
    event.truncated = false;
    assert_eq!(judge(&arguments("wget"), &event), Outcome::Clean);
}

#[test]
fn image_facts_arrive_later() {
    let mut web = container("a", "x:1");
    web.image.id = "sha256:aa".to_owned();
    let scene = Scene::of(deployment([web]));
    let judge = |name, value, scene: &Scene| {
        outcome(&scene.judge(&set(deploy_policy([section([group(name, value)])]))))
    };
    for (name, value) in [
        ("CVSS", ">7"),
        ("Unscanned Image", "true"),
        ("Image User", "root"),
        ("Dockerfile Line", "USER="),
        ("Required Image Label", "a="),
        (
            "Image Signature Verified By",
            "io.stackrox.signatureintegration.00000000-0000-0000-0000-000000000000",
        ),
    ] {
        assert_eq!(judge(name, value, &scene), undecided("facts of image sha256:aa"), "{name}");
    }
    let unscanned = ImageFacts {
        digest: "sha256:aa".to_owned(),
        metadata: Some(ImageMetadata::default()),
        ..ImageFacts::default()
    };
    let scene = scene.images([unscanned]);
    assert_eq!(judge("CVSS", ">7", &scene), undecided("scan of image sha256:aa"));
    assert_eq!(judge("Unscanned Image", "true", &scene), Outcome::Violated);
    assert_eq!(judge("Required Image Label", "a=", &scene), Outcome::Violated);
    assert_eq!(judge("Dockerfile Line", "USER=", &scene), Outcome::Clean);
    // Signatures nobody tried are signatures that do not verify.
    let integration = "io.stackrox.signatureintegration.00000000-0000-0000-0000-000000000000";
    assert_eq!(judge("Image Signature Verified By", integration, &scene), Outcome::Violated);
}

#[test]
fn a_container_with_known_facts_can_decide_for_all() {
    let scanned = ImageFacts {
        digest: "sha256:aa".to_owned(),
        scan: Some(ImageScan { operating_system: "debian:12".to_owned(), ..ImageScan::default() }),
        ..ImageFacts::default()
    };
    let scene = Scene::of(deployment([container("a", "x:1"), container("b", "y:1")])).images([scanned]);
    let judge = |os| outcome(&scene.judge(&set(deploy_policy([section([group("Image OS", os)])]))));
    assert_eq!(judge("debian.*"), Outcome::Violated);
    assert_eq!(judge("alpine.*"), undecided("facts of image docker.io/library/y:1"));
}

#[test]
fn nobody_looked_at_permissions_and_network_policies() {
    let scene = Scene::of(deployment([container("a", "x:1")]));
    let judge = |wanted| outcome(&scene.judge(&set(deploy_policy([section([wanted])]))));
    let missing = undecided("permissions of the service account of deployment shop/web");
    assert_eq!(judge(not(group("Minimum RBAC Permissions", "CLUSTER_ADMIN"))), missing);
    let missing = undecided("network policies of deployment shop/web");
    assert_eq!(judge(group("Has Ingress Network Policy", "false")), missing);
}

#[test]
fn a_users_command_names_its_pod() {
    let mut exec = RequestEvent { operation: RequestOperation::Exec, ..RequestEvent::default() };
    exec.object_ref.namespace = "shop".to_owned();
    exec.object_ref.name = "web-1".to_owned();
    let wanted =
        [group("Kubernetes Resource", "PODS_EXEC"), group("Host PID", "true"), group("Namespace", "shop")];
    let set = set(runtime_policy([section(wanted)]));
    assert_eq!(
        outcome(&Scene::unknown().judge_event(&set, Occurrence::Request(&exec))),
        undecided(NO_DEPLOYMENT)
    );
}

#[test]
fn missing_facts_are_named_once_and_sorted() {
    let wanted = [
        group("Process Name", "bash"),
        group("Host PID", "true"),
        group("Privileged Container", "true"),
        any("Service Account", &["a", "b"]),
    ];
    assert_eq!(bash(wanted), undecided(NO_DEPLOYMENT));
}

#[test]
fn an_image_alone_needs_no_deployment() {
    let facts = ImageFacts {
        digest: "sha256:aa".to_owned(),
        names: vec![lictor_wire::ImageName::parse("quay.io/a/b:1")],
        ..ImageFacts::default()
    };
    let judge = |wanted| {
        outcome(
            &Scene::unknown().judge_event(&set(build_policy([section([wanted])])), Occurrence::Image(&facts)),
        )
    };
    assert_eq!(judge(group("Image Registry", r"quay\.io")), Outcome::Violated);
    assert_eq!(judge(not(group("Image Registry", r"quay\.io"))), Outcome::Clean);
    assert_eq!(judge(group("CVSS", ">1")), undecided("scan of image sha256:aa"));
}
