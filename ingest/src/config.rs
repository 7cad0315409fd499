//! What a person chooses.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use lictor_wire::ClusterId;

use crate::IngestError;

/// Where events come from.
#[derive(Debug, Clone, Default, Args)]
pub struct Config {
    /// The cluster that the sources report on
    ///
    /// The UID of its namespace `kube-system`, or a name of your own.
    #[arg(long, value_name = "ID", env = "LICTOR_CLUSTER", default_value = "local", value_parser = cluster_id)]
    pub cluster: ClusterId,

    /// The node whose files are read
    ///
    /// It tells the files of several nodes apart that have the same names.
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    pub node: Option<String>,

    /// Take audit events from the API server's webhook backend, over plain HTTP, on this address
    #[arg(long, value_name = "ADDR")]
    pub audit_webhook: Option<SocketAddr>,

    /// Read audit events from log files of the API server
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub audit_log: Vec<PathBuf>,

    /// Read sensor events from Tetragon's JSON export
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub tetragon: Vec<PathBuf>,

    /// Read lictor's own events, one a line
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub events: Vec<PathBuf>,

    /// Read workloads from YAML or JSON, files or folders of them
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub manifests: Vec<PathBuf>,

    /// Follow files as they grow and are rotated; one that does not exist is waited for
    #[arg(long)]
    pub follow: bool,

    /// Answer /healthz and /readyz on this address
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,

    /// Let other machines connect
    ///
    /// Whoever reaches the webhook can forge audit events, so guard it with a network policy.
    #[arg(long)]
    pub allow_remote: bool,
}

impl Config {
    /// Whether it names anything to ingest.
    pub fn has_source(&self) -> bool {
        let files = [&self.audit_log, &self.tetragon, &self.events, &self.manifests];
        self.audit_webhook.is_some() || !files.into_iter().all(Vec::is_empty)
    }

    /// Refuses what cannot work, before anything is touched.
    ///
    /// # Errors
    /// When other machines could reach an address, no source is named, or a file that is to be read does not exist.
    pub fn check(&self) -> Result<(), IngestError> {
        for address in [self.audit_webhook, self.listen].into_iter().flatten() {
            lictor_serve::loopback_only(address, self.allow_remote)?;
        }
        if !self.has_source() {
            return Err(IngestError::NoSource);
        }
        let lines = self.audit_log.iter().chain(&self.tetragon).chain(&self.events);
        // A followed file may come later; one to be read must be there.
        for path in lines.filter(|_| !self.follow).chain(&self.manifests) {
            if let Err(source) = std::fs::metadata(path) {
                return Err(IngestError::Read { path: path.clone(), source });
            }
        }
        Ok(())
    }
}

fn cluster_id(text: &str) -> Result<ClusterId, String> {
    if text.trim().is_empty() { Err("a cluster needs a name".to_owned()) } else { Ok(ClusterId::new(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_configuration_is_refused_before_anything_is_touched() {
        assert!(matches!(Config::default().check(), Err(IngestError::NoSource)));
        let webhook =
            |address: &str| Config { audit_webhook: Some(address.parse().unwrap()), ..Config::default() };
        assert!(webhook("127.0.0.1:0").check().is_ok());
        assert!(matches!(webhook("0.0.0.0:0").check(), Err(IngestError::NotLoopback(_))));
        assert!(Config { allow_remote: true, ..webhook("0.0.0.0:0") }.check().is_ok());
        let absent = Config { audit_log: vec!["/nowhere/audit.log".into()], ..Config::default() };
        assert!(matches!(absent.check(), Err(IngestError::Read { .. })));
        assert!(Config { follow: true, ..absent }.check().is_ok());
    }
}
