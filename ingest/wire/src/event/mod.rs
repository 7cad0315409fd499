//! The event: a CloudEvents 1.0 JSON object on one line.

mod envelope;
mod kind;
mod projection;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::{DeserializeSeed, MapAccess};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

pub use envelope::Envelope;
use envelope::{ReadBody, Written};
pub use kind::{Kind, UnknownKind};
pub use projection::Projection;

use crate::{
    AuditEvent, ClusterId, CoverageEvent, DeploymentEvent, EventId, FileEvent, Fingerprint, ImageEvent,
    NetworkEvent, ProcessEvent, RequestEvent,
};

/// Something that happened: published once, never changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Made from the source's own identity, so a retry has the same id.
    pub id: EventId,
    /// Where it came from, as a URI reference: `/audit/webhook`, `/tetragon/node-1`.
    pub source: String,
    /// When it happened, by the source's clock.
    pub time: Timestamp,
    /// The cluster it happened on.
    pub cluster: ClusterId,
    /// W3C trace context, when the source has one.
    pub traceparent: Option<String>,
    /// Attributes this version does not know, kept as they came.
    pub extensions: BTreeMap<String, serde_json::Value>,
    /// What happened.
    pub data: EventData,
}

/// The body of an event, one variant per [`Kind`].
#[derive(Debug, Clone, PartialEq)]
pub enum EventData {
    /// See [`Kind::Image`].
    Image(Box<ImageEvent>),
    /// See [`Kind::Deployment`].
    Deployment(Box<DeploymentEvent>),
    /// See [`Kind::Process`].
    Process(Box<ProcessEvent>),
    /// See [`Kind::Network`].
    Network(Box<NetworkEvent>),
    /// See [`Kind::File`].
    File(Box<FileEvent>),
    /// See [`Kind::Audit`].
    Audit(Box<AuditEvent>),
    /// See [`Kind::Request`].
    Request(Box<RequestEvent>),
    /// See [`Kind::Coverage`].
    Coverage(Box<CoverageEvent>),
}

/// Why a line is not an event. Retrying the same line never helps.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not a CloudEvents 1.0 object, or an attribute is missing or of the wrong type.
    #[error("not a CloudEvents 1.0 event: {0}")]
    Envelope(#[source] serde_json::Error),
    /// The body does not fit the event's type.
    #[error("the body of {kind} event `{id}` cannot be read: {source}")]
    Body {
        /// The event.
        id: EventId,
        /// Its kind.
        kind: Kind,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// The body was offloaded and not fetched.
    #[error("the body of event `{id}` is at `{dataref}` and was not fetched")]
    Offloaded {
        /// The event.
        id: EventId,
        /// Where its body is.
        dataref: String,
    },
}

// === impl EventData ===

impl EventData {
    /// The kind of this body.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Image(_) => Kind::Image,
            Self::Deployment(_) => Kind::Deployment,
            Self::Process(_) => Kind::Process,
            Self::Network(_) => Kind::Network,
            Self::File(_) => Kind::File,
            Self::Audit(_) => Kind::Audit,
            Self::Request(_) => Kind::Request,
            Self::Coverage(_) => Kind::Coverage,
        }
    }

    /// Reads a body whose kind is known.
    fn read<'de, D: Deserializer<'de>>(kind: Kind, body: D) -> Result<Self, D::Error> {
        Ok(match kind {
            Kind::Image => Self::Image(Deserialize::deserialize(body)?),
            Kind::Deployment => Self::Deployment(Deserialize::deserialize(body)?),
            Kind::Process => Self::Process(Deserialize::deserialize(body)?),
            Kind::Network => Self::Network(Deserialize::deserialize(body)?),
            Kind::File => Self::File(Deserialize::deserialize(body)?),
            Kind::Audit => Self::Audit(Deserialize::deserialize(body)?),
            Kind::Request => Self::Request(Deserialize::deserialize(body)?),
            Kind::Coverage => Self::Coverage(Deserialize::deserialize(body)?),
        })
    }

    fn decode(kind: Kind, text: &str) -> Result<Self, serde_json::Error> {
        Self::read(kind, &mut serde_json::Deserializer::from_str(text))
    }
}

/// A body as it was met: read at once where the kind stood before it, as it does in what lictor writes.
enum Body<'a> {
    Read(EventData),
    Text(&'a RawValue),
}

impl<'de> ReadBody<'de> for Body<'de> {
    fn read<A: MapAccess<'de>>(kind: Option<Kind>, map: &mut A) -> Result<Self, A::Error> {
        match kind {
            Some(kind) => map.next_value_seed(BodyOf(kind)).map(Self::Read),
            None => map.next_value().map(Self::Text),
        }
    }
}

/// Reads the body of an event of this kind.
struct BodyOf(Kind);

impl<'de> DeserializeSeed<'de> for BodyOf {
    type Value = EventData;

    fn deserialize<D: Deserializer<'de>>(self, body: D) -> Result<EventData, D::Error> {
        EventData::read(self.0, body)
    }
}

impl Serialize for EventData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Image(body) => body.serialize(serializer),
            Self::Deployment(body) => body.serialize(serializer),
            Self::Process(body) => body.serialize(serializer),
            Self::Network(body) => body.serialize(serializer),
            Self::File(body) => body.serialize(serializer),
            Self::Audit(body) => body.serialize(serializer),
            Self::Request(body) => body.serialize(serializer),
            Self::Coverage(body) => body.serialize(serializer),
        }
    }
}

// === impl Event ===

impl Event {
    /// Reads an event whose body is in the line.
    ///
    /// # Errors
    /// When the line is not an event, or its body was offloaded; see [`EventError`].
    pub fn parse(line: &str) -> Result<Self, EventError> {
        let Ok(envelope) = Envelope::<Body<'_>>::read(line) else {
            // The longer way tells whether it is the envelope that is wrong, or the body.
            return Envelope::parse(line)?.decode();
        };
        let Envelope { id, source, kind, time, cluster, traceparent, dataref, data, extensions } = envelope;
        let data = match data {
            Some(Body::Read(data)) => {
                return Ok(Self { id, source, time, cluster, traceparent, extensions, data });
            }
            Some(Body::Text(data)) => Some(data),
            None => None,
        };
        Envelope { id, source, kind, time, cluster, traceparent, dataref, data, extensions }.decode()
    }

    /// The kind of the body.
    pub const fn kind(&self) -> Kind {
        self.data.kind()
    }

    /// The id that ingest assigns to an event from an external producer: a hash of its cluster, source, id and body.
    /// The producer chose the original id and may have used it for two events; the same event sent again is assigned
    /// the same id.
    ///
    /// # Errors
    /// When the body cannot be written as JSON; one that was read from JSON always can.
    pub fn outside_id(&self) -> Result<EventId, serde_json::Error> {
        let body = serde_json::to_string(&self.data)?;
        let id = Fingerprint::new("event").part(&self.cluster).part(&self.source).part(&self.id);
        Ok(id.part(self.kind().as_str()).part(body).into())
    }

    /// Writes the event as one line of JSON, without the line's end.
    ///
    /// # Errors
    /// When a body cannot be written as JSON; one that was read from JSON always can.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = Written {
            id: &self.id,
            source: &self.source,
            kind: self.kind(),
            time: &self.time,
            cluster: &self.cluster,
            traceparent: self.traceparent.as_deref(),
            extensions: &self.extensions,
        };
        let mut map = written.begin(serializer)?;
        map.serialize_entry("datacontenttype", "application/json")?;
        map.serialize_entry("data", &self.data)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(text.get()).map_err(serde::de::Error::custom)
    }
}
