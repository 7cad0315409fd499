//! Baselines: what a workload usually does, so that what it does not can be noticed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::json::{is_default, null_as_default};
use crate::{DeploymentId, Direction, NetworkEvent, NetworkProtocol, ProcessEvent};

/// What one workload usually does. Only what a person locked counts; before that a baseline is being learned.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Baseline {
    /// The workload.
    pub deployment: DeploymentId,
    /// By container name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub processes: BTreeMap<String, ProcessBaseline>,
    /// Of the whole workload.
    #[serde(skip_serializing_if = "is_default")]
    pub connections: ConnectionBaseline,
}

/// The processes a container usually runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProcessBaseline {
    /// Whether a user locked it: anything else deviates.
    pub locked: bool,
    /// Paths of executables.
    pub exec_file_paths: BTreeSet<String>,
}

/// The connections a workload usually has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionBaseline {
    /// Whether a user locked it: anything else deviates.
    pub locked: bool,
    /// The other ends.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub peers: Vec<Peer>,
}

/// The other end of usual connections.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Peer {
    /// The workload there; absent for whatever is outside of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// The port that is connected to: the peer's for egress, the workload's own for ingress.
    pub port: u16,
    /// Protocol.
    pub protocol: NetworkProtocol,
    /// Who connects: the workload for egress, the peer for ingress.
    pub direction: Direction,
}

impl Baseline {
    /// Whether a process departs from what was locked for its container. Without a locked baseline none does.
    pub fn process_deviates(&self, process: &ProcessEvent) -> bool {
        let container = process.container.as_ref().map_or("", |container| &*container.name);
        self.processes
            .get(container)
            .is_some_and(|usual| usual.locked && !usual.exec_file_paths.contains(&process.exec_file_path))
    }

    /// Whether a connection departs from what was locked. Without a locked baseline none does. An address outside of
    /// the cluster, whichever it is, matches the peer without a workload.
    pub fn connection_deviates(&self, connection: &NetworkEvent) -> bool {
        let seen = Peer::of(connection);
        self.connections.locked && !self.connections.peers.contains(&seen)
    }
}

impl Peer {
    /// The other end of a connection.
    pub fn of(connection: &NetworkEvent) -> Self {
        Self {
            deployment: connection.remote.deployment.clone(),
            port: match connection.direction {
                Direction::Egress => connection.remote.port,
                Direction::Ingress => connection.local.port,
            },
            protocol: connection.protocol,
            direction: connection.direction,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ContainerRef, NetworkEntity};

    #[test]
    fn only_what_is_locked_counts() {
        let mut baseline = Baseline::default();
        let paths = BTreeSet::from(["/bin/nginx".to_owned()]);
        let usual = ProcessBaseline { locked: false, exec_file_paths: paths };
        baseline.processes.insert("web".to_owned(), usual);
        let process = |container: &str, path: &str| ProcessEvent {
            exec_file_path: path.to_owned(),
            container: Some(ContainerRef { name: container.to_owned(), ..ContainerRef::default() }),
            ..ProcessEvent::default()
        };
        assert!(!baseline.process_deviates(&process("web", "/bin/sh")));
        baseline.processes.get_mut("web").unwrap().locked = true;
        assert!(baseline.process_deviates(&process("web", "/bin/sh")));
        assert!(!baseline.process_deviates(&process("web", "/bin/nginx")));
        assert!(!baseline.process_deviates(&process("sidecar", "/bin/sh")));
    }

    #[test]
    fn connections_are_known_by_peer_port_protocol_and_direction() {
        let connection = |direction, port| NetworkEvent {
            direction,
            protocol: NetworkProtocol::Tcp,
            local: NetworkEntity { port: 8080, ..NetworkEntity::default() },
            remote: NetworkEntity { port, ..NetworkEntity::default() },
            ..NetworkEvent::default()
        };
        let peer = Peer { deployment: None, port: 443, protocol: NetworkProtocol::Tcp, ..Peer::default() };
        let connections = ConnectionBaseline { locked: true, peers: vec![peer] };
        let baseline = Baseline { connections, ..Baseline::default() };
        assert!(!baseline.connection_deviates(&connection(Direction::Egress, 443)));
        assert!(baseline.connection_deviates(&connection(Direction::Egress, 80)));
        assert!(baseline.connection_deviates(&connection(Direction::Ingress, 443)));
    }
}
