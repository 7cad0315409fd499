//! The table of differences: here, and as StackRox does it.

use std::collections::BTreeSet;
use std::sync::Arc;

use lictor_engine::{Occurrence, Options, PolicyRevision, PolicySet};
use lictor_wire::policy::{
    EvaluationFilter, EventSource, ExcludedImage, Exclusion, FilteredContainerType, LifecycleStage, Policy,
    Scope, Section,
};
use lictor_wire::{
    Container, ContainerType, FileEvent, FileOperation, FilePaths, ImageComponent, ImageFacts, ImageLayer,
    ImageMetadata, ImageScan, MountPropagation, PolicyId, Volume, Vulnerability,
};

use crate::fixture::{
    Outcome, Scene, all, build_policy, container, deploy_policy, deployment, group, outcome, parity_set,
    process, runtime_policy, section, set,
};

/// The outcome here, and under parity.
fn both(scene: &Scene, policy: &Policy) -> (Outcome, Outcome) {
    (outcome(&scene.judge(&set(policy.clone()))), outcome(&scene.judge(&parity_set(policy.clone()))))
}

fn mended(scene: &Scene, wanted: Section) {
    assert_eq!(both(scene, &deploy_policy([wanted])), (Outcome::Clean, Outcome::Violated));
}

fn vulnerability(cvss: f32, fixed_by: Option<&str>) -> Vulnerability {
    Vulnerability { cvss, fixed_by: fixed_by.map(str::to_owned), ..Vulnerability::default() }
}

fn image(vulnerabilities: Vec<Vulnerability>) -> ImageFacts {
    let component = ImageComponent { vulnerabilities, ..ImageComponent::default() };
    let scan = ImageScan { components: vec![component], ..ImageScan::default() };
    ImageFacts { digest: "sha256:aa".to_owned(), scan: Some(scan), ..ImageFacts::default() }
}

fn mounts(name: &str, volumes: Vec<Volume>) -> Container {
    Container { volumes, ..container(name, "x:1") }
}

fn volume(name: &str, volume_type: &str, read_only: bool) -> Volume {
    Volume { name: name.to_owned(), volume_type: volume_type.to_owned(), read_only, ..Volume::default() }
}

#[test]
fn d1_sibling_lists_do_not_vouch_for_each_other() {
    let a = mounts("a", vec![volume("x", "HostPath", false)]);
    let b = mounts("b", vec![volume("x", "EmptyDir", false), volume("y", "HostPath", false)]);
    let separate = image(vec![vulnerability(9.0, None), vulnerability(1.0, Some("2"))]);
    let joint = image(vec![vulnerability(9.0, Some("2"))]);
    let wanted = || {
        section([
            group("Volume Name", "x"),
            group("Volume Type", "HostPath"),
            group("CVSS", ">=7"),
            group("Fixable", "true"),
        ])
    };
    mended(&Scene::of(deployment([a.clone(), b])).images([separate, joint.clone()]), wanted());
    let met = Scene::of(deployment([a])).images([joint]);
    assert_eq!(both(&met, &deploy_policy([wanted()])), (Outcome::Violated, Outcome::Violated));
}

#[test]
fn d1_dropped_capabilities_are_those_of_one_container() {
    let drops = |name, dropped: &str| {
        let mut container = container(name, "x:1");
        container.security_context.drop_capabilities = vec![dropped.to_owned()];
        container
    };
    let scene = Scene::of(deployment([drops("a", "ALL"), drops("b", "NET_RAW")]));
    mended(&scene, section([group("Drop Capabilities", "NET_RAW")]));
}

#[test]
fn d1_one_vulnerability_is_fixable_by_that_version() {
    let scene = Scene::of(deployment([container("a", "x:1"), container("b", "x:1")])).images([
        image(vec![vulnerability(9.0, Some("2.0"))]),
        image(vec![vulnerability(1.0, Some(r"1.2"))]),
    ]);
    let wanted = [group("Fixable", "true"), group("Fixed By", r"1\.2"), group("CVSS", ">=7")];
    mended(&scene, section(wanted));
}

