//! The kinds of events.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

crate::named_enum! {
    /// What an event is about; each kind has its own subject and stream. The names are those in subjects.
    #[derive(Hash, PartialOrd, Ord, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Kind {
        /// Facts about an image arrived or changed.
        Image = "image",
        /// A workload was seen, changed or deleted.
        Deployment = "deployment",
        /// A process started or ended.
        Process = "process",
        /// A connection was opened, accepted or closed.
        Network = "network",
        /// A file was opened or changed.
        File = "file",
        /// The Kubernetes API server recorded a request.
        Audit = "audit",
        /// An admission, exec, attach or port-forward review, judged where the request is answered.
        Request = "request",
        /// A source, a sensor or the pipeline reports what it did not deliver.
        Coverage = "coverage",
    }
}

impl Kind {
    /// The kinds that live evaluators judge. Requests are judged at admission, where they are answered; coverage events
    /// report what was not delivered, which cannot be judged.
    pub const JUDGED: [Self; 6] =
        [Self::Image, Self::Deployment, Self::Process, Self::Network, Self::File, Self::Audit];

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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not an event kind, one of {}", Kind::ALL.map(Kind::as_str).join(", "))]
pub struct UnknownKind {
    /// The name.
    pub name: String,
}
