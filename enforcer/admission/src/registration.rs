//! The webhook configuration: which requests are sent to the webhook, where, and what an outage means. Pure.
//!
//! Three webhooks. Two can deny, in namespaces that are not excluded; the excluded ones are left out by the label
//! with their name, which only the API server writes, so that the control plane and the webhook itself can always
//! start. The third only observes: commands to pods of excluded namespaces are allowed whatever happens, and are
//! judged, since no other source shows them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    RuleWithOperations, ServiceReference, ValidatingWebhook, ValidatingWebhookConfiguration,
    WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::certificate::Names;
use crate::settings::{Endpoint, RegistrationConfig};

/// How long the API server waits for the webhook that only observes, in seconds.
const OBSERVE_TIMEOUT: i32 = 2;

/// The label with a namespace's name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// What the webhook configuration is made of.
#[derive(Debug, Clone)]
pub(crate) struct Registration<'a> {
    /// The options.
    pub(crate) config: &'a RegistrationConfig,
    /// Namespaces that are excluded from enforcement.
    pub(crate) excluded: &'a BTreeSet<String>,
}

impl Registration<'_> {
    /// The webhooks, with every field that the API server would otherwise default.
    pub(crate) fn webhooks(&self, ca_bundle: &[u8]) -> Vec<ValidatingWebhook> {
        let failure_policy = self.config.failure_policy.as_str();
        let timeout = i32::from(self.config.webhook_timeout);
        let commands =
            vec![rule(&[""], &["v1"], &["pods/exec", "pods/attach", "pods/portforward"], &["CONNECT"])];
        let row = |name, path, operator, policy, timeout, rules| {
            self.webhook(name, path, ca_bundle, operator, policy, timeout, rules)
        };
        let mut webhooks = vec![
            row("validate.lictor.io", "/validate", "NotIn", failure_policy, timeout, workloads()),
            row("events.lictor.io", "/events", "NotIn", failure_policy, timeout, commands.clone()),
        ];
        // Where nothing is excluded, nothing is left to observe.
        if !self.excluded.is_empty() {
            webhooks.push(row("observe.lictor.io", "/events", "In", "Ignore", OBSERVE_TIMEOUT, commands));
        }
        webhooks
    }

    /// `found` with every field as it should be, and the names of those that are not; `None` when all are. Labels and
    /// annotations of other clients stay.
    pub(crate) fn repaired(
        &self,
        found: Option<&ValidatingWebhookConfiguration>,
        ca_bundle: &[u8],
    ) -> Option<(ValidatingWebhookConfiguration, Vec<String>)> {
        let wanted = self.webhooks(ca_bundle);
        let label = ("app.kubernetes.io/managed-by".to_owned(), "lictor".to_owned());
        let mut repaired = found.cloned().unwrap_or_default();
        let mut differences = match found {
            Some(found) => differences(found.webhooks.as_deref().unwrap_or_default(), &wanted),
            None => vec!["all of it".to_owned()],
        };
        let labels = repaired.metadata.labels.get_or_insert_with(BTreeMap::new);
        if labels.insert(label.0.clone(), label.1.clone()).as_ref() != Some(&label.1) && found.is_some() {
            differences.push(format!("label {}", label.0));
        }
        if differences.is_empty() {
            return None;
        }
        repaired.metadata.name = Some(self.config.webhook_name.clone());
        repaired.metadata.managed_fields = None;
        repaired.webhooks = Some(wanted);
        Some((repaired, differences))
    }

    #[expect(clippy::too_many_arguments, reason = "a row of a table of three")]
    fn webhook(
        &self,
        name: &str,
        path: &str,
        ca_bundle: &[u8],
        operator: &str,
        failure_policy: &str,
        timeout: i32,
        rules: Vec<RuleWithOperations>,
    ) -> ValidatingWebhook {
        let (service, url) = match self.config.endpoint() {
            Endpoint::Service(at) => {
                let port = Some(443);
                let (name, namespace) = (at.name, at.namespace);
                (Some(ServiceReference { name, namespace, path: Some(path.to_owned()), port }), None)
            }
            Endpoint::Url(url) => (None, Some(url.join(path))),
        };
        // The API server rejects a requirement without values.
        let requirement = (!self.excluded.is_empty()).then(|| LabelSelectorRequirement {
            key: NAME_LABEL.to_owned(),
            operator: operator.to_owned(),
            values: Some(self.excluded.iter().cloned().collect()),
        });
        let selector = LabelSelector {
            match_labels: None,
            match_expressions: requirement.map(|requirement| vec![requirement]),
        };
        ValidatingWebhook {
            name: name.to_owned(),
            client_config: WebhookClientConfig {
                ca_bundle: Some(ByteString(ca_bundle.to_vec())),
                service,
                url,
            },
            rules: Some(rules),
            failure_policy: Some(failure_policy.to_owned()),
            match_policy: Some("Equivalent".to_owned()),
            match_conditions: None,
            namespace_selector: Some(selector),
            object_selector: Some(LabelSelector::default()),
            side_effects: "NoneOnDryRun".to_owned(),
            timeout_seconds: Some(timeout),
            admission_review_versions: vec!["v1".to_owned()],
        }
    }
}

