//! What of an object the judgement of its owner covers. Pure.
//!
//! Anybody may write an owner reference. It covers an object only when the owner exists with that UID and is of the kind
//! whose controller makes such objects, and only for what the owner's template says: whatever the object violates beyond
//! that is its own. A sidecar that was injected passes when it violates nothing itself.

use std::collections::BTreeMap;

use lictor_engine::Findings;
use lictor_normalize::manifest::is_controller;
use lictor_wire::{Deployment, OwnerReference, Volume};

/// Kinds that the controllers of Kubernetes make for others: what is made, and by what. A controller of another kind
/// has no template that was judged.
const MADE_BY: [(&str, &str); 7] = [
    ("Pod", "DaemonSet"),
    ("Pod", "Job"),
    ("Pod", "ReplicaSet"),
    ("Pod", "ReplicationController"),
    ("Pod", "StatefulSet"),
    ("Job", "CronJob"),
    ("ReplicaSet", "Deployment"),
];

/// The object as its owner's controller makes it from what was judged; `None` when the owner's judgement covers nothing
/// of it. `owner` was read by the name in the reference.
pub(crate) fn as_made_by(
    owner: &Deployment,
    reference: &OwnerReference,
    owned: &Deployment,
) -> Option<Deployment> {
    let makes = MADE_BY.contains(&(&*owned.kind, &*owner.kind));
    let controls = !reference.uid.is_empty()
        && owner.id.as_str() == reference.uid
        && !owner.deleting
        && is_controller(reference, owner, owned);
    if !(makes && controls) {
        return None;
    }
    let (annotations, replicas) = match &*owned.kind {
        "Pod" => (owner.pod_annotations.clone(), owned.replicas),
        // Its own metadata is in no model of its CronJob.
        "Job" => (BTreeMap::new(), owner.replicas),
        // A ReplicaSet has its Deployment's annotations.
        _ => (owner.annotations.clone(), owner.replicas),
    };
    let mut made = Deployment {
        id: owned.id.clone(),
        name: owned.name.clone(),
        kind: owned.kind.clone(),
        api_version: owned.api_version.clone(),
        created: owned.created,
        label_selector: owned.label_selector.clone(),
        owners: owned.owners.clone(),
        labels: owner.pod_labels.clone(),
        annotations,
        replicas,
        ..owner.clone()
    };
    mount_account_token(&mut made, owned);
    Some(made)
}

/// Leaves the findings that the owner's template does not explain: other policies, or other evidence.
pub(crate) fn beyond(mut found: Findings, explained: &Findings) -> Findings {
    found.violations.retain(|violation| {
        !explained
            .violations
            .iter()
            .any(|other| other.policy.id == violation.policy.id && other.sections == violation.sections)
    });
    found.undecided.retain(|undecided| !explained.undecided.contains(undecided));
    found
}

/// Mounts what the API server itself adds to every pod: the token of its service account.
fn mount_account_token(made: &mut Deployment, owned: &Deployment) {
    for container in &mut made.containers {
        let of_same_name = owned.containers.iter().filter(|own| own.name == container.name);
        let tokens = of_same_name.flat_map(|own| &own.volumes).filter(|volume| is_account_token(volume));
        container.volumes.extend(tokens.cloned());
    }
}

/// The token of the pod's service account, which the API server mounts into every container unless it is disabled.
fn is_account_token(volume: &Volume) -> bool {
    volume.destination == "/var/run/secrets/kubernetes.io/serviceaccount"
        && volume.name.starts_with("kube-api-access-")
        && volume.volume_type == "unknown"
        && volume.read_only
}

#[cfg(test)]
mod tests {
    use lictor_engine::{Input, Occurrence, PolicyRevision, PolicySet, ValidPolicy};
    use lictor_normalize::manifest::{controller, one};
    use lictor_wire::{ClusterId, RequestEvent, RequestOperation};

    use super::*;

    const TEMPLATE: &str = r#""serviceAccountName":"web","containers":[{"name":"c","image":"shop/web:1"}]"#;

