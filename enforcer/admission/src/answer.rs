//! The response to the API server, and the texts in it that people read. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;

use lictor_detection::Policies;
use lictor_normalize::admission::API_VERSION;
use lictor_wire::policy::Severity;
use lictor_wire::{Evidence, Verdict, Violation};
use serde::Serialize;

use crate::break_glass;
use crate::decide::Assessment;

/// Evidence shown per policy. The rest is in the verdict, whose id the response gives.
const EVIDENCE_SHOWN: usize = 5;
/// Characters of a warning: clients show one line each, and the API server cuts what is longer in all than 4096.
const WARNING: usize = 240;
/// Warnings shown; the API server silently drops what exceeds its own limit.
const WARNINGS_SHOWN: usize = 12;
/// Bytes of a denial's message. A status is kept in events and logs; the longest remediation texts fit many times.
const MESSAGE: usize = 16 * 1024;

/// A response.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Answer {
    /// Whether the request is allowed.
    pub(crate) allowed: bool,
    /// The HTTP status of a denial.
    pub(crate) code: u16,
    /// Why it is denied.
    pub(crate) message: String,
    /// Warnings for the client.
    pub(crate) warnings: Vec<String>,
    /// Annotations of the API server's audit event.
    pub(crate) audit: BTreeMap<String, String>,
}

impl Answer {
    /// The request is allowed, for a reason that is written to the audit log.
    pub(crate) fn allow(reason: &str) -> Self {
        let audit = BTreeMap::from([("decision".to_owned(), format!("allowed: {reason}"))]);
        Self { allowed: true, audit, ..Self::default() }
    }

    /// The request is denied.
    pub(crate) fn deny(code: u16, message: String) -> Self {
        let audit = BTreeMap::from([("decision".to_owned(), "denied".to_owned())]);
        Self { allowed: false, code, message: cut(message, MESSAGE), audit, ..Self::default() }
    }

    /// Adds a warning for the client.
    pub(crate) fn warning(mut self, text: &str) -> Self {
        self.warnings.push(cut(one_line(text), WARNING));
        self
    }

    /// Adds the verdict's id for the audit log.
    pub(crate) fn about(mut self, verdict: &Verdict) -> Self {
        self.audit.insert("verdict".to_owned(), verdict.id.to_string());
        self
    }

    /// Replaces the decision that is written to the audit log.
    pub(crate) fn decided(mut self, decision: &str) -> Self {
        self.audit.insert("decision".to_owned(), one_line(decision));
        self
    }

    /// The `AdmissionReview` that answers the request `uid`.
    pub(crate) fn review(&self, uid: &str) -> Response<'_> {
        let status = (!self.allowed).then(|| Status {
            status: "Failure",
            code: self.code,
            reason: "Forbidden",
            message: &self.message,
        });
        Response {
            api_version: API_VERSION,
            kind: "AdmissionReview",
            response: Inner {
                uid: uid.to_owned(),
                allowed: self.allowed,
                status,
                warnings: self.warnings.iter().take(WARNINGS_SHOWN).map(String::as_str).collect(),
                audit_annotations: &self.audit,
            },
        }
    }
}

/// The message of a denial: every enforced policy that is violated, what was found, what to change, and how to get an
/// exception.
pub(crate) fn denial(
    assessment: &Assessment<'_>,
    verdict: &Verdict,
    policies: &Policies,
    break_glass_problem: Option<&str>,
) -> String {
    let count = assessment.enforced.len() + assessment.failed.len();
    let mut text = match count {
        0 => "facts that enforced policies need are missing".to_owned(),
        1 => "1 enforced policy is violated".to_owned(),
        more => format!("{more} enforced policies are violated"),
    };
    for violation in &assessment.enforced {
        write_violation(&mut text, violation, policies);
    }
    for failure in &assessment.failed {
        let _ = write!(text, "\n- {}: could not be evaluated: {}", failure.policy.name, failure.message);
    }
    for undecided in &assessment.undecided {
        let _ = write!(
            text,
            "\n- {}: cannot be decided, missing: {}",
            undecided.policy.name,
            undecided.missing.join(", ")
        );
    }
    for violation in &assessment.unenforced {
        let _ =
            write!(text, "\nalso violated, not enforced: {} ({})", violation.policy.name, found(violation));
    }
    if let Some(problem) = break_glass_problem {
        let _ = write!(text, "\nbreak-glass is not accepted: {problem}");
    }
    let _ = write!(
        text,
        "\nfor an exception, ask the owner of the policy for an exclusion; in an emergency, a user with the permission to \
         `{}` `{}.{}` in this namespace can annotate the workload with {} (a reason) and {} (a time)\nverdict {}",
        break_glass::VERB,
        break_glass::RESOURCE,
        break_glass::GROUP,
        break_glass::REASON,
        break_glass::UNTIL,
        verdict.id,
    );
    text
}