/// The caBundle of a webhook configuration; `None` when its webhooks have different ones.
pub(crate) fn published(found: &ValidatingWebhookConfiguration) -> Option<&[u8]> {
    let mut bundles = found.webhooks.iter().flatten().map(|webhook| webhook.client_config.ca_bundle.as_ref());
    let first = bundles.next()??;
    bundles.all(|bundle| bundle == Some(first)).then_some(first.0.as_slice())
}

/// The host names at which the API server reaches the webhook: its certificate must have them.
pub(crate) fn names(endpoint: &Endpoint) -> Names {
    match endpoint {
        Endpoint::Service(at) => [format!("{}.{}.svc", at.name, at.namespace)].into(),
        Endpoint::Url(url) => [url.host().to_owned()].into(),
    }
}

/// Creates and updates of every kind of workload, of their scales, and of the containers of a running pod.
fn workloads() -> Vec<RuleWithOperations> {
    let change = ["CREATE", "UPDATE"];
    vec![
        rule(
            &[""],
            &["v1"],
            &["pods", "pods/ephemeralcontainers", "pods/resize", "replicationcontrollers"],
            &change,
        ),
        rule(&["apps"], &["*"], &["deployments", "daemonsets", "statefulsets", "replicasets"], &change),
        rule(&["batch"], &["*"], &["jobs", "cronjobs"], &change),
        rule(&["apps.openshift.io"], &["*"], &["deploymentconfigs"], &change),
        rule(&["", "apps", "apps.openshift.io", "extensions"], &["*"], &["*/scale"], &change),
    ]
}

fn rule(groups: &[&str], versions: &[&str], resources: &[&str], operations: &[&str]) -> RuleWithOperations {
    let owned = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect());
    RuleWithOperations {
        api_groups: owned(groups),
        api_versions: owned(versions),
        resources: owned(resources),
        operations: owned(operations),
        scope: Some("Namespaced".to_owned()),
    }
}

