//! The kinds of events.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an event is about; each kind has its own subject and stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Facts about an image arrived or changed.
    Image,
    /// A workload was seen, changed, or went.
    Deployment,
    /// A process started or ended.
    Process,
    /// A connection was opened, accepted or closed.
    Network,
    /// A file was opened or changed.
    File,
    /// The Kubernetes API server recorded a request.
    Audit,
    /// An admission, exec, attach or port-forward review, judged where the request is answered.
    Request,
    /// A source, a sensor or the pipeline reports what it did not deliver.
    Coverage,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Image,
        Self::Deployment,
        Self::Process,
        Self::Network,
        Self::File,
        Self::Audit,
        Self::Request,
        Self::Coverage,
    ];

    /// The kinds that live evaluators judge. Requests are judged where they are answered, and what was not delivered
    /// cannot be judged.
    pub const JUDGED: [Self; 6] =
        [Self::Image, Self::Deployment, Self::Process, Self::Network, Self::File, Self::Audit];

    /// The name as it is in subjects.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Deployment => "deployment",
            Self::Process => "process",
            Self::Network => "network",
            Self::File => "file",
            Self::Audit => "audit",
            Self::Request => "request",
            Self::Coverage => "coverage",
        }
    }

    /// The CloudEvents `type`. The version at its end changes when old readers would misunderstand new bodies.
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::Image => "io.lictor.image.v1",
            Self::Deployment => "io.lictor.deployment.v1",
            Self::Process => "io.lictor.process.v1",
            Self::Network => "io.lictor.network.v1",
            Self::File => "io.lictor.file.v1",
            Self::Audit => "io.lictor.audit.v1",
            Self::Request => "io.lictor.request.v1",
            Self::Coverage => "io.lictor.coverage.v1",
        }
    }

    pub(super) fn of_type(event_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.event_type() == event_type)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| UnknownKind { name: name.to_owned() })
    }
}

/// A name that is not an event kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKind {
    /// The name.
    pub name: String,
}

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not an event kind, one of ", self.name)?;
        for (i, kind) in Kind::ALL.into_iter().enumerate() {
            write!(f, "{}{kind}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownKind {}
