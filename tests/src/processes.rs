//! What every test needs that starts processes: addresses nobody listens on, and an end for a child.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Child;

/// A port of 127.0.0.1 nobody listens on right now. Somebody else may take it at any time.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    let [port] = free_ports();
    port
}

/// An address on loopback nobody listens on right now. Somebody else may take it at any time.
///
/// # Panics
/// When there is none.
pub fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}

/// Different ports nobody listens on right now.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    // All are held until the last is known, or one could come twice.
    let listeners: [TcpListener; N] = std::array::from_fn(|_| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap_or_else(|error| stop(&format!("no free port: {error}")))
    });
    listeners.each_ref().map(|listener| {
        let address = listener.local_addr();
        address.map_or_else(|error| stop(&format!("no free port: {error}")), |address| address.port())
    })
}

/// Ends a child at once (SIGKILL), as a crash would, and waits until it is gone.
pub fn end(child: &mut Child) {
    // Both fail only for a process that is gone already.
    let _ = child.kill();
    let _ = child.wait();
}

/// Fails the test.
#[expect(clippy::panic, reason = "a harness fails its test by panicking, with a message for people")]
pub(crate) fn stop(message: &str) -> ! {
    panic!("{message}")
}
