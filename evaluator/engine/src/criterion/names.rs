//! The names that values of some criteria are chosen from, with StackRox's numbers where they are compared.

use crate::matcher::{CAPABILITIES, EnumNames};

/// Severities of vulnerabilities.
pub(crate) const SEVERITIES: EnumNames =
    &[("UNKNOWN", 0), ("LOW", 1), ("MODERATE", 2), ("IMPORTANT", 3), ("CRITICAL", 4)];

/// Types of seccomp profile.
pub(crate) const SECCOMP_PROFILES: EnumNames = &[("UNCONFINED", 0), ("RUNTIME_DEFAULT", 1), ("LOCALHOST", 2)];

/// Mount propagation, as mounts have it.
pub(crate) const MOUNT_PROPAGATIONS: EnumNames =
    &[("NONE", 0), ("HOST_TO_CONTAINER", 1), ("BIDIRECTIONAL", 2)];

/// Mount propagation, as policies write it.
pub(crate) const MOUNT_PROPAGATION_VALUES: &[&str] = &["NONE", "HOSTTOCONTAINER", "BIDIRECTIONAL"];

/// Ways in which a port is exposed.
pub(crate) const EXPOSURES: EnumNames =
    &[("UNSET", 0), ("EXTERNAL", 1), ("NODE", 2), ("INTERNAL", 3), ("HOST", 4), ("ROUTE", 5)];

/// What service accounts may do.
pub(crate) const PERMISSION_LEVELS: EnumNames = &[
    ("UNSET", 0),
    ("NONE", 1),
    ("DEFAULT", 2),
    ("ELEVATED_IN_NAMESPACE", 3),
    ("ELEVATED_CLUSTER_WIDE", 4),
    ("CLUSTER_ADMIN", 5),
];

/// The levels a policy can name.
pub(crate) const PERMISSION_VALUES: &[&str] =
    &["DEFAULT", "ELEVATED_IN_NAMESPACE", "ELEVATED_CLUSTER_WIDE", "CLUSTER_ADMIN"];

/// What requests to the API server are about.
pub(crate) const RESOURCES: EnumNames = &[
    ("SECRETS", 1),
    ("PODS_EXEC", 2),
    ("PODS_PORTFORWARD", 3),
    ("CONFIGMAPS", 4),
    ("CLUSTER_ROLES", 5),
    ("CLUSTER_ROLE_BINDINGS", 6),
    ("NETWORK_POLICIES", 7),
    ("SECURITY_CONTEXT_CONSTRAINTS", 8),
    ("EGRESS_FIREWALLS", 9),
    ("PODS_ATTACH", 10),
];

/// The resources of commands to running pods.
pub(crate) const POD_RESOURCES: &[&str] = &["PODS_EXEC", "PODS_PORTFORWARD", "PODS_ATTACH"];

/// The resources of the audit log.
pub(crate) const AUDIT_RESOURCES: &[&str] = &[
    "SECRETS",
    "CONFIGMAPS",
    "CLUSTER_ROLES",
    "CLUSTER_ROLE_BINDINGS",
    "NETWORK_POLICIES",
    "SECURITY_CONTEXT_CONSTRAINTS",
    "EGRESS_FIREWALLS",
];

/// The verbs of the audit log.
pub(crate) const VERBS: EnumNames = &[("CREATE", 1), ("DELETE", 2), ("GET", 3), ("PATCH", 4), ("UPDATE", 5)];

/// What can be done to files.
pub(crate) const FILE_OPERATIONS: &[&str] =
    &["OPEN", "CREATE", "RENAME", "UNLINK", "OWNERSHIP_CHANGE", "PERMISSION_CHANGE", "XATTR_CHANGE"];

/// Capabilities that can be dropped: each, and all at once.
pub(crate) const CAPABILITIES_TO_DROP: &[&str] = &capabilities_and_all();

const fn capabilities_and_all() -> [&'static str; CAPABILITIES.len() + 1] {
    let mut all = ["ALL"; CAPABILITIES.len() + 1];
    let (_, single) = all.split_at_mut(1);
    single.copy_from_slice(CAPABILITIES);
    all
}
