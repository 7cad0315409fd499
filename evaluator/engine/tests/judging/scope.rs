//! Scope and exclusions as a truth table.

use jiff::SignedDuration;
use lictor_engine::Occurrence;
use lictor_wire::policy::{
    ExcludedDeployment, ExcludedImage, Exclusion, LifecycleStage, Policy, Scope, ScopeLabel,
};
use lictor_wire::{ImageFacts, ImageName};

use crate::fixture::{
    Outcome, Scene, build_policy, container, deploy_policy, deployment, group, labels, now, outcome, section,
    set,
};

fn always() -> Policy {
    deploy_policy([section([group("Container Name", ".*")])])
}

/// `shop/web` in cluster `c1`, which is labelled `env=prod`, as its namespace is.
fn judged(policy: Policy) -> bool {
    let mut web = deployment([container("a", "quay.io/a/b:1")]);
    web.labels = labels(&[("app", "web"), ("tier", "front")]);
    let scene = Scene {
        cluster_labels: Some(labels(&[("env", "prod")])),
        namespace_labels: Some(labels(&[("env", "prod")])),
        ..Scene::of(web)
    };
    match outcome(&scene.judge(&set(policy))) {
        Outcome::Violated => true,
        Outcome::Clean => false,
        other => panic!("{other:?}"),
    }
}

fn label(key: &str, value: &str) -> Option<ScopeLabel> {
    Some(ScopeLabel { key: key.to_owned(), value: value.to_owned() })
}

fn namespace(pattern: &str) -> Scope {
    Scope { namespace: pattern.to_owned(), ..Scope::default() }
}

#[test]
fn scopes() {
    let cases = [
        (vec![], true),
        (vec![namespace("shop")], true),
        (vec![namespace("SHOP")], true),
        (vec![namespace("sho")], false),
        (vec![namespace("sho.")], true),
        (vec![namespace("other"), namespace("shop")], true),
        (vec![Scope { cluster: "c1".to_owned(), ..Scope::default() }], true),
        (vec![Scope { cluster: "C1".to_owned(), ..Scope::default() }], false),
        (vec![Scope { cluster: "c2".to_owned(), ..namespace("shop") }], false),
        (vec![Scope { label: label("app", "web"), ..Scope::default() }], true),
        (vec![Scope { label: label("app", ""), ..Scope::default() }], true),
        (vec![Scope { label: label("", "front"), ..Scope::default() }], true),
        // Key and value are looked for on one label.
        (vec![Scope { label: label("app", "front"), ..Scope::default() }], false),
        (vec![Scope { cluster_label: label("env", "prod"), ..namespace("shop") }], true),
        (vec![Scope { cluster_label: label("env", "test"), ..namespace("shop") }], false),
        (vec![Scope { namespace_label: label("env", "prod"), ..Scope::default() }], true),
        (vec![Scope { namespace_label: label("env", "test"), ..Scope::default() }], false),
    ];
    for (scope, applies) in cases {
        assert_eq!(judged(Policy { scope: scope.clone(), ..always() }), applies, "{scope:?}");
    }
}

#[test]
fn an_empty_label_needs_a_label() {
    let scope = vec![Scope { label: label("", ""), ..Scope::default() }];
    let bare = Scene::of(deployment([container("a", "x:1")]));
    assert!(judged(Policy { scope: scope.clone(), ..always() }));
    assert_eq!(outcome(&bare.judge(&set(Policy { scope, ..always() }))), Outcome::Clean);
}

fn excluded(name: &str, scope: Option<Scope>) -> Exclusion {
    let deployment = Some(ExcludedDeployment { name: name.to_owned(), scope });
    Exclusion { deployment, ..Exclusion::default() }
}

#[test]
fn exclusions() {
    let ended = Some(now() - SignedDuration::from_secs(1));
    let ahead = Some(now() + SignedDuration::from_secs(1));
    let cases = [
        (vec![excluded("web", None)], false),
        (vec![excluded("WE.", None)], false),
        (vec![excluded("we", None)], true),
        (vec![excluded("api", None), excluded("web", None)], false),
        (vec![excluded("web", Some(namespace("shop")))], false),
        (vec![excluded("web", Some(namespace("other")))], true),
        (vec![excluded("", Some(namespace("shop")))], false),
        (vec![Exclusion { expiration: ended, ..excluded("web", None) }], true),
        (vec![Exclusion { expiration: ahead, ..excluded("web", None) }], false),
        // A name that is not a regular expression exempts nothing.
        (vec![excluded("we(", None)], true),
    ];
    for (exclusions, applies) in cases {
        assert_eq!(judged(Policy { exclusions: exclusions.clone(), ..always() }), applies, "{exclusions:?}");
    }
}

fn without_image(prefix: &str) -> Exclusion {
    Exclusion { image: Some(ExcludedImage { name: prefix.to_owned() }), ..Exclusion::default() }
}

#[test]
fn images_are_exempt_at_build_only() {
    let facts = ImageFacts { names: vec![ImageName::parse("quay.io/a/b:1")], ..ImageFacts::default() };
    let policy = |prefix| Policy {
        exclusions: vec![without_image(prefix)],
        lifecycle_stages: vec![LifecycleStage::Build, LifecycleStage::Deploy],
        ..build_policy([section([group("Image Registry", r"quay\.io")])])
    };
    let build =
        |prefix| outcome(&Scene::unknown().judge_event(&set(policy(prefix)), Occurrence::Image(&facts)));
    assert_eq!(build("quay.io/a"), Outcome::Clean);
    assert_eq!(build("QUAY.io/a"), Outcome::Violated);
    assert_eq!(build("a/b"), Outcome::Violated);
    assert!(judged(policy("quay.io/a")));
}

#[test]
fn disabled_policies_are_not_evaluated() {
    let set = set(Policy { disabled: true, ..always() });
    assert!(set.is_empty());
}
