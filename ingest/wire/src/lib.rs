//! The types and names that cross process boundaries in lictor, and nothing else.
//!
//! Services publish [`Event`]s; evaluators turn them into [`Verdict`]s; the enforcer answers violations with
//! [`Receipt`]s; people send [`Command`]s and write [`Policy`] documents. All of them are exchanged on subjects whose
//! names, streams and limits are in one table, [`topology`].
//!
//! This crate is pure: no I/O, no clock, no panic on any input. It must not know what NATS, Kubernetes' API or
//! a database is; it knows JSON and names.
//!
//! An event is a CloudEvents 1.0 object on one line. Reading one takes two steps, because whoever only moves
//! events (packs, parks, replays) has no use for the typed body:
//!
//! ```
//! use lictor_wire::{Envelope, EventData};
//!
//! let line = r#"{"specversion":"1.0","id":"e1","source":"/tetragon/node-1","type":"io.lictor.process.v1",
//!   "time":"2026-01-02T03:04:05Z","cluster":"c1","data":{"action":"EXEC","name":"bash","execFilePath":"/bin/bash"}}"#;
//! let envelope = Envelope::parse(line)?;
//! assert_eq!(envelope.id.as_str(), "e1");
//! let event = envelope.decode()?;
//! assert!(matches!(event.data, EventData::Process(p) if p.name == "bash"));
//! # Ok::<(), lictor_wire::EventError>(())
//! ```

mod audit;
mod baseline;
mod bounded;
mod command;
mod coverage;
mod dead_letter;
mod deployment;
mod event;
mod file;
mod id;
mod image;
mod json;
mod masking;
mod named;
mod network;
mod pod;
pub mod policy;
mod policy_log;
mod presence;
mod process;
mod receipt;
mod request;
pub mod token;
pub mod topology;
mod verdict;

pub use audit::{AuditEvent, AuditStage, ObjectReference, UserInfo};
pub use baseline::{Baseline, ConnectionBaseline, Peer, ProcessBaseline};
pub use bounded::{Bounded, TooMany};
pub use command::{Command, CommandAction, ReassessScope};
pub use coverage::{CoverageEvent, CoverageNotice};
pub use dead_letter::DeadLetter;
pub use deployment::{
    AppliedNetworkPolicies, Container, ContainerConfig, ContainerImage, ContainerPort, ContainerType,
    Deployment, DeploymentChange, DeploymentEvent, EnvSource, EnvVar, Exposure, ExposureLevel, LabelSelector,
    LabelSelectorRequirement, MountPropagation, NetworkPolicyRef, OwnerReference, PermissionLevel, Port,
    Probe, Resources, SeccompProfile, SeccompProfileType, SecurityContext, SelinuxOptions, Toleration,
    Volume,
};
pub use event::{Envelope, Event, EventData, EventError, Kind, Projection, UnknownKind};
pub use file::{FileEvent, FileOperation, FilePaths};
pub use id::{
    ActionKey, AlertId, ClusterId, CommandId, DeploymentId, EventId, Fingerprint, InstallationId, PodId,
    PolicyId, ReceiptId, TransactionId, VerdictId, ViolationId,
};
pub use image::{
    CosignVerification, ImageComponent, ImageEvent, ImageFacts, ImageLayer, ImageMetadata, ImageName,
    ImageScan, VerificationStatus, Vulnerability, VulnerabilitySeverity, VulnerabilityState,
};
pub use json::RawJson;
pub use masking::{mask, masked};
pub use network::{Direction, NetworkEntity, NetworkEvent, NetworkProtocol};
pub use pod::{ContainerRef, PodContainer, PodRecord, PodRef, WorkloadRef};
pub use policy::{Policy, PolicyChange, PolicyDocument};
pub use policy_log::{InstallationDocument, PolicyLogKey, PolicyLogReader, SubjectToken};
pub use presence::{
    ClusterRecord, NamespaceRecord, NotCompiled, PolicyProblems, Presence, RefusedRevision, SourceCheckpoint,
};
pub use process::{Ancestor, ProcessAction, ProcessEvent};
pub use receipt::{Decision, Outcome, Receipt, ReceiptStep, Refusal};
pub use request::{Admission, RequestAnswer, RequestEvent, RequestOperation};
pub use verdict::{
    Cause, Entity, EventRef, Evidence, PolicyFailure, PolicyRef, Revisions, SectionMatch, Undecided, Verdict,
    Violation,
};
