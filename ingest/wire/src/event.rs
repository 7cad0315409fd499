//! The event: a CloudEvents 1.0 JSON object on one line.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{
    AuditEvent, ClusterId, CoverageEvent, DeploymentEvent, EventId, FileEvent, ImageEvent, NetworkEvent,
    ProcessEvent, RequestEvent,
};

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
    /// An admission, exec, attach or port-forward review, judged where it was asked.
    Request,
    /// A source, a sensor or the pipeline says what it did not deliver.
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

    /// The kinds that live evaluators judge. Requests are judged where they were asked, and what was not delivered
    /// cannot be judged.
    pub const JUDGED: [Self; 6] =
        [Self::Image, Self::Deployment, Self::Process, Self::Network, Self::File, Self::Audit];

    /// The name as it stands in subjects.
    #[must_use]
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
    #[must_use]
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

    fn of_type(event_type: &str) -> Option<Self> {
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

/// A name that is no event kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKind {
    /// The name.
    pub name: String,
}

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no event kind, one of ", self.name)?;
        for (i, kind) in Kind::ALL.into_iter().enumerate() {
            write!(f, "{}{kind}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownKind {}

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

/// The attributes of an event with its body still as text: what moving events takes.
#[derive(Debug, Clone)]
pub struct Envelope<'a> {
    /// See [`Event::id`].
    pub id: EventId,
    /// See [`Event::source`].
    pub source: String,
    /// The kind its `type` names.
    pub kind: Kind,
    /// See [`Event::time`].
    pub time: Timestamp,
    /// See [`Event::cluster`].
    pub cluster: ClusterId,
    /// See [`Event::traceparent`].
    pub traceparent: Option<String>,
    /// Where the body lies when it was too large for a message.
    pub dataref: Option<String>,
    /// The body's text; absent when it lies elsewhere.
    pub data: Option<&'a RawValue>,
    /// See [`Event::extensions`].
    pub extensions: BTreeMap<String, serde_json::Value>,
}

/// Why a line is no event. Retrying the same line never helps.
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
    /// The body lies elsewhere and was not fetched.
    #[error("the body of event `{id}` lies at `{dataref}` and was not fetched")]
    Elsewhere {
        /// The event.
        id: EventId,
        /// Where its body lies.
        dataref: String,
    },
}

// === impl EventData ===

impl EventData {
    /// The kind of this body.
    #[must_use]
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

    fn decode(kind: Kind, text: &str) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            Kind::Image => Self::Image(serde_json::from_str(text)?),
            Kind::Deployment => Self::Deployment(serde_json::from_str(text)?),
            Kind::Process => Self::Process(serde_json::from_str(text)?),
            Kind::Network => Self::Network(serde_json::from_str(text)?),
            Kind::File => Self::File(serde_json::from_str(text)?),
            Kind::Audit => Self::Audit(serde_json::from_str(text)?),
            Kind::Request => Self::Request(serde_json::from_str(text)?),
            Kind::Coverage => Self::Coverage(serde_json::from_str(text)?),
        })
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
    /// When the line is no event, or its body lies elsewhere; see [`EventError`].
    pub fn parse(line: &str) -> Result<Self, EventError> {
        Envelope::parse(line)?.decode()
    }

    /// The kind of the body.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.data.kind()
    }

    /// Writes the event as one line of JSON, without the line's end.
    ///
    /// # Errors
    /// When a body cannot be written as JSON; no body that was read from JSON is of that sort.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("specversion", "1.0")?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("source", &self.source)?;
        map.serialize_entry("type", self.kind().event_type())?;
        map.serialize_entry("time", &self.time)?;
        map.serialize_entry("cluster", &self.cluster)?;
        if let Some(traceparent) = &self.traceparent {
            map.serialize_entry("traceparent", traceparent)?;
        }
        for (name, value) in &self.extensions {
            map.serialize_entry(name, value)?;
        }
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

// === impl Envelope ===

impl<'a> Envelope<'a> {
    /// Reads the attributes of one line.
    ///
    /// # Errors
    /// [`EventError::Envelope`] when it is no CloudEvents 1.0 object of a known type.
    pub fn parse(line: &'a str) -> Result<Self, EventError> {
        serde_json::from_str(line).map_err(EventError::Envelope)
    }

    /// Reads the body too.
    ///
    /// # Errors
    /// [`EventError::Body`] when the body does not fit, [`EventError::Elsewhere`] when it is not in the line.
    pub fn decode(self) -> Result<Event, EventError> {
        let Some(data) = self.data else {
            let dataref = self.dataref.unwrap_or_default();
            return Err(EventError::Elsewhere { id: self.id, dataref });
        };
        let body = match EventData::decode(self.kind, data.get()) {
            Ok(body) => body,
            Err(source) => return Err(EventError::Body { id: self.id, kind: self.kind, source }),
        };
        Ok(Event {
            id: self.id,
            source: self.source,
            time: self.time,
            cluster: self.cluster,
            traceparent: self.traceparent,
            extensions: self.extensions,
            data: body,
        })
    }

