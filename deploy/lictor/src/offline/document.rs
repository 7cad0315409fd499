//! A document of a test case or of `--event`: something that is known, or something that happened.

use jiff::Timestamp;
use lictor_detection::Fact;
use lictor_normalize::{Batch, Format, Origin, manifest};
use lictor_wire::{
    AuditEvent, Baseline, ClusterId, ClusterRecord, ConnectionBaseline, Deployment, Event, EventData,
    FileEvent, ImageFacts, NamespaceRecord, NetworkEvent, ProcessBaseline, ProcessEvent, RequestEvent,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{OfflineCluster, happened, seen};

/// One document.
#[derive(Debug)]
pub(crate) enum Document {
    /// Kubernetes objects, linked with the others that are given.
    Manifest(String),
    /// A workload, as the model has it.
    Deployment(Box<Deployment>),
    /// Facts about an image.
    Image(Box<ImageFacts>),
    /// A namespace with its labels.
    Namespace(NamespaceRecord),
    /// The cluster's labels.
    Cluster(ClusterRecord),
    /// Something that happened, and whether it departs from the workload's locked baseline.
    Event(Box<Event>, Option<bool>),
}

/// Why a document cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct DocumentError {
    message: String,
}

/// The keys that say what a document is.
const KINDS: &str = "a Kubernetes object (`apiVersion`, `kind`), an event of lictor (`specversion`), a Tetragon record, \
                     an audit record, or one of `deployment`, `image`, `namespace`, `cluster`, `process`, `network`, \
                     `file`, `request`, `audit`";

impl Document {
    /// Reads a document; `now` is when its events happened if they do not say.
    pub(crate) fn read(value: &Value, cluster: &ClusterId, now: Timestamp) -> Result<Self, DocumentError> {
        let Value::Object(map) = value else {
            return Err(error(format!("a document is {KINDS}")));
        };
        let origin = Origin { cluster: cluster.clone(), source: "/file".to_owned(), received: now };
        let text = value.to_string();
        match Format::detect(&text) {
            Ok(Format::Manifest) => Ok(Self::Manifest(text)),
            Ok(format) => recorded(format, &text, &origin),
            Err(_) => Self::short(map, &origin),
        }
    }

    /// The short forms, named by their one key.
    fn short(map: &Map<String, Value>, origin: &Origin) -> Result<Self, DocumentError> {
        let deviates = match map.get("deviates") {
            None => None,
            Some(Value::Bool(deviates)) => Some(*deviates),
            Some(_) => return Err(error("`deviates` is true or false")),
        };
        let mut kinds = map.iter().filter(|(key, _)| *key != "deviates");
        let (Some((kind, body)), None) = (kinds.next(), kinds.next()) else {
            return Err(error(format!("a document has one key: {KINDS}")));
        };
        if deviates.is_some() && kind != "process" && kind != "network" {
            return Err(error("`deviates` goes with `process` and `network`"));
        }
        let happened =
            |data| Ok(Self::Event(Box::new(happened(data, &origin.cluster, origin.received)), deviates));
        match kind.as_str() {
            "deployment" => {
                let mut model: Deployment = strict(kind, body)?;
                model.cluster_id = origin.cluster.clone();
                if model.id.is_empty() {
                    model.id = Deployment::id_without_uid(
                        &model.cluster_id,
                        &model.namespace,
                        &model.kind,
                        &model.name,
                    );
                }
                Ok(Self::Deployment(Box::new(model)))
            }
            "image" => Ok(Self::Image(Box::new(strict(kind, body)?))),
            "namespace" => Ok(Self::Namespace(strict(kind, body)?)),
            "cluster" => Ok(Self::Cluster(strict(kind, body)?)),
            "process" => happened(EventData::Process(Box::new(strict::<ProcessEvent>(kind, body)?))),
            "network" => happened(EventData::Network(Box::new(strict::<NetworkEvent>(kind, body)?))),
            "file" => happened(EventData::File(Box::new(strict::<FileEvent>(kind, body)?))),
            "request" => happened(EventData::Request(Box::new(strict::<RequestEvent>(kind, body)?))),
            "audit" => happened(EventData::Audit(Box::new(strict::<AuditEvent>(kind, body)?))),
            other => Err(error(format!("unknown key `{other}`; a document is {KINDS}"))),
        }
    }

