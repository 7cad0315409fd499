//! Every criterion there is, one row each: where it looks, how it compares, what it accepts.
//!
//! To add one, add a row here and, where none fits, an extractor beside the others. Names are StackRox's, to the
//! letter.

use super::Allows::{Many, NegatedMany, NegatedOne, One};
use super::Extract::{
    Ancestor, Component, Container, Env, Exposure, Layer, Port, Process, Root, Volume, Vulnerability,
};
use super::Family::{self, Audit, File, Image, KubeRequest, Workload};
use super::extract::{container, event, image, workload};
use super::{Allows, Criterion, Extract, Operator, names};
use crate::value::{CAPABILITIES, Form};

/// The rows, in the order in which people meet them.
pub(crate) static CRITERIA: [Criterion; 79] = [
    // Image registry
    row("Image Registry", Image, Container(image::registry), Operator::Regex, Form::Text, NegatedMany),
    row("Image Remote", Image, Container(image::remote), Operator::Regex, Form::Text, NegatedMany),
    row("Image Tag", Image, Container(image::tag), Operator::Regex, Form::Text, NegatedMany),
    row(
        "Image Signature Verified By",
        Image,
        Container(image::verifiers),
        Operator::NoneVerified,
        Form::SignatureIntegration,
        Allows::ManyAlternatives,
    ),
    // Image contents
    row("Image Age", Image, Container(image::created), Operator::Age, Form::Digits, One),
    row("Image User", Image, Container(image::user), Operator::Regex, Form::Text, NegatedMany),
    row("Dockerfile Line", Image, Layer(image::layer), Operator::Parts(2), Form::DockerfileLine, Many),
    row("Image Component", Image, Component(image::component), Operator::Parts(2), Form::KeyValue, Many),
    row("Image OS", Image, Container(image::operating_system), Operator::Regex, Form::Text, NegatedMany),
    row("Required Image Label", Image, Container(image::labels), Operator::Required, Form::KeyValue, Many),
    row(
        "Disallowed Image Label",
        Image,
        Container(image::labels),
        Operator::Disallowed,
        Form::KeyValue,
        Many,
    ),
    // Image scanning
    row("Image Scan Age", Image, Container(image::scan_time), Operator::Age, Form::Digits, One),
    row("Unscanned Image", Image, Container(image::unscanned), Operator::Bool, Form::GoBool, One),
    row("CVE", Image, Vulnerability(image::cve), Operator::Regex, Form::Text, NegatedMany),
    row("CVSS", Image, Vulnerability(image::cvss), Operator::Float, Form::Comparison, Many),
    row("NVD CVSS", Image, Vulnerability(image::nvd_cvss), Operator::Float, Form::Comparison, Many),
    row(
        "Severity",
        Image,
        Vulnerability(image::severity),
        Operator::Enum(names::SEVERITIES),
        Form::NameComparison(names::SEVERITIES),
        Many,
    ),
    row("Fixable", Image, Vulnerability(image::fixable), Operator::Bool, Form::GoBool, One),
    row("Fixed By", Image, Vulnerability(image::fixed_by), Operator::RegexSome, Form::Text, NegatedMany),
    row(
        "Days Since CVE Was Published",
        Image,
        Vulnerability(image::published),
        Operator::Age,
        Form::Digits,
        One,
    ),
    row(
        "Days Since CVE Fix Was Available",
        Image,
        Vulnerability(image::fix_available),
        Operator::Age,
        Form::Digits,
        One,
    ),
    row(
        "Days Since CVE Was First Discovered In Image",
        Image,
        Vulnerability(image::first_in_image),
        Operator::Age,
        Form::Digits,
        One,
    ),
    row(
        "Days Since CVE Was First Discovered In System",
        Image,
        Vulnerability(image::first_in_system),
        Operator::Age,
        Form::Digits,
        One,
    ),
    // Container configuration
    row("Environment Variable", Workload, Env(container::env), Operator::Parts(3), Form::EnvVariable, Many),
    row(
        "Container CPU Request",
        Workload,
        Container(container::cpu_request),
        Operator::Float,
        Form::Comparison,
        Many,
    ),
    row(
        "Container CPU Limit",
        Workload,
        Container(container::cpu_limit),
        Operator::Float,
        Form::Comparison,
        Many,
    ),
    row(
        "Container Memory Request",
        Workload,
        Container(container::memory_request),
        Operator::Float,
        Form::Comparison,
        Many,
    ),
    row(
        "Container Memory Limit",
        Workload,
        Container(container::memory_limit),
        Operator::Float,
        Form::Comparison,
        Many,
    ),
    row("Privileged Container", Workload, Container(container::privileged), Operator::Bool, Form::Bool, One),
    row(
        "Read-Only Root Filesystem",
        Workload,
        Container(container::read_only_root),
        Operator::Bool,
        Form::Bool,
        One,
    ),
    row(
        "Allow Privilege Escalation",
        Workload,
        Container(container::privilege_escalation),
        Operator::Bool,
        Form::Bool,
        One,
    ),
    row(
        "Seccomp Profile Type",
        Workload,
        Container(container::seccomp),
        Operator::Enum(names::SECCOMP_PROFILES),
        Form::Name(names::SECCOMP_PROFILES),
        NegatedOne,
    ),
    row(
        "Drop Capabilities",
        Workload,
        Container(container::dropped_capabilities),
        Operator::NotDropped,
        Form::OneOf(names::CAPABILITIES_TO_DROP),
        Many,
    ),
    row(
        "Add Capabilities",
        Workload,
        Container(container::added_capabilities),
        Operator::Listed,
        Form::OneOf(CAPABILITIES),
        Many,
    ),
    row("Container Name", Workload, Container(container::name), Operator::Regex, Form::Text, NegatedMany),
    row(
        "AppArmor Profile",
        Workload,
        Container(container::app_armor),
        Operator::Regex,
        Form::Text,
        NegatedMany,
    ),
    row(
        "Liveness Probe Defined",
        Workload,
        Container(container::liveness_probe),
        Operator::Bool,
        Form::Bool,
        One,
    ),
    row(
        "Readiness Probe Defined",
        Workload,
        Container(container::readiness_probe),
        Operator::Bool,
        Form::Bool,
        NegatedOne,
    ),
    // Deployment metadata
    row(
        "Disallowed Annotation",
        Workload,
        Root(workload::annotations),
        Operator::Disallowed,
        Form::Text,
        Many,
    ),
    row(
        "Required Annotation",
        Workload,
        Root(workload::annotations),
        Operator::Required,
        Form::KeyValue,
        Many,
    ),
    row("Required Label", Workload, Root(workload::labels), Operator::Required, Form::KeyValue, Many),
    row("Runtime Class", Workload, Root(workload::runtime_class), Operator::Regex, Form::Text, NegatedMany),
    row("Host Network", Workload, Root(workload::host_network), Operator::Bool, Form::Bool, One),
    row("Host PID", Workload, Root(workload::host_pid), Operator::Bool, Form::Bool, One),
    row("Host IPC", Workload, Root(workload::host_ipc), Operator::Bool, Form::Bool, One),
    row("Namespace", Workload, Root(workload::namespace), Operator::Regex, Form::Text, NegatedMany),
    row("Replicas", Workload, Root(workload::replicas), Operator::Int, Form::Comparison, NegatedMany)
        .needs_container(),
    // Storage
    row("Volume Name", Workload, Volume(container::volume_name), Operator::Regex, Form::Text, NegatedMany),
    row(
        "Volume Source",
        Workload,
        Volume(container::volume_source),
        Operator::Regex,
        Form::Text,
        NegatedMany,
    ),
    row(
        "Volume Destination",
        Workload,
        Volume(container::volume_destination),
        Operator::Regex,
        Form::Text,
        NegatedMany,
    ),
    row("Volume Type", Workload, Volume(container::volume_type), Operator::Regex, Form::Text, NegatedMany),
    row("Writable Mounted Volume", Workload, Volume(container::writable), Operator::Bool, Form::GoBool, One),
    row(
        "Writable Host Mount",
        Workload,
        Volume(container::writable_host_mount),
        Operator::Bool,
        Form::GoBool,
        One,
    ),
    row(
        "Mount Propagation",
        Workload,
        Volume(container::mount_propagation),
        Operator::Propagation,
        Form::OneOf(names::MOUNT_PROPAGATION_VALUES),
        NegatedMany,
    ),
    // Networking
    row(
        "Exposed Port",
        Workload,
        Port(workload::container_port),
        Operator::Int,
        Form::Comparison,
        NegatedMany,
    )
    .needs_container(),
    row(
        "Exposed Port Protocol",
        Workload,
        Port(workload::protocol),
        Operator::UpperText,
        Form::Text,
        NegatedMany,
    )
    .needs_container(),
    row(
        "Exposed Node Port",
        Workload,
        Exposure(workload::node_port),
        Operator::Int,
        Form::Comparison,
        NegatedMany,
    ),
    row(
        "Port Exposure Method",
        Workload,
        Exposure(workload::exposure_level),
        Operator::Enum(names::EXPOSURES),
        Form::Name(names::EXPOSURES),
        NegatedMany,
    )
    .needs_container(),
    row(
        "Has Ingress Network Policy",
        Workload,
        Root(workload::ingress_policy),
        Operator::Bool,
        Form::Bool,
        NegatedOne,
    ),
    row(
        "Has Egress Network Policy",
        Workload,
        Root(workload::egress_policy),
        Operator::Bool,
        Form::Bool,
        NegatedOne,
    ),
    // Access control
    row(
        "Service Account",
        Workload,
        Root(workload::service_account),
        Operator::Regex,
        Form::Text,
        NegatedMany,
    ),
    row(
        "Automount Service Account Token",
        Workload,
        Root(workload::automount),
        Operator::Bool,
        Form::Bool,
        One,
    )
    .needs_container(),
    row(
        "Minimum RBAC Permissions",
        Workload,
        Root(workload::permissions),
        Operator::AtLeast(names::PERMISSION_LEVELS),
        Form::OneOf(names::PERMISSION_VALUES),
        NegatedOne,
    ),
    // Process activity
    row(
        "Process Name",
        Family::Process,
        Process(event::process_name),
        Operator::Regex,
        Form::Text,
        NegatedMany,
    ),
    row(
        "Process Ancestor",
        Family::Process,
        Ancestor(event::ancestor_path),
        Operator::Regex,
        Form::Text,
        NegatedMany,
    ),
    row(
        "Process Arguments",
        Family::Process,
        Process(event::process_arguments),
        Operator::Contains,
        Form::Text,
        NegatedMany,
    ),
    row("Process UID", Family::Process, Process(event::process_uid), Operator::Uint, Form::Text, NegatedMany),
    // Baseline deviation
    unsupported("Unexpected Process Executed", Family::ProcessBaseline),
    unsupported("Unexpected Network Flow Detected", Family::NetworkBaseline),
    // User commands in containers, and the audit log
    row(
        "Kubernetes Resource",
        KubeRequest,
        Root(event::resource),
        Operator::Enum(names::RESOURCES),
        Form::Name(names::RESOURCES),
        Many,
    ),
    row(
        "Kubernetes User Name",
        KubeRequest,
        Root(event::user_name),
        Operator::TextMatcher,
        Form::KubernetesName,
        NegatedMany,
    ),
    row(
        "Kubernetes User Groups",
        KubeRequest,
        Root(event::user_groups),
        Operator::TextMatcher,
        Form::KubernetesName,
        NegatedMany,
    ),
    row(
        "Kubernetes API Verb",
        Audit,
        Root(event::verb),
        Operator::Enum(names::VERBS),
        Form::Name(names::VERBS),
        Many,
    ),
    row(
        "Kubernetes Resource Name",
        Audit,
        Root(event::resource_name),
        Operator::TextMatcher,
        Form::Text,
        NegatedMany,
    ),
    row("User Agent", Audit, Root(event::user_agent), Operator::TextMatcher, Form::Text, NegatedMany),
    row(
        "Source IP Address",
        Audit,
        Root(event::source_ips),
        Operator::TextMatcher,
        Form::IpAddress,
        NegatedMany,
    ),
    row("Is Impersonated User", Audit, Root(event::impersonated), Operator::Bool, Form::Bool, One),
    // File activity
    row("File Path", File, Root(event::file_paths), Operator::PathGlob, Form::PathGlob, Many),
    row(
        "File Operation",
        File,
        Root(event::file_operation),
        Operator::TextMatcher,
        Form::OneOf(names::FILE_OPERATIONS),
        NegatedMany,
    ),
];

/// One row.
const fn row(
    name: &'static str,
    family: Family,
    extract: Extract,
    operator: Operator,
    form: Form,
    allows: Allows,
) -> Criterion {
    Criterion { name, family, extract, operator, form, allows, needs_container: false }
}

/// A row whose facts are not modelled: the name is known, and refused.
const fn unsupported(name: &'static str, family: Family) -> Criterion {
    row(name, family, Root(|_| super::Leaf::Missing), Operator::Unsupported, Form::Bool, One)
}
