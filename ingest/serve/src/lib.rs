//! Accepts TCP connections for the roles: limits, drain, probes.
//!
//! A role builds an [`axum::Router`] and knows what it answers; this crate knows how a server is started, bounded
//! and stopped, and nothing of events. The caller owns the listener and the stop signal, so a test can own them too:
//!
//! ```no_run
//! # async fn role(stop: impl Future<Output = ()> + Send + 'static) -> Result<(), Box<dyn std::error::Error>> {
//! let (ready, handles) = lictor_serve::readiness();
//! let synced = handles.handle("first sync");
//! let router = lictor_serve::probes(ready);
//! let listener = lictor_serve::bind(lictor_serve::loopback_only("127.0.0.1:9090".parse()?, false)?).await?;
//! drop(handles);
//! drop(synced); // ready: every part has dropped its handle
//! lictor_serve::run(listener, router, stop, lictor_serve::DRAIN).await;
//! # Ok(()) }
//! ```

mod body;
mod budget;
mod connections;
mod limits;
mod listen;
mod probes;
mod run;
pub mod tls;

pub use body::{BodyError, BodyLimits, BodyReader, append, read_body};
pub use budget::{Bound, Budget, BudgetLimits, Exceeded, Share};
pub use limits::{Limits, limited};
pub use listen::{BindError, NotLoopback, bind, loopback_only};
pub use probes::{Handle, Handles, Ready, probes, readiness};
pub use run::{DRAIN, Drained, run};
