//! What each kind of event is about, what comes of it, and what a history of them comes to.

// `cfg(test)` is always so here; it tells clippy that helpers are test code too.
#![cfg(test)]

use std::sync::Arc;

use jiff::Timestamp;
use lictor_detection::{ClusterState, Fact, Judge, JudgeContext, Judgement, JudgementStatus, Tally, Target};
use lictor_engine::{Options, PolicyRevision, PolicySet};
use lictor_wire::policy::read::read_policies;
use lictor_wire::{
    AuditEvent, AuditStage, Cause, ClusterId, Container, ContainerImage, ContainerRef, Deployment,
    DeploymentChange, DeploymentEvent, DeploymentId, Entity, Event, EventData, EventId, FileEvent,
    FileOperation, FilePaths, ImageEvent, ObjectReference, PodRef, ProcessEvent, RequestEvent,
    RequestOperation, WorkloadRef,
};
use serde_json::{Value, json};

const DIGEST: &str = "sha256:1";

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

fn policy(name: &str, stage: &str, source: &str, groups: &[(&str, &str)]) -> Value {
    let groups: Vec<Value> = groups
        .iter()
        .map(|(field, value)| json!({"fieldName": field, "values": [{"value": value}]}))
        .collect();
    json!({
        "id": name, "name": name, "lifecycleStages": [stage], "eventSource": source,
        "policySections": [{"policyGroups": groups}],
    })
}

fn policies() -> PolicySet {
    let all = json!({"policies": [
        policy("privileged", "DEPLOY", "NOT_APPLICABLE", &[("Privileged Container", "true")]),
        policy("shell", "RUNTIME", "DEPLOYMENT_EVENT", &[("Process Name", "sh")]),
        policy("privileged shell", "RUNTIME", "DEPLOYMENT_EVENT",
            &[("Process Name", "sh"), ("Privileged Container", "true")]),
        policy("password", "RUNTIME", "DEPLOYMENT_EVENT", &[("Process Arguments", ".*hunter2.*")]),
        policy("node file", "RUNTIME", "NODE_EVENT", &[("File Path", "/etc/shadow")]),
        policy("secrets", "RUNTIME", "AUDIT_LOG_EVENT",
            &[("Kubernetes Resource", "SECRETS"), ("Kubernetes API Verb", "GET")]),
        policy("exec", "RUNTIME", "DEPLOYMENT_EVENT", &[("Kubernetes Resource", "PODS_EXEC")]),
    ]});
    let read = read_policies(&all.to_string()).unwrap().policies;
    let revisions = read.into_iter().map(|policy| PolicyRevision { policy: Arc::new(policy), revision: 1 });
    let compiled = PolicySet::compile(revisions, Options::default());
    assert_eq!(compiled.refused, []);
    compiled.set
}

fn cluster() -> ClusterId {
    ClusterId::new("c1")
}

fn workload() -> Deployment {
    let mut container = Container {
        name: "web".to_owned(),
        image: ContainerImage { id: DIGEST.to_owned(), ..ContainerImage::default() },
        ..Container::default()
    };
    container.security_context.privileged = true;
    Deployment {
        id: DeploymentId::new("d1"),
        name: "web".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: "shop".to_owned(),
        cluster_id: cluster(),
        containers: vec![container],
        ..Deployment::default()
    }
}

fn pod() -> PodRef {
    let workload = WorkloadRef { kind: "Deployment".to_owned(), name: "web".to_owned() };
    PodRef {
        namespace: "shop".to_owned(),
        name: "web-1".to_owned(),
        workload: Some(workload),
        labels: [("app".to_owned(), "web".to_owned())].into(),
        ..PodRef::default()
    }
}

fn knows_web() -> ClusterState {
    let state = ClusterState::default();
    state.put(7, Fact::deployment(workload()));
    state
}

fn event(data: EventData) -> Event {
    Event {
        id: EventId::new("e1"),
        source: "/test".to_owned(),
        time: now(),
        cluster: cluster(),
        traceparent: None,
        extensions: std::collections::BTreeMap::new(),
        data,
    }
}

fn process(name: &str) -> Event {
    let container = Some(ContainerRef { name: "web".to_owned(), ..ContainerRef::default() });
    let body = ProcessEvent { name: name.to_owned(), pod: Some(pod()), container, ..ProcessEvent::default() };
    event(EventData::Process(Box::new(body)))
}

fn changed(change: DeploymentChange) -> Event {
    let body = DeploymentEvent { change, deployment: workload(), revision: 3 };
    event(EventData::Deployment(Box::new(body)))
}

fn request(operation: RequestOperation, resource: &str, deployment: Option<Deployment>) -> Event {
    let object_ref = ObjectReference {
        resource: resource.to_owned(),
        namespace: "shop".to_owned(),
        name: "web-1".to_owned(),
        subresource: if operation == RequestOperation::Exec { "exec".to_owned() } else { String::new() },
        ..ObjectReference::default()
    };
    let deployment = deployment.map(Box::new);
    event(EventData::Request(Box::new(RequestEvent {
        operation,
        object_ref,
        deployment,
        ..RequestEvent::default()
    })))
}

