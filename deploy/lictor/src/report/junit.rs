//! A report as JUnit XML: a suite for each entity, a case for each policy that was evaluated.

use lictor_wire::policy::LifecycleStage;
use quick_junit::{NonSuccessKind, Report as Document, TestCase, TestCaseStatus, TestSuite};

use super::{EntityResult, Report};
use crate::exit::Failure;

pub(super) fn document(report: &Report) -> Result<String, Failure> {
    let mut document = Document::new("lictor");
    for result in &report.results {
        document.add_test_suite(suite(report, result));
    }
    document.to_string().map_err(Failure::unreachable)
}

fn suite(report: &Report, result: &EntityResult) -> TestSuite {
    let mut suite = TestSuite::new(result.name.clone());
    if let Some(place) = &result.place {
        suite.extra.insert("file".into(), place.file.clone().into());
        suite.extra.insert("line".into(), place.line.to_string().into());
    }
    for rule in &report.rules {
        let id = rule.id.as_str();
        let violated = result.violations.iter().find(|violated| violated.id == id);
        let open = result.undecided.iter().chain(&result.failures).find(|open| open.id == id);
        let evaluated =
            violated.is_some() || open.is_some() || rule.lifecycle_stages.contains(&LifecycleStage::Deploy);
        if !evaluated {
            continue;
        }
        let status = match (violated, open) {
            (Some(violated), _) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(violated.why()).set_type(violated.severity.to_string());
                if !violated.remediation.is_empty() {
                    status.set_description(violated.remediation.clone());
                }
                status
            }
            (None, Some(open)) => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(format!("not known: {}", open.reasons.join(", ")));
                status
            }
            (None, None) => TestCaseStatus::success(),
        };
        let mut case = TestCase::new(rule.name.clone(), status);
        case.set_classname(result.name.clone());
        suite.add_test_case(case);
    }
    suite
}
