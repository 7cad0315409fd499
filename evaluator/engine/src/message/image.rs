//! Sentences about images.

use lictor_wire::{ImageComponent, Vulnerability, VulnerabilitySeverity};

use super::text::{labels, line, list, number, time};
use super::{Found, Place};
use crate::criterion::Leaf;
use crate::section::Group;
use crate::view::LayerView;

/// The parts of its name that were asked about, in one sentence.
pub(super) fn name(found: &Found<'_, '_>) -> Option<String> {
    let container = found.place.container?;
    let name = container.image_name?;
    let tag = if name.tag.is_empty() {
        format!("an empty tag and digest `{}`", name.digest)
    } else {
        format!("tag `{}`", name.tag)
    };
    let parts = [
        ("Image Registry", format!("registry `{}`", name.registry)),
        ("Image Remote", format!("remote `{}`", name.remote)),
        ("Image Tag", tag),
    ];
    let mut parts: Vec<String> =
        parts.into_iter().filter(|(criterion, _)| found.asks(criterion)).map(|(_, part)| part).collect();
    parts.sort();
    (!parts.is_empty()).then(|| format!("{} has {}", found.place.image(), list(&parts)))
}

/// What one criterion about an image found.
pub(super) fn sentence(group: &Group, leaf: &Leaf<'_>, found: &Found<'_, '_>) -> Option<String> {
    let image = found.place.image();
    Some(match (group.criterion.name, leaf) {
        ("Image Signature Verified By", Leaf::List(verifiers)) => {
            let mut others: Vec<String> = verifiers.iter().map(|id| (*id).to_owned()).collect();
            others.sort();
            if others.is_empty() {
                format!(
                    "the signature of {image} is not verified by any of the integrations that are asked for"
                )
            } else {
                format!(
                    "the signature of {image} is not verified by any of the integrations that are asked for, only by {}",
                    list(&others)
                )
            }
        }
        ("Image Age", Leaf::Time(at)) => format!("{image} was created at {} (UTC)", time(*at)),
        ("Image Scan Age", Leaf::Time(at)) => format!("{image} was last scanned at {} (UTC)", time(*at)),
        ("Image User", Leaf::Text(user)) => format!("{image} runs as user `{user}`"),
        ("Image OS", Leaf::Text(os)) => format!("{image} is based on `{os}`"),
        ("Unscanned Image", Leaf::Bool(true)) => format!("{image} has not been scanned"),
        ("Unscanned Image", Leaf::Bool(false)) => format!("{image} has been scanned"),
        ("Required Image Label", Leaf::Map(map)) => {
            format!("{image} lacks a required label (found labels: {})", labels(map, |_, _| false))
        }
        ("Disallowed Image Label", Leaf::Map(map)) => {
            let found = labels(map, |key, value| group.predicate.is_met_by_entry(key, value));
            format!("{image} has disallowed labels: {found}")
        }
        _ => return None,
    })
}

pub(super) fn layer(layer: &LayerView<'_>, place: &Place<'_>) -> String {
    let text = line(&format!("{} {}", layer.instruction, layer.value));
    format!("Dockerfile line `{text}` found in {}", place.image())
}

pub(super) fn component(component: &ImageComponent, place: &Place<'_>) -> String {
    format!("{} includes component {}", place.image(), named(component))
}

fn named(component: &ImageComponent) -> String {
    if component.version.is_empty() {
        format!("`{}`", component.name)
    } else {
        format!("`{}` (version {})", component.name, component.version)
    }
}

/// One sentence for a vulnerability, whichever criteria asked about it.
pub(super) fn vulnerability(vulnerability: &Vulnerability, found: &Found<'_, '_>) -> String {
    let about_fix = found.asks("Fixable") || found.asks("Fixed By");
    let version = vulnerability.fixed_by.as_deref().filter(|version| about_fix && !version.is_empty());
    let mut scores = vec![format!("CVSS {}", number(vulnerability.cvss))];
    if found.asks("NVD CVSS") {
        scores.push(format!("NVD CVSS {}", number(vulnerability.nvd_cvss)));
    }
    let severity = match vulnerability.severity {
        VulnerabilitySeverity::Unknown => "Unknown",
        VulnerabilitySeverity::Low => "Low",
        VulnerabilitySeverity::Moderate => "Moderate",
        VulnerabilitySeverity::Important => "Important",
        VulnerabilitySeverity::Critical => "Critical",
    };
    let fixable = if version.is_some() { "fixable " } else { "" };
    let component = found.place.component.map(|c| format!(" in component {}", named(c))).unwrap_or_default();
    let fix = version.map(|version| format!(", resolved by version {version}")).unwrap_or_default();
    format!(
        "{fixable}{} ({}) (severity {severity}) found{component}{}{fix}",
        vulnerability.cve,
        scores.join(", "),
        found.place.in_container()
    )
}
