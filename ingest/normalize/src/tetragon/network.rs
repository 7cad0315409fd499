//! Connections: probes on functions that take or return a socket, and the older kinds of line.

use lictor_wire::{Direction, NetworkEntity, NetworkEvent, NetworkProtocol};

use super::process::process;
use super::raw::{Call, Probe, SockArg, Socket};

/// Linux gives the end that opens a connection a port from here on, unless configured otherwise.
const FIRST_EPHEMERAL_PORT: u16 = 32_768;

/// The connection a probe saw; `None` when no socket is among its arguments.
pub(super) fn probe(probe: &Probe, node: &str) -> Option<NetworkEvent> {
    let returned = probe.returned.as_ref().and_then(|returned| returned.sock_arg.clone());
    let sock = probe.arguments().into_iter().find_map(|argument| argument.sock_arg);
    // Accepting takes the listening socket and returns the connection's.
    let sock = if is_accept(&probe.function_name) { returned.or(sock) } else { sock.or(returned) }?;
    let local = entity(&sock.saddr, sock.sport);
    let remote = entity(&sock.daddr, sock.dport);
    let direction = if is_accept(&probe.function_name) {
        Direction::Ingress
    } else if probe.function_name.contains("connect") {
        Direction::Egress
    } else {
        guess_direction(&local, &remote)
    };
    let process = process(&probe.process, probe.parent.as_ref(), &probe.ancestors, node);
    Some(NetworkEvent {
        direction,
        protocol: protocol(&sock, &probe.function_name),
        local,
        remote,
        closed: probe.function_name.ends_with("_close"),
        bytes_sent: None,
        bytes_received: None,
        pod: process.pod.clone(),
        container: process.container.clone(),
        node: node.to_owned(),
        process: Some(Box::new(process)),
    })
}

/// The connection of an older line.
pub(super) fn socket(line: &Socket, call: Call, node: &str) -> NetworkEvent {
    let process = process(&line.process, line.parent.as_ref(), &line.ancestors, node);
    let mut local = entity(&line.source_ip, line.source_port);
    let mut remote = entity(&line.destination_ip, line.destination_port);
    if call == Call::Listen && local.address.is_empty() {
        local = entity(&line.ip, line.port);
    }
    remote.name = line.destination_names.first().cloned().unwrap_or_default();
    let direction = match call {
        Call::Connect => Direction::Egress,
        Call::Accept | Call::Listen => Direction::Ingress,
        Call::Close => guess_direction(&local, &remote),
    };
    let protocol = match named_protocol(&line.protocol) {
        // These lines were made for TCP alone before they had the field.
        NetworkProtocol::Unknown if line.protocol.is_empty() => NetworkProtocol::Tcp,
        named => named,
    };
    NetworkEvent {
        direction,
        protocol,
        local,
        remote,
        closed: call == Call::Close,
        bytes_sent: line.stats.as_ref().map(|stats| stats.bytes_sent),
        bytes_received: line.stats.as_ref().map(|stats| stats.bytes_received),
        pod: process.pod.clone(),
        container: process.container.clone(),
        node: node.to_owned(),
        process: Some(Box::new(process)),
    }
}

fn entity(address: &str, port: u64) -> NetworkEntity {
    let port = u16::try_from(port).unwrap_or_default();
    NetworkEntity { address: address.to_owned(), port, ..NetworkEntity::default() }
}

fn is_accept(function: &str) -> bool {
    function.contains("accept")
}

/// A closing socket does not record who opened it; a well-known port here and an ephemeral one there do.
fn guess_direction(local: &NetworkEntity, remote: &NetworkEntity) -> Direction {
    let serves_here = local.port != 0 && local.port < FIRST_EPHEMERAL_PORT;
    let asks_there = remote.port >= FIRST_EPHEMERAL_PORT;
    if serves_here && asks_there { Direction::Ingress } else { Direction::Egress }
}

fn protocol(sock: &SockArg, function: &str) -> NetworkProtocol {
    match named_protocol(&sock.protocol) {
        NetworkProtocol::Unknown if function.starts_with("tcp_") => NetworkProtocol::Tcp,
        NetworkProtocol::Unknown if function.starts_with("udp") => NetworkProtocol::Udp,
        named => named,
    }
}

fn named_protocol(name: &str) -> NetworkProtocol {
    match name.strip_prefix("IPPROTO_").unwrap_or(name) {
        "TCP" => NetworkProtocol::Tcp,
        "UDP" => NetworkProtocol::Udp,
        "SCTP" => NetworkProtocol::Sctp,
        "ICMP" | "ICMPV6" => NetworkProtocol::Icmp,
        _ => NetworkProtocol::Unknown,
    }
}
