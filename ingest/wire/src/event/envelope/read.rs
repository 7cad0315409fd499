//! Reading the attributes of an event in one pass, with its body read in the form chosen by the caller.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::super::Kind;
use super::Envelope;
use crate::json::TextVisitor;

/// How the body is deserialized when the reader reaches it.
pub(in super::super) trait ReadBody<'de>: Sized {
    /// Reads it; the kind is not known where the body comes before the type.
    fn read<A: MapAccess<'de>>(kind: Option<Kind>, map: &mut A) -> Result<Self, A::Error>;
}

impl<B> Envelope<B> {
    /// Reads one line.
    pub(in super::super) fn read<'de>(line: &'de str) -> Result<Self, serde_json::Error>
    where
        B: ReadBody<'de>,
    {
        let mut json = serde_json::Deserializer::from_str(line);
        let envelope = json.deserialize_map(EnvelopeVisitor(PhantomData))?;
        json.end()?;
        Ok(envelope)
    }
}

/// Written by hand because a derived `flatten` would make a copy of every value on its way, the body included.
struct EnvelopeVisitor<B>(PhantomData<B>);

impl<'de, B: ReadBody<'de>> Visitor<'de> for EnvelopeVisitor<B> {
    type Value = Envelope<B>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object with specversion, id, source, type, time, cluster and data")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope<B>, A::Error> {
        let (mut specversion, mut event_type) = (None::<SpecVersion>, None::<EventType>);
        let (mut id, mut source, mut time, mut cluster) = (None, None, None, None);
        let (mut traceparent, mut dataref, mut data) = (None, None, None);
        let mut extensions = BTreeMap::new();
        // A repeated attribute is refused: two readers might choose differently, and one of them would be fooled.
        macro_rules! once {
            ($slot:ident, $name:literal, $value:expr) => {{
                if $slot.is_some() {
                    return Err(A::Error::duplicate_field($name));
                }
                $slot = Some($value);
            }};
        }
        while let Some(attribute) = map.next_key()? {
            match attribute {
                Attribute::SpecVersion => once!(specversion, "specversion", map.next_value()?),
                Attribute::Id => once!(id, "id", map.next_value()?),
                Attribute::Source => once!(source, "source", map.next_value()?),
                Attribute::Type => once!(event_type, "type", map.next_value()?),
                Attribute::Time => once!(time, "time", map.next_value()?),
                Attribute::Cluster => once!(cluster, "cluster", map.next_value()?),
                Attribute::TraceParent => once!(traceparent, "traceparent", map.next_value()?),
                Attribute::DataRef => once!(dataref, "dataref", map.next_value()?),
                Attribute::Data => {
                    let kind = event_type.as_ref().and_then(|it| it.0.as_ref().ok().copied());
                    once!(data, "data", B::read(kind, &mut map)?);
                }
                Attribute::DataContentType => {
                    map.next_value::<IgnoredAny>()?;
                }
                Attribute::Other(name) => {
                    extensions.insert(name, map.next_value()?);
                }
            }
        }
        match specversion.ok_or_else(|| A::Error::missing_field("specversion"))?.0 {
            Ok(()) => {}
            Err(other) => return Err(A::Error::custom(format!("specversion is `{other}`, not `1.0`"))),
        }
        let kind = event_type.ok_or_else(|| A::Error::missing_field("type"))?.0;
        let kind =
            kind.map_err(|other| A::Error::custom(format!("type `{other}` is not a lictor event type")))?;
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

/// The name of an attribute.
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
    Other(String),
}

/// The one that is understood, or what is there.
struct SpecVersion(Result<(), String>);

/// A kind of ours, or what is there.
struct EventType(Result<Kind, String>);

impl<'de> Deserialize<'de> for Attribute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(TextVisitor(|name| match name {
            "specversion" => Self::SpecVersion,
            "id" => Self::Id,
            "source" => Self::Source,
            "type" => Self::Type,
            "time" => Self::Time,
            "cluster" => Self::Cluster,
            "traceparent" => Self::TraceParent,
            "datacontenttype" => Self::DataContentType,
            "dataref" => Self::DataRef,
            "data" => Self::Data,
            other => Self::Other(other.to_owned()),
        }))
    }
}

impl<'de> Deserialize<'de> for SpecVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor(|text| {
            Self(if text == "1.0" { Ok(()) } else { Err(text.to_owned()) })
        }))
    }
}

impl<'de> Deserialize<'de> for EventType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_str(TextVisitor(|text| Self(Kind::of_type(text).ok_or_else(|| text.to_owned()))))
    }
}
