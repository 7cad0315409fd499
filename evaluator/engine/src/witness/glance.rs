//! What a first look at an event keeps is everything that criteria ask of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lictor_wire::{
    Ancestor, AuditEvent, AuditStage, ClusterId, Event, EventData, EventId, FileEvent, FileOperation,
    FilePaths, Glance, ObjectReference, PodRef, ProcessAction, ProcessEvent, UserInfo,
};

use super::of_event;
use crate::criterion::Criterion;
use crate::subject::{Occurrence, Subject};

/// Every field stands here by name, so that a new one is thought of.
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
        pod: Some(PodRef { name: text("web-1"), ..PodRef::default() }),
        container: None,
        node: text("n1"),
        truncated: true,
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
        pod: process().pod,
        container: None,
        node: "n1".to_owned(),
    }
}

fn audit() -> AuditEvent {
    let text = str::to_owned;
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
        response_status: None,
        request_object: None,
        response_object: None,
        request_received_timestamp: Some(Timestamp::UNIX_EPOCH),
        stage_timestamp: Some(Timestamp::UNIX_EPOCH),
        annotations: BTreeMap::from([(text("a"), text("b"))]),
        extra: BTreeMap::new(),
    }
}

/// What a criterion takes from an event, in words.
fn taken(criterion: &Criterion, cluster: &ClusterId, data: &EventData) -> Vec<String> {
    let subject = Subject {
        cluster,
        occurrence: Occurrence::of(data).unwrap(),
        deployment: None,
        images: &[],
        cluster_labels: None,
        namespace_labels: None,
        deviates: None,
    };
    let mut taken = Vec::new();
    of_event(criterion.level(), &subject, &mut |element| {
        taken.push(format!("{:?}", criterion.leaf(&element)));
    });
    taken
}

#[test]
fn a_glance_keeps_everything_that_criteria_ask_for() {
    let mut asked = 0;
    let bodies = [
        EventData::Process(Box::new(process())),
        EventData::File(Box::new(file())),
        EventData::Audit(Box::new(audit())),
    ];
    for data in bodies {
        let event = Event {
            id: EventId::new("e"),
            source: "/test".to_owned(),
            time: Timestamp::UNIX_EPOCH,
            cluster: ClusterId::new("c1"),
            traceparent: None,
            extensions: BTreeMap::new(),
            data,
        };
        let glance = Glance::of(&event.to_line().unwrap()).unwrap();
        for criterion in Criterion::all().iter().filter(|criterion| criterion.family.is_runtime()) {
            let whole = taken(criterion, &event.cluster, &event.data);
            assert_eq!(taken(criterion, &glance.cluster, &glance.data), whole, "{}", criterion.name);
            asked += usize::from(whole.iter().any(|leaf| leaf != "Missing"));
        }
    }
    // Name, arguments, user, ancestor; path and operation of a file; eight of the audit log.
    assert_eq!(asked, 14);
}