    /// The same event with its body elsewhere, as one line.
    ///
    /// # Errors
    /// When an extension cannot be written as JSON; none that was read from JSON is of that sort.
    pub fn to_line_with_dataref(&self, dataref: &str) -> Result<String, serde_json::Error> {
        self.write(None, Some(dataref))
    }

    /// The same event with the body in the line.
    ///
    /// # Errors
    /// As for [`Envelope::to_line_with_dataref`].
    pub fn to_line_with_data(&self, data: &RawValue) -> Result<String, serde_json::Error> {
        self.write(Some(data), None)
    }

    fn write(&self, data: Option<&RawValue>, dataref: Option<&str>) -> Result<String, serde_json::Error> {
        let mut out = Vec::with_capacity(512);
        let mut serializer = serde_json::Serializer::new(&mut out);
        let mut map = (&mut serializer).serialize_map(None)?;
        map.serialize_entry("specversion", "1.0")?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("source", &self.source)?;
        map.serialize_entry("type", self.kind.event_type())?;
        map.serialize_entry("time", &self.time)?;
        map.serialize_entry("cluster", &self.cluster)?;
        if let Some(traceparent) = &self.traceparent {
            map.serialize_entry("traceparent", traceparent)?;
        }
        for (name, value) in &self.extensions {
            map.serialize_entry(name, value)?;
        }
        if let Some(dataref) = dataref {
            map.serialize_entry("dataref", dataref)?;
        }
        if let Some(data) = data {
            map.serialize_entry("datacontenttype", "application/json")?;
            map.serialize_entry("data", data)?;
        }
        map.end()?;
        String::from_utf8(out).map_err(serde::de::Error::custom)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Envelope<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

/// Written by hand because a derived `flatten` cannot keep the body as borrowed text beside unknown attributes.
struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object with specversion, id, source, type, time, cluster and data")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope<'de>, A::Error> {
        use serde::de::Error;

        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "lowercase")]
        enum Attribute {
            SpecVersion,
            Id,
            Source,
            Type,
            Time,
            Cluster,
            TraceParent,
            DataContentType,
            DataRef,
            Data,
            #[serde(untagged)]
            Other(String),
        }

        let mut specversion = None::<&str>;
        let (mut id, mut source, mut event_type, mut time, mut cluster) = (None, None, None, None, None);
        let (mut traceparent, mut dataref, mut data) = (None, None, None);
        let mut extensions = BTreeMap::new();
        // A repeated attribute is refused: two readers might choose differently, and one of them would be fooled.
        macro_rules! once {
            ($slot:ident, $name:literal) => {{
                if $slot.is_some() {
                    return Err(A::Error::duplicate_field($name));
                }
                $slot = Some(map.next_value()?);
            }};
        }
        while let Some(attribute) = map.next_key()? {
            match attribute {
                Attribute::SpecVersion => once!(specversion, "specversion"),
                Attribute::Id => once!(id, "id"),
                Attribute::Source => once!(source, "source"),
                Attribute::Type => once!(event_type, "type"),
                Attribute::Time => once!(time, "time"),
                Attribute::Cluster => once!(cluster, "cluster"),
                Attribute::TraceParent => once!(traceparent, "traceparent"),
                Attribute::DataRef => once!(dataref, "dataref"),
                Attribute::Data => once!(data, "data"),
                Attribute::DataContentType => {
                    map.next_value::<IgnoredAny>()?;
                }
                Attribute::Other(name) => {
                    extensions.insert(name, map.next_value()?);
                }
            }
        }
        match specversion {
            Some("1.0") => {}
            Some(other) => return Err(A::Error::custom(format!("specversion is `{other}`, not `1.0`"))),
            None => return Err(A::Error::missing_field("specversion")),
        }
        let event_type: String = event_type.ok_or_else(|| A::Error::missing_field("type"))?;
        let kind = Kind::of_type(&event_type)
            .ok_or_else(|| A::Error::custom(format!("type `{event_type}` is none of lictor's")))?;
        if data.is_none() && dataref.is_none() {
            return Err(A::Error::missing_field("data"));
        }
        Ok(Envelope {
            id: id.ok_or_else(|| A::Error::missing_field("id"))?,
            source: source.ok_or_else(|| A::Error::missing_field("source"))?,
            kind,
            time: time.ok_or_else(|| A::Error::missing_field("time"))?,
            cluster: cluster.ok_or_else(|| A::Error::missing_field("cluster"))?,
            traceparent,
            dataref,
            data,
            extensions,
        })
    }
}
