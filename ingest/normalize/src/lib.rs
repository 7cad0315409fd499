//! Turns what outside systems write into events, without any I/O.
//!
//! [`Format`] is the one table of outside formats: it detects them, and with an [`Origin`] it makes
//! [`Event`](lictor_wire::Event)s of a text, or an error with its place and a hint. Manifests explain each
//! other and are read together, by [`manifest`]; reviews of the API server by [`admission`]. Nothing here opens a
//! file, reads a clock or knows a queue: the same bytes give the same events, ids included, on every machine and at
//! every repetition. That is what makes a source's retry harmless.
//!
//! Machines are read leniently: a field nobody here knows changes nothing, a kind nobody here knows is kept whole as
//! a gap in what is seen. What cannot be understood is an error for that line alone.
//!
//! ```
//! use lictor_normalize::{Batch, Format, Origin};
//! use lictor_wire::ClusterId;
//!
//! let origin = Origin {
//!     cluster: ClusterId::new("c1"),
//!     source: "/audit/webhook".to_owned(),
//!     received: "2026-01-02T03:04:05Z".parse()?,
//! };
//! let line = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a1","stage":"ResponseComplete",
//!     "verb":"get","requestURI":"/api/v1/namespaces/pay/secrets/db","stageTimestamp":"2026-01-02T03:04:05.5Z"}"#;
//! let mut batch = Batch::default();
//! Format::detect(line)?.read(line, &origin, &mut batch)?;
//! Format::Audit.read(line, &origin, &mut batch)?;
//! assert_eq!(batch.events[0].id, batch.events[1].id);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod admission;
mod audit;
mod format;
pub mod json;
pub mod manifest;
mod origin;
mod path;
mod tetragon;
pub mod yaml;

pub use format::{Batch, Format, FormatError, MOST_ITEMS, Rejected};
pub use origin::Origin;
