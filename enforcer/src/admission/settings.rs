//! What can be said about the registration.

use clap::{Args, ValueEnum};

use crate::cluster::ObjectName;

/// How admission registers itself.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Registration")]
pub struct KeeperConfig {
    /// The name of the ValidatingWebhookConfiguration.
    #[arg(long, default_value = "lictor", value_name = "NAME")]
    pub webhook_name: String,
    /// The Service through which the API server reaches this.
    #[arg(long, default_value = "lictor/lictor-admission", value_name = "NAMESPACE/NAME")]
    pub webhook_service: ObjectName,
    /// The URL at which the API server reaches this, where it does not run in the cluster.
    #[arg(long, value_name = "URL", conflicts_with = "webhook_service")]
    pub webhook_url: Option<String>,
    /// The Secret that holds the one certificate of all replicas; it is made when it is not there.
    #[arg(long, default_value = "lictor/lictor-admission", value_name = "NAMESPACE/NAME")]
    pub certificate_secret: ObjectName,
    /// The Lease whose holder registers, repairs and renews.
    #[arg(long, default_value = "lictor/lictor-admission", value_name = "NAMESPACE/NAME")]
    pub lease: ObjectName,
    /// What becomes of requests while nobody answers.
    #[arg(long, value_enum, default_value_t)]
    pub failure_policy: FailurePolicy,
    /// How long the API server waits for an answer, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=30), value_name = "SECONDS")]
    pub webhook_timeout: u8,
}

/// What becomes of requests while nobody answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum FailurePolicy {
    /// They pass.
    #[default]
    Ignore,
    /// They are denied.
    Fail,
}

/// How the API server reaches the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// Through a Service.
    Service(ObjectName),
    /// At a URL.
    Url(String),
}

impl KeeperConfig {
    /// How the API server reaches this.
    #[must_use]
    pub fn place(&self) -> Where {
        match &self.webhook_url {
            Some(url) => Where::Url(url.clone()),
            None => Where::Service(self.webhook_service.clone()),
        }
    }
}

impl FailurePolicy {
    /// As the API server writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ignore => "Ignore",
            Self::Fail => "Fail",
        }
    }
}

#[cfg(test)]
impl Default for KeeperConfig {
    fn default() -> Self {
        let usual = || ObjectName { namespace: "lictor".to_owned(), name: "lictor-admission".to_owned() };
        Self {
            webhook_name: "lictor".to_owned(),
            webhook_service: usual(),
            webhook_url: None,
            certificate_secret: usual(),
            lease: usual(),
            failure_policy: FailurePolicy::default(),
            webhook_timeout: 5,
        }
    }
}
