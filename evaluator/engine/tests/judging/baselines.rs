//! Criteria about what a workload usually does. The fact is computed outside; here it is judged.

use lictor_engine::Occurrence;
use lictor_wire::{NetworkEvent, ProcessEvent};

use crate::fixture::{
    Outcome, Scene, container, deployment, group, outcome, pod, process, runtime_policy, section, set,
    undecided,
};

fn scene(deviates: Option<bool>) -> Scene {
    let mut web = deployment([container("web", "nginx:1.27"), container("log", "fluent-bit:3")]);
    web.containers[1].security_context.privileged = true;
    Scene { deviates, ..Scene::of(web) }
}

fn run(policy: lictor_wire::Policy, deviates: Option<bool>, process: &ProcessEvent) -> Outcome {
    outcome(&scene(deviates).judge_event(&set(policy), Occurrence::Process(process)))
}

#[test]
fn an_unexpected_process_violates() {
    let policy = |value| runtime_policy([section([group("Unexpected Process Executed", value)])]);
    let shell = process("web", "sh");
    assert_eq!(run(policy("true"), Some(true), &shell), Outcome::Violated);
    assert_eq!(run(policy("true"), Some(false), &shell), Outcome::Clean);
    assert_eq!(run(policy("false"), Some(false), &shell), Outcome::Violated);
    assert_eq!(run(policy("true"), None, &shell), undecided("baseline of deployment shop/web"));
}

#[test]
fn it_is_tied_to_the_container_it_ran_in() {
    let groups = [group("Unexpected Process Executed", "true"), group("Privileged Container", "true")];
    let policy = runtime_policy([section(groups)]);
    assert_eq!(run(policy.clone(), Some(true), &process("web", "sh")), Outcome::Clean);
    assert_eq!(run(policy, Some(true), &process("log", "sh")), Outcome::Violated);
}

#[test]
fn an_unexpected_connection_violates() {
    let policy = runtime_policy([section([group("Unexpected Network Flow Detected", "true")])]);
    let set = set(policy);
    let connection = NetworkEvent { pod: Some(pod()), ..NetworkEvent::default() };
    let judged = |deviates| outcome(&scene(deviates).judge_event(&set, Occurrence::Network(&connection)));
    assert_eq!(judged(Some(true)), Outcome::Violated);
    assert_eq!(judged(Some(false)), Outcome::Clean);
    assert_eq!(judged(None), undecided("baseline of deployment shop/web"));
    assert_eq!(
        outcome(&scene(Some(true)).judge_event(&set, Occurrence::Process(&process("web", "sh")))),
        Outcome::Clean,
        "a process is not a connection"
    );
}
