//! Extractors for images: their names, what a registry says, what a scanner found.

use lictor_wire::{
    ImageComponent, ImageFacts, ImageMetadata, ImageName, ImageScan, VerificationStatus, Vulnerability,
    VulnerabilitySeverity,
};

use super::Value;
use crate::truth::Fact;
use crate::view::{ContainerView, LayerView};

fn name<'a>(container: &ContainerView<'a>, take: impl FnOnce(&'a ImageName) -> Value<'a>) -> Value<'a> {
    match container.image_name {
        Some(name) => take(name),
        // An image judged by itself may have no name; one that runs has one, known or not.
        None if container.image.is_some() => Value::Missing,
        None => Value::Unknown(container.missing),
    }
}

fn facts<'a>(container: &ContainerView<'a>, take: impl FnOnce(&'a ImageFacts) -> Value<'a>) -> Value<'a> {
    container.image.map_or(Value::Unknown(container.missing), take)
}

fn metadata<'a>(
    container: &ContainerView<'a>,
    take: impl FnOnce(&'a ImageMetadata) -> Value<'a>,
) -> Value<'a> {
    facts(container, |facts| match &facts.metadata {
        Some(metadata) => take(metadata),
        None => Value::Unknown(Fact::ImageMetadata(container.image_label())),
    })
}

fn scan<'a>(container: &ContainerView<'a>, take: impl FnOnce(&'a ImageScan) -> Value<'a>) -> Value<'a> {
    facts(container, |facts| match &facts.scan {
        Some(scan) => take(scan),
        None => Value::Unknown(Fact::ImageScan(container.image_label())),
    })
}

pub(in crate::criterion) fn registry<'a>(container: &ContainerView<'a>) -> Value<'a> {
    name(container, |name| Value::Text(&name.registry))
}

pub(in crate::criterion) fn remote<'a>(container: &ContainerView<'a>) -> Value<'a> {
    name(container, |name| Value::Text(&name.remote))
}

pub(in crate::criterion) fn tag<'a>(container: &ContainerView<'a>) -> Value<'a> {
    name(container, |name| Value::Text(&name.tag))
}

/// The integrations whose signature of this very reference was verified. An image whose signatures nobody tried
/// has none, as StackRox sees it.
pub(in crate::criterion) fn verifiers<'a>(container: &ContainerView<'a>) -> Value<'a> {
    facts(container, |facts| {
        let full_name = container.image_name.map_or("", |name| name.full_name.as_str());
        let verified = facts.signatures.iter().flatten().filter(|signature| {
            signature.status == VerificationStatus::Verified
                && signature.verified_references.iter().any(|reference| reference == full_name)
        });
        Value::list(verified.map(|signature| &signature.verifier_id))
    })
}

pub(in crate::criterion) fn created<'a>(container: &ContainerView<'a>) -> Value<'a> {
    metadata(container, |metadata| Value::time(metadata.created))
}

pub(in crate::criterion) fn user<'a>(container: &ContainerView<'a>) -> Value<'a> {
    metadata(container, |metadata| Value::Text(&metadata.user))
}

pub(in crate::criterion) fn labels<'a>(container: &ContainerView<'a>) -> Value<'a> {
    metadata(container, |metadata| Value::Map(&metadata.labels))
}

pub(in crate::criterion) fn operating_system<'a>(container: &ContainerView<'a>) -> Value<'a> {
    scan(container, |scan| Value::Text(&scan.operating_system))
}

pub(in crate::criterion) fn scan_time<'a>(container: &ContainerView<'a>) -> Value<'a> {
    scan(container, |scan| Value::time(scan.scan_time))
}

pub(in crate::criterion) fn unscanned<'a>(container: &ContainerView<'a>) -> Value<'a> {
    facts(container, |facts| Value::Bool(facts.scan.is_none()))
}

pub(in crate::criterion) fn layer<'a>(layer: &LayerView<'a>) -> Value<'a> {
    Value::Parts { parts: vec![layer.instruction, layer.value], secret: false }
}

pub(in crate::criterion) fn component(component: &ImageComponent) -> Value<'_> {
    Value::Parts { parts: vec![&component.name, &component.version], secret: false }
}

pub(in crate::criterion) fn cve(vulnerability: &Vulnerability) -> Value<'_> {
    Value::Text(&vulnerability.cve)
}

pub(in crate::criterion) fn cvss(vulnerability: &Vulnerability) -> Value<'_> {
    Value::Float(vulnerability.cvss)
}

pub(in crate::criterion) fn nvd_cvss(vulnerability: &Vulnerability) -> Value<'_> {
    Value::Float(vulnerability.nvd_cvss)
}

pub(in crate::criterion) fn severity(vulnerability: &Vulnerability) -> Value<'_> {
    match vulnerability.severity {
        VulnerabilitySeverity::Unknown => Value::Enum(0, "UNKNOWN"),
        VulnerabilitySeverity::Low => Value::Enum(1, "LOW"),
        VulnerabilitySeverity::Moderate => Value::Enum(2, "MODERATE"),
        VulnerabilitySeverity::Important => Value::Enum(3, "IMPORTANT"),
        VulnerabilitySeverity::Critical => Value::Enum(4, "CRITICAL"),
    }
}

pub(in crate::criterion) fn fixable(vulnerability: &Vulnerability) -> Value<'_> {
    match &vulnerability.fixed_by {
        Some(version) => Value::Bool(!version.is_empty()),
        None => Value::Missing,
    }
}

pub(in crate::criterion) fn fixed_by(vulnerability: &Vulnerability) -> Value<'_> {
    vulnerability.fixed_by.as_deref().map_or(Value::Missing, Value::Text)
}

pub(in crate::criterion) fn published(vulnerability: &Vulnerability) -> Value<'_> {
    Value::time(vulnerability.published_on)
}

pub(in crate::criterion) fn fix_available(vulnerability: &Vulnerability) -> Value<'_> {
    Value::time(vulnerability.fix_available)
}

pub(in crate::criterion) fn first_in_image(vulnerability: &Vulnerability) -> Value<'_> {
    Value::time(vulnerability.first_image_occurrence)
}

pub(in crate::criterion) fn first_in_system(vulnerability: &Vulnerability) -> Value<'_> {
    Value::time(vulnerability.first_system_occurrence)
}
