//! Why, and why not.

use lictor_engine::{Occurrence, Outcome};
use lictor_wire::Deployment;
use lictor_wire::policy::{ExcludedDeployment, Exclusion, Policy, Scope};

use crate::fixture::{
    Scene, container, deploy_policy, deployment, group, process, runtime_policy, section, set,
};

fn web() -> Deployment {
    let mut web = deployment([container("a", "nginx"), container("b", "nginx:1.27")]);
    web.containers[1].security_context.privileged = true;
    web
}

#[test]
fn criteria_are_told_one_by_one_in_the_order_of_the_policy() {
    let groups =
        [group("Privileged Container", "true"), group("Namespace", "pay"), group("Image Tag", "latest")];
    let told = Scene::of(web()).explain(&set(deploy_policy([section(groups)])), Occurrence::Deployment);
    assert_eq!(told.outcome, Outcome::DoesNotHold);
    let section = &told.sections[0];
    let outcomes: Vec<_> = section.criteria.iter().map(|c| (c.criterion, c.outcome.clone())).collect();
    assert_eq!(
        outcomes,
        [
            ("Privileged Container", Outcome::Holds),
            ("Namespace", Outcome::DoesNotHold),
            ("Image Tag", Outcome::Holds)
        ]
    );
    assert_eq!(section.first_failing, Some(1));
    let found: Vec<_> = section.criteria[0].found.iter().map(|f| (&*f.at, &*f.value)).collect();
    assert_eq!(found, [("container a", "false"), ("container b", "true")]);
    assert_eq!(section.criteria[1].found[0].value, "shop");
}

#[test]
fn a_section_can_fail_for_want_of_one_container_that_meets_all() {
    let groups = [group("Privileged Container", "true"), group("Image Tag", "latest")];
    let told = Scene::of(web()).explain(&set(deploy_policy([section(groups)])), Occurrence::Deployment);
    assert_eq!((told.outcome, told.sections[0].first_failing), (Outcome::DoesNotHold, None));
}

#[test]
fn what_took_the_input_out_is_named() {
    let policy = deploy_policy([section([group("Namespace", "shop")])]);
    let elsewhere = Scope { namespace: "pay".to_owned(), ..Scope::default() };
    let scoped = Policy { scope: vec![elsewhere], ..policy.clone() };
    let told = Scene::of(web()).explain(&set(scoped), Occurrence::Deployment);
    assert_eq!(told.not_evaluated, "none of the 1 scope entries of the policy matches (scope)");

    let name = |name: &str| Exclusion {
        deployment: Some(ExcludedDeployment { name: name.to_owned(), scope: None }),
        ..Exclusion::default()
    };
    let excluded = Policy { exclusions: vec![name("api"), name("we.")], ..policy.clone() };
    let told = Scene::of(web()).explain(&set(excluded), Occurrence::Deployment);
    assert_eq!(told.not_evaluated, "it is excluded by exclusion 2 (exclusions[1])");

    let told = Scene::of(web()).explain(&set(policy), Occurrence::Process(&process("a", "sh")));
    assert_eq!(told.not_evaluated, "the policy is about workloads as they are written");
}

#[test]
fn what_is_missing_is_named() {
    let groups = [group("Process Name", "sh"), group("Privileged Container", "true")];
    let told = Scene::unknown()
        .explain(&set(runtime_policy([section(groups)])), Occurrence::Process(&process("a", "sh")));
    let missing = Outcome::Unknown(vec!["deployment of pod shop/web-1".to_owned()]);
    assert_eq!(told.outcome, missing);
    assert_eq!(told.sections[0].criteria[0].outcome, Outcome::Holds);
    assert_eq!(told.sections[0].criteria[1].outcome, missing);
}

#[test]
fn what_holds_comes_with_its_evidence() {
    let told = Scene::of(web())
        .explain(&set(deploy_policy([section([group("Image Tag", "latest")])])), Occurrence::Deployment);
    assert_eq!(told.outcome, Outcome::Holds);
    assert_eq!(told.sections[0].evidence.as_ref().unwrap()[0].at, "container a");
}