/// The names of the fields in which webhooks differ.
fn differences(found: &[ValidatingWebhook], wanted: &[ValidatingWebhook]) -> Vec<String> {
    if found.len() != wanted.len() {
        return vec![format!("webhooks: {} instead of {}", found.len(), wanted.len())];
    }
    let mut differences = Vec::new();
    for (found, wanted) in found.iter().zip(wanted) {
        let fields = |webhook: &ValidatingWebhook| serde_json::to_value(webhook).unwrap_or_default();
        let (found, wanted_fields) = (fields(found), fields(wanted));
        let names = [&found, &wanted_fields].into_iter().filter_map(|value| value.as_object());
        let names: BTreeSet<&String> = names.flat_map(|fields| fields.keys()).collect();
        let differing = names.into_iter().filter(|name| found.get(*name) != wanted_fields.get(*name));
        differences.extend(differing.map(|name| format!("{} {name}", wanted.name)));
    }
    differences
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::certificate::{Authority, Bundle, Validity};

    fn config() -> RegistrationConfig {
        RegistrationConfig {
            webhook_url: Some("https://127.0.0.1:9443/".parse().unwrap()),
            ..RegistrationConfig::default()
        }
    }

    fn excluded() -> BTreeSet<String> {
        ["kube-system", "lictor"].map(ToOwned::to_owned).into()
    }

    #[test]
    fn what_is_right_is_left_alone() {
        let (config, excluded) = (config(), excluded());
        let registration = Registration { config: &config, excluded: &excluded };
        let (made, differences) = registration.repaired(None, b"ca").unwrap();
        assert_eq!(differences, ["all of it"]);
        assert_eq!(published(&made), Some(b"ca".as_slice()));
        assert!(registration.repaired(Some(&made), b"ca").is_none());
        let mut labelled = made.clone();
        labelled.metadata.labels.as_mut().unwrap().insert("argocd".to_owned(), "x".to_owned());
        assert!(registration.repaired(Some(&labelled), b"ca").is_none());
        assert!(registration.repaired(Some(&made), b"other").is_some());
        labelled.metadata.labels.as_mut().unwrap().remove("app.kubernetes.io/managed-by");
        let (repaired, differences) = registration.repaired(Some(&labelled), b"ca").unwrap();
        assert_eq!(differences, ["label app.kubernetes.io/managed-by"]);
        let labels = repaired.metadata.labels.unwrap();
        assert_eq!((labels.len(), labels["argocd"].as_str()), (2, "x"));
    }

    #[test]
    fn every_field_that_was_edited_is_named_and_restored() {
        type Edit = fn(&mut ValidatingWebhook);
        let (config, excluded) = (config(), excluded());
        let registration = Registration { config: &config, excluded: &excluded };
        let (made, _) = registration.repaired(None, b"ca").unwrap();
        let edits: [(&str, Edit); 9] = [
            ("rules", |webhook| webhook.rules = None),
            ("failurePolicy", |webhook| webhook.failure_policy = Some("x".to_owned())),
            ("namespaceSelector", |webhook| webhook.namespace_selector = None),
            ("objectSelector", |webhook| {
                let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
                webhook.object_selector =
                    Some(LabelSelector { match_labels: Some(labels), match_expressions: None });
            }),
            ("clientConfig", |webhook| webhook.client_config.url = Some("https://evil".to_owned())),
            ("matchConditions", |webhook| webhook.match_conditions = Some(vec![Default::default()])),
            ("matchPolicy", |webhook| webhook.match_policy = Some("Exact".to_owned())),
            ("timeoutSeconds", |webhook| webhook.timeout_seconds = Some(1)),
            ("sideEffects", |webhook| webhook.side_effects = "None".to_owned()),
        ];
        for (field, edit) in edits {
            for i in 0..3 {
                let mut edited = made.clone();
                edit(&mut edited.webhooks.as_mut().unwrap()[i]);
                let (repaired, differences) = registration.repaired(Some(&edited), b"ca").unwrap();
                assert_eq!(differences, [format!("{} {field}", made.webhooks.as_ref().unwrap()[i].name)]);
                assert_eq!(repaired.webhooks, made.webhooks);
            }
        }
        let nothing = BTreeSet::new();
        let (all, _) = Registration { config: &config, excluded: &nothing }.repaired(None, b"ca").unwrap();
        let selectors = all.webhooks.iter().flatten().map(|webhook| webhook.namespace_selector.clone());
        assert_eq!(selectors.collect::<Vec<_>>(), vec![Some(LabelSelector::default()); 2]);
        let mut fewer = made.clone();
        fewer.webhooks.as_mut().unwrap().pop();
        assert_eq!(registration.repaired(Some(&fewer), b"ca").unwrap().0.webhooks, made.webhooks);
    }

    #[test]
    fn names_are_those_the_api_server_uses() {
        let url = Endpoint::Url("https://[2001:DB8:0::7]:9443/x".parse().unwrap());
        assert_eq!(names(&url), Names::from(["2001:db8::7".to_owned()]));
        // A certificate returns the same names; otherwise every reconciliation would sign another one.
        let validity =
            Validity { from: Timestamp::UNIX_EPOCH, until: "2040-01-01T00:00:00Z".parse().unwrap() };
        let authority = Authority::new(validity).unwrap();
        let leaf = Some(authority.sign(&names(&url), validity).unwrap());
        let bundle = Bundle { authority, next: None, leaf, retired: String::new() };
        assert_eq!(Bundle::read(&bundle.data()).unwrap().leaf.unwrap().names(), &names(&url));
        let service = Endpoint::Service("lictor/hook".parse().unwrap());
        assert_eq!(names(&service), Names::from(["hook.lictor.svc".to_owned()]));
    }
}
