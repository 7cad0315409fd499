//! A report as SARIF 2.1.0, which code hosts show beside the lines.

use std::collections::BTreeMap;

use lictor_wire::policy::{Policy, Severity};
use serde_json::{Value, json};

use super::{EntityResult, Report, Violated};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub(super) fn document(report: &Report) -> Value {
    let index: BTreeMap<&str, usize> =
        report.rules.iter().enumerate().map(|(i, rule)| (rule.id.as_str(), i)).collect();
    let results = report
        .results
        .iter()
        .flat_map(|result| result.violations.iter().map(|violated| one(result, violated, &index)));
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "lictor",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": report.rules.iter().map(rule).collect::<Vec<Value>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results.collect::<Vec<Value>>(),
        }],
    })
}

fn rule(policy: &Policy) -> Value {
    let text = |text: &str| if text.is_empty() { policy.name.clone() } else { text.to_owned() };
    json!({
        "id": policy.id,
        "name": policy.name,
        "shortDescription": {"text": policy.name},
        "fullDescription": {"text": text(&policy.description)},
        "help": {"text": text(&policy.remediation)},
        "defaultConfiguration": {"level": level(policy.severity)},
        "properties": {"tags": policy.categories, "security-severity": score(policy.severity)},
    })
}

fn one(result: &EntityResult, violated: &Violated, index: &BTreeMap<&str, usize>) -> Value {
    let logical = json!([{"fullyQualifiedName": result.name, "kind": "resource"}]);
    let location = match &result.place {
        None => json!({"logicalLocations": logical}),
        Some(place) => json!({
            "physicalLocation": {
                "artifactLocation": {"uri": place.file.replace('\\', "/")},
                "region": {"startLine": place.line},
            },
            "logicalLocations": logical,
        }),
    };
    let mut sarif = json!({
        "ruleId": violated.id,
        "level": level(violated.severity),
        "message": {"text": format!("{} violates `{}`: {}", result.name, violated.policy, violated.why())},
        "locations": [location],
        "partialFingerprints": {"policyAndEntity/v1": format!("{}/{}", violated.id, result.name)},
    });
    if let (Some(index), Value::Object(map)) = (index.get(violated.id.as_str()), &mut sarif) {
        map.insert("ruleIndex".to_owned(), json!(index));
    }
    sarif
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Unset => "note",
    }
}

/// What code hosts sort by: the middle of each of their bands.
const fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
        Severity::Unset => "0.0",
    }
}
