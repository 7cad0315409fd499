//! `lictor policy lint`: everything that is wrong with policy files.

use lictor_policies::Level;

use super::select;
use crate::cli::{Output, PolicyLint};
use crate::exit::{Exit, Failure};
use crate::text;

pub(super) fn run(options: &PolicyLint) -> Result<Exit, Failure> {
    let read = select::read(&options.policies)?;
    for finding in &read.findings {
        match options.output {
            Output::Table => text::finding(finding),
            Output::Json => text::line(&serde_json::to_string(finding).map_err(Failure::unreachable)?),
        }
    }
    if options.output == Output::Table {
        let errors = read.findings.iter().filter(|finding| finding.level == Level::Error).count();
        let warnings = read.findings.len() - errors;
        let policies = text::count(read.seen, "policy", "policies");
        let errors = text::count(errors, "error", "errors");
        let warnings = text::count(warnings, "warning", "warnings");
        text::line(&format!("{policies}: {errors}, {warnings}"));
    }
    Ok(if read.findings.is_empty() { Exit::Fine } else { Exit::Violated })
}