#[test]
fn d1_a_writable_host_mount_is_of_the_wanted_type() {
    let scene =
        Scene::of(deployment([mounts("a", vec![volume("x", "HostPath", false), volume("y", "NFS", false)])]));
    mended(&scene, section([group("Writable Host Mount", "true"), group("Volume Type", "NFS")]));
}

#[test]
fn d1_where_all_is_listed_nothing_else_counts() {
    let drops = |name: &str, dropped: &[&str]| {
        let mut container = container(name, "x:1");
        container.security_context.drop_capabilities = dropped.iter().map(|c| (*c).to_owned()).collect();
        container
    };
    // The only container that misses one is ready, nothing is missing: no leak ties it to the other.
    let (mut a, b) = (drops("a", &["NET_RAW"]), drops("b", &["ALL", "NET_RAW"]));
    a.readiness_probe.defined = true;
    let wanted =
        section([all("Drop Capabilities", &["ALL", "NET_RAW"]), group("Readiness Probe Defined", "false")]);
    let scene = Scene::of(deployment([a, b]));
    assert_eq!(both(&scene, &deploy_policy([wanted])), (Outcome::Clean, Outcome::Clean));
}

#[test]
fn d1_whether_a_vulnerability_is_observed_is_a_query_of_its_own() {
    let snoozed = Vulnerability { suppressed: true, ..vulnerability(1.0, Some("")) };
    let scene = Scene::of(deployment([container("a", "x:1")]))
        .images([image(vec![snoozed, vulnerability(1.0, Some("1.2"))])]);
    mended(&scene, section([group("Fixable", "false"), group("Fixed By", ".*")]));
}

#[test]
fn d2_an_excluded_image_silences_its_build_only() {
    let image = ExcludedImage { name: "quay.io/".to_owned() };
    let policy = Policy {
        lifecycle_stages: vec![LifecycleStage::Build, LifecycleStage::Deploy],
        exclusions: vec![Exclusion { image: Some(image), ..Exclusion::default() }],
        ..build_policy([section([group("Image Tag", "1")])])
    };
    let scene = Scene::of(deployment([container("a", "docker.io/x/y:1")]));
    assert_eq!(both(&scene, &policy), (Outcome::Violated, Outcome::Clean));
}

#[test]
fn d3_a_failure_hides_nothing_else() {
    let bash = |id: &str, filter| {
        let policy = Policy {
            id: PolicyId::new(id),
            evaluation_filter: filter,
            ..runtime_policy([section([group("Process Name", "bash")])])
        };
        PolicyRevision { policy: Arc::new(policy), revision: 1 }
    };
    let mut init = container("a", "x:1");
    init.container_type = ContainerType::Init;
    let scene = Scene::of(deployment([init]));
    let event = process("a", "bash");
    let judge = |parity| {
        let filter = EvaluationFilter { skip_container_types: vec![FilteredContainerType::Init] };
        let policies = [bash("p1", None), bash("p2", Some(filter))];
        let set = PolicySet::compile(policies, Options { parity }).set;
        let findings = scene.judge_event(&set, Occurrence::Process(&event));
        (findings.violations.len(), findings.failures.len())
    };
    // A container that is left out on purpose is not a failure here.
    assert_eq!(judge(false), (1, 0));
    assert_eq!(judge(true), (0, 1));
}

#[test]
fn d7_without_containers_some_criteria_never_hold() {
    let mut empty = deployment([]);
    empty.automount_service_account_token = true;
    let scene = Scene::of(empty);
    let clean = (Outcome::Clean, Outcome::Clean);
    assert_eq!(both(&scene, &deploy_policy([section([group("Replicas", "0")])])), clean);
    let mounted = section([group("Automount Service Account Token", "true")]);
    assert_eq!(both(&scene, &deploy_policy([mounted])), clean);
    let violated = (Outcome::Violated, Outcome::Violated);
    assert_eq!(both(&scene, &deploy_policy([section([group("Namespace", "shop")])])), violated);
}

#[test]
fn d8_propagation_to_the_container_can_be_found() {
    let mount =
        Volume { mount_propagation: MountPropagation::HostToContainer, ..volume("x", "HostPath", true) };
    let scene = Scene::of(deployment([mounts("a", vec![mount])]));
    let policy = deploy_policy([section([group("Mount Propagation", "HOSTTOCONTAINER")])]);
    assert_eq!(both(&scene, &policy), (Outcome::Violated, Outcome::Clean));
}

