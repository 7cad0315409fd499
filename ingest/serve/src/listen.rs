//! Where a server listens.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// An address that could not be listened on. Nothing was started; start again when the hint is followed.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on `{address}`: {source}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl BindError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::AddrInUse => "another process has the port: stop it, or choose another port",
            io::ErrorKind::PermissionDenied => "ports below 1024 need privileges: choose a higher one",
            io::ErrorKind::AddrNotAvailable => {
                "no network interface has the address: use 127.0.0.1, or one of this machine's"
            }
            _ => "choose another address",
        }
    }
}

/// A non-loopback address where only loopback is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{address}` can be reached from other machines")]
pub struct NotLoopback {
    /// The address.
    pub address: SocketAddr,
}

impl NotLoopback {
    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        "listen on 127.0.0.1, or say explicitly that others may connect and protect the port with a network policy"
    }
}

/// Starts to listen. Port 0 takes a free one; the listener knows which.
///
/// # Errors
/// When the system refuses the address.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { address, source })
}

/// Lets an address through that only this machine reaches, and any other only where it is explicitly allowed.
///
/// # Errors
/// When others can reach the address and that is not allowed.
pub const fn loopback_only(address: SocketAddr, allowed: bool) -> Result<SocketAddr, NotLoopback> {
    if allowed || address.ip().is_loopback() { Ok(address) } else { Err(NotLoopback { address }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_says_what_to_do() {
        let first = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let error = bind(first.local_addr().unwrap()).await.unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        assert!(error.hint().contains("port"));
    }

    #[test]
    fn only_loopback_passes_unasked() {
        for (address, passes) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("192.0.2.1:1", false),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(loopback_only(address, false).is_ok(), passes, "{address}");
            assert!(loopback_only(address, true).is_ok());
        }
    }
}
