//! What a violation says to people.

use lictor_engine::Occurrence;
use lictor_wire::policy::{Group, Policy};
use lictor_wire::{
    AuditEvent, Container, Deployment, EnvSource, EnvVar, Exposure, ExposureLevel, FileEvent, FileOperation,
    FilePaths, ImageComponent, ImageFacts, ImageLayer, ImageMetadata, ImageScan, ObjectReference,
    PermissionLevel, Port, RequestEvent, RequestOperation, Volume, Vulnerability, VulnerabilitySeverity,
};

use crate::fixture::{
    Scene, all, any, build_policy, container, deploy_policy, deployment, group, labels, not, pod, process,
    runtime_policy, section, set,
};

fn told(scene: &Scene, policy: Policy, occurrence: Occurrence<'_>) -> Vec<String> {
    let findings = scene.judge_event(&set(policy), occurrence);
    let sections = findings.violations.into_iter().flat_map(|violation| violation.sections);
    sections.flat_map(|section| section.messages).collect()
}

fn workload(groups: impl IntoIterator<Item = Group>) -> Vec<String> {
    told(&scene(), deploy_policy([section(groups)]), Occurrence::Deployment)
}

fn scene() -> Scene {
    let mut web = container("web", "quay.io/shop/web:1.2");
    web.config.env = vec![EnvVar {
        key: "TOKEN".to_owned(),
        value: "hidden".to_owned(),
        env_var_source: EnvSource::SecretKey,
    }];
    web.security_context.privileged = true;
    web.security_context.add_capabilities = vec!["SYS_ADMIN".to_owned(), "NET_ADMIN".to_owned()];
    web.resources.cpu_cores_limit = 0.5;
    web.volumes = vec![Volume {
        name: "sock".to_owned(),
        source: "/run/x.sock".to_owned(),
        destination: "/x".to_owned(),
        volume_type: "HostPath".to_owned(),
        ..Volume::default()
    }];
    let exposure = Exposure { level: ExposureLevel::Node, node_port: 30_080, ..Exposure::default() };
    let port = Port {
        container_port: 8080,
        protocol: "TCP".to_owned(),
        exposure_infos: vec![exposure],
        ..Port::default()
    };
    Scene::of(Deployment {
        replicas: Some(3),
        host_network: true,
        labels: labels(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]),
        annotations: labels(&[("email", "x@y"), ("team", "shop")]),
        service_account_permission_level: PermissionLevel::ClusterAdmin,
        ports: vec![port],
        ..deployment([web, Container { name: "log".to_owned(), ..Container::default() }])
    })
}

#[test]
fn containers() {
    let cases = [
        (group("Privileged Container", "true"), "container `web` is privileged"),
        (group("Read-Only Root Filesystem", "false"), "container `log` has a read-write root filesystem"),
        (group("Container CPU Limit", ">0.1"), "the CPU limit of container `web` is set to 0.5 cores"),
        (
            group("Environment Variable", "=TOKEN="),
            "environment variable `TOKEN` from a secret is present in container `web`",
        ),
        (
            all("Add Capabilities", &["NET_ADMIN", "SYS_ADMIN"]),
            "container `web` adds capabilities NET_ADMIN and SYS_ADMIN",
        ),
        (group("Add Capabilities", "SYS_ADMIN"), "container `web` adds capability SYS_ADMIN"),
        (
            group("Drop Capabilities", "ALL"),
            "container `log` does not drop the expected capabilities (drops no capabilities)",
        ),
        (group("Liveness Probe Defined", "false"), "container `log` has no liveness probe"),
        (
            group("Volume Type", "HostPath"),
            "writable volume `sock` has source `/run/x.sock`, destination `/x`, and type `HostPath`",
        ),
    ];
    for (group, first) in cases {
        assert_eq!(workload([group.clone()]).first().map(String::as_str), Some(first), "{group:?}");
    }
}

#[test]
fn workloads() {
    let cases = [
        (group("Host Network", "true"), "the deployment uses the node's network namespace"),
        (group("Replicas", ">= 3"), "replicas is set to 3"),
        (
            group("Required Label", "owner="),
            "a required label is missing (found labels: a=1, b=2, c=3 and 1 more)",
        ),
        (group("Disallowed Annotation", "team="), "disallowed annotations found: team=shop"),
        (group("Minimum RBAC Permissions", "DEFAULT"), "the service account has cluster admin access"),
        (not(group("Namespace", "pay")), "the namespace is `shop`"),
        (group("Exposed Port", "8080"), "exposed port 8080/TCP is present"),
        (group("Exposed Node Port", ">= 30000"), "exposed node port 30080/TCP is present"),
        (group("Port Exposure Method", "NODE"), "the deployment's ports are exposed with a node port"),
    ];
    for (group, message) in cases {
        assert_eq!(workload([group.clone()]), [message], "{group:?}");
    }
}

#[test]
fn criteria_about_one_thing_share_a_sentence() {
    let asked = [
        any("Image Registry", &["quay.io"]),
        group("Image Tag", "1.2"),
        group("Privileged Container", "true"),
    ];
    assert_eq!(
        workload(asked),
        [
            "container `web` is privileged",
            "the image of container `web` has registry `quay.io` and tag `1.2`"
        ]
    );
}

