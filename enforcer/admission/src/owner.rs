//! Whether the judgement of an owner covers the objects it owns. Pure.
//!
//! Anybody may write an owner reference. A pod is covered only when its owner exists with that UID, controls the pod,
//! and the pod runs what the owner's template says: then judging the owner was judging the pod.

use lictor_normalize::manifest::is_controller;
use lictor_wire::{Container, Deployment, OwnerReference, Volume};

/// Whether the judgement of `owner`, read by the name in the reference, covers `owned`.
pub(crate) fn covers(owner: &Deployment, reference: &OwnerReference, owned: &Deployment) -> bool {
    !reference.uid.is_empty()
        && owner.id.as_str() == reference.uid
        && !owner.deleting
        && is_controller(reference, owner, owned)
        && runs_the_same(owner, owned)
}

/// Whether `owned` runs what `owner`'s template says, apart from what the API server itself adds to every pod.
fn runs_the_same(owner: &Deployment, owned: &Deployment) -> bool {
    let host = |model: &Deployment| {
        (model.host_network, model.host_pid, model.host_ipc, model.share_process_namespace, model.fs_group)
    };
    host(owner) == host(owned)
        && owner.sysctls == owned.sysctls
        && owner.runtime_class == owned.runtime_class
        && owner.service_account == owned.service_account
        && owner.containers.len() == owned.containers.len()
        && owner.containers.iter().zip(&owned.containers).all(|(theirs, own)| same_container(theirs, own))
}

fn same_container(theirs: &Container, own: &Container) -> bool {
    let volumes = |container: &Container| -> Vec<Volume> {
        container.volumes.iter().filter(|volume| !is_account_token(volume)).cloned().collect()
    };
    theirs.name == own.name
        && theirs.container_type == own.container_type
        && theirs.image.name == own.image.name
        && theirs.config == own.config
        && theirs.security_context == own.security_context
        && theirs.resources == own.resources
        && theirs.ports == own.ports
        && theirs.secrets == own.secrets
        && volumes(theirs) == volumes(own)
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
    use lictor_normalize::manifest::{controller, one};
    use lictor_wire::ClusterId;

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

    fn covered(owner: &Deployment, pod: &Deployment) -> bool {
        covers(owner, controller(pod).unwrap(), pod)
    }

    #[test]
    fn for_a_pod_of_its_template() {
        let with_token = r#""serviceAccountName":"web","volumes":[{"name":"kube-api-access-x","projected":{"sources":[]}}],
            "containers":[{"name":"c","image":"shop/web:1","volumeMounts":[
                {"name":"kube-api-access-x","mountPath":"/var/run/secrets/kubernetes.io/serviceaccount","readOnly":true}]}]"#;
        assert!(covered(&replica_set(TEMPLATE), &pod("rs", "web", TEMPLATE)));
        assert!(covered(&replica_set(TEMPLATE), &pod("rs", "web", with_token)));
    }

    #[test]
    fn not_for_others() {
        let owner = replica_set(TEMPLATE);
        assert!(!covered(&owner, &pod("made-up", "web", TEMPLATE)));
        assert!(!covered(&owner, &pod("", "web", TEMPLATE)));
        assert!(!covered(&owner, &pod("rs", "other", TEMPLATE)));
        let leaving = Deployment { deleting: true, ..owner.clone() };
        assert!(!covered(&leaving, &pod("rs", "web", TEMPLATE)));
        for spec in [
            r#""serviceAccountName":"web","containers":[{"name":"c","image":"evil:1"}]"#,
            r#""serviceAccountName":"admin","containers":[{"name":"c","image":"shop/web:1"}]"#,
            r#""serviceAccountName":"web","hostPID":true,"containers":[{"name":"c","image":"shop/web:1"}]"#,
            r#""serviceAccountName":"web","containers":[{"name":"c","image":"shop/web:1","securityContext":{"privileged":true}}]"#,
            r#""serviceAccountName":"web","containers":[{"name":"c","image":"shop/web:1"},{"name":"d","image":"evil"}]"#,
            r#""serviceAccountName":"web","initContainers":[{"name":"d","image":"evil"}],"containers":[{"name":"c","image":"shop/web:1"}]"#,
            // A host path dressed as the token.
            r#""serviceAccountName":"web","volumes":[{"name":"kube-api-access-x","hostPath":{"path":"/"}}],
               "containers":[{"name":"c","image":"shop/web:1","volumeMounts":[
                 {"name":"kube-api-access-x","mountPath":"/var/run/secrets/kubernetes.io/serviceaccount","readOnly":true}]}]"#,
        ] {
            assert!(!covered(&owner, &pod("rs", "web", spec)), "{spec}");
        }
    }
}
