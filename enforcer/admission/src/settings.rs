//! The options of the registration.

use std::net::IpAddr;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use lictor_cluster::ObjectName;

/// How the webhook registers itself.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Registration")]
pub(crate) struct RegistrationConfig {
    /// The name of the ValidatingWebhookConfiguration.
    #[arg(long, default_value = "lictor", value_name = "NAME")]
    pub(crate) webhook_name: String,
    /// The Service through which the API server reaches the webhook.
    #[arg(long, default_value = "lictor/lictor-admission", value_name = "NAMESPACE/NAME")]
    pub(crate) webhook_service: ObjectName,
    /// The URL at which the API server reaches the webhook, when it does not run in the cluster.
    #[arg(long, value_name = "URL", conflicts_with = "webhook_service")]
    pub(crate) webhook_url: Option<WebhookUrl>,
    /// The Secret with the certificate of all replicas; created if it does not exist.
    #[arg(long, default_value = "lictor/lictor-admission", value_name = "NAMESPACE/NAME")]
    pub(crate) certificate_secret: ObjectName,
    /// The Lease whose holder writes the registration and the certificate.
    #[arg(long, default_value = "lictor/lictor-admission", value_name = "NAMESPACE/NAME")]
    pub(crate) lease: ObjectName,
    /// What the API server does with requests while no replica answers.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) failure_policy: FailurePolicy,
    /// How long the API server waits for an answer, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=30), value_name = "SECONDS")]
    pub(crate) webhook_timeout: u8,
}

lictor_wire::named_enum! {
    /// What the API server does with requests while no replica answers, as it writes it.
    #[derive(Default, ValueEnum)]
    pub(crate) enum FailurePolicy {
        /// It allows them.
        #[default]
        Ignore = "Ignore",
        /// It denies them.
        Fail = "Fail",
    }
}

/// How the API server reaches the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Through a Service.
    Service(ObjectName),
    /// At a URL.
    Url(WebhookUrl),
}

/// A URL that the API server accepts, to which paths are appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebhookUrl {
    prefix: String,
    host: String,
}

/// Text that is not a URL the API server accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected https://HOST[:PORT][/PATH]")]
pub(crate) struct InvalidWebhookUrl;

impl RegistrationConfig {
    /// How the API server reaches the webhook.
    pub(crate) fn endpoint(&self) -> Endpoint {
        match &self.webhook_url {
            Some(url) => Endpoint::Url(url.clone()),
            None => Endpoint::Service(self.webhook_service.clone()),
        }
    }
}

impl WebhookUrl {
    /// The URL of a path that begins with a slash.
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// The host, written as certificates write it: addresses in their shortest form, names in lower case.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

impl FromStr for WebhookUrl {
    type Err = InvalidWebhookUrl;

    fn from_str(text: &str) -> Result<Self, InvalidWebhookUrl> {
        let host = host(text).ok_or(InvalidWebhookUrl)?;
        Ok(Self { prefix: text.trim_end_matches('/').to_owned(), host })
    }
}

/// The host of a URL. The API server accepts no user, query or fragment.
fn host(text: &str) -> Option<String> {
    let rest = text.strip_prefix("https://")?;
    if rest.contains(|c: char| matches!(c, '@' | '?' | '#' | '\\') || c.is_whitespace()) {
        return None;
    }
    let authority = rest.split('/').next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => authority.find(':').map_or((authority, ""), |at| authority.split_at(at)),
    };
    if !port.is_empty() {
        port.strip_prefix(':')?.parse::<u16>().ok()?;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return (address.is_ipv6() == authority.starts_with('[')).then(|| address.to_string());
    }
    let label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    (!authority.starts_with('[') && host.split('.').all(label)).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
impl Default for RegistrationConfig {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_those_the_api_server_accepts() {
        for (text, expected) in [
            ("https://hooks.example.com", Some("hooks.example.com")),
            ("https://Hooks.example.com:8443/a/b", Some("hooks.example.com")),
            ("https://192.0.2.7:1", Some("192.0.2.7")),
            ("https://[2001:DB8::0:7]:1/x", Some("2001:db8::7")),
            ("http://hooks.example.com", None),
            ("https://", None),
            ("https://a:port", None),
            ("https://me@a", None),
            ("https://a/?x=1", None),
            ("https://[::1", None),
            ("https://[a]", None),
            ("https://::1", None),
            ("https://a b", None),
        ] {
            let url = text.parse::<WebhookUrl>().ok();
            assert_eq!(url.as_ref().map(WebhookUrl::host), expected, "{text}");
        }
        let url: WebhookUrl = "https://127.0.0.1:8443/x/".parse().unwrap();
        assert_eq!(url.join("/validate"), "https://127.0.0.1:8443/x/validate");
    }
}