    /// Takes in what is known. Something that happened is not known by having happened, but for workloads and images.
    pub(crate) fn know<'d>(
        documents: impl IntoIterator<Item = &'d Self>,
        known: &mut OfflineCluster,
    ) -> Result<(), DocumentError> {
        let mut manifests = Vec::new();
        for document in documents {
            match document {
                Self::Manifest(text) => manifests.push(text.as_str()),
                Self::Deployment(model) => known.know(Fact::deployment((**model).clone())),
                Self::Image(facts) => known.know(Fact::image((**facts).clone())),
                Self::Namespace(record) => known.know(Fact::namespace(known.cluster(), record.clone())),
                Self::Cluster(record) => known.know(Fact::cluster(known.cluster(), record.clone())),
                Self::Event(event, _) => known.state().learn(event),
            }
        }
        let found = read_manifests(manifests, known.cluster())?;
        known.know_manifests(&found);
        Ok(())
    }

    /// The events that judge a document: itself, or the workloads it holds with the other objects applied.
    pub(crate) fn events<'d>(
        &self,
        beside: impl IntoIterator<Item = &'d Self>,
        cluster: &ClusterId,
        now: Timestamp,
    ) -> Result<Vec<Event>, DocumentError> {
        match self {
            Self::Event(event, _) => Ok(vec![(**event).clone()]),
            Self::Deployment(model) => Ok(vec![seen((**model).clone(), now)]),
            Self::Manifest(text) => {
                let own = read_manifests([text.as_str()], cluster)?;
                let beside = beside.into_iter().filter_map(|document| match document {
                    Self::Manifest(text) => Some(text.as_str()),
                    _ => None,
                });
                let all = read_manifests(beside.chain([text.as_str()]), cluster)?;
                let is_own = |model: &Deployment| own.deployments.iter().any(|own| own.id == model.id);
                Ok(all.deployments.into_iter().filter(is_own).map(|model| seen(model, now)).collect())
            }
            Self::Image(_) | Self::Namespace(_) | Self::Cluster(_) => Ok(Vec::new()),
        }
    }

    /// The locked baselines under which an event departs from what is usual, or does not.
    pub(crate) fn baseline(event: &Event, deviates: bool, deployment: &Deployment) -> Option<Baseline> {
        let mut baseline = Baseline { deployment: deployment.id.clone(), ..Baseline::default() };
        match &event.data {
            EventData::Process(process) => {
                let container = process.container.as_ref().map(|c| c.name.clone()).unwrap_or_default();
                let mut usual = ProcessBaseline { locked: true, ..ProcessBaseline::default() };
                if !deviates {
                    usual.exec_file_paths.insert(process.exec_file_path.clone());
                }
                baseline.processes.insert(container, usual);
            }
            EventData::Network(connection) => {
                let peers = if deviates { Vec::new() } else { vec![lictor_wire::Peer::of(connection)] };
                baseline.connections = ConnectionBaseline { locked: true, peers };
            }
            _ => return None,
        }
        Some(baseline)
    }
}

/// The event of a text in one of the formats that record what happened.
fn recorded(format: Format, text: &str, origin: &Origin) -> Result<Document, DocumentError> {
    let mut batch = Batch::default();
    format.read(text, origin, &mut batch).map_err(error)?;
    if let Some(rejected) = batch.rejected.first() {
        return Err(error(&rejected.error));
    }
    match (batch.events.pop(), batch.events.is_empty()) {
        (Some(event), true) => Ok(Document::Event(Box::new(event), None)),
        _ => Err(error("a document holds one event")),
    }
}

fn read_manifests<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    cluster: &ClusterId,
) -> Result<manifest::Manifests, DocumentError> {
    let texts = texts.into_iter().map(|text| manifest::Text { name: "document", text });
    let found = manifest::read(texts, cluster);
    match found.errors.first() {
        Some(problem) => Err(error(problem)),
        None => Ok(found),
    }
}

/// Reads a body in which every field must be known: a test case with a misspelt field tests something else.
fn strict<T: DeserializeOwned>(kind: &str, body: &Value) -> Result<T, DocumentError> {
    let mut unknown = Vec::new();
    let read = serde_ignored::deserialize(body, |path| unknown.push(path.to_string()))
        .map_err(|problem| error(format!("`{kind}`: {problem}")))?;
    match unknown.first() {
        Some(path) => Err(error(format!("`{kind}` has no field `{path}`"))),
        None => Ok(read),
    }
}

fn error(message: impl std::fmt::Display) -> DocumentError {
    DocumentError { message: message.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_recording_holds_is_an_event_here_too() {
        let read = |text: &str| {
            let value = serde_json::from_str(text).unwrap();
            Document::read(&value, &ClusterId::new("c1"), "2026-01-02T03:04:05Z".parse().unwrap())
        };
        let kind = |text: &str| match read(text).unwrap() {
            Document::Event(event, None) => event.kind().as_str(),
            other => panic!("{other:?}"),
        };
        // What the sensor says of itself has a node's name and no key that begins with `process_`.
        let notice = r#"{"rate_limit_info":{"number_of_dropped_process_events":"7"},"node_name":"n","time":"2026-01-02T03:04:05Z"}"#;
        assert_eq!(kind(notice), "coverage");
        assert_eq!(kind(r#"{"process_exec":{"process":{"binary":"/bin/sh"}}}"#), "process");
        assert_eq!(kind(r#"{"auditID":"a","stage":"ResponseComplete","verb":"get"}"#), "audit");
        assert!(matches!(read(r#"{"apiVersion":"v1","kind":"Pod"}"#), Ok(Document::Manifest(_))));
        assert!(matches!(read(r#"{"process":{"name":"sh"}}"#), Ok(Document::Event(..))));
        assert!(read(r#"{"proces":{}}"#).unwrap_err().to_string().contains("unknown key `proces`"));
    }
}
