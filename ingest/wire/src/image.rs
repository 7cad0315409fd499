//! Facts about images: what a registry, a scanner and a signature say of one digest.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::json::{is_default, null_as_default};

/// Facts about an image arrived or changed. They are in `lictor-images` before this event is published.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageEvent {
    /// The digest, `sha256:…`.
    pub digest: String,
    /// The bucket's revision of the facts this event announces; 0 when they are only in the event.
    #[serde(skip_serializing_if = "is_default")]
    pub revision: u64,
    /// The facts, when they are small enough to be sent in the event; otherwise they are read from the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<ImageFacts>,
}

/// Everything known of one digest.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageFacts {
    /// The digest, `sha256:…`.
    pub digest: String,
    /// Names under which the digest was seen.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub names: Vec<ImageName>,
    /// From the registry; absent until it has answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ImageMetadata>,
    /// From the scanner; absent until it was scanned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan: Option<ImageScan>,
    /// Signature verifications; absent until they were tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signatures: Option<Vec<CosignVerification>>,
    /// When these facts were gathered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
}

/// A parsed image reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageName {
    /// Registry host and port, such as `docker.io`.
    pub registry: String,
    /// Repository path, such as `library/nginx`.
    pub remote: String,
    /// Tag; empty for a reference by digest alone, `latest` when the reference has neither.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tag: String,
    /// Digest in the reference, `sha256:…`; empty when it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// The whole reference, normalised.
    pub full_name: String,
}

/// What the registry says.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageMetadata {
    /// When the image was built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// User the image runs as; `root` when its configuration names none.
    pub user: String,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub labels: BTreeMap<String, String>,
    /// History, first layer first.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub layers: Vec<ImageLayer>,
    /// Command.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub command: Vec<String>,
    /// Entry point.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub entrypoint: Vec<String>,
    /// Declared volumes.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub volumes: Vec<String>,
    /// Architecture, such as `amd64`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub architecture: String,
}

/// One line of an image's history.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageLayer {
    /// Dockerfile instruction, such as `RUN`.
    pub instruction: String,
    /// The rest of the line.
    pub value: String,
    /// When the layer was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Whether it changed no file.
    #[serde(skip_serializing_if = "is_default")]
    pub empty: bool,
}

/// What a scanner found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageScan {
    /// When it looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan_time: Option<Timestamp>,
    /// Operating system, such as `debian:12`.
    pub operating_system: String,
    /// The scanner's name and version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scanner: String,
    /// What is in the image.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub components: Vec<ImageComponent>,
    /// What the scanner could not see.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub notes: Vec<String>,
}

/// A package in an image.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageComponent {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Package URL; empty when the scanner gives none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub purl: String,
    /// Its path in the image.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub location: String,
    /// Index of the layer that brought it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_index: Option<u32>,
    /// Its vulnerabilities.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub vulnerabilities: Vec<Vulnerability>,
}

/// A vulnerability of a component.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Vulnerability {
    /// CVE or advisory id.
    pub cve: String,
    /// Score by the scanner's preferred source, 0 to 10. Single precision as StackRox stores it: comparisons on
    /// the widened value depend on it.
    pub cvss: f32,
    /// Score by the NVD, 0 to 10; 0 when it gives none.
    #[serde(skip_serializing_if = "is_default")]
    pub nvd_cvss: f32,
    /// Severity.
    pub severity: VulnerabilitySeverity,
    /// Version that fixes it; absent when the scanner does not say, empty when it says there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed_by: Option<String>,
    /// When it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_on: Option<Timestamp>,
    /// When a fix became available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix_available: Option<Timestamp>,
    /// When it was first seen in this image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_image_occurrence: Option<Timestamp>,
    /// When it was first seen anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_system_occurrence: Option<Timestamp>,
    /// Whether it is snoozed.
    #[serde(skip_serializing_if = "is_default")]
    pub suppressed: bool,
    /// What people decided about it.
    #[serde(skip_serializing_if = "is_default")]
    pub state: VulnerabilityState,
    /// In words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Where to read more.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub link: String,
}