#[test]
fn images() {
    let vulnerability = Vulnerability {
        cve: "CVE-2021-44228".to_owned(),
        cvss: 9.8,
        severity: VulnerabilitySeverity::Critical,
        fixed_by: Some("2.15".to_owned()),
        ..Vulnerability::default()
    };
    let component = ImageComponent {
        name: "log4j".to_owned(),
        version: "2.14".to_owned(),
        vulnerabilities: vec![vulnerability],
        ..ImageComponent::default()
    };
    let layer = ImageLayer {
        instruction: "RUN".to_owned(),
        value: "apt-get update && apt-get install -y curl".to_owned(),
        ..ImageLayer::default()
    };
    let facts = ImageFacts {
        metadata: Some(ImageMetadata {
            created: Some("2026-01-31T01:02:03Z".parse().unwrap()),
            user: "root".to_owned(),
            layers: vec![layer],
            ..ImageMetadata::default()
        }),
        scan: Some(ImageScan {
            operating_system: "debian:12".to_owned(),
            components: vec![component],
            ..ImageScan::default()
        }),
        ..ImageFacts::default()
    };
    let build = |groups: Vec<Group>| {
        told(&Scene::unknown(), build_policy([section(groups)]), Occurrence::Image(&facts))
    };
    assert_eq!(
        build(vec![group("CVE", "CVE-.*"), group("Fixed By", ".*")]),
        ["fixable CVE-2021-44228 (CVSS 9.8) (severity Critical) found in component `log4j` (version 2.14), \
             resolved by version 2.15"]
    );
    assert_eq!(
        build(vec![group("Severity", "CRITICAL"), group("NVD CVSS", "0")]),
        [
            "CVE-2021-44228 (CVSS 9.8, NVD CVSS 0) (severity Critical) found in component `log4j` (version 2.14)"
        ]
    );
    assert_eq!(build(vec![group("Image Age", "30")]), ["the image was created at 2026-01-31 01:02:03 (UTC)"]);
    assert_eq!(
        build(vec![group("Dockerfile Line", "RUN=.*")]),
        ["Dockerfile line `RUN apt-get update && apt-get in...` found in the image"]
    );
    assert_eq!(
        build(vec![group("Required Image Label", "owner=")]),
        ["the image lacks a required label (found labels: <empty>)"]
    );
    let mut scene = scene().images([facts.clone()]);
    scene.images.push(None);
    assert_eq!(
        told(&scene, deploy_policy([section([group("Image OS", "debian.*")])]), Occurrence::Deployment),
        ["the image of container `web` is based on `debian:12`"]
    );
}

#[test]
fn what_happened_comes_last() {
    let policy =
        runtime_policy([section([group("Process Name", "sh"), group("Privileged Container", "true")])]);
    let shell = lictor_wire::ProcessEvent { args: "-c id".to_owned(), ..process("web", "sh") };
    assert_eq!(
        told(&scene(), policy, Occurrence::Process(&shell)),
        ["container `web` is privileged", "binary `/bin/sh` executed with arguments `-c id` under user id 0"]
    );

    let policy = runtime_policy([section([group("Kubernetes Resource", "PODS_EXEC")])]);
    let mut exec = RequestEvent {
        operation: RequestOperation::Exec,
        command: vec!["ls".to_owned(), "-l".to_owned()],
        container: "web".to_owned(),
        object_ref: ObjectReference { name: "web-1".to_owned(), ..ObjectReference::default() },
        ..RequestEvent::default()
    };
    exec.user.username = "bob".to_owned();
    assert_eq!(
        told(&scene(), policy, Occurrence::Request(&exec)),
        ["exec of `ls -l` into pod `web-1`, container `web` by user `bob`"]
    );

    let policy = runtime_policy([section([group("File Path", "/etc/*")])]);
    let file = FileEvent {
        operation: FileOperation::Open,
        file: FilePaths { actual: "/etc/shadow".to_owned(), effective: String::new() },
        pod: Some(pod()),
        ..FileEvent::default()
    };
    assert_eq!(told(&scene(), policy, Occurrence::File(&file)), ["`/etc/shadow` was opened for writing"]);
}

#[test]
fn audit_records() {
    let policy = Policy {
        event_source: lictor_wire::policy::EventSource::AuditLogEvent,
        ..runtime_policy([section([
            group("Kubernetes Resource", "SECRETS"),
            group("Kubernetes API Verb", "GET"),
        ])])
    };
    let mut record = AuditEvent {
        verb: "get".to_owned(),
        stage: lictor_wire::AuditStage::ResponseComplete,
        object_ref: Some(ObjectReference {
            resource: "secrets".to_owned(),
            namespace: "pay".to_owned(),
            name: "db".to_owned(),
            ..ObjectReference::default()
        }),
        ..AuditEvent::default()
    };
    record.user.username = "bob".to_owned();
    assert_eq!(
        told(&Scene::unknown(), policy, Occurrence::Audit(&record)),
        ["get access to secret `db` in namespace `pay` by user `bob`"]
    );
}
