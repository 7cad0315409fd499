//! Which criteria must be met by the same container, volume, component, vulnerability or port.

use lictor_engine::Occurrence;
use lictor_wire::policy::Section;
use lictor_wire::{
    Container, Deployment, EnvVar, Exposure, ExposureLevel, ImageComponent, ImageFacts, ImageLayer,
    ImageMetadata, ImageScan, Port, RequestEvent, RequestOperation, Volume, Vulnerability,
};

use crate::fixture::{
    Outcome, Scene, all, any, container, deploy_policy, deployment, group, not, outcome, process,
    runtime_policy, section, set,
};

fn judged(section: Section, scene: &Scene) -> bool {
    match outcome(&scene.judge(&set(deploy_policy([section])))) {
        Outcome::Violated => true,
        Outcome::Clean => false,
        other => panic!("{other:?}"),
    }
}

fn with(mut container: Container, change: impl FnOnce(&mut Container)) -> Container {
    change(&mut container);
    container
}

fn vulnerability(cve: &str, cvss: f32, fixed_by: Option<&str>) -> Vulnerability {
    let fixed_by = fixed_by.map(str::to_owned);
    Vulnerability { cve: cve.to_owned(), cvss, fixed_by, ..Vulnerability::default() }
}

fn component(name: &str, vulnerabilities: impl IntoIterator<Item = Vulnerability>) -> ImageComponent {
    ImageComponent {
        name: name.to_owned(),
        version: "1".to_owned(),
        vulnerabilities: vulnerabilities.into_iter().collect(),
        ..ImageComponent::default()
    }
}

fn scanned(components: impl IntoIterator<Item = ImageComponent>) -> ImageFacts {
    ImageFacts {
        digest: "sha256:aa".to_owned(),
        metadata: Some(ImageMetadata::default()),
        scan: Some(ImageScan { components: components.into_iter().collect(), ..ImageScan::default() }),
        ..ImageFacts::default()
    }
}

fn env(key: &str, value: &str) -> EnvVar {
    EnvVar { key: key.to_owned(), value: value.to_owned(), ..EnvVar::default() }
}

fn volume(name: &str) -> Volume {
    Volume { name: name.to_owned(), ..Volume::default() }
}

fn port(number: i32, level: ExposureLevel) -> Port {
    Port {
        container_port: number,
        protocol: "TCP".to_owned(),
        exposure: level,
        exposure_infos: vec![Exposure { level, ..Exposure::default() }],
        ..Port::default()
    }
}

fn privileged(name: &str, image: &str) -> Container {
    with(container(name, image), |container| container.security_context.privileged = true)
}

fn one(facts: ImageFacts) -> Scene {
    Scene::of(deployment([container("a", "x:1")])).images([facts])
}

#[test]
fn container_criteria_are_met_by_one_container() {
    let latest = || section([group("Privileged Container", "true"), group("Image Tag", "latest")]);
    let apart = Scene::of(deployment([privileged("a", "x:1.0"), container("b", "x:latest")]));
    assert!(!judged(latest(), &apart), "1");
    let together = Scene::of(deployment([container("a", "x:1.0"), privileged("b", "x:latest")]));
    assert!(judged(latest(), &together), "2");
}

#[test]
fn vulnerability_criteria_are_met_by_one_vulnerability_of_one_component() {
    let scene =
        one(scanned([component("z", [vulnerability("v1", 9.0, None), vulnerability("v2", 3.0, Some("2"))])]));
    assert!(!judged(section([group("CVSS", ">= 7"), group("Fixable", "true")]), &scene), "3");

    let scene = one(scanned([
        component("openssl", [vulnerability("v1", 5.0, None)]),
        component("zlib", [vulnerability("v2", 9.0, None)]),
    ]));
    assert!(!judged(section([group("Image Component", "openssl="), group("CVSS", ">= 7")]), &scene), "4");
    assert!(judged(section([group("Image Component", "zlib="), group("CVSS", ">= 7")]), &scene));
}

#[test]
fn history_and_vulnerabilities_are_tied_by_the_image_only() {
    let mut facts = scanned([component("z", [vulnerability("v", 9.0, None)])]);
    let layer =
        ImageLayer { instruction: "USER".to_owned(), value: "root".to_owned(), ..ImageLayer::default() };
    facts.metadata = Some(ImageMetadata { layers: vec![layer], ..ImageMetadata::default() });
    let wanted = section([group("Dockerfile Line", "USER=root"), group("CVSS", ">= 7")]);
    assert!(judged(wanted, &one(facts)), "5");
}