/// Severity of a vulnerability, in StackRox's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VulnerabilitySeverity {
    /// Not rated.
    #[default]
    Unknown,
    /// Low.
    Low,
    /// Moderate.
    Moderate,
    /// Important.
    Important,
    /// Critical.
    Critical,
}

/// What people decided about a vulnerability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VulnerabilityState {
    /// Neither deferred nor marked as a false positive.
    #[default]
    Observed,
    /// Put off.
    Deferred,
    /// Does not apply.
    FalsePositive,
}

/// The outcome of verifying an image against one signature integration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CosignVerification {
    /// The integration's id, `io.stackrox.signatureintegration.…`.
    pub verifier_id: String,
    /// The result.
    pub status: VerificationStatus,
    /// The image references the signature covers.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub verified_references: Vec<String>,
    /// When it was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
    /// What went wrong, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// The result of a verification; the names are StackRox's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VerificationStatus {
    /// Not tried.
    #[default]
    Unset,
    /// Verified.
    Verified,
    /// The signature does not verify.
    FailedVerification,
    /// The algorithm is not supported.
    InvalidSignatureAlgo,
    /// The signature cannot be read.
    CorruptedSignature,
    /// Something else went wrong.
    GenericError,
}

impl ImageName {
    /// Reads an image reference the way container runtimes do: the part before the first `/` is a registry when it
    /// holds `.` or `:` or is `localhost`, else the registry is `docker.io`; a single name there gets `library/`;
    /// with neither tag nor digest the tag is `latest`.
    ///
    /// Any text is accepted: a workload with a reference nobody can pull still exists and is judged.
    pub fn parse(reference: &str) -> Self {
        let (rest, digest) = reference.split_once('@').unwrap_or((reference, ""));
        let (registry, path) = match rest.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
            _ => ("docker.io", rest),
        };
        // A colon after the last slash is the tag's; one before it was the registry's port.
        let (path, tag) = match path.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, tag),
            _ => (path, ""),
        };
        let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
        let remote = if registry == "docker.io" && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        let tag = if tag.is_empty() && digest.is_empty() { "latest" } else { tag };
        let mut full_name = format!("{registry}/{remote}");
        if !tag.is_empty() {
            full_name.push(':');
            full_name.push_str(tag);
        }
        if !digest.is_empty() {
            full_name.push('@');
            full_name.push_str(digest);
        }
        Self {
            registry: registry.to_owned(),
            remote,
            tag: tag.to_owned(),
            digest: digest.to_owned(),
            full_name,
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.full_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_runtimes_do() {
        let cases = [
            ("nginx", "docker.io", "library/nginx", "latest", ""),
            ("nginx:1.27", "docker.io", "library/nginx", "1.27", ""),
            ("bitnami/redis", "docker.io", "bitnami/redis", "latest", ""),
            ("localhost/a", "localhost", "a", "latest", ""),
            ("reg.example:5000/team/app", "reg.example:5000", "team/app", "latest", ""),
            ("reg.example:5000/team/app:v1", "reg.example:5000", "team/app", "v1", ""),
            ("quay.io/a/b@sha256:00", "quay.io", "a/b", "", "sha256:00"),
            ("quay.io/a/b:1@sha256:00", "quay.io", "a/b", "1", "sha256:00"),
            ("index.docker.io/library/x:1", "docker.io", "library/x", "1", ""),
        ];
        for (reference, registry, remote, tag, digest) in cases {
            let name = ImageName::parse(reference);
            let parts = (&*name.registry, &*name.remote, &*name.tag, &*name.digest);
            assert_eq!(parts, (registry, remote, tag, digest), "{reference}");
        }
        assert_eq!(ImageName::parse("nginx").full_name, "docker.io/library/nginx:latest");
    }
}
