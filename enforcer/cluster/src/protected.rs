//! Namespaces in which nothing is denied, changed or deleted.

use std::collections::BTreeSet;

use clap::Args;

/// Namespaces excluded from enforcement unless the installer says otherwise. Exact names.
pub const PROTECTED_NAMESPACES: [&str; 4] = ["stackrox", "kube-system", "cpaas-system", "istio-system"];

/// Namespaces that are left alone.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Protected {
    /// Namespaces excluded from enforcement, by exact name: what is there is judged and never acted on or denied, and
    /// their service accounts are not held up at admission.
    #[arg(long, value_delimiter = ',', default_values = PROTECTED_NAMESPACES, value_name = "NAMESPACE")]
    pub protected_namespaces: Vec<String>,
    /// The namespace lictor itself runs in; never acted on.
    #[arg(long, env = "LICTOR_NAMESPACE", default_value = "lictor", value_name = "NAMESPACE")]
    pub own_namespace: String,
}

impl Protected {
    /// Their names, lictor's own among them.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        self.protected_namespaces.iter().chain([&self.own_namespace]).map(String::as_str).collect()
    }

    /// Whether a namespace is one of them.
    #[must_use]
    pub fn covers(&self, namespace: &str) -> bool {
        namespace == self.own_namespace || self.protected_namespaces.iter().any(|name| name == namespace)
    }
}
