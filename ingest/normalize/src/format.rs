//! The outside formats: how each is detected, and how a text of it is read. Whoever takes bytes from
//! outside (a source of ingest, a replay, a test case) comes through here.

use std::borrow::Cow;
use std::collections::BTreeMap;

use lictor_wire::{Event, EventError, TooMany};
use serde_json::value::RawValue;

use crate::{Origin, audit, tetragon};

/// What a text from outside holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// The API server's audit records: one, an `EventList`, or either in a cloud's wrapper.
    Audit,
    /// Tetragon's JSON export, one event per line.
    Tetragon,
    /// lictor's own events, one CloudEvents object per line, as every export writes them.
    Events,
    /// Kubernetes objects in YAML or JSON. They explain each other, so [`crate::manifest::read`] takes all of them
    /// together; [`Format::read`] refuses them.
    Manifest,
}

/// Items of one list of audit records; a longer list is refused. An API server sends at most 400 by default.
pub const MOST_ITEMS: usize = 10_000;

/// Items of a batch that are kept by themselves when they cannot be read; those beyond are kept together.
const MOST_REJECTED: usize = 100;

/// Bytes of the originals that are kept together.
const KEPT_TOGETHER: usize = 256 * 1024;

/// The events and rejected items read from one or more texts.
#[derive(Debug, Default)]
pub struct Batch {
    /// What was read, in order.
    pub events: Vec<Event>,
    /// Items of a list that could not be read. Their neighbours are not affected.
    pub rejected: Vec<Rejected>,
}

/// An item of a list that could not be read.
#[derive(Debug)]
pub struct Rejected {
    /// Its position in the list, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub error: FormatError,
    /// The item as it came.
    pub original: String,
    /// How many further items it stands for: those beyond the first hundred are kept together, one a line, as far as
    /// they fit.
    pub more: u64,
}

impl Batch {
    /// Takes note of an item that cannot be read. A list of nothing else must not become as many dead letters.
    pub(crate) fn reject(&mut self, index: usize, error: FormatError, original: &str) {
        if self.rejected.len() <= MOST_REJECTED {
            self.rejected.push(Rejected { index, error, original: original.to_owned(), more: 0 });
            return;
        }
        if let Some(last) = self.rejected.last_mut() {
            last.more += 1;
            if last.original.len() + original.len() < KEPT_TOGETHER {
                last.original.push('\n');
                last.original.push_str(original);
            }
        }
    }
}

impl Rejected {
    /// Why, in a sentence.
    pub fn reason(&self) -> String {
        let Self { index, error, more, .. } = self;
        match more {
            0 => format!("item {index}: {error}"),
            more => format!("item {index}: {error}; and {more} further items that cannot be read"),
        }
    }
}

/// Why a text is not of the format it was read as, or of none that is known.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// Not JSON, or a field of the wrong type.
    #[error("not {}: {error}", format.item())]
    Syntax {
        /// The format it was read as.
        format: Format,
        /// What is wrong, and where in the text.
        #[source]
        error: serde_json::Error,
    },
    /// JSON, but of something else.
    #[error("{message}")]
    OtherKind {
        /// The format it was read as.
        format: Format,
        /// What it is instead, as a sentence.
        message: String,
    },
    /// A list of more items than are read at once.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// An event of lictor's that cannot be read.
    #[error(transparent)]
    Event(#[from] EventError),
    /// A manifest where a text by itself was to become events.
    #[error("a Kubernetes manifest is not an event")]
    Manifest,
    /// A JSON object that none of the formats writes. Only [`Format::detect`] returns it.
    #[error("a JSON object that is neither an event, nor a record, nor a Kubernetes object")]
    UnknownObject,
    /// Not a JSON object, and no line of it begins a Kubernetes object. It may still be YAML in a style of its own.
    /// Only [`Format::detect`] returns it.
    #[error("neither a JSON object nor a Kubernetes object in YAML")]
    UnknownText,
}

