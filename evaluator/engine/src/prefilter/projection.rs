//! The projection of an event has everything that criteria read of it: one that reads a field which it lacks would
//! never match, because its policies would be skipped.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lictor_wire::{
    Ancestor, AuditEvent, AuditStage, ClusterId, ContainerRef, DeploymentId, Direction, Event, EventData,
    EventId, FileEvent, FileOperation, FilePaths, NetworkEntity, NetworkEvent, NetworkProtocol,
    ObjectReference, PodId, PodRef, ProcessAction, ProcessEvent, Projection, RawJson, UserInfo, WorkloadRef,
};

use super::of_event;
use crate::criterion::Criterion;
use crate::input::{Input, Occurrence};
use crate::view::Level;

// Every field of every event is set here by name, to something else than its default: the compiler demands a new
// field, and a criterion that reads one which the projection lacks finds something else in the projection.

fn pod() -> PodRef {
    let text = str::to_owned;
    PodRef {
        namespace: text("shop"),
        name: text("web-1"),
        uid: PodId::new("p1"),
        workload: Some(WorkloadRef { kind: text("Deployment"), name: text("web") }),
        labels: BTreeMap::from([(text("app"), text("web"))]),
    }
}

fn container() -> ContainerRef {
    let text = str::to_owned;
    ContainerRef {
        id: text("containerd://c1"),
        name: text("web"),
        image: text("quay.io/shop/web:1"),
        image_digest: text("sha256:1"),
        started: Some(Timestamp::UNIX_EPOCH),
    }
}

fn process() -> ProcessEvent {
    let text = str::to_owned;
    ProcessEvent {
        action: ProcessAction::Exec,
        name: text("bash"),
        exec_file_path: text("/bin/bash"),
        args: text("-c id"),
        uid: Some(5),
        gid: Some(6),
        login_uid: Some(7),
        user: text("root"),
        pid: 42,
        exec_id: text("e1"),
        parent_exec_id: text("e0"),
        cwd: text("/"),
        started: Some(Timestamp::UNIX_EPOCH),
        ancestors: vec![Ancestor { exec_file_path: text("/usr/sbin/nginx"), uid: Some(8) }],
        capabilities: vec![text("SYS_ADMIN")],
        exit_status: Some(1),
        signal: text("SIGKILL"),
        pod: Some(pod()),
        container: Some(container()),
        node: text("n1"),
        truncated: true,
    }
}

fn network() -> NetworkEvent {
    let entity = |address: &str, port| NetworkEntity {
        address: address.to_owned(),
        port,
        deployment: Some(DeploymentId::new("d1")),
        name: format!("host-{port}"),
    };
    NetworkEvent {
        direction: Direction::Ingress,
        protocol: NetworkProtocol::Tcp,
        local: entity("10.0.0.1", 80),
        remote: entity("203.0.113.7", 40_000),
        closed: true,
        bytes_sent: Some(1),
        bytes_received: Some(2),
        process: Some(Box::new(process())),
        pod: Some(pod()),
        container: Some(container()),
        node: "n1".to_owned(),
    }
}

fn file() -> FileEvent {
    let paths = |name: &str| FilePaths { actual: format!("/node{name}"), effective: format!("/pod{name}") };
    FileEvent {
        operation: FileOperation::Rename,
        file: paths("/etc/shadow"),
        moved: Some(paths("/etc/old")),
        mode: Some(0o777),
        process: Some(Box::new(process())),
        pod: Some(pod()),
        container: Some(container()),
        node: "n1".to_owned(),
    }
}

fn audit() -> AuditEvent {
    let text = str::to_owned;
    let json = |text: &str| Some(RawJson::parse(text).unwrap());
    let user = |name: &str| UserInfo {
        username: text(name),
        uid: text("u1"),
        groups: vec![text("system:masters"), text("devs")],
        extra: BTreeMap::from([(text("k"), vec![text("v")])]),
    };
    AuditEvent {
        level: text("Metadata"),
        audit_id: text("a1"),
        stage: AuditStage::ResponseComplete,
        request_uri: text("/api/v1/namespaces/shop/secrets/s"),
        verb: text("get"),
        user: user("alice"),
        impersonated_user: Some(user("bob")),
        source_ips: vec![text("203.0.113.7"), text("10.0.0.1")],
        user_agent: text("kubectl"),
        object_ref: Some(ObjectReference {
            resource: text("secrets"),
            namespace: text("shop"),
            name: text("s"),
            uid: text("u2"),
            api_group: text("core"),
            api_version: text("v1"),
            resource_version: text("7"),
            subresource: text("status"),
        }),
        response_status: json(r#"{"code":200}"#),
        request_object: json(r#"{"kind":"Secret"}"#),
        response_object: json(r#"{"kind":"Status"}"#),
        request_received_timestamp: Some(Timestamp::UNIX_EPOCH),
        stage_timestamp: Some(Timestamp::UNIX_EPOCH),
        annotations: BTreeMap::from([(text("a"), text("b"))]),
        extra: BTreeMap::from([(text("later"), serde_json::Value::from("field"))]),
    }
}

fn bodies() -> [EventData; 4] {
    [
        EventData::Process(Box::new(process())),
        EventData::Network(Box::new(network())),
        EventData::File(Box::new(file())),
        EventData::Audit(Box::new(audit())),
    ]
}

/// What a criterion takes from an event, in words; `None` when it needs more than the event.
fn taken(criterion: &Criterion, cluster: &ClusterId, data: &EventData) -> Option<Vec<String>> {
    let input = Input {
        cluster,
        occurrence: Occurrence::of(data).unwrap(),
        deployment: None,
        images: &[],
        cluster_labels: None,
        namespace_labels: None,
        deviates: None,
    };
    let mut taken = Vec::new();
    of_event(criterion.level(), &input, &mut |element| {
        taken.push(format!("{:?}", criterion.value(&element)));
    })
    .then_some(taken)
}

#[test]
fn no_field_of_the_events_has_its_default() {
    for body in bodies() {
        let shown = format!("{body:#?}");
        for default in [": None,", ": \"\",", ": [],", ": {},", ": 0,", ": false,"] {
            assert!(!shown.contains(default), "{shown}");
        }
    }
}

#[test]
fn the_projection_has_everything_that_criteria_read_of_an_event() {
    let runtime = || Criterion::all().filter(|criterion| criterion.family.is_runtime());
    let mut found = Vec::new();
    for data in bodies() {
        let event = Event {
            id: EventId::new("e"),
            source: "/test".to_owned(),
            time: Timestamp::UNIX_EPOCH,
            cluster: ClusterId::new("c1"),
            traceparent: None,
            extensions: BTreeMap::new(),
            data,
        };
        let projection = Projection::of(&event.to_line().unwrap()).unwrap();
        for criterion in runtime() {
            let whole = taken(criterion, &event.cluster, &event.data);
            assert_eq!(
                taken(criterion, &projection.cluster, &projection.data),
                whole,
                "`{}` reads a field that the projection of an event lacks",
                criterion.name
            );
            if whole.is_some_and(|values| values.iter().any(|value| value != "Missing")) {
                found.push(criterion.name);
            }
        }
    }
    // Each found something in some event, so each was compared; but for what is read of a container.
    for criterion in runtime().filter(|criterion| criterion.level() != Level::Container) {
        assert!(found.contains(&criterion.name), "no event here has what `{}` reads", criterion.name);
    }
    // Name, arguments, user, ancestor; baseline of connections; path and operation of a file; eight of the audit log.
    assert_eq!(found.len(), 15);
}
