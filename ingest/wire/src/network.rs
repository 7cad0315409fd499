//! Network events.

use serde::{Deserialize, Serialize};

use crate::json::is_default;
use crate::{ContainerRef, DeploymentId, PodRef, ProcessEvent};

/// A connection was opened, accepted or closed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkEvent {
    /// Seen from the pod: who opened it.
    pub direction: Direction,
    /// Transport protocol.
    pub protocol: NetworkProtocol,
    /// The local endpoint.
    pub local: NetworkEntity,
    /// The remote endpoint.
    pub remote: NetworkEntity,
    /// Whether the connection ended with this event.
    #[serde(skip_serializing_if = "is_default")]
    pub closed: bool,
    /// Bytes sent, where the sensor counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_sent: Option<u64>,
    /// Bytes received, where the sensor counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_received: Option<u64>,
    /// The process, where the sensor names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Box<ProcessEvent>>,
    /// The pod; absent for a connection of the node itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodRef>,
    /// The container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerRef>,
    /// The node.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
}

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Direction {
    /// The pod did.
    #[default]
    Egress,
    /// The remote endpoint did.
    Ingress,
}

/// Transport protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum NetworkProtocol {
    /// The sensor does not say, or names one not listed here.
    #[default]
    Unknown,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP.
    Icmp,
}

/// One end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkEntity {
    /// IP address.
    pub address: String,
    /// Port; 0 where the protocol has none.
    pub port: u16,
    /// The workload behind the address, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// A name of the address, where the sensor resolved one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}
