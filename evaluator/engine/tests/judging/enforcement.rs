//! Which of a policy's actions a finding asks for, and which occurrences meet which policies.

use lictor_engine::Occurrence;
use lictor_wire::policy::{EnforcementAction, LifecycleStage, Policy};
use lictor_wire::{
    Deployment, FileEvent, FileOperation, FilePaths, ImageFacts, ImageName, ProcessAction, RequestEvent,
    RequestOperation,
};

use crate::fixture::{
    Outcome, Scene, build_policy, container, deploy_policy, deployment, group, outcome, pod, process,
    runtime_policy, section, set,
};

fn with_every_action(policy: Policy) -> Policy {
    Policy { enforcement_actions: EnforcementAction::ALL.to_vec(), ..policy }
}

fn web() -> Deployment {
    deployment([container("a", "quay.io/a/b:1")])
}

#[test]
fn deploy() {
    let set = set(with_every_action(deploy_policy([section([group("Container Name", "a")])])));
    let actions = |kind: &str, occurrence: Occurrence<'_>| {
        let scene = Scene::of(Deployment { kind: kind.to_owned(), ..web() });
        let findings = scene.judge_event(&set, occurrence);
        assert_eq!(findings.stage, LifecycleStage::Deploy);
        findings.violations[0].enforcement.clone()
    };
    let both = [EnforcementAction::ScaleToZero, EnforcementAction::UnsatisfiableNodeConstraint];
    assert_eq!(actions("Deployment", Occurrence::Deployment), both);
    assert_eq!(actions("DaemonSet", Occurrence::Deployment), [both[1]]);
    let update = RequestEvent { operation: RequestOperation::Update, ..RequestEvent::default() };
    assert_eq!(actions("DaemonSet", Occurrence::Request(&update)), both);
}

#[test]
fn actions_keep_the_policys_order() {
    let order = [EnforcementAction::UnsatisfiableNodeConstraint, EnforcementAction::ScaleToZero];
    let policy = deploy_policy([section([group("Container Name", "a")])]);
    let set = set(Policy { enforcement_actions: order.to_vec(), ..policy });
    assert_eq!(Scene::of(web()).judge(&set).violations[0].enforcement, order);
}

#[test]
fn runtime_and_build() {
    let actions = |policy, occurrence: Occurrence<'_>| {
        let findings = Scene::of(web()).judge_event(&set(with_every_action(policy)), occurrence);
        (findings.stage, findings.violations[0].enforcement.clone())
    };
    let bash = runtime_policy([section([group("Process Name", "bash")])]);
    assert_eq!(
        actions(bash, Occurrence::Process(&process("a", "bash"))),
        (LifecycleStage::Runtime, vec![EnforcementAction::KillPod])
    );
    let exec = RequestEvent { operation: RequestOperation::Exec, ..RequestEvent::default() };
    assert_eq!(
        actions(
            runtime_policy([section([group("Kubernetes Resource", "PODS_EXEC")])]),
            Occurrence::Request(&exec)
        ),
        (LifecycleStage::Runtime, vec![EnforcementAction::FailKubeRequest])
    );
    let image = ImageFacts { names: vec![ImageName::parse("quay.io/a/b:1")], ..ImageFacts::default() };
    assert_eq!(
        actions(build_policy([section([group("Image Tag", "1")])]), Occurrence::Image(&image)),
        (LifecycleStage::Build, vec![EnforcementAction::FailBuild])
    );
}

#[test]
fn only_started_processes_of_pods_are_judged() {
    let set = set(runtime_policy([section([group("Process Name", "bash")])]));
    let judge = |event| outcome(&Scene::unknown().judge_event(&set, Occurrence::Process(&event)));
    assert_eq!(judge(process("a", "bash")), Outcome::Violated);
    let mut exit = process("a", "bash");
    exit.action = ProcessAction::Exit;
    assert_eq!(judge(exit), Outcome::Clean);
    let mut of_the_node = process("a", "bash");
    of_the_node.pod = None;
    of_the_node.container = None;
    assert_eq!(judge(of_the_node), Outcome::Clean);
}

#[test]
fn policies_meet_their_own_kind_only() {
    let bash = set(runtime_policy([section([group("Process Name", "bash")])]));
    assert_eq!(outcome(&Scene::of(web()).judge(&bash)), Outcome::Clean);
    let named = set(deploy_policy([section([group("Container Name", "a")])]));
    let event = process("a", "bash");
    assert_eq!(outcome(&Scene::of(web()).judge_event(&named, Occurrence::Process(&event))), Outcome::Clean);
}

#[test]
fn sections_without_a_runtime_criterion_are_not_evaluated() {
    let sections = [section([group("Process Name", "bash")]), section([group("Container Name", "a")])];
    let set = set(runtime_policy(sections));
    let judge = |name| outcome(&Scene::of(web()).judge_event(&set, Occurrence::Process(&process("a", name))));
    assert_eq!(judge("sh"), Outcome::Clean);
    assert_eq!(judge("bash"), Outcome::Violated);
}

#[test]
fn admission_judges_the_workload_of_the_review() {
    let set = set(deploy_policy([section([group("Container Name", "a")])]));
    let create = RequestEvent { deployment: Some(Box::new(web())), ..RequestEvent::default() };
    let judge =
        |event: &RequestEvent| outcome(&Scene::unknown().judge_event(&set, Occurrence::Request(event)));
    assert_eq!(judge(&create), Outcome::Violated);
    let delete = RequestEvent { operation: RequestOperation::Delete, ..create };
    assert_eq!(judge(&delete), Outcome::Clean);
}

#[test]
fn files_and_the_process_that_touched_them() {
    let wanted = section([group("File Path", "/etc/*"), group("Process Name", "vi")]);
    let set = set(runtime_policy([wanted]));
    let event = |operation, path: &str, by: Option<&str>| FileEvent {
        operation,
        file: FilePaths { effective: path.to_owned(), ..FilePaths::default() },
        process: by.map(|name| Box::new(process("b", name))),
        pod: Some(pod()),
        ..FileEvent::default()
    };
    let judge = |event| outcome(&Scene::of(web()).judge_event(&set, Occurrence::File(&event)));
    assert_eq!(judge(event(FileOperation::Open, "/etc/passwd", Some("vi"))), Outcome::Violated);
    assert_eq!(judge(event(FileOperation::Open, "/etc/passwd", Some("sh"))), Outcome::Clean);
    assert_eq!(judge(event(FileOperation::Open, "/tmp/x", Some("vi"))), Outcome::Clean);
    assert_eq!(judge(event(FileOperation::Read, "/etc/passwd", Some("vi"))), Outcome::Clean);
    assert_eq!(
        judge(event(FileOperation::Open, "/etc/passwd", None)),
        Outcome::Undecided(vec!["process that touched the file".to_owned()])
    );
}
