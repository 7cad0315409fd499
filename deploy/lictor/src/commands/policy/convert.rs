//! `lictor policy convert`: policies from any form that is read, in the form that is wanted. The same policies give
//! the same bytes.

use lictor_normalize::yaml;
use lictor_wire::Policy;
use lictor_wire::policy::POLICY_VERSION;
use serde_json::Value;

use super::read;
use crate::cli::{PolicyConvert, PolicyForm};
use crate::exit::{Exit, Failure};
use crate::text;

pub(super) fn run(options: &PolicyConvert) -> Result<Exit, Failure> {
    let policies = read(&options.policies)?.into_iter().map(with_version);
    match options.to {
        PolicyForm::Json => {
            let exports: Result<Vec<_>, _> = policies.map(|policy| policy.to_export()).collect();
            let export = serde_json::json!({ "policies": exports.map_err(Failure::unreachable)? });
            text::line(&serde_json::to_string_pretty(&export).map_err(Failure::unreachable)?);
        }
        PolicyForm::Resource => {
            for policy in policies {
                text::line(&format!("---\n{}", resource(&policy)?.trim_end()));
            }
        }
    }
    Ok(Exit::Fine)
}

/// An export names the version of its form; what was written by hand may not.
fn with_version(policy: Policy) -> Policy {
    Policy { policy_version: POLICY_VERSION.to_owned(), ..policy }
}

/// A policy as a resource without what it leaves open: the definition of the resource knows no `null`.
fn resource(policy: &Policy) -> Result<String, Failure> {
    let full = lictor_policies::to_custom_resource(policy).map_err(Failure::unreachable)?;
    let document = yaml::read(&full).map_err(Failure::unreachable)?.pop();
    let mut resource = document.map(yaml::Document::into_json).unwrap_or_default();
    leave_out_empty(&mut resource);
    serde_saphyr::to_string(&resource).map_err(Failure::unreachable)
}

fn leave_out_empty(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(leave_out_empty),
        Value::Object(map) => {
            map.values_mut().for_each(leave_out_empty);
            // A criterion's value may be the empty text.
            map.retain(|name, value| name == "value" || !is_empty(value));
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::Object(_) => false,
    }
}