#[test]
fn d9_scopes_of_node_policies_apply() {
    let event = FileEvent {
        operation: FileOperation::Open,
        file: FilePaths { actual: "/etc/passwd".to_owned(), ..FilePaths::default() },
        node: "n1".to_owned(),
        ..FileEvent::default()
    };
    let policy = |cluster: &str| Policy {
        event_source: EventSource::NodeEvent,
        scope: vec![Scope { cluster: cluster.to_owned(), ..Scope::default() }],
        ..runtime_policy([section([group("File Path", "/etc/passwd")])])
    };
    let judge = |set| outcome(&Scene::unknown().judge_event(&set, Occurrence::File(&event)));
    assert_eq!(judge(set(policy("c1"))), Outcome::Violated);
    assert_eq!(judge(set(policy("c2"))), Outcome::Clean);
    assert_eq!(judge(parity_set(policy("c2"))), Outcome::Violated);
}

#[test]
fn d11_lines_of_buildkit_are_seen_as_they_were_written() {
    let line = |value: &str| {
        let layer =
            ImageLayer { instruction: "RUN".to_owned(), value: value.to_owned(), ..ImageLayer::default() };
        let metadata = ImageMetadata { layers: vec![layer], ..ImageMetadata::default() };
        ImageFacts { metadata: Some(metadata), ..ImageFacts::default() }
    };
    let policy = build_policy([section([group("Dockerfile Line", "RUN=apt-get update")])]);
    let judged = |facts: &ImageFacts| {
        let ask = |set: PolicySet| outcome(&Scene::unknown().judge_event(&set, Occurrence::Image(facts)));
        (ask(set(policy.clone())), ask(parity_set(policy.clone())))
    };
    for recorded in ["/bin/sh -c apt-get update # buildkit", "|1 V=2 /bin/sh -c apt-get update # buildkit"] {
        assert_eq!(judged(&line(recorded)), (Outcome::Violated, Outcome::Clean), "{recorded}");
    }
    assert_eq!(judged(&line("apt-get update")), (Outcome::Violated, Outcome::Violated));
    assert_eq!(
        judged(&line("/bin/sh -c apt-get update")),
        (Outcome::Clean, Outcome::Clean),
        "not BuildKit's"
    );
    // What was recorded still counts.
    let recorded = build_policy([section([group("Dockerfile Line", "RUN=/bin/sh -c .*")])]);
    let facts = line("/bin/sh -c make # buildkit");
    let found = Scene::unknown().judge_event(&set(recorded), Occurrence::Image(&facts));
    assert_eq!(outcome(&found), Outcome::Violated);
}

#[test]
fn d12_a_process_of_an_unlisted_container_is_judged() {
    let scene = Scene::of(deployment([container("a", "x:1")]));
    let event = process("debugger", "bash");
    let judge = |set| outcome(&scene.judge_event(&set, Occurrence::Process(&event)));
    let bash = || runtime_policy([section([group("Process Name", "bash")])]);
    assert_eq!(judge(set(bash())), Outcome::Violated);
    assert_eq!(judge(parity_set(bash())), Outcome::Failed);
    let privileged = [group("Process Name", "bash"), group("Privileged Container", "true")];
    assert_eq!(
        judge(set(runtime_policy([section(privileged)]))),
        Outcome::Undecided(vec!["container debugger of deployment shop/web".to_owned()])
    );
}

/// The table that users read, and the tests here.
#[test]
fn every_difference_in_the_documentation_has_a_test_here() {
    let page = include_str!("../../../../deploy/docs/policies.md");
    let documented = page.lines().filter_map(|line| line.strip_prefix("| D")?.split_once(' '));
    let documented: BTreeSet<&str> = documented.map(|(number, _)| number).collect();
    let tests =
        include_str!("differences.rs").lines().filter_map(|line| line.strip_prefix("fn d")?.split_once('_'));
    let tested: BTreeSet<&str> = tests.map(|(number, _)| number).collect();
    assert_eq!(documented, tested);
    assert!(!tested.is_empty());
}
