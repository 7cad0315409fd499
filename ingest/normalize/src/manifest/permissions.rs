//! What a service account may do at the most, in StackRox's five levels.
//!
//! The level is the highest of all bindings that name the account, or a group every account is in; a binding's level
//! is the highest of its role's rules, each judged by itself. Names of single objects and URLs that are not objects
//! do not count.

use k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lictor_wire::{Deployment, PermissionLevel};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::policies::namespace;

/// The roles and bindings of the input, each with how far it reaches.
#[derive(Default)]
pub(super) struct Permissions {
    pub(super) roles: Vec<(Reach, Role)>,
    pub(super) bindings: Vec<(Reach, Binding)>,
}

/// A Role or a ClusterRole.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Role {
    #[serde(default)]
    metadata: ObjectMeta,
    rules: Option<Vec<PolicyRule>>,
    aggregation_rule: Option<IgnoredAny>,
}

/// A RoleBinding or a ClusterRoleBinding.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Binding {
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(default)]
    role_ref: RoleRef,
    subjects: Option<Vec<Subject>>,
}

/// Verbs that change something, or let somebody change more.
const CHANGING: [&str; 6] = ["create", "bind", "patch", "update", "delete", "deletecollection"];

/// How far a role or a binding reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Cluster,
    Namespace,
}

impl Permissions {
    /// What a workload's service account may do. Without any binding in the input it is unknown, and a role that
    /// is not in it may allow anything: then it is unknown too, unless another binding allows everything.
    pub(super) fn level(&self, model: &Deployment) -> PermissionLevel {
        if self.bindings.is_empty() {
            return PermissionLevel::Unset;
        }
        let mut highest = PermissionLevel::None;
        let mut all_known = true;
        let mut note = |level: Option<PermissionLevel>| match level {
            Some(level) => highest = highest.max(level),
            None => all_known = false,
        };
        for (reach, binding) in &self.bindings {
            let home = reach.home(&binding.metadata);
            if names(binding.subjects.as_deref(), home, model) {
                note(self.granted(&binding.role_ref, home, *reach));
            }
        }
        if all_known || highest == PermissionLevel::ClusterAdmin { highest } else { PermissionLevel::Unset }
    }

    /// What a role gives by a binding; `None` when the role is not known.
    fn granted(&self, role: &RoleRef, home: &str, reach: Reach) -> Option<PermissionLevel> {
        let (of, home) = if role.kind == "Role" { (Reach::Namespace, home) } else { (Reach::Cluster, "") };
        let found = self.roles.iter().find(|(reach, found)| {
            *reach == of
                && found.metadata.name.as_ref() == Some(&role.name)
                && reach.home(&found.metadata) == home
        });
        match found {
            // The rules of an aggregated role are in others until the controller has gathered them.
            Some((_, found)) if found.aggregation_rule.is_some() && found.rules.is_none() => None,
            Some((_, found)) => Some(rules(found.rules.as_deref(), reach)),
            // Every cluster has these, and manifests rarely do.
            None => match role.name.as_str() {
                "cluster-admin" if of == Reach::Cluster => Some(everything(reach)),
                "admin" | "edit" | "view" if of == Reach::Cluster => Some(elevated(reach)),
                _ => None,
            },
        }
    }
}

impl Reach {
    /// The namespace of an object that reaches this far.
    fn home(self, meta: &ObjectMeta) -> &str {
        match self {
            Self::Cluster => "",
            Self::Namespace => namespace(meta.namespace.as_ref()),
        }
    }
}

/// Whether a binding's subjects hold the workload's service account.
fn names(subjects: Option<&[Subject]>, home: &str, model: &Deployment) -> bool {
    subjects.unwrap_or_default().iter().any(|subject| match subject.kind.as_str() {
        "ServiceAccount" => {
            let of = subject.namespace.as_deref().filter(|name| !name.is_empty()).unwrap_or(home);
            subject.name == model.service_account && of == model.namespace
        }
        "Group" => {
            matches!(subject.name.as_str(), "system:serviceaccounts" | "system:authenticated")
                || subject.name.strip_prefix("system:serviceaccounts:") == Some(&model.namespace)
        }
        "User" => {
            subject.name == format!("system:serviceaccount:{}:{}", model.namespace, model.service_account)
        }
        _ => false,
    })
}

fn rules(rules: Option<&[PolicyRule]>, reach: Reach) -> PermissionLevel {
    let levels = rules.unwrap_or_default().iter().map(|rule| level(rule, reach));
    levels.max().unwrap_or(PermissionLevel::None)
}

fn level(rule: &PolicyRule, reach: Reach) -> PermissionLevel {
    let may = |verb: &str| rule.verbs.iter().any(|found| found == verb || found == "*");
    let resources = rule.resources.as_deref().unwrap_or_default();
    let groups = rule.api_groups.as_deref().unwrap_or_default();
    let is_all = |items: &[String]| items.iter().any(|item| item == "*");
    let core = groups.iter().any(|group| group.is_empty() || group == "*");
    if resources.is_empty() {
        // It is about URLs.
        PermissionLevel::None
    } else if core && is_all(resources) && is_all(&rule.verbs) {
        everything(reach)
    } else if CHANGING.into_iter().any(may) || may("list") {
        elevated(reach)
    } else if may("get") || may("watch") {
        match reach {
            Reach::Cluster => PermissionLevel::ElevatedClusterWide,
            Reach::Namespace => PermissionLevel::Default,
        }
    } else {
        PermissionLevel::None
    }
}

