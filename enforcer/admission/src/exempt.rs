//! Whose requests are allowed without being judged. Pure.
//!
//! Names are compared whole: `kube-evil` and `openshift-x` are not system namespaces. The watch still sees what a
//! request of the control plane creates, and it is judged and reported then; it is never denied, because a control
//! plane that cannot work repairs nothing.

use std::fmt;

use clap::Args;
use lictor_wire::RequestEvent;

#[cfg(test)]
use lictor_cluster::PROTECTED_NAMESPACES;
use lictor_cluster::Protected;

/// Users of the control plane that are not service accounts.
pub(crate) const CONTROL_PLANE_USERS: [&str; 4] =
    ["system:apiserver", "system:kube-controller-manager", "system:kube-proxy", "system:kube-scheduler"];

/// Groups of the control plane: the kubelets.
pub(crate) const CONTROL_PLANE_GROUPS: [&str; 1] = ["system:nodes"];

/// Which requests are not judged.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Exclusions")]
pub(crate) struct Exclusions {
    /// Excluded namespaces.
    #[command(flatten)]
    pub(crate) protected: Protected,
    /// Users whose requests are allowed without being judged, by exact name.
    #[arg(long, value_delimiter = ',', default_values = CONTROL_PLANE_USERS, value_name = "USER")]
    pub(crate) exempt_users: Vec<String>,
    /// Groups whose members' requests are allowed without being judged, by exact name.
    #[arg(long, value_delimiter = ',', default_values = CONTROL_PLANE_GROUPS, value_name = "GROUP")]
    pub(crate) exempt_groups: Vec<String>,
}

/// Why a request is allowed without being judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exemption {
    /// The namespace is excluded from enforcement.
    Namespace(String),
    /// The user is a service account of an excluded namespace.
    ServiceAccount(String),
    /// The user is exempt.
    User(String),
    /// One of the user's groups is exempt.
    Group(String),
}

impl Exclusions {
    /// Whether the user is exempt.
    pub(crate) fn of_user(&self, request: &RequestEvent) -> Option<Exemption> {
        let user = &request.user;
        if let Some(namespace) = service_account_namespace(&user.username, &user.groups)
            && self.protected.covers(namespace)
        {
            return Some(Exemption::ServiceAccount(user.username.clone()));
        }
        if self.exempt_users.contains(&user.username) {
            return Some(Exemption::User(user.username.clone()));
        }
        let group = user.groups.iter().find(|group| self.exempt_groups.contains(group));
        group.cloned().map(Exemption::Group)
    }

    /// Whether the namespace is excluded.
    pub(crate) fn of_namespace(&self, request: &RequestEvent) -> Option<Exemption> {
        let namespace = &request.object_ref.namespace;
        self.protected.covers(namespace).then(|| Exemption::Namespace(namespace.clone()))
    }
}

/// The namespace of a service account. Both name and groups must say so: an identity provider that adds no prefix can
/// give the name alone to anybody.
fn service_account_namespace<'a>(username: &'a str, groups: &[String]) -> Option<&'a str> {
    let (namespace, name) = username.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    let whole = !namespace.is_empty() && !name.is_empty() && !name.contains(':');
    let member = groups.iter().any(|group| group.strip_prefix("system:serviceaccounts:") == Some(namespace));
    (whole && member).then_some(namespace)
}

impl fmt::Display for Exemption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(namespace) => write!(f, "namespace {namespace} is excluded from enforcement"),
            Self::ServiceAccount(name) => write!(f, "{name} is a service account of an excluded namespace"),
            Self::User(name) => write!(f, "user {name} is exempt"),
            Self::Group(name) => write!(f, "group {name} is exempt"),
        }
    }
}

#[cfg(test)]
impl Default for Exclusions {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            protected: Protected {
                protected_namespaces: owned(&PROTECTED_NAMESPACES),
                own_namespace: "lictor".to_owned(),
            },
            exempt_users: owned(&CONTROL_PLANE_USERS),
            exempt_groups: owned(&CONTROL_PLANE_GROUPS),
        }
    }
}

#[cfg(test)]
mod tests {
    use lictor_wire::{ObjectReference, UserInfo};

    use super::*;

    fn asks(username: &str, groups: &[&str]) -> Option<Exemption> {
        let user = UserInfo {
            username: username.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..UserInfo::default()
        };
        Exclusions::default().of_user(&RequestEvent { user, ..RequestEvent::default() })
    }

    #[test]
    fn the_control_plane_passes() {
        let account = "system:serviceaccount:kube-system:replicaset-controller";
        assert!(asks(account, &["system:serviceaccounts", "system:serviceaccounts:kube-system"]).is_some());
        assert!(asks("system:kube-scheduler", &[]).is_some());
        assert!(asks("system:node:n1", &["system:nodes"]).is_some());
    }

    #[test]
    fn look_alikes_do_not() {
        for (username, groups) in [
            ("system:serviceaccount:kube-evil:x", "system:serviceaccounts:kube-evil"),
            ("system:serviceaccount:kubeflow:x", "system:serviceaccounts:kubeflow"),
            ("system:serviceaccount:openshift-x:x", "system:serviceaccounts:openshift-x"),
            // The name without the group it comes with.
            ("system:serviceaccount:kube-system:x", "system:authenticated"),
            ("system:serviceaccount:kube-system:a:b", "system:serviceaccounts:kube-system"),
            ("system:serviceaccount:kube-system:", "system:serviceaccounts:kube-system"),
            ("System:kube-scheduler", "System:Nodes"),
            ("system:node:n1", "system:authenticated"),
        ] {
            assert_eq!(asks(username, &[groups]), None, "{username}");
        }
    }

    #[test]
    fn namespaces_are_compared_whole() {
        let about = |namespace: &str| {
            let object_ref =
                ObjectReference { namespace: namespace.to_owned(), ..ObjectReference::default() };
            let request = RequestEvent { object_ref, ..RequestEvent::default() };
            Exclusions::default().of_namespace(&request).is_some()
        };
        for namespace in ["stackrox", "kube-system", "cpaas-system", "istio-system", "lictor"] {
            assert!(about(namespace), "{namespace}");
        }
        for namespace in ["kube-evil", "kubeflow", "openshift-x", "redhat1", "kube-system2", "Stackrox", ""] {
            assert!(!about(namespace), "{namespace}");
        }
    }
}
