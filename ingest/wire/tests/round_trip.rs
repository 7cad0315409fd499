//! Whatever is written reads back the same, and what was written by version 1 is read for ever.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise, its helpers too")]

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use lictor_wire::policy::{Group, PolicyValue, Section};
use lictor_wire::{
    Ancestor, AuditEvent, AuditStage, Baseline, ClusterId, Command, Container, ContainerConfig,
    ContainerImage, ContainerRef, CoverageEvent, CoverageNotice, DeadLetter, Deployment, DeploymentChange,
    DeploymentEvent, DeploymentId, EnvSource, EnvVar, Envelope, Event, EventData, EventId, FileEvent,
    FileOperation, FilePaths, ImageEvent, ImageName, Kind, NetworkEntity, NetworkEvent, NetworkProtocol,
    ObjectReference, PodId, PodRef, Policy, PolicyDocument, PolicyId, ProcessAction, ProcessEvent, RawJson,
    Receipt, RequestEvent, RequestOperation, Resources, UserInfo, Verdict, WorkloadRef,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

// --- fixtures: one file per kind of document, as version 1 wrote them ----------------------------------------------

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Reads every line of a fixture and writes it again: nothing may be lost, gained or reordered in meaning.
fn stays<T: Serialize + DeserializeOwned>(name: &str) -> usize {
    let text = fixture(name);
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines {
        let value: T = serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}\n{line}"));
        let again = serde_json::to_value(&value).unwrap();
        let was: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(again, was, "{name}");
    }
    lines.len()
}

#[test]
fn version_1_is_read_for_ever() {
    assert_eq!(stays::<Event>("events.ndjson"), Kind::ALL.len());
    assert_eq!(stays::<Verdict>("verdicts.ndjson"), 3);
    assert_eq!(stays::<Receipt>("receipts.ndjson"), 3);
    assert_eq!(stays::<PolicyDocument>("policy-documents.ndjson"), 2);
    assert_eq!(stays::<Command>("commands.ndjson"), 2);
    assert_eq!(stays::<DeadLetter>("dead-letters.ndjson"), 1);
    assert_eq!(stays::<Baseline>("baselines.ndjson"), 1);
}

#[test]
fn the_first_key_of_an_admission_is_read() {
    let now = fixture("verdicts.ndjson");
    let before = now.replace("\"admission\":", "\"asked\":");
    assert_ne!(before, now);
    let read = |text: &str| -> Vec<Verdict> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(read(&before), read(&now));
}

#[test]
fn the_fixtures_show_every_kind() {
    let kinds: Vec<Kind> =
        fixture("events.ndjson").lines().map(|line| Event::parse(line).unwrap().kind()).collect();
    assert_eq!(kinds, Kind::ALL);
}

// --- any event -----------------------------------------------------------------------------------------------------

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9./-]{0,12}", any::<String>()]
}

fn time() -> impl Strategy<Value = Timestamp> {
    // Years 0 to 9999, which is what RFC 3339 can write.
    (-62_135_596_800_i64..253_402_207_200, 0..1_000_000_000_i32)
        .prop_map(|(seconds, nanoseconds)| Timestamp::new(seconds.max(0), nanoseconds).unwrap())
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(text(), text(), 0..3)
}

prop_compose! {
    fn pod()(namespace in text(), name in text(), uid in text(), workload in option::of((text(), text())),
             labels in labels()) -> PodRef {
        let workload = workload.map(|(kind, name)| WorkloadRef { kind, name });
        PodRef { namespace, name, uid: PodId::new(uid), workload, labels }
    }
}

prop_compose! {
    fn process()(exit in any::<bool>(), name in text(), args in text(), uid in option::of(any::<u32>()),
                 pid in any::<u32>(), started in option::of(time()), pod in option::of(pod()),
                 ancestors in vec((text(), option::of(any::<u32>())), 0..3), container in option::of(text()))
                 -> ProcessEvent {
        let ancestor = |(exec_file_path, uid)| Ancestor { exec_file_path, uid };
        ProcessEvent {
            action: if exit { ProcessAction::Exit } else { ProcessAction::Exec },
            exec_file_path: format!("/bin/{name}"),
            name, args, uid, pid, started, pod,
            ancestors: ancestors.into_iter().map(ancestor).collect(),
            container: container.map(|name| ContainerRef { name, ..ContainerRef::default() }),
            ..ProcessEvent::default()
        }
    }
}