fn judge(event: &Event, state: &ClusterState, may_wait: bool) -> Judgement {
    let context = JudgeContext {
        stream: "S",
        sequence: 5,
        cause: Cause::Observed,
        may_wait,
        now: now(),
        traceparent: None,
    };
    Judge { state, policies: &policies(), policies_revision: 9 }.event(event, context)
}

/// Entity and violated policies of each verdict.
fn told(judgement: &Judgement) -> Vec<(String, Vec<&str>)> {
    let verdicts = judgement.verdicts.iter().map(|verdict| {
        let names = verdict.violations.iter().map(|violation| violation.policy.name.as_str());
        (verdict.entity.key(), names.collect())
    });
    verdicts.collect()
}

fn web() -> String {
    "deployment/c1/d1".to_owned()
}

#[test]
fn a_workload_is_always_answered_for() {
    let judgement = judge(&changed(DeploymentChange::Updated), &knows_web(), true);
    assert_eq!(told(&judgement), [(web(), vec!["privileged"])]);
    let verdict = &judgement.verdicts[0];
    assert_eq!((verdict.revisions.deployment, verdict.revisions.policies), (7, 9), "the state's own model");
    assert_eq!((verdict.event.stream.as_str(), verdict.event.sequence), ("S", 5));

    // The state lost it: the event's own model is judged; and what is deleted is gone.
    let lost = judge(&changed(DeploymentChange::Updated), &ClusterState::default(), true);
    assert_eq!(told(&lost), [(web(), vec!["privileged"])]);
    assert_eq!(lost.verdicts[0].revisions.deployment, 3);
    let deleted = judge(&changed(DeploymentChange::Deleted), &ClusterState::default(), true);
    assert_eq!(told(&deleted), [(web(), vec![])]);
    assert!(deleted.verdicts[0].gone && !lost.verdicts[0].gone);
}

#[test]
fn an_image_is_about_those_who_run_it() {
    let state = knows_web();
    let api = Deployment { id: DeploymentId::new("d2"), name: "api".to_owned(), ..workload() };
    state.put(8, Fact::deployment(api));
    let body = |digest: &str| ImageEvent { digest: digest.to_owned(), ..ImageEvent::default() };
    let judgement = judge(&event(EventData::Image(Box::new(body(DIGEST)))), &state, true);
    let mut about = told(&judgement);
    about.sort();
    assert_eq!(about, [(web(), vec!["privileged"]), ("deployment/c1/d2".to_owned(), vec!["privileged"])]);
    assert!(judgement.verdicts.iter().all(|verdict| verdict.cause == Cause::Facts));
    let unused = judge(&event(EventData::Image(Box::new(body("sha256:2")))), &state, true);
    assert_eq!(unused, Judgement::default());
}

#[test]
fn what_happened_in_a_pod_waits_for_its_workload() {
    let judgement = judge(&process("sh"), &knows_web(), true);
    assert_eq!(told(&judgement), [(web(), vec!["privileged shell", "shell"])]);
    let Entity::Deployment { pod: Some(named), .. } = &judgement.verdicts[0].entity else { panic!("no pod") };
    assert_eq!((named.name.as_str(), named.labels.len()), ("web-1", 0), "labels stay behind");

    let unknown = ClusterState::default();
    let waiting = judge(&process("sh"), &unknown, true);
    let missing = vec!["workload of pod shop/web-1".to_owned()];
    assert_eq!(waiting, Judgement { verdicts: Vec::new(), status: JudgementStatus::Parked { missing } });
    // After all the waiting it is judged by what the sensor says.
    let waited = judge(&process("sh"), &unknown, false);
    assert_eq!(waited.status, JudgementStatus::Judged);
    let key = Deployment::id_without_uid(&cluster(), "shop", "Deployment", "web");
    assert_eq!(told(&waited), [(format!("deployment/c1/{key}"), vec!["shell"])]);
    assert_eq!(waited.verdicts[0].undecided[0].policy.name, "privileged shell");

    // Nothing that a policy is about waits for nothing.
    assert_eq!(judge(&process("nginx"), &unknown, true), Judgement::default());
}

#[test]
fn secrets_are_judged_and_not_shown() {
    let mut event = process("mysql");
    let EventData::Process(body) = &mut event.data else { panic!() };
    body.args = "--user=shop --password=hunter2".to_owned();
    let judgement = judge(&event, &knows_web(), false);
    assert_eq!(told(&judgement), [(web(), vec!["password"])]);
    let shown = serde_json::to_string(&judgement.verdicts).unwrap();
    assert!(shown.contains("--password=***"), "{shown}");
    // What the policy says stays: it is where the value is looked up.
    let evidence = &judgement.verdicts[0].violations[0].sections[0].evidence[0];
    assert_eq!(evidence.wanted, ".*hunter2.*");
    assert!(!shown.replace(".*hunter2.*", "").contains("hunter2"), "{shown}");
}

