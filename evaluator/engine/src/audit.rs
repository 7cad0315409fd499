//! Which audit events are judged, in StackRox's vocabulary.

use lictor_wire::{AuditEvent, AuditStage};

/// Declares names with StackRox's numbers.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal / $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $($variant,)* }

        impl $name {
            /// StackRox's name.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// StackRox's number.
            pub(crate) const fn number(self) -> i64 {
                match self { $(Self::$variant => $number,)* }
            }
        }
    };
}

names! {
    /// Kinds of object whose requests are judged.
    AuditResource {
        Secrets = "SECRETS" / 1,
        ConfigMaps = "CONFIGMAPS" / 4,
        ClusterRoles = "CLUSTER_ROLES" / 5,
        ClusterRoleBindings = "CLUSTER_ROLE_BINDINGS" / 6,
        NetworkPolicies = "NETWORK_POLICIES" / 7,
        SecurityContextConstraints = "SECURITY_CONTEXT_CONSTRAINTS" / 8,
        EgressFirewalls = "EGRESS_FIREWALLS" / 9,
    }
}

names! {
    /// Verbs that are judged.
    AuditVerb {
        Create = "CREATE" / 1,
        Delete = "DELETE" / 2,
        Get = "GET" / 3,
        Patch = "PATCH" / 4,
        Update = "UPDATE" / 5,
    }
}

impl AuditResource {
    /// The kind in words: `secret`, or `secrets` for several.
    pub(crate) const fn words(self, several: bool) -> &'static str {
        match (self, several) {
            (Self::Secrets, false) => "secret",
            (Self::Secrets, true) => "secrets",
            (Self::ConfigMaps, false) => "config map",
            (Self::ConfigMaps, true) => "config maps",
            (Self::ClusterRoles, false) => "cluster role",
            (Self::ClusterRoles, true) => "cluster roles",
            (Self::ClusterRoleBindings, false) => "cluster role binding",
            (Self::ClusterRoleBindings, true) => "cluster role bindings",
            (Self::NetworkPolicies, false) => "network policy",
            (Self::NetworkPolicies, true) => "network policies",
            (Self::SecurityContextConstraints, false) => "security context constraint",
            (Self::SecurityContextConstraints, true) => "security context constraints",
            (Self::EgressFirewalls, false) => "egress firewall",
            (Self::EgressFirewalls, true) => "egress firewalls",
        }
    }
}

/// Whether an event is judged at all: it is about the outcome of a request, for a resource and a
/// verb that policies can name; reading counts only for secrets and config maps.
pub(crate) fn is_judged(event: &AuditEvent) -> bool {
    let finished = matches!(event.stage, AuditStage::ResponseComplete | AuditStage::Panic);
    let readable = match (resource(event), verb(event)) {
        (Some(resource), Some(AuditVerb::Get)) => {
            matches!(resource, AuditResource::Secrets | AuditResource::ConfigMaps)
        }
        (Some(_), Some(_)) => true,
        _ => false,
    };
    finished && readable
}

/// The resource, from its plural name.
pub(crate) fn resource(event: &AuditEvent) -> Option<AuditResource> {
    let name = event.object_ref.as_ref()?.resource.as_str();
    let known = [
        ("secrets", AuditResource::Secrets),
        ("configmaps", AuditResource::ConfigMaps),
        ("clusterroles", AuditResource::ClusterRoles),
        ("clusterrolebindings", AuditResource::ClusterRoleBindings),
        ("networkpolicies", AuditResource::NetworkPolicies),
        ("securitycontextconstraints", AuditResource::SecurityContextConstraints),
        ("egressfirewalls", AuditResource::EgressFirewalls),
    ];
    known.into_iter().find(|(plural, _)| name.eq_ignore_ascii_case(plural)).map(|(_, resource)| resource)
}

/// The verb.
pub(crate) fn verb(event: &AuditEvent) -> Option<AuditVerb> {
    let known = [AuditVerb::Create, AuditVerb::Delete, AuditVerb::Get, AuditVerb::Patch, AuditVerb::Update];
    known.into_iter().find(|verb| event.verb.eq_ignore_ascii_case(verb.as_str()))
}