prop_compose! {
    fn container()(name in text(), image in text(), env in vec((text(), text()), 0..3), privileged in any::<bool>(),
                   cpu in 0.0_f32..64.0, caps in vec(text(), 0..3)) -> Container {
        let mut container = Container {
            name,
            image: ContainerImage { name: ImageName::parse(&image), ..ContainerImage::default() },
            config: ContainerConfig {
                env: env.into_iter()
                    .map(|(key, value)| EnvVar { key, value, env_var_source: EnvSource::Raw })
                    .collect(),
                ..ContainerConfig::default()
            },
            resources: Resources { cpu_cores_limit: cpu, ..Resources::default() },
            ..Container::default()
        };
        container.security_context.privileged = privileged;
        container.security_context.add_capabilities = caps;
        container
    }
}

prop_compose! {
    fn deployment()(id in text(), name in text(), namespace in text(), labels in labels(),
                    replicas in option::of(any::<i64>()), created in option::of(time()),
                    containers in vec(container(), 0..3)) -> Deployment {
        Deployment {
            id: DeploymentId::new(id), name, namespace, labels, replicas, created, containers,
            kind: "Deployment".to_owned(),
            ..Deployment::default()
        }
    }
}

prop_compose! {
    fn audit()(audit_id in text(), stage in 0..5_u8, verb in text(), username in text(), groups in vec(text(), 0..3),
               ips in vec(text(), 0..3), name in option::of(text()), at in option::of(time()), unknown in labels())
               -> AuditEvent {
        let stage = match stage {
            0 => AuditStage::RequestReceived,
            1 => AuditStage::ResponseStarted,
            2 => AuditStage::ResponseComplete,
            3 => AuditStage::Panic,
            _ => AuditStage::Other("ResponseForgotten".to_owned()),
        };
        AuditEvent {
            level: "Metadata".to_owned(),
            audit_id, stage, verb,
            user: UserInfo { username, groups, ..UserInfo::default() },
            source_ips: ips,
            object_ref: name.map(|name| ObjectReference { name, ..ObjectReference::default() }),
            stage_timestamp: at,
            request_object: RawJson::parse(r#"{"a": [1,  2.50]}"#).ok(),
            extra: unknown.into_iter().map(|(key, value)| (format!("x-{key}"), value.into())).collect(),
            ..AuditEvent::default()
        }
    }
}

fn data() -> impl Strategy<Value = EventData> {
    prop_oneof![
        process().prop_map(|body| EventData::Process(Box::new(body))),
        deployment().prop_map(|deployment| EventData::Deployment(Box::new(DeploymentEvent {
            change: DeploymentChange::Updated,
            deployment,
            revision: 7
        }))),
        audit().prop_map(|body| EventData::Audit(Box::new(body))),
        (process(), any::<u16>(), text()).prop_map(|(process, port, address)| {
            EventData::Network(Box::new(NetworkEvent {
                protocol: NetworkProtocol::Tcp,
                remote: NetworkEntity { address, port, ..NetworkEntity::default() },
                pod: process.pod.clone(),
                process: Some(Box::new(process)),
                ..NetworkEvent::default()
            }))
        }),
        (text(), text(), option::of(any::<u32>())).prop_map(|(actual, effective, mode)| {
            let file = FilePaths { actual, effective };
            let operation = FileOperation::PermissionChange;
            EventData::File(Box::new(FileEvent { operation, file, mode, ..FileEvent::default() }))
        }),
        text().prop_map(|digest| EventData::Image(Box::new(ImageEvent { digest, ..ImageEvent::default() }))),
        (text(), vec(text(), 0..3), deployment()).prop_map(|(uid, command, deployment)| {
            let operation = RequestOperation::Exec;
            let deployment = Some(Box::new(deployment));
            EventData::Request(Box::new(RequestEvent {
                uid,
                operation,
                command,
                deployment,
                ..RequestEvent::default()
            }))
        }),
        (any::<u64>(), pod(), any::<bool>()).prop_map(|(lost, pod, started)| {
            let notice = CoverageNotice::SensorThrottle { started, pod: Some(pod) };
            EventData::Coverage(Box::new(CoverageEvent {
                notice,
                lost,
                node: String::new(),
                detail: String::new(),
            }))
        }),
    ]
}

prop_compose! {
    fn event()(id in text(), source in text(), time in time(), cluster in text(), traceparent in option::of(text()),
               extensions in btree_map("x[a-z]{1,8}", text().prop_map(serde_json::Value::from), 0..3), data in data())
               -> Event {
        Event { id: EventId::new(id), source, time, cluster: ClusterId::new(cluster), traceparent, extensions, data }
    }
}

proptest! {
    #[test]
    fn any_event_comes_back_from_its_line(event in event()) {
        let line = event.to_line().unwrap();
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(&Event::parse(&line).unwrap(), &event);
        // The envelope alone says the same, and a body that lies elsewhere comes back.
        let envelope = Envelope::parse(&line).unwrap();
        prop_assert_eq!(envelope.kind, event.kind());
        let elsewhere = envelope.to_line_with_dataref("objects/1").unwrap();
        let reference = Envelope::parse(&elsewhere).unwrap();
        prop_assert_eq!(reference.dataref.as_deref(), Some("objects/1"));
        let whole = reference.to_line_with_data(envelope.data.unwrap()).unwrap();
        prop_assert_eq!(Event::parse(&whole).unwrap(), event);
    }

    #[test]
    fn no_line_panics(line in any::<String>()) {
        let _ = Event::parse(&line);
    }

    #[test]
    fn damaged_lines_are_read_at_once_as_step_by_step(
        event in event(), at in any::<prop::sample::Index>(), by in any::<char>()
    ) {
        let mut line: Vec<char> = event.to_line().unwrap().chars().collect();
        let at = at.index(line.len());
        line[at] = by;
        let line: String = line.into_iter().collect();
        let at_once = Event::parse(&line).map_err(|error| error.to_string());
        let step_by_step = Envelope::parse(&line).and_then(Envelope::decode).map_err(|error| error.to_string());
        prop_assert_eq!(at_once, step_by_step);
    }

    #[test]
    fn a_body_may_stand_before_its_type(event in event()) {
        let line = event.to_line().unwrap();
        let (before, body) = line.split_once(r#","datacontenttype":"application/json","data":"#).unwrap();
        let (attributes, body) = (before.strip_prefix('{').unwrap(), body.strip_suffix('}').unwrap());
        prop_assert_eq!(Event::parse(&format!(r#"{{"data":{body},{attributes}}}"#)).unwrap(), event);
    }

    #[test]
    fn any_policy_comes_back_from_its_export(name in text(), field in text(), values in vec(text(), 0..3)) {
        let group = Group {
            field_name: field,
            values: values.into_iter().map(|value| PolicyValue { value }).collect(),
            ..Group::default()
        };
        let sections = vec![Section { section_name: name.clone(), policy_groups: vec![group] }];
        let policy = Policy { id: PolicyId::new("p"), name, policy_sections: sections, ..Policy::default() };
        let text = policy.to_export().unwrap().to_string();
        let read = lictor_wire::policy::read::read_policies(&text).unwrap();
        prop_assert_eq!(read.warnings, []);
        prop_assert_eq!(read.policies, [policy]);
    }

    #[test]
    fn no_policy_file_panics(text in any::<String>()) {
        let _ = lictor_wire::policy::read::read_policies(&text);
    }
}

#[test]
fn a_repeated_attribute_is_refused() {
    let line = r#"{"specversion":"1.0","id":"a","id":"b","source":"s","type":"io.lictor.process.v1","time":"2026-01-01T00:00:00Z","cluster":"c","data":{}}"#;
    assert!(Event::parse(line).unwrap_err().to_string().contains("duplicate field `id`"));
}
