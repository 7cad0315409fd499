//! `lictor policy convert`: policies from any form that is read, in the form that is wanted. The same policies give
//! the same bytes.

use super::read;
use crate::cli::{PolicyConvert, PolicyForm};
use crate::exit::{Exit, Failure};
use crate::text;

pub(super) fn run(options: &PolicyConvert) -> Result<Exit, Failure> {
    let policies = read(&options.policies)?;
    match options.to {
        PolicyForm::Json => {
            let exports: Result<Vec<_>, _> = policies.iter().map(lictor_wire::Policy::to_export).collect();
            let export = serde_json::json!({ "policies": exports.map_err(Failure::unreachable)? });
            text::line(&serde_json::to_string_pretty(&export).map_err(Failure::unreachable)?);
        }
        PolicyForm::Resource => {
            for policy in &policies {
                let resource = lictor_policies::to_custom_resource(policy).map_err(Failure::unreachable)?;
                text::line(&format!("---\n{}", resource.trim_end()));
            }
        }
    }
    Ok(Exit::Fine)
}
