//! Namespaces in which nothing is denied, changed or deleted.

use std::collections::BTreeSet;

use clap::Args;

/// The namespaces that are excluded from enforcement by default. Exact names.
pub const PROTECTED_NAMESPACES: [&str; 4] = ["stackrox", "kube-system", "cpaas-system", "istio-system"];

/// The namespaces that are excluded from enforcement.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Protected {
    /// Namespaces excluded from enforcement, by exact name: workloads in them are judged, and never acted on or denied;
    /// admission allows requests of their service accounts without judging them.
    #[arg(long, value_delimiter = ',', default_values = PROTECTED_NAMESPACES, value_name = "NAMESPACE")]
    pub protected_namespaces: Vec<String>,
    /// The namespace that lictor runs in; always excluded.
    #[arg(long, env = "LICTOR_NAMESPACE", default_value = "lictor", value_name = "NAMESPACE")]
    pub own_namespace: String,
}

impl Protected {
    /// All excluded namespaces, lictor's own among them.
    pub fn names(&self) -> BTreeSet<&str> {
        self.protected_namespaces.iter().chain([&self.own_namespace]).map(String::as_str).collect()
    }

    /// Whether a namespace is excluded.
    pub fn covers(&self, namespace: &str) -> bool {
        namespace == self.own_namespace || self.protected_namespaces.iter().any(|name| name == namespace)
    }
}
