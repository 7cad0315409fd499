//! Turns what outside systems write into events, without any I/O.
//!
//! One module per outside format; each takes text and an [`Origin`] and gives [`Event`](lictor_wire::Event)s or an
//! error that says where, what and what to do. Nothing here opens a file, reads a clock or knows a queue: the same
//! bytes give the same events, ids included, on every machine and at every repetition. That is what makes a
//! source's retry harmless.
//!
//! Machines are read leniently: a field nobody here knows changes nothing, a kind nobody here knows is kept whole as
//! a gap in what is seen. What cannot be understood is an error for that line alone.
//!
//! ```
//! use lictor_normalize::{Origin, audit};
//! use lictor_wire::ClusterId;
//!
//! let origin = Origin {
//!     cluster: ClusterId::new("c1"),
//!     source: "/audit/webhook".to_owned(),
//!     received: "2026-01-02T03:04:05Z".parse()?,
//! };
//! let line = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a1","stage":"ResponseComplete",
//!     "verb":"get","requestURI":"/api/v1/namespaces/pay/secrets/db","stageTimestamp":"2026-01-02T03:04:05.5Z"}"#;
//! let batch = audit::read(line, &origin)?;
//! assert_eq!(batch.events.len(), 1);
//! assert_eq!(batch.events[0].id, audit::read(line, &origin)?.events[0].id);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod admission;
pub mod audit;
pub mod line;
pub mod manifest;
mod origin;
mod path;
pub mod tetragon;

pub use origin::Origin;
