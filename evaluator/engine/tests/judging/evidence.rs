//! What evidence says.

use lictor_engine::Occurrence;
use lictor_wire::{EnvSource, EnvVar, Evidence, Volume};

use crate::fixture::{
    Scene, any, container, deploy_policy, deployment, group, not, process, runtime_policy, section, set,
};

fn of(scene: &Scene, groups: Vec<lictor_wire::policy::Group>) -> Vec<Evidence> {
    let findings = scene.judge(&set(deploy_policy([section(groups)])));
    findings.violations[0].sections[0].evidence.clone()
}

fn evidence(criterion: &str, wanted: &str, found: &str, at: &str) -> Evidence {
    Evidence {
        criterion: criterion.to_owned(),
        wanted: wanted.to_owned(),
        found: found.to_owned(),
        at: at.to_owned(),
    }
}

#[test]
fn values_written_in_manifests_stay_out() {
    let env = |key: &str, value: &str, env_var_source| EnvVar {
        key: key.to_owned(),
        value: value.to_owned(),
        env_var_source,
    };
    let mut web = container("web", "x:1");
    web.config.env = vec![
        env("PASSWORD", "hunter2", EnvSource::Raw),
        env("PASSWORD_FROM", "secret db, key password", EnvSource::SecretKey),
    ];
    let found = of(&Scene::of(deployment([web])), vec![group("Environment Variable", "=PASS.*=")]);
    let expected = [
        evidence("Environment Variable", "=PASS.*=", "RAW=PASSWORD", "container web"),
        evidence(
            "Environment Variable",
            "=PASS.*=",
            "SECRET_KEY=PASSWORD_FROM=secret db, key password",
            "container web",
        ),
    ];
    assert_eq!(found, expected);
}

#[test]
fn volumes_say_where_they_are() {
    let mut web = container("web", "x:1");
    let volume = |name: &str| Volume {
        name: name.to_owned(),
        volume_type: "HostPath".to_owned(),
        ..Volume::default()
    };
    web.volumes = vec![volume("data"), volume("data"), volume("logs")];
    let found = of(
        &Scene::of(deployment([web])),
        vec![not(any("Volume Name", &["logs", "tmp"])), group("Writable Host Mount", "true")],
    );
    let expected = [
        evidence("Volume Name", "not (logs or tmp)", "data", "container web, volume data"),
        evidence("Writable Host Mount", "true", "true", "container web, volume data"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn only_matching_items_of_lists_and_maps_are_shown() {
    let mut web = deployment([container("web", "x:1")]);
    web.annotations = crate::fixture::labels(&[("a", "1"), ("b", "2")]);
    web.containers[0].security_context.add_capabilities = vec!["KILL".to_owned(), "NET_ADMIN".to_owned()];
    let found = of(
        &Scene::of(web),
        vec![group("Disallowed Annotation", "a"), any("Add Capabilities", &["NET_ADMIN", "SYS_ADMIN"])],
    );
    let expected = [
        evidence("Add Capabilities", "NET_ADMIN or SYS_ADMIN", "NET_ADMIN", "container web"),
        evidence("Disallowed Annotation", "a", "a=1", ""),
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_missing_shows_a_little_of_what_is_there() {
    let mut web = deployment([container("web", "x:1")]);
    let judged = |web| {
        let groups = vec![group("Required Annotation", "owner="), group("Drop Capabilities", "KILL")];
        of(&Scene::of(web), groups).into_iter().map(|evidence| evidence.found).collect::<Vec<_>>()
    };
    assert_eq!(judged(web.clone()), ["none", "none"]);
    web.annotations = crate::fixture::labels(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5")]);
    web.annotations.insert("a".to_owned(), "x".repeat(100));
    web.containers[0].security_context.drop_capabilities = vec!["NET_RAW".to_owned(), "CHOWN".to_owned()];
    let long = format!("a={}…, b=2, c=3 and 2 more", "x".repeat(64));
    assert_eq!(judged(web), ["CHOWN, NET_RAW", &long]);
}

#[test]
fn the_policy_is_named_with_its_revision() {
    let set = set(runtime_policy([section([group("Process Name", "bash")])]));
    let findings = Scene::unknown().judge_event(&set, Occurrence::Process(&process("a", "bash")));
    let finding = &findings.violations[0];
    assert_eq!((finding.policy.id.as_str(), finding.policy.revision), ("p1", 7));
    assert_eq!(finding.sections[0].evidence, [evidence("Process Name", "bash", "bash", "container a")]);
}