impl Format {
    /// The format's name in the source of events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Tetragon => "tetragon",
            Self::Events => "events",
            Self::Manifest => "manifests",
        }
    }

    /// Detects what a text holds: a line of a file, or all of it. A JSON object is recognised by its keys, the first
    /// one where several follow each other; anything else is a manifest if a line of it begins like one.
    ///
    /// # Errors
    /// [`FormatError::UnknownObject`] or [`FormatError::UnknownText`].
    pub fn detect(text: &str) -> Result<Self, FormatError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match serde_json::Deserializer::from_str(text).into_iter::<Keys<'_>>().next() {
            Some(Ok(keys)) => by_keys(&keys).ok_or(FormatError::UnknownObject),
            _ if text.lines().any(begins_object) => Ok(Self::Manifest),
            _ => Err(FormatError::UnknownText),
        }
    }

    /// Reads a text that holds one event, or one list of audit records; adds what it holds to `batch`.
    ///
    /// # Errors
    /// When it is something else. A list with bad items is read; they are in [`Batch::rejected`].
    pub fn read(self, text: &str, origin: &Origin, batch: &mut Batch) -> Result<(), FormatError> {
        match self {
            Self::Audit => audit::read(text, origin, batch)?,
            Self::Tetragon => batch.events.push(tetragon::read(text, origin)?),
            Self::Events => batch.events.push(Event::parse(text)?),
            Self::Manifest => return Err(FormatError::Manifest),
        }
        Ok(())
    }

    /// A text that could not be read, as it is kept for people: without what may be secret in it.
    pub fn kept(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Audit => audit::without_bodies(text),
            Self::Tetragon | Self::Events | Self::Manifest => Cow::Borrowed(text),
        }
    }

    /// What one text of the format is.
    const fn item(self) -> &'static str {
        match self {
            Self::Audit => "an audit record",
            Self::Tetragon => "a line of Tetragon's export",
            Self::Events => "an event",
            Self::Manifest => "a Kubernetes object",
        }
    }
}

impl FormatError {
    /// Line and column in the text at which reading stopped, from 1; `None` when the error concerns the whole text.
    pub fn position(&self) -> Option<(usize, usize)> {
        match self {
            Self::Syntax { error, .. } | Self::Event(EventError::Envelope(error)) => {
                Some((error.line(), error.column()))
            }
            // The place in an event's body counts from the body's start, which nobody sees.
            Self::Event(_) | Self::OtherKind { .. } => None,
            Self::TooMany(_) | Self::Manifest | Self::UnknownObject | Self::UnknownText => None,
        }
    }

    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Syntax { format: Format::Audit, .. } => {
                "an audit log holds one JSON object per line; a webhook posts an EventList"
            }
            Self::OtherKind { format: Format::Audit, .. } => {
                "expected `audit.k8s.io/v1` Event or EventList, an Azure diagnostic record of category \
                 `kube-audit`, or a CloudWatch record of an EKS audit log"
            }
            Self::Syntax { .. } | Self::OtherKind { .. } => {
                "expected one JSON object per line, as in the file named by `tetragon --export-filename`"
            }
            Self::Event(EventError::Envelope(_)) => {
                "a line is a CloudEvents 1.0 object with specversion, id, source, type `io.lictor.<kind>.v1`, \
                 time, cluster and data"
            }
            Self::Event(EventError::Body { .. }) => {
                "compare the body with what `lictor events tail` prints for this kind"
            }
            Self::Event(EventError::Offloaded { .. }) => {
                "export with bodies in the lines; `dataref` is not followed in files"
            }
            Self::TooMany(_) => "send fewer at once (--audit-webhook-batch-max-size)",
            Self::Manifest => "name it where manifests are read",
            Self::UnknownObject | Self::UnknownText => {
                "expected audit records, Tetragon's export, events of lictor or Kubernetes manifests"
            }
        }
    }
}

/// Whether a line begins a Kubernetes object in YAML.
fn begins_object(line: &str) -> bool {
    line.starts_with("apiVersion:") || line.starts_with("kind:")
}

/// The keys of a JSON object, each with what it stands for.
type Keys<'a> = BTreeMap<String, &'a RawValue>;