const fn everything(reach: Reach) -> PermissionLevel {
    match reach {
        Reach::Cluster => PermissionLevel::ClusterAdmin,
        Reach::Namespace => PermissionLevel::ElevatedInNamespace,
    }
}

const fn elevated(reach: Reach) -> PermissionLevel {
    match reach {
        Reach::Cluster => PermissionLevel::ElevatedClusterWide,
        Reach::Namespace => PermissionLevel::ElevatedInNamespace,
    }
}

#[cfg(test)]
mod tests {
    use lictor_wire::{ClusterId, PermissionLevel};

    use crate::manifest::{Text, read};

    fn level(rbac: &str) -> PermissionLevel {
        let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\nspec: {serviceAccountName: web, containers: []}\n---\n";
        let text = format!("{pod}{rbac}");
        let found = read([Text { name: "a.yaml", text: &text }], &ClusterId::new("c1"));
        assert!(found.errors.is_empty(), "{:?}", found.errors);
        found.deployments[0].service_account_permission_level
    }

    fn bound(kind: &str, rule: &str, subject: &str) -> String {
        let (binding, role) =
            if kind == "cluster" { ("ClusterRoleBinding", "ClusterRole") } else { ("RoleBinding", "Role") };
        format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: {role}\nmetadata: {{name: r, namespace: shop}}\nrules: [{rule}]\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: {binding}\nmetadata: {{name: b, namespace: shop}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {role}, name: r}}\nsubjects: [{subject}]\n"
        )
    }

    const WEB: &str = "{kind: ServiceAccount, name: web, namespace: shop}";

    #[test]
    fn levels_of_rules() {
        use PermissionLevel::{ClusterAdmin, Default, ElevatedClusterWide, ElevatedInNamespace, None};
        let cases = [
            ("{apiGroups: ['*'], resources: ['*'], verbs: ['*']}", ClusterAdmin, ElevatedInNamespace),
            ("{apiGroups: [''], resources: ['*'], verbs: ['*']}", ClusterAdmin, ElevatedInNamespace),
            ("{apiGroups: [apps], resources: ['*'], verbs: ['*']}", ElevatedClusterWide, ElevatedInNamespace),
            (
                "{apiGroups: [''], resources: [pods], verbs: [delete]}",
                ElevatedClusterWide,
                ElevatedInNamespace,
            ),
            ("{apiGroups: [''], resources: [pods], verbs: [list]}", ElevatedClusterWide, ElevatedInNamespace),
            ("{apiGroups: [''], resources: [pods], verbs: [get, watch]}", ElevatedClusterWide, Default),
            ("{apiGroups: [''], resources: [pods], verbs: [use]}", None, None),
            ("{nonResourceURLs: ['*'], verbs: ['*']}", None, None),
        ];
        for (rule, by_cluster, by_namespace) in cases {
            assert_eq!(level(&bound("cluster", rule, WEB)), by_cluster, "{rule}");
            assert_eq!(level(&bound("namespace", rule, WEB)), by_namespace, "{rule}");
        }
    }

    #[test]
    fn who_is_named() {
        let rule = "{apiGroups: [''], resources: [pods], verbs: [list]}";
        let named = [
            WEB,
            "{kind: ServiceAccount, name: web}",
            "{kind: Group, name: 'system:serviceaccounts:shop'}",
            "{kind: Group, name: 'system:authenticated'}",
            "{kind: User, name: 'system:serviceaccount:shop:web'}",
        ];
        for subject in named {
            assert_eq!(
                level(&bound("namespace", rule, subject)),
                PermissionLevel::ElevatedInNamespace,
                "{subject}"
            );
        }
        let others = [
            "{kind: ServiceAccount, name: web, namespace: pay}",
            "{kind: ServiceAccount, name: default, namespace: shop}",
            "{kind: Group, name: 'system:serviceaccounts:pay'}",
        ];
        for subject in others {
            assert_eq!(level(&bound("namespace", rule, subject)), PermissionLevel::None, "{subject}");
        }
    }

    #[test]
    fn what_is_unknown_is_unset() {
        assert_eq!(level(""), PermissionLevel::Unset);
        let to = |role: &str| {
            format!(
                "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: b}}\n\
                 roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role}}}\nsubjects: [{WEB}]\n"
            )
        };
        assert_eq!(level(&to("elsewhere")), PermissionLevel::Unset);
        assert_eq!(level(&to("cluster-admin")), PermissionLevel::ClusterAdmin);
        assert_eq!(level(&to("view")), PermissionLevel::ElevatedClusterWide);
        let both = format!("{}---\n{}", to("elsewhere"), to("cluster-admin").replace("name: b}", "name: c}"));
        assert_eq!(level(&both), PermissionLevel::ClusterAdmin);
    }
}