    fn replica_set(spec: &str) -> Deployment {
        let text = format!(
            r#"{{"metadata":{{"name":"web-1","namespace":"shop","uid":"rs"}},
                "spec":{{"selector":{{"matchLabels":{{"app":"web"}}}},
                         "template":{{"metadata":{{"labels":{{"app":"web"}}}},"spec":{{{spec}}}}}}}}}"#
        );
        one(&text, "apps/v1", "ReplicaSet", &ClusterId::new("c1")).unwrap().unwrap()
    }

    fn pod(uid: &str, label: &str, spec: &str) -> Deployment {
        let text = format!(
            r#"{{"metadata":{{"name":"web-1-x","namespace":"shop","labels":{{"app":"{label}"}},
                 "ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-1","uid":"{uid}","controller":true}}]}},
                "spec":{{{spec}}}}}"#
        );
        one(&text, "v1", "Pod", &ClusterId::new("c1")).unwrap().unwrap()
    }

    const POLICIES: &str = r#"{"policies":[
        {"id":"p","name":"No evil images","fieldName":"Image Remote","value":"r/.*evil.*"},
        {"id":"p","name":"No privileges","fieldName":"Privileged Container","value":"true"},
        {"id":"p","name":"No host PID","fieldName":"Host PID","value":"true"},
        {"id":"p","name":"No other account","fieldName":"Service Account","value":"admin"},
        {"id":"p","name":"No host folders","fieldName":"Volume Type","value":"hostpath"},
        {"id":"p","name":"No forbidden annotation","fieldName":"Disallowed Annotation","value":"forbidden=.*"},
        {"id":"p","name":"A team","fieldName":"Required Label","value":"team=.+"},
        {"id":"p","name":"A liveness probe","fieldName":"Liveness Probe Defined","value":"false"},
        {"id":"p","name":"Three replicas at most","fieldName":"Replicas","value":"> 3"}
    ]}"#;

    fn findings(model: &Deployment) -> Findings {
        let policies: serde_json::Value = serde_json::from_str(POLICIES).unwrap();
        let policies = policies["policies"].as_array().unwrap().iter().enumerate().map(|(i, policy)| {
            let text = serde_json::json!({
                "id": format!("p{i}"), "name": policy["name"], "severity": "LOW_SEVERITY", "categories": ["x"],
                "lifecycleStages": ["DEPLOY"], "policyVersion": "1.1",
                "policySections": [{"policyGroups": [
                    {"fieldName": policy["fieldName"], "values": [{"value": policy["value"]}]}]}],
            });
            let read = lictor_wire::policy::read::read_policies(&text.to_string()).unwrap();
            PolicyRevision { policy: read.policies.into_iter().next().unwrap().into(), revision: 1 }
        });
        let policies: Vec<ValidPolicy> = policies.map(|policy| ValidPolicy::new(policy).unwrap()).collect();
        let set = PolicySet::assemble(&policies);
        let request = RequestEvent { operation: RequestOperation::Create, ..RequestEvent::default() };
        let cluster = ClusterId::new("c1");
        let input = Input {
            cluster: &cluster,
            occurrence: Occurrence::Request(&request),
            deployment: Some(model),
            images: &[],
            cluster_labels: None,
            namespace_labels: None,
            deviates: None,
        };
        set.evaluate(&input, jiff::Timestamp::UNIX_EPOCH)
    }

    /// The policies that an object violates beyond what its owner's template says; `None` when no owner covers it.
    fn own(owner: &Deployment, object: &Deployment) -> Option<Vec<String>> {
        let made = as_made_by(owner, controller(object).unwrap(), object)?;
        let own = beyond(findings(object), &findings(&made));
        Some(own.violations.iter().map(|violation| violation.policy.name.to_string()).collect())
    }

    const TOKEN: &str = r#"{"name":"kube-api-access-x","mountPath":"/var/run/secrets/kubernetes.io/serviceaccount","readOnly":true}"#;

    #[test]
    fn an_owner_covers_what_its_template_says() {
        // The template violates, which was decided when the owner was judged: no label `team`, no probe.
        let owner = replica_set(TEMPLATE);
        assert_eq!(own(&owner, &pod("rs", "web", TEMPLATE)), Some(Vec::new()));
        let with_token = format!(
            r#""serviceAccountName":"web","volumes":[{{"name":"kube-api-access-x","projected":{{"sources":[]}}}}],
               "containers":[{{"name":"c","image":"shop/web:1","volumeMounts":[{TOKEN}]}}]"#
        );
        assert_eq!(own(&owner, &pod("rs", "web", &with_token)), Some(Vec::new()));
        // An injected sidecar that violates nothing but what the template violates, too, is judged by itself.
        let probed = r#"{"name":"c","image":"shop/web:1","livenessProbe":{"exec":{}}}"#;
        let probed_owner = replica_set(&format!(r#""serviceAccountName":"web","containers":[{probed}]"#));
        let beside = |sidecar: &str| {
            pod("rs", "web", &format!(r#""serviceAccountName":"web","containers":[{probed},{sidecar}]"#))
        };
        let fine = beside(r#"{"name":"mesh","image":"mesh/proxy:1","livenessProbe":{"exec":{}}}"#);
        assert_eq!(own(&probed_owner, &fine), Some(Vec::new()));
        let evil = beside(r#"{"name":"mesh","image":"evil:1","livenessProbe":{"exec":{}}}"#);
        assert_eq!(own(&probed_owner, &evil), Some(vec!["No evil images".to_owned()]));
    }

    #[test]
    fn what_an_object_does_beyond_it_is_its_own() {
        let owner = replica_set(TEMPLATE);
        for (spec, violated) in [
            (r#""serviceAccountName":"web","containers":[{"name":"c","image":"evil:1"}]"#, "No evil images"),
            (
                r#""serviceAccountName":"admin","containers":[{"name":"c","image":"shop/web:1"}]"#,
                "No other account",
            ),
            (
                r#""serviceAccountName":"web","hostPID":true,"containers":[{"name":"c","image":"shop/web:1"}]"#,
                "No host PID",
            ),
            (
                r#""serviceAccountName":"web","containers":[{"name":"c","image":"shop/web:1","securityContext":{"privileged":true}}]"#,
                "No privileges",
            ),
            (
                r#""serviceAccountName":"web","initContainers":[{"name":"d","image":"evil"}],"containers":[{"name":"c","image":"shop/web:1"}]"#,
                "No evil images",
            ),
            // A host path dressed as the token.
            (
                r#""serviceAccountName":"web","volumes":[{"name":"kube-api-access-x","hostPath":{"path":"/"}}],
                   "containers":[{"name":"c","image":"shop/web:1","volumeMounts":[
                     {"name":"kube-api-access-x","mountPath":"/var/run/secrets/kubernetes.io/serviceaccount","readOnly":true}]}]"#,
                "No host folders",
            ),
        ] {
            let own = own(&owner, &pod("rs", "web", spec)).unwrap();
            assert!(own.contains(&violated.to_owned()), "{spec}: {own:?}");
        }
        // Facts that a template has and an object does without.
        let probed = replica_set(
            r#""serviceAccountName":"web","containers":[{"name":"c","image":"shop/web:1","livenessProbe":{"exec":{}}}]"#,
        );
        assert_eq!(own(&probed, &pod("rs", "web", TEMPLATE)), Some(vec!["A liveness probe".to_owned()]));
        let mut annotated = pod("rs", "web", TEMPLATE);
        annotated.annotations.insert("forbidden".to_owned(), "x".to_owned());
        assert_eq!(own(&owner, &annotated), Some(vec!["No forbidden annotation".to_owned()]));
        let mut labelled = owner;
        labelled.pod_labels.insert("team".to_owned(), "shop".to_owned());
        assert_eq!(own(&labelled, &pod("rs", "web", TEMPLATE)), Some(vec!["A team".to_owned()]));
    }

    #[test]
    fn more_replicas_than_the_owner_has_are_its_own() {
        let replicas = |kind: &str, name: &str, uid: &str, replicas: u32, owner: &str| {
            let text = format!(
                r#"{{"metadata":{{"name":"{name}","namespace":"shop","uid":"{uid}","labels":{{"app":"web"}},"ownerReferences":[{owner}]}},
                    "spec":{{"replicas":{replicas},"selector":{{"matchLabels":{{"app":"web"}}}},
                             "template":{{"metadata":{{"labels":{{"app":"web"}}}},"spec":{{{TEMPLATE}}}}}}}}}"#
            );
            one(&text, "apps/v1", kind, &ClusterId::new("c1")).unwrap().unwrap()
        };
        let reference =
            r#"{"apiVersion":"apps/v1","kind":"Deployment","name":"web","uid":"d","controller":true}"#;
        let owner = replicas("Deployment", "web", "d", 1, "");
        assert_eq!(own(&owner, &replicas("ReplicaSet", "web-1", "rs", 3, reference)), Some(Vec::new()));
        let many = replicas("ReplicaSet", "web-1", "rs", 50, reference);
        assert_eq!(own(&owner, &many), Some(vec!["Three replicas at most".to_owned()]));
        // No controller makes a Deployment for a Deployment.
        assert_eq!(own(&owner, &replicas("Deployment", "web-1", "d2", 50, reference)), None);
    }

    #[test]
    fn an_owner_that_is_not_one_covers_nothing() {
        let owner = replica_set(TEMPLATE);
        for pod in [pod("made-up", "web", TEMPLATE), pod("", "web", TEMPLATE), pod("rs", "other", TEMPLATE)] {
            assert_eq!(own(&owner, &pod), None);
        }
        let leaving = Deployment { deleting: true, ..owner };
        assert_eq!(own(&leaving, &pod("rs", "web", TEMPLATE)), None);
    }
}
