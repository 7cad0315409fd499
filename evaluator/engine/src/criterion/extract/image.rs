//! Extractors for images: their names, what a registry says, what a scanner found.

use lictor_wire::{
    ImageComponent, ImageFacts, ImageMetadata, ImageName, ImageScan, VerificationStatus, Vulnerability,
    VulnerabilitySeverity,
};

use super::Leaf;
use crate::truth::Fact;
use crate::view::{ContainerView, LayerView};

fn name<'a>(container: &ContainerView<'a>, take: impl FnOnce(&'a ImageName) -> Leaf<'a>) -> Leaf<'a> {
    match container.image_name {
        Some(name) => take(name),
        // An image judged by itself may have no name; one that runs has one, known or not.
        None if container.image.is_some() => Leaf::Missing,
        None => Leaf::Unknown(container.missing),
    }
}

fn facts<'a>(container: &ContainerView<'a>, take: impl FnOnce(&'a ImageFacts) -> Leaf<'a>) -> Leaf<'a> {
    container.image.map_or(Leaf::Unknown(container.missing), take)
}

fn metadata<'a>(container: &ContainerView<'a>, take: impl FnOnce(&'a ImageMetadata) -> Leaf<'a>) -> Leaf<'a> {
    facts(container, |facts| match &facts.metadata {
        Some(metadata) => take(metadata),
        None => Leaf::Unknown(Fact::ImageMetadata(container.image_label())),
    })
}

fn scan<'a>(container: &ContainerView<'a>, take: impl FnOnce(&'a ImageScan) -> Leaf<'a>) -> Leaf<'a> {
    facts(container, |facts| match &facts.scan {
        Some(scan) => take(scan),
        None => Leaf::Unknown(Fact::ImageScan(container.image_label())),
    })
}

pub(in crate::criterion) fn registry<'a>(container: &ContainerView<'a>) -> Leaf<'a> {
    name(container, |name| Leaf::Text(&name.registry))
}

pub(in crate::criterion) fn remote<'a>(container: &ContainerView<'a>) -> Leaf<'a> {
    name(container, |name| Leaf::Text(&name.remote))
}

pub(in crate::criterion) fn tag<'a>(container: &ContainerView<'a>) -> Leaf<'a> {
    name(container, |name| Leaf::Text(&name.tag))
}

/// The integrations whose signature of this very reference was verified. An image whose signatures nobody tried
/// has none, as StackRox sees it.
pub(in crate::criterion) fn verifiers<'a>(container: &ContainerView<'a>) -> Leaf<'a> {
    facts(container, |facts| {
        let full_name = container.image_name.map_or("", |name| name.full_name.as_str());
        let verified = facts.signatures.iter().flatten().filter(|signature| {
            signature.status == VerificationStatus::Verified
                && signature.verified_references.iter().any(|reference| reference == full_name)
        });
        Leaf::list(verified.map(|signature| &signature.verifier_id))
    })
}

pub(in crate::criterion) fn created<'a>(container: &ContainerView<'a>) -> Leaf<'a> {
    metadata(container, |metadata| Leaf::time(metadata.created))
}

pub(in crate::criterion) fn user<'a>(container: &ContainerView<'a>) -> Leaf<'a> {
    metadata(container, |metadata| Leaf::Text(&metadata.user))
}

pub(in crate::criterion) fn labels<'a>(container: &ContainerView<'a>) -> Leaf<'a> {
    metadata(container, |metadata| Leaf::Map(&metadata.labels))
}

pub(in crate::criterion) fn operating_system<'a>(container: &ContainerView<'a>) -> Leaf<'a> {
    scan(container, |scan| Leaf::Text(&scan.operating_system))
}

pub(in crate::criterion) fn scan_time<'a>(container: &ContainerView<'a>) -> Leaf<'a> {
    scan(container, |scan| Leaf::time(scan.scan_time))
}

pub(in crate::criterion) fn unscanned<'a>(container: &ContainerView<'a>) -> Leaf<'a> {
    facts(container, |facts| Leaf::Bool(facts.scan.is_none()))
}

pub(in crate::criterion) fn layer<'a>(layer: &LayerView<'a>) -> Leaf<'a> {
    Leaf::Parts { parts: vec![layer.instruction, layer.value], secret: false }
}

pub(in crate::criterion) fn component(component: &ImageComponent) -> Leaf<'_> {
    Leaf::Parts { parts: vec![&component.name, &component.version], secret: false }
}

pub(in crate::criterion) fn cve(vulnerability: &Vulnerability) -> Leaf<'_> {
    Leaf::Text(&vulnerability.cve)
}

pub(in crate::criterion) fn cvss(vulnerability: &Vulnerability) -> Leaf<'_> {
    Leaf::Float(vulnerability.cvss)
}

pub(in crate::criterion) fn nvd_cvss(vulnerability: &Vulnerability) -> Leaf<'_> {
    Leaf::Float(vulnerability.nvd_cvss)
}

pub(in crate::criterion) fn severity(vulnerability: &Vulnerability) -> Leaf<'_> {
    match vulnerability.severity {
        VulnerabilitySeverity::Unknown => Leaf::Enum(0, "UNKNOWN"),
        VulnerabilitySeverity::Low => Leaf::Enum(1, "LOW"),
        VulnerabilitySeverity::Moderate => Leaf::Enum(2, "MODERATE"),
        VulnerabilitySeverity::Important => Leaf::Enum(3, "IMPORTANT"),
        VulnerabilitySeverity::Critical => Leaf::Enum(4, "CRITICAL"),
    }
}

pub(in crate::criterion) fn fixable(vulnerability: &Vulnerability) -> Leaf<'_> {
    match &vulnerability.fixed_by {
        Some(version) => Leaf::Bool(!version.is_empty()),
        None => Leaf::Missing,
    }
}

pub(in crate::criterion) fn fixed_by(vulnerability: &Vulnerability) -> Leaf<'_> {
    vulnerability.fixed_by.as_deref().map_or(Leaf::Missing, Leaf::Text)
}

pub(in crate::criterion) fn published(vulnerability: &Vulnerability) -> Leaf<'_> {
    Leaf::time(vulnerability.published_on)
}

pub(in crate::criterion) fn fix_available(vulnerability: &Vulnerability) -> Leaf<'_> {
    Leaf::time(vulnerability.fix_available)
}

pub(in crate::criterion) fn first_in_image(vulnerability: &Vulnerability) -> Leaf<'_> {
    Leaf::time(vulnerability.first_image_occurrence)
}

pub(in crate::criterion) fn first_in_system(vulnerability: &Vulnerability) -> Leaf<'_> {
    Leaf::time(vulnerability.first_system_occurrence)
}
