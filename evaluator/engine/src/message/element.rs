//! Sentences about the things in a workload or an image, each one for all criteria about the thing.

use lictor_wire::{
    EnvSource, EnvVar, ImageComponent, MountPropagation, Port, Volume, Vulnerability, VulnerabilitySeverity,
};

use super::text::{line, list, number};
use super::{Matched, Within};
use crate::criterion::Detail;
use crate::view::{Element, LayerView};

/// The sentence about an element; none about what shares no sentence.
pub(super) fn sentence(matched: &Matched<'_, '_>) -> Option<String> {
    let within = &matched.within;
    Some(match matched.element {
        Element::Env(variable) => env(variable, within),
        Element::Volume(found) => volume(found, matched),
        Element::Layer(found) => layer(&found, within),
        Element::Component(found) => component(found, within),
        Element::Vulnerability(found) => vulnerability(found, matched),
        Element::Port(found) => port(found),
        Element::Root(_)
        | Element::Container(_)
        | Element::Process(_)
        | Element::Ancestor(_)
        | Element::Exposure(_) => return None,
    })
}

/// A variable's value may be a password and is not shown.
fn env(env: &EnvVar, within: &Within<'_>) -> String {
    let source = match env.env_var_source {
        EnvSource::SecretKey => " from a secret",
        EnvSource::ConfigMapKey => " from a config map",
        EnvSource::Field => " from a field",
        EnvSource::ResourceField => " from a resource field",
        EnvSource::Unset | EnvSource::Raw | EnvSource::Unknown => "",
    };
    format!("environment variable `{}`{source} is present{}", env.key, within.in_container())
}

fn volume(volume: &Volume, matched: &Matched<'_, '_>) -> String {
    let mut details = Vec::new();
    let parts =
        [("source", &volume.source), ("destination", &volume.destination), ("type", &volume.volume_type)];
    for (name, value) in parts {
        if !value.is_empty() {
            details.push(format!("{name} `{value}`"));
        }
    }
    if matched.is_about(Detail::MountPropagation) {
        let mode = match volume.mount_propagation {
            MountPropagation::None => "none",
            MountPropagation::HostToContainer => "host to container",
            MountPropagation::Bidirectional => "bidirectional",
        };
        details.push(format!("mount propagation {mode}"));
    }
    let mode = if volume.read_only { "read-only" } else { "writable" };
    format!("{mode} volume `{}` has {}", volume.name, list(&details))
}

fn layer(layer: &LayerView<'_>, within: &Within<'_>) -> String {
    let text = line(&format!("{} {}", layer.instruction, layer.value));
    format!("Dockerfile line `{text}` found in {}", within.image())
}

fn component(component: &ImageComponent, within: &Within<'_>) -> String {
    format!("{} includes component {}", within.image(), named(component))
}

fn named(component: &ImageComponent) -> String {
    if component.version.is_empty() {
        format!("`{}`", component.name)
    } else {
        format!("`{}` (version {})", component.name, component.version)
    }
}

fn vulnerability(vulnerability: &Vulnerability, matched: &Matched<'_, '_>) -> String {
    let about_fix = matched.is_about(Detail::Fix);
    let version = vulnerability.fixed_by.as_deref().filter(|version| about_fix && !version.is_empty());
    let mut scores = vec![format!("CVSS {}", number(vulnerability.cvss))];
    if matched.is_about(Detail::NvdScore) {
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
    let component =
        matched.within.component.map(|c| format!(" in component {}", named(c))).unwrap_or_default();
    let fix = version.map(|version| format!(", resolved by version {version}")).unwrap_or_default();
    format!(
        "{fixable}{} ({}) (severity {severity}) found{component}{}{fix}",
        vulnerability.cve,
        scores.join(", "),
        matched.within.in_container()
    )
}

fn port(port: &Port) -> String {
    format!("exposed port {}/{} is present", port.container_port, port.protocol)
}
