//! The attributes of an event, with its body as raw JSON text or as a decoded type.

mod read;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serializer;
use serde::de::MapAccess;
use serde::ser::SerializeMap;
use serde_json::value::RawValue;

pub(super) use read::ReadBody;

use super::{Event, EventData, EventError, Kind};
use crate::{ClusterId, EventId};

/// The attributes of an event. Its body stays raw JSON (`&RawValue`) for code that only passes events on: see
/// [`Envelope::parse`].
#[derive(Debug, Clone)]
pub struct Envelope<B> {
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
    /// Where the body is when it was too large for a message.
    pub dataref: Option<String>,
    /// The body; absent only where there is a `dataref`.
    pub data: Option<B>,
    /// See [`Event::extensions`].
    pub extensions: BTreeMap<String, serde_json::Value>,
}

impl<'a> Envelope<&'a RawValue> {
    /// Reads the attributes of one line.
    ///
    /// # Errors
    /// [`EventError::Envelope`] when it is not a CloudEvents 1.0 object of a known type.
    pub fn parse(line: &'a str) -> Result<Self, EventError> {
        Self::read(line).map_err(EventError::Envelope)
    }

    /// Reads the body too.
    ///
    /// # Errors
    /// [`EventError::Body`] when the body does not fit, [`EventError::Offloaded`] when it is not in the line.
    pub fn decode(self) -> Result<Event, EventError> {
        let Some(data) = self.data else {
            let dataref = self.dataref.unwrap_or_default();
            return Err(EventError::Offloaded { id: self.id, dataref });
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
    /// When an extension cannot be written as JSON; one that was read from JSON always can.
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
        let written = Written {
            id: &self.id,
            source: &self.source,
            kind: self.kind,
            time: &self.time,
            cluster: &self.cluster,
            traceparent: self.traceparent.as_deref(),
            extensions: &self.extensions,
        };
        let mut map = written.begin(&mut serializer)?;
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

/// The attributes of an event that is written.
pub(super) struct Written<'a> {
    pub(super) id: &'a EventId,
    pub(super) source: &'a str,
    pub(super) kind: Kind,
    pub(super) time: &'a Timestamp,
    pub(super) cluster: &'a ClusterId,
    pub(super) traceparent: Option<&'a str>,
    pub(super) extensions: &'a BTreeMap<String, serde_json::Value>,
}

impl Written<'_> {
    /// Starts serializing an event; its `data` or `dataref` must follow.
    pub(super) fn begin<S: Serializer>(&self, serializer: S) -> Result<S::SerializeMap, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("specversion", "1.0")?;
        map.serialize_entry("id", self.id)?;
        map.serialize_entry("source", self.source)?;
        map.serialize_entry("type", self.kind.event_type())?;
        map.serialize_entry("time", self.time)?;
        map.serialize_entry("cluster", self.cluster)?;
        if let Some(traceparent) = self.traceparent {
            map.serialize_entry("traceparent", traceparent)?;
        }
        for (name, value) in self.extensions {
            map.serialize_entry(name, value)?;
        }
        Ok(map)
    }
}

impl<'de> ReadBody<'de> for &'de RawValue {
    fn read<A: MapAccess<'de>>(_: Option<Kind>, map: &mut A) -> Result<Self, A::Error> {
        map.next_value()
    }
}
