//! Policies as Kubernetes custom resources: `SecurityPolicy` of `config.stackrox.io/v1alpha1`.
//!
//! The `spec` is the JSON form with two differences: `policyName` instead of `name`, and no id, version, time of change
//! or source, which are kept by whatever applies the resource.

use lictor_wire::Policy;
use lictor_wire::policy::read::PolicyReadError;
use lictor_wire::policy::{POLICY_VERSION, PolicySource};
use serde_json::{Map, Value};

/// Where the policy is in the resource.
pub(crate) const SPEC: &str = "spec";

const GROUP: &str = "config.stackrox.io/";
const API_VERSION: &str = "config.stackrox.io/v1alpha1";
const KIND: &str = "SecurityPolicy";

/// The longest name of a Kubernetes object.
const LONGEST_NAME: usize = 253;

/// Whether a document is a Kubernetes object.
pub(crate) fn is_one(value: &Value) -> bool {
    value.get("apiVersion").is_some() && value.get("kind").is_some()
}

/// The policy of a resource, in the JSON form.
pub(crate) fn policy_of(mut map: Map<String, Value>) -> Result<Map<String, Value>, PolicyReadError> {
    let text = |name: &str| map.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("kind") != KIND || !text("apiVersion").starts_with(GROUP) {
        return Err(PolicyReadError::WrongType {
            path: "kind".to_owned(),
            expected: "SecurityPolicy of config.stackrox.io/v1alpha1",
            found: "another Kubernetes object",
        });
    }
    let Some(Value::Object(mut spec)) = map.remove(SPEC) else {
        return Err(PolicyReadError::WrongType {
            path: SPEC.to_owned(),
            expected: "an object",
            found: "nothing of the sort",
        });
    };
    if let Some(name) = spec.remove("policyName") {
        spec.insert("name".to_owned(), name);
    }
    Ok(spec)
}

/// Fills in what a resource does not say.
pub(crate) fn finish(policy: &mut Policy) {
    policy.source = PolicySource::Declarative;
    POLICY_VERSION.clone_into(&mut policy.policy_version);
}

/// A policy as a resource, in YAML; the same policy gives the same bytes.
///
/// # Errors
/// When the policy cannot be written; one that was read always can.
pub fn to_custom_resource(policy: &Policy) -> Result<String, serde_json::Error> {
    let Value::Object(mut spec) = serde_json::to_value(policy)? else {
        return Err(serde::ser::Error::custom("a policy is not an object"));
    };
    let not_there = [
        "id",
        "policyVersion",
        "lastUpdated",
        "source",
        "SORTName",
        "SORTLifecycleStage",
        "SORTEnforcement",
        "isDefault",
        "criteriaLocked",
        "mitreVectorsLocked",
    ];
    for name in not_there {
        spec.remove(name);
    }
    spec.retain(|_, value| !is_empty(value));
    let name = spec.remove("name").unwrap_or_default();
    spec.insert("policyName".to_owned(), name);
    let resource = serde_json::json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": { "name": object_name(&policy.name) },
        SPEC: spec,
    });
    serde_saphyr::to_string(&resource).map_err(serde::ser::Error::custom)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(flag) => !flag,
        Value::Object(_) | Value::Number(_) => false,
    }
}

/// A name that Kubernetes takes for an object.
fn object_name(name: &str) -> String {
    let mut safe = String::with_capacity(name.len());
    for letter in name.chars() {
        let letter = letter.to_ascii_lowercase();
        if letter.is_ascii_alphanumeric() {
            safe.push(letter);
        } else if !safe.ends_with('-') && !safe.is_empty() {
            safe.push('-');
        }
        if safe.len() == LONGEST_NAME {
            break;
        }
    }
    safe.trim_end_matches('-').to_owned()
}
