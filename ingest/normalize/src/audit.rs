//! The API server's audit records: `audit.k8s.io/v1` `Event` and `EventList`, and the wrappers that clouds put around them.
//!
//! The client chooses a record's `auditID` (by the request header `Audit-ID`), so it is no identity by itself: an
//! event's id is made of all that the server states about a request and its stage. Bodies and annotations are left
//! out, because the log and the webhook may cut them differently; so the same record has one id by either of them, in
//! a retry and in a cloud's wrapper. Every stage is an event, `RequestReceived` too; which of them count is for
//! policies.

mod secrets;
mod unwrap;

use jiff::Timestamp;
use lictor_wire::{
    AuditEvent, Bounded, Event, EventData, EventId, Fingerprint, ObjectReference, TooMany, UserInfo,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::path::on_one_line;
use crate::{Batch, Format, FormatError, MOST_ITEMS, Origin};

pub(crate) use secrets::without_bodies;

/// Reads a text that holds audit records: one record, a list of them, or either in a cloud's wrapper.
pub(crate) fn read(text: &str, origin: &Origin, batch: &mut Batch) -> Result<(), FormatError> {
    // Most texts are bare records or lists; only what is neither is searched for a wrapper.
    let first = match read_bare(text, origin, batch) {
        Err(error @ FormatError::OtherKind { .. }) => error,
        read => return read,
    };
    let Some(inner) = unwrap::unwrap(text)? else { return Err(first) };
    for (index, text) in inner.into_iter().enumerate() {
        match read_bare(&text, origin, batch) {
            Ok(()) => {}
            Err(error @ FormatError::TooMany(_)) => return Err(error),
            Err(error) => batch.reject(index, error, &without_bodies(&text)),
        }
    }
    Ok(())
}

fn syntax(error: serde_json::Error) -> FormatError {
    FormatError::Syntax { format: Format::Audit, error }
}

fn other_kind(found: &str) -> FormatError {
    FormatError::OtherKind { format: Format::Audit, message: format!("{found} is not an audit record") }
}

/// What distinguishes a record, a list and something else, without reading bodies.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline<'a> {
    kind: Option<String>,
    api_version: Option<String>,
    #[serde(borrow)]
    items: Option<&'a RawValue>,
    #[serde(rename = "auditID")]
    audit_id: Option<serde::de::IgnoredAny>,
    stage: Option<serde::de::IgnoredAny>,
    verb: Option<serde::de::IgnoredAny>,
    #[serde(rename = "requestURI")]
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
        // Two marks: `stage` or `verb` alone is in many a JSON object.
        self.is("Event") && marks.into_iter().filter(|mark| *mark).count() >= 2
    }

    fn named(&self) -> FormatError {
        let found = match (&self.kind, &self.api_version) {
            (Some(kind), Some(version)) => format!("`{version}` `{kind}`"),
            (Some(kind), None) => format!("`{kind}`"),
            (None, Some(version)) => format!("an object of `{version}`"),
            (None, None) => "an object without auditID, stage, verb and requestURI".to_owned(),
        };
        other_kind(&found)
    }
}

fn outline(text: &str) -> Result<Outline<'_>, FormatError> {
    // serde takes an array for a struct with its fields in order; nobody means that.
    if text.trim_start().starts_with('[') {
        return Err(other_kind("an array"));
    }
    serde_json::from_str(text).map_err(syntax)
}

fn read_bare(text: &str, origin: &Origin, batch: &mut Batch) -> Result<(), FormatError> {
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
    let items: Bounded<&RawValue, MOST_ITEMS> = serde_json::from_str(items).map_err(syntax)?;
    let items = items.all()?;
    // Several lists in one wrapper count together.
    if items.len() + batch.events.len() > MOST_ITEMS {
        return Err(TooMany { length: items.len() + batch.events.len(), limit: MOST_ITEMS }.into());
    }
    for (index, item) in items.into_iter().enumerate() {
        match read_item(item.get(), origin) {
            Ok(event) => batch.events.push(event),
            Err(error) => batch.reject(index, error, &without_bodies(item.get())),
        }
    }
    Ok(())
}

fn read_item(text: &str, origin: &Origin) -> Result<Event, FormatError> {
    let outline = outline(text)?;
    if outline.is_record() { record(text, origin) } else { Err(outline.named()) }
}

fn record(text: &str, origin: &Origin) -> Result<Event, FormatError> {
    let text = on_one_line(text);
    let mut record: AuditEvent = serde_json::from_str(&text).map_err(syntax)?;
    let id = id(&record, &text, origin);
    secrets::withhold(&mut record);
    let time: Option<Timestamp> = record.stage_timestamp.or(record.request_received_timestamp);
    Ok(origin.event(id, time, EventData::Audit(Box::new(record))))
}

/// What tells one record from another, each as parsed.
#[derive(Serialize)]
struct Identity<'a> {
    audit_id: &'a str,
    stage: &'a str,
    received: Timestamp,
    reached: Timestamp,
    user: &'a UserInfo,
    impersonated: Option<&'a UserInfo>,
    verb: &'a str,
    uri: &'a str,
    source_ips: &'a [String],
    object: Option<&'a ObjectReference>,
    code: Option<i64>,
}

/// The part of a `metav1.Status` that is the same wherever the record is written.
#[derive(Deserialize)]
struct Status {
    code: Option<i64>,
}

fn id(record: &AuditEvent, text: &str, origin: &Origin) -> EventId {
    let fingerprint = Fingerprint::new("audit").part(&origin.cluster);
    let (Some(received), Some(reached)) = (record.request_received_timestamp, record.stage_timestamp) else {
        // Two requests that differ in nothing but their time could not be told apart.
        return fingerprint.part(text.trim()).into();
    };
    let status = record.response_status.as_ref();
    let identity = Identity {
        audit_id: &record.audit_id,
        stage: record.stage.as_str(),
        received,
        reached,
        user: &record.user,
        impersonated: record.impersonated_user.as_ref(),
        verb: &record.verb,
        uri: &record.request_uri,
        source_ips: &record.source_ips,
        object: record.object_ref.as_ref(),
        code: status.and_then(|status| serde_json::from_str::<Status>(status.as_str()).ok()?.code),
    };
    match serde_json::to_vec(&identity) {
        Ok(identity) => fingerprint.part(identity).into(),
        Err(_) => fingerprint.part(text.trim()).into(),
    }
}
