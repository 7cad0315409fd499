//! The API server's audit records: `audit.k8s.io/v1` `Event` and `EventList`, and the coats clouds put around them.
//!
//! A record's identity is its `auditID` and its stage: the same request is recorded once per stage, and a retry of
//! the webhook repeats records. Every stage is an event, `RequestReceived` too; which of them count is for policies.

mod unwrap;

use jiff::Timestamp;
use lictor_wire::{AuditEvent, AuditStage, Event, EventData, EventId, Fingerprint};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Origin;
use crate::path::on_one_line;

/// What came of one text: a line or a webhook's body.
#[derive(Debug, Default)]
pub struct Batch {
    /// Its records, as events.
    pub events: Vec<Event>,
    /// Items that are no records. Their neighbours are not affected.
    pub rejected: Vec<Rejected>,
}

/// An item that is no record.
#[derive(Debug)]
pub struct Rejected {
    /// Its position in the list, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub error: AuditError,
    /// The item as it came.
    pub original: String,
}

/// Why a text holds no audit records.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Not JSON, or a field of the wrong type.
    #[error("not an audit record: {0}")]
    Json(#[source] serde_json::Error),
    /// JSON, but of something else.
    #[error("{found} is not an audit record")]
    SomethingElse {
        /// What it says it is.
        found: String,
    },
}

impl AuditError {
    /// Line and column in the text at which reading stopped, from 1; `None` when all of it is meant.
    #[must_use]
    pub fn position(&self) -> Option<(usize, usize)> {
        match self {
            Self::Json(error) => Some((error.line(), error.column())),
            Self::SomethingElse { .. } => None,
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Json(_) => "an audit log holds one JSON object per line; a webhook posts an EventList",
            Self::SomethingElse { .. } => {
                "expected `audit.k8s.io/v1` Event or EventList, an Azure diagnostic record of category \
                 `kube-audit`, or a CloudWatch record of an EKS audit log"
            }
        }
    }
}

/// Reads a text that holds audit records: one record, a list of them, or either in a cloud's coat.
///
/// # Errors
/// When it is none of these. A list with bad items is read; they are in [`Batch::rejected`].
pub fn read(text: &str, origin: &Origin) -> Result<Batch, AuditError> {
    let mut batch = Batch::default();
    // Most texts are bare records or lists; only what is neither is looked at for a coat.
    let first = match read_bare(text, origin, &mut batch) {
        Ok(()) => return Ok(batch),
        Err(error @ AuditError::Json(_)) => return Err(error),
        Err(error) => error,
    };
    let Some(inner) = unwrap::unwrap(text) else { return Err(first) };
    for (index, text) in inner.into_iter().enumerate() {
        if let Err(error) = read_bare(&text, origin, &mut batch) {
            batch.rejected.push(Rejected { index, error, original: text.into_owned() });
        }
    }
    Ok(batch)
}

/// What tells a record from a list from something else, without reading bodies.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline<'a> {
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    api_version: Option<String>,
    #[serde(borrow, default)]
    items: Option<&'a RawValue>,
    #[serde(rename = "auditID", default)]
    audit_id: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    stage: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    verb: Option<serde::de::IgnoredAny>,
    #[serde(rename = "requestURI", default)]
    request_uri: Option<serde::de::IgnoredAny>,
}

impl Outline<'_> {
    /// Real files leave `kind` and `apiVersion` out; what is there must fit.
    fn is(&self, kind: &str) -> bool {
        self.kind.as_deref().is_none_or(|found| found == kind)
            && self.api_version.as_deref().is_none_or(|found| found.starts_with("audit.k8s.io/"))
    }

    fn is_record(&self) -> bool {
        let marks =
            [self.audit_id.is_some(), self.stage.is_some(), self.verb.is_some(), self.request_uri.is_some()];
        // Two marks: `stage` or `verb` alone stands in many a JSON object.
        self.is("Event") && marks.into_iter().filter(|mark| *mark).count() >= 2
    }

    fn named(&self) -> AuditError {
        let found = match (&self.kind, &self.api_version) {
            (Some(kind), Some(version)) => format!("`{version}` `{kind}`"),
            (Some(kind), None) => format!("`{kind}`"),
            (None, Some(version)) => format!("an object of `{version}`"),
            (None, None) => "an object without auditID, stage, verb and requestURI".to_owned(),
        };
        AuditError::SomethingElse { found }
    }
}

fn outline(text: &str) -> Result<Outline<'_>, AuditError> {
    // serde takes an array for a struct with its fields in order; nobody means that.
    if text.trim_start().starts_with('[') {
        return Err(AuditError::SomethingElse { found: "an array".to_owned() });
    }
    serde_json::from_str(text).map_err(AuditError::Json)
}

fn read_bare(text: &str, origin: &Origin, batch: &mut Batch) -> Result<(), AuditError> {
    let outline = outline(text)?;
    if outline.is_record() {
        batch.events.push(record(text, origin)?);
        return Ok(());
    }
    // A list that says it is one may be empty, which Go writes as null.
    let is_list = outline.is("EventList") && (outline.items.is_some() || outline.kind.is_some());
    if !is_list {
        return Err(outline.named());
    }
    let items = outline.items.map_or("[]", RawValue::get);
    let items: Vec<&RawValue> = serde_json::from_str(items).map_err(AuditError::Json)?;
    for (index, item) in items.into_iter().enumerate() {
        match read_item(item.get(), origin) {
            Ok(event) => batch.events.push(event),
            Err(error) => {
                batch.rejected.push(Rejected { index, error, original: item.get().to_owned() });
            }
        }
    }
    Ok(())
}

fn read_item(text: &str, origin: &Origin) -> Result<Event, AuditError> {
    let outline = outline(text)?;
    if outline.is_record() { record(text, origin) } else { Err(outline.named()) }
}

fn record(text: &str, origin: &Origin) -> Result<Event, AuditError> {
    let text = on_one_line(text);
    let record: AuditEvent = serde_json::from_str(&text).map_err(AuditError::Json)?;
    let id = id(&record, &text, origin);
    let time: Option<Timestamp> = record.stage_timestamp.or(record.request_received_timestamp);
    Ok(origin.event(id, time, EventData::Audit(Box::new(record))))
}

fn id(record: &AuditEvent, text: &str, origin: &Origin) -> EventId {
    let fingerprint = Fingerprint::new("audit").part(&origin.cluster);
    if record.audit_id.is_empty() {
        return fingerprint.part(text.trim()).into();
    }
    let stage = match &record.stage {
        AuditStage::RequestReceived => "RequestReceived",
        AuditStage::ResponseStarted => "ResponseStarted",
        AuditStage::ResponseComplete => "ResponseComplete",
        AuditStage::Panic => "Panic",
        AuditStage::Other(stage) => stage,
    };
    fingerprint.part(&record.audit_id).part(stage).into()
}