#[test]
fn a_file_outside_of_pods_is_the_nodes_and_a_request_the_objects() {
    let file = FileEvent {
        operation: FileOperation::Open,
        node: "n1".to_owned(),
        file: FilePaths { actual: "/etc/shadow".to_owned(), ..FilePaths::default() },
        ..FileEvent::default()
    };
    let judgement = judge(&event(EventData::File(Box::new(file))), &knows_web(), true);
    assert_eq!(told(&judgement), [("node/c1/n1".to_owned(), vec!["node file"])]);

    let audit = |verb: &str| AuditEvent {
        stage: AuditStage::ResponseComplete,
        verb: verb.to_owned(),
        object_ref: Some(ObjectReference {
            resource: "secrets".to_owned(),
            namespace: "shop".to_owned(),
            name: "key".to_owned(),
            ..ObjectReference::default()
        }),
        ..AuditEvent::default()
    };
    let judgement = judge(&event(EventData::Audit(Box::new(audit("get")))), &knows_web(), true);
    assert_eq!(told(&judgement), [("resource/c1/secrets/shop/key".to_owned(), vec!["secrets"])]);
    let clean = judge(&event(EventData::Audit(Box::new(audit("create")))), &knows_web(), true);
    assert_eq!(clean, Judgement::default());
}

#[test]
fn a_request_is_about_what_it_asks_for() {
    let state = knows_web();
    // A create is tried again under another UID; what it is about stays the same.
    let created = judge(&request(RequestOperation::Create, "deployments", Some(workload())), &state, false);
    let key = Deployment::id_without_uid(&cluster(), "shop", "Deployment", "web");
    assert_eq!(told(&created), [(format!("deployment/c1/{key}"), vec!["privileged"])]);
    let updated = judge(&request(RequestOperation::Update, "deployments", Some(workload())), &state, false);
    assert_eq!(told(&updated), [(web(), vec!["privileged"])]);

    let exec = request(RequestOperation::Exec, "pods", Some(workload()));
    let judgement = judge(&exec, &state, false);
    assert_eq!(told(&judgement), [(web(), vec!["exec"])]);
    let Entity::Deployment { pod, .. } = &judgement.verdicts[0].entity else { panic!("no workload") };
    assert_eq!(pod.as_ref().map(|pod| &*pod.name), Some("web-1"));
    // An admission that knows no workload names the object.
    let data = request(RequestOperation::Exec, "pods", None).data;
    let entity = Target::of(&data).unwrap().entity(&cluster(), None);
    assert_eq!(entity.key(), "resource/c1/pods/shop/web-1");
}

#[test]
fn a_tally_says_how_often_and_when() {
    let (state, policies) = (ClusterState::default(), policies());
    let at = |time: &str, event: Event| Event { time: time.parse().unwrap(), ..event };
    let mut tally = Tally::default();
    let history = [
        // Before its workload is known.
        at("2026-06-01T00:00:09Z", process("sh")),
        at("2026-06-01T00:00:01Z", changed(DeploymentChange::Created)),
        at("2026-06-01T00:00:07Z", process("sh")),
        at("2026-06-01T00:00:05Z", process("sh")),
        at("2026-06-01T00:00:06Z", process("nginx")),
        at("2026-06-01T00:00:08Z", request(RequestOperation::Exec, "pods", Some(workload()))),
    ];
    for event in &history {
        tally.replay(event, &state, &policies);
    }
    assert_eq!(tally.events, [("deployment", 1), ("process", 4), ("request", 1)].into());
    let counts: Vec<(&str, &str, u64, String, String)> = tally
        .entities
        .iter()
        .flat_map(|(key, entity)| {
            entity.violations.iter().map(|(policy, tally)| {
                let seconds = |time: Timestamp| time.strftime("%S").to_string();
                (key.as_str(), policy.as_str(), tally.count, seconds(tally.first), seconds(tally.last))
            })
        })
        .collect();
    let unknown = Deployment::id_without_uid(&cluster(), "shop", "Deployment", "web");
    let unknown = format!("deployment/c1/{unknown}");
    let text = |text: &str| text.to_owned();
    let mut expected = vec![
        (unknown.as_str(), "shell", 1, text("09"), text("09")),
        ("deployment/c1/d1", "exec", 1, text("08"), text("08")),
        ("deployment/c1/d1", "privileged", 1, text("01"), text("01")),
        ("deployment/c1/d1", "shell", 2, text("05"), text("07")),
        ("deployment/c1/d1", "privileged shell", 2, text("05"), text("07")),
    ];
    expected.sort();
    assert_eq!(counts, expected);
    let undecided = tally.entities[&unknown].undecided.keys().map(lictor_wire::PolicyId::as_str);
    assert_eq!(undecided.collect::<Vec<_>>(), ["privileged shell"]);
    assert!(tally.entities["deployment/c1/d1"].undecided.is_empty());
}