/// What a JSON object is, by its keys.
fn by_keys(keys: &Keys<'_>) -> Option<Format> {
    let has = |key: &&str| keys.contains_key(*key);
    if has(&"specversion") {
        return Some(Format::Events);
    }
    if let Some(version) = keys.get("apiVersion") {
        let version = serde_json::from_str::<String>(version.get()).unwrap_or_default();
        return Some(if version.starts_with("audit.k8s.io/") { Format::Audit } else { Format::Manifest });
    }
    // The sensor's own notices have no key that begins with `process_`.
    let notices = ["node_name", "rate_limit_info"];
    if notices.iter().any(has) || keys.keys().any(|key| key.starts_with("process_")) {
        return Some(Format::Tetragon);
    }
    // A record or list of records, or a wrapper that a cloud puts around them.
    let records = ["auditID", "stage", "verb", "requestURI", "items"];
    let wrappers = ["category", "properties", "records", "message", "logEvents"];
    records.iter().chain(&wrappers).any(has).then_some(Format::Audit)
}

#[cfg(test)]
mod tests {
    use lictor_wire::{ClusterId, Kind};

    use super::*;

    #[test]
    fn formats_are_detected_by_content() {
        let cases = [
            (r#"{"specversion":"1.0"}"#, Format::Events),
            (r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1"}"#, Format::Audit),
            (r#"{"auditID":"a","verb":"get"}"#, Format::Audit),
            (r#"{"items":[{"auditID":"a"}]}"#, Format::Audit),
            (r#"{"category":"kube-audit"}"#, Format::Audit),
            (r#"{"timestamp":1,"message":"{}"}"#, Format::Audit),
            (r#"{"process_exec":{},"node_name":"n"}"#, Format::Tetragon),
            (r#"{"process_exec":{}}"#, Format::Tetragon),
            (r#"{"node_name":"n","time":"2026-01-02T03:04:05Z","rate_limit_info":{}}"#, Format::Tetragon),
            (r#"{"node_name":"n","something_new":{}}"#, Format::Tetragon),
            (r#"{"apiVersion":"v1","kind":"Pod"}"#, Format::Manifest),
            ("\u{feff}{\"apiVersion\":7}", Format::Manifest),
            ("apiVersion: v1", Format::Manifest),
            ("# a comment\n---\nmetadata: {}\nkind: Pod\n", Format::Manifest),
            ("{\n \"kind\": \"Event\",\n \"apiVersion\": \"audit.k8s.io/v1\"\n}\n{", Format::Audit),
        ];
        for (text, format) in cases {
            assert_eq!(Format::detect(text).unwrap(), format, "{text}");
        }
        for text in [r#"{"a":1}"#, "{}"] {
            assert!(matches!(Format::detect(text), Err(FormatError::UnknownObject)), "{text}");
        }
        for text in ["", "{", "# a comment", "7", "[]", r#""}},"node_name":"n"}"#, "  kind: Pod"] {
            assert!(matches!(Format::detect(text), Err(FormatError::UnknownText)), "{text}");
        }
    }

    fn read(format: Format, text: &str) -> Result<Batch, FormatError> {
        let origin = Origin {
            cluster: ClusterId::new("c1"),
            source: "/file".to_owned(),
            received: "2026-01-02T03:04:05Z".parse().unwrap(),
        };
        let mut batch = Batch::default();
        format.read(text, &origin, &mut batch).map(|()| batch)
    }

    #[test]
    fn a_line_of_ours_comes_back_as_it_was_written() {
        let line = r#"{"specversion":"1.0","id":"e1","source":"/x","type":"io.lictor.network.v1","time":"2026-01-02T03:04:05Z","cluster":"c1","datacontenttype":"application/json","data":{"direction":"EGRESS","protocol":"TCP","local":{"address":"10.0.0.1","port":1},"remote":{"address":"10.0.0.2","port":2}}}"#;
        let events = read(Format::Events, line).unwrap().events;
        assert_eq!(events[0].kind(), Kind::Network);
        assert_eq!(events[0].to_line().unwrap(), line);
    }

    #[test]
    fn an_error_says_where() {
        let error = read(Format::Events, r#"{"specversion":"1.0","id":7}"#).unwrap_err();
        assert!(matches!(error, FormatError::Event(EventError::Envelope(_))));
        assert_eq!(error.position(), Some((1, 27)));
        assert!(error.hint().contains("CloudEvents"));
        let manifest = read(Format::Manifest, r#"{"apiVersion":"v1","kind":"Pod"}"#);
        assert!(matches!(manifest, Err(FormatError::Manifest)));
    }
}
