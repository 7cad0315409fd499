//! Network policies that select a workload's pods, and the service account its pods run as.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use lictor_wire::{AppliedNetworkPolicies, Deployment, NetworkPolicyRef};

use super::selector::{of, selects};

/// The namespace of an object; `default` where it names none.
pub(super) fn namespace(name: Option<&String>) -> &str {
    name.map(String::as_str).filter(|name| !name.is_empty()).unwrap_or("default")
}

/// What the policies do for a workload.
pub(super) fn applied(model: &Deployment, policies: &[NetworkPolicy]) -> AppliedNetworkPolicies {
    let mut applied = AppliedNetworkPolicies::default();
    for policy in policies {
        let Some(spec) = &policy.spec else { continue };
        let selector = of(spec.pod_selector.clone().unwrap_or_default());
        if namespace(policy.metadata.namespace.as_ref()) != model.namespace
            || !selects(&selector, &model.pod_labels)
        {
            continue;
        }
        let types = spec.policy_types.as_deref().unwrap_or_default();
        let has = |wanted: &str| types.iter().any(|found| found == wanted);
        // Where it names no types it restricts what comes in, and what goes out if it has rules for that.
        applied.has_ingress |= types.is_empty() || has("Ingress");
        applied.has_egress |= (types.is_empty() && spec.egress.is_some()) || has("Egress");
        applied.policies.push(NetworkPolicyRef {
            id: policy.metadata.uid.clone().unwrap_or_default(),
            name: policy.metadata.name.clone().unwrap_or_default(),
        });
    }
    applied
}

/// What a workload takes from its service account, where its pod spec leaves it open.
pub(super) fn run_as(model: &mut Deployment, token_decided: bool, accounts: &[ServiceAccount]) {
    let account = accounts.iter().find(|account| {
        account.metadata.name.as_deref() == Some(model.service_account.as_str())
            && namespace(account.metadata.namespace.as_ref()) == model.namespace
    });
    let Some(account) = account else { return };
    if let (false, Some(mounted)) = (token_decided, account.automount_service_account_token) {
        model.automount_service_account_token = mounted;
    }
    if model.image_pull_secrets.is_empty() {
        let secrets = account.image_pull_secrets.iter().flatten();
        model.image_pull_secrets = secrets.map(|secret| secret.name.clone()).collect();
    }
}