#[test]
fn environment_and_volumes_are_tied_by_the_container() {
    let wanted = || section([group("Environment Variable", "=A="), group("Volume Name", "x")]);
    let with_env = |c| with(c, |c: &mut Container| c.config.env.push(env("A", "1")));
    let with_volume = |c| with(c, |c: &mut Container| c.volumes.push(volume("x")));
    let apart = [with_env(container("a", "x:1")), with_volume(container("b", "x:1"))];
    assert!(!judged(wanted(), &Scene::of(deployment(apart))), "6");
    let together = [with_volume(with_env(container("a", "x:1"))), container("b", "x:1")];
    assert!(judged(wanted(), &Scene::of(deployment(together))), "6");
}

#[test]
fn ports_are_tied_to_themselves_and_not_to_containers() {
    let ports = |ports: Vec<Port>| {
        let containers = [container("a", "x:1"), privileged("b", "x:1")];
        Scene::of(Deployment { ports, ..deployment(containers) })
    };
    let scene = ports(vec![port(22, ExposureLevel::Internal), port(80, ExposureLevel::External)]);
    assert!(
        judged(section([group("Exposed Port", "22"), group("Privileged Container", "true")]), &scene),
        "7"
    );
    let method = |level| section([group("Exposed Port", "22"), group("Port Exposure Method", level)]);
    assert!(!judged(method("EXTERNAL"), &scene), "8");
    assert!(judged(method("INTERNAL"), &scene));
}

#[test]
fn node_port_comparisons_see_the_zero_of_internal_services() {
    let mut wanted = deployment([container("a", "x:1")]);
    wanted.ports = vec![port(80, ExposureLevel::Internal)];
    assert!(judged(section([group("Exposed Node Port", "<1024")]), &Scene::of(wanted)));
}

#[test]
fn negation_means_some_element_that_does_not() {
    let volumes = with(container("a", "x:1"), |c| c.volumes = vec![volume("x"), volume("y")]);
    assert!(judged(section([not(group("Volume Name", "x"))]), &Scene::of(deployment([volumes]))), "9");

    let registries = deployment([container("a", "quay.io/x/y:1"), container("b", "docker.io/x/y:1")]);
    let findings = Scene::of(registries)
        .judge(&set(deploy_policy([section([not(group("Image Registry", r"docker\.io"))])])));
    assert_eq!(outcome(&findings), Outcome::Violated, "10");
    let evidence = &findings.violations[0].sections[0].evidence;
    assert_eq!(evidence.len(), 1);
    assert_eq!(evidence[0].at, "container a");
    assert_eq!(evidence[0].found, "quay.io");
    assert_eq!(evidence[0].wanted, r"not docker\.io");
}

#[test]
fn what_is_not_there_is_no_element_that_does_not() {
    let none = Scene::of(deployment([container("a", "x:1")]));
    assert!(!judged(section([not(group("Volume Name", "x"))]), &none));
    assert!(!judged(section([not(group("Seccomp Profile Type", "UNCONFINED"))]), &none));
}

#[test]
fn required_labels_are_about_absence() {
    let mut prod = deployment([container("a", "x:1")]);
    prod.namespace = "prod".to_owned();
    let wanted = || section([group("Namespace", "prod"), group("Required Label", "owner=")]);
    assert!(judged(wanted(), &Scene::of(prod.clone())), "11");
    prod.labels = crate::fixture::labels(&[("owner", "me")]);
    assert!(!judged(wanted(), &Scene::of(prod.clone())));
    // With either operator the policy is violated only when none is there.
    for combined in [any("Required Label", &["owner=", "team="]), all("Required Label", &["owner=", "team="])]
    {
        assert!(!judged(section([combined]), &Scene::of(prod.clone())));
    }
    for (combined, violated) in [
        (any("Disallowed Annotation", &["a", "b"]), true),
        (all("Disallowed Annotation", &["a", "b"]), false),
    ] {
        let mut annotated = prod.clone();
        annotated.annotations = crate::fixture::labels(&[("a", "1")]);
        assert_eq!(judged(section([combined]), &Scene::of(annotated)), violated);
    }
}

#[test]
fn a_process_is_tied_to_its_container() {
    let wanted = section([group("Process Name", "bash"), group("Privileged Container", "true")]);
    let set = set(runtime_policy([wanted]));
    let scene = Scene::of(deployment([container("a", "x:1"), privileged("b", "x:1")]));
    let ran_in = |name| scene.judge_event(&set, Occurrence::Process(&process(name, "bash")));
    assert_eq!(outcome(&ran_in("a")), Outcome::Clean, "12");
    assert_eq!(outcome(&ran_in("b")), Outcome::Violated);
}