/// One warning per violated policy that is not enforced, and one for facts that are missing.
pub(crate) fn warnings(assessment: &Assessment<'_>, policies: &Policies) -> Vec<String> {
    let unenforced = assessment.unenforced.iter().map(|violation| {
        let what_to_do = remediation(violation, policies).map(|text| format!("; {text}")).unwrap_or_default();
        format!("policy \"{}\" is violated: {}{what_to_do}", violation.policy.name, found(violation))
    });
    let missing: Vec<&str> = assessment.missing().into_iter().collect();
    let undecided = (!missing.is_empty()).then(|| {
        let names: Vec<&str> = assessment.undecided.iter().map(|undecided| &*undecided.policy.name).collect();
        format!(
            "policies not decided because facts are missing: {} ({})",
            names.join(", "),
            missing.join(", ")
        )
    });
    unenforced.chain(undecided).collect()
}

fn write_violation(text: &mut String, violation: &Violation, policies: &Policies) {
    let _ = write!(text, "\n- {} ({}):", violation.policy.name, severity(violation.policy.severity));
    let evidence: Vec<&Evidence> = violation.sections.iter().flat_map(|section| &section.evidence).collect();
    for evidence in evidence.iter().take(EVIDENCE_SHOWN) {
        let _ = write!(text, "\n    {}", describe(evidence));
    }
    if let Some(more) = evidence.len().checked_sub(EVIDENCE_SHOWN).filter(|more| *more > 0) {
        let _ = write!(text, "\n    and {more} more");
    }
    if let Some(what_to_do) = remediation(violation, policies) {
        let _ = write!(text, "\n    what to do: {what_to_do}");
    }
}

/// The first evidence, on one line.
fn found(violation: &Violation) -> String {
    let first = violation.sections.iter().flat_map(|section| &section.evidence).next();
    first.map_or_else(String::new, describe)
}

fn describe(evidence: &Evidence) -> String {
    let Evidence { criterion, wanted, found, at } = evidence;
    let place = if at.is_empty() { String::new() } else { format!(" in {at}") };
    one_line(&format!("{criterion}{place} is {found}, which the policy forbids with {wanted}"))
}

fn remediation<'p>(violation: &Violation, policies: &'p Policies) -> Option<&'p str> {
    let text = policies.text(&violation.policy.id)?.remediation.trim();
    (!text.is_empty()).then_some(text)
}

fn severity(severity: Severity) -> String {
    severity.as_str().trim_end_matches("_SEVERITY").to_lowercase()
}

/// Values come from the object: with control characters they could forge lines of a terminal or log.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most.saturating_sub('…'.len_utf8())));
        text.push('…');
    }
    text
}

// === as JSON ===

/// An `AdmissionReview` with its response.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Inner<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Inner<'a> {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'a str>,
    audit_annotations: &'a BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct Status<'a> {
    status: &'static str,
    code: u16,
    reason: &'static str,
    message: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_reviews() {
        let yes = serde_json::to_value(Answer::allow("fewer pods").warning("a\nb").review("u1")).unwrap();
        assert_eq!(
            yes,
            serde_json::json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {
                "uid": "u1", "allowed": true, "warnings": ["a b"],
                "auditAnnotations": {"decision": "allowed: fewer pods"}}})
        );
        let no = serde_json::to_value(Answer::deny(403, "because".to_owned()).review("u2")).unwrap();
        assert_eq!(no["response"]["status"]["message"], "because");
        assert_eq!(no["response"]["status"]["code"], 403);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("aäöü".to_owned(), 6), "aä…");
        assert_eq!(cut("abc".to_owned(), 3), "abc");
        assert!(Answer::deny(403, "ä".repeat(MESSAGE)).message.len() <= MESSAGE);
    }
}
