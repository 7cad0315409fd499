//! The harness of the tests that need two rooms or a real server.
//!
//! [`NatsServer`] is a real nats-server with JetStream, one per test, on a free loopback port, in a directory of
//! its own, gone when it is dropped. It can be killed as a power cut would and started again on the same port.
//!
//! [`ControlPlane`] is a real Kubernetes control plane, with a [`Kubelet`] that stands in for a node.
//!
//! Beside them is what tests that start processes share, and a TLS client.
//!
//! This crate knows no other crate of the project, so every one of them can use it in its tests.

mod control_plane;
mod nats;
mod processes;
mod tls;

pub use control_plane::{Answered, ControlPlane, ControlPlaneOptions, Kubelet};
pub use nats::{NatsOptions, NatsServer};
pub use processes::{end, free_address, free_port};
pub use tls::connect_trusting;