#[test]
fn a_users_command_is_not_tied_to_its_container() {
    let wanted = section([group("Kubernetes Resource", "PODS_EXEC"), group("Privileged Container", "true")]);
    let set = set(runtime_policy([wanted]));
    let exec = RequestEvent {
        operation: RequestOperation::Exec,
        container: "a".to_owned(),
        ..RequestEvent::default()
    };
    let scene = Scene::of(deployment([container("a", "x:1"), privileged("b", "x:1")]));
    assert_eq!(outcome(&scene.judge_event(&set, Occurrence::Request(&exec))), Outcome::Violated, "13");
    let attach = RequestEvent { operation: RequestOperation::Attach, ..exec };
    assert_eq!(outcome(&scene.judge_event(&set, Occurrence::Request(&attach))), Outcome::Clean);
}

#[test]
fn all_of_several_capabilities_are_added_by_one_container() {
    let adds = |name: &str, added: &[&str]| {
        with(container(name, "x:1"), |container| {
            container.security_context.add_capabilities = added.iter().map(|c| (*c).to_owned()).collect();
        })
    };
    let both = || section([all("Add Capabilities", &["NET_ADMIN", "SYS_ADMIN"])]);
    let apart = deployment([adds("a", &["NET_ADMIN"]), adds("b", &["SYS_ADMIN"])]);
    assert!(!judged(both(), &Scene::of(apart)), "14");
    let together = deployment([adds("a", &["sys_admin", "net_admin"])]);
    assert!(judged(both(), &Scene::of(together)));
}

#[test]
fn sections_are_alternatives() {
    let scene = one(scanned([component("z", [vulnerability("Y", 1.0, None)])]));
    let findings =
        scene.judge(&set(deploy_policy([section([group("CVE", "X")]), section([group("CVE", "Y")])])));
    assert_eq!(outcome(&findings), Outcome::Violated, "15");
    let matched: Vec<usize> = findings.violations[0].sections.iter().map(|section| section.section).collect();
    assert_eq!(matched, [1]);
}

#[test]
fn snoozed_vulnerabilities_count_for_their_age_only() {
    let mut snoozed = vulnerability("v", 9.0, None);
    snoozed.suppressed = true;
    snoozed.published_on = Some("2020-01-01T00:00:00Z".parse().unwrap());
    let scene = one(scanned([component("z", [snoozed])]));
    assert!(!judged(section([group("CVSS", ">= 7")]), &scene));
    assert!(judged(section([group("Days Since CVE Was Published", "30")]), &scene));
    let both = section([group("CVSS", ">= 7"), group("Days Since CVE Was Published", "30")]);
    assert!(!judged(both, &scene));
}

#[test]
fn capabilities_that_should_be_dropped() {
    let drops = |dropped: &[&str]| {
        let container = with(container("a", "x:1"), |container| {
            container.security_context.drop_capabilities = dropped.iter().map(|c| (*c).to_owned()).collect();
        });
        Scene::of(deployment([container]))
    };
    let cases: [(_, &[&str], bool); 8] = [
        (any("Drop Capabilities", &["NET_RAW"]), &[], true),
        (any("Drop Capabilities", &["NET_RAW"]), &["net_raw"], false),
        (any("Drop Capabilities", &["NET_RAW"]), &["ALL"], false),
        (any("Drop Capabilities", &["NET_RAW", "KILL"]), &["KILL"], false),
        (all("Drop Capabilities", &["NET_RAW", "KILL"]), &["KILL"], true),
        (any("Drop Capabilities", &["ALL"]), &["ALL"], false),
        (any("Drop Capabilities", &["ALL"]), &["NET_RAW"], true),
        (all("Drop Capabilities", &["ALL", "KILL"]), &["ALL"], true),
    ];
    for (wanted, dropped, violated) in cases {
        assert_eq!(judged(section([wanted.clone()]), &drops(dropped)), violated, "{wanted:?} {dropped:?}");
    }
}

#[test]
fn scores_keep_the_error_of_single_precision() {
    let cases = [
        (7.1, ">= 7.1", false),
        (7.1, "7.1", true),
        (9.8, "> 9.8", true),
        (6.5, ">= 6.5", true),
        (6.5, "<= 6.5", true),
    ];
    for (score, wanted, violated) in cases {
        let scene = one(scanned([component("z", [vulnerability("v", score, None)])]));
        assert_eq!(judged(section([group("CVSS", wanted)]), &scene), violated, "{score} {wanted}");
    }
}

#[test]
fn patterns_are_gos() {
    let named = |key: &str, value: &str| {
        let mut a = container("a", "x:1");
        a.config.env.push(env(key, value));
        Scene::of(deployment([a]))
    };
    let wanted = |value: &str| section([group("Environment Variable", value)]);
    assert!(judged(wanted(r"=K\d="), &named("k7", "")));
    assert!(!judged(wanted(r"=K\d="), &named("K\u{0663}", "")));
    // Anything stops at a line break.
    assert!(judged(wanted("=K="), &named("K", "a")));
    assert!(!judged(wanted("=K="), &named("K", "a\nb")));
}
