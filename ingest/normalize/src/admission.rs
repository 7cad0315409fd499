//! Admission reviews of the API server: `admission.k8s.io/v1` `AdmissionReview`.
//!
//! A review's identity is its `uid`. An object that is not a workload is not an error: there is nothing to judge
//! about it.

mod head;

use jiff::Timestamp;
use lictor_wire::{
    ClusterId, Deployment, Event, EventData, EventId, Fingerprint, ObjectReference, RequestEvent,
    RequestOperation, UserInfo,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Origin;
use crate::manifest::{self, ObjectProblem};

pub use head::head;

/// The version of the review that is understood and answered in.
pub const API_VERSION: &str = "admission.k8s.io/v1";

/// A review from the API server.
#[derive(Debug, Clone, PartialEq)]
pub struct Review {
    /// The request, with the new and the old object of its workload.
    pub request: RequestEvent,
    /// Present for a scale subresource: the workload itself is not in the review.
    pub scale: Option<Scale>,
}

/// The numbers of pods in the new and the old scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// `spec.replicas` of the new scale.
    pub replicas: i64,
    /// `spec.replicas` of the old scale.
    pub before: i64,
}

/// Why a review cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// Not JSON, or a field of the wrong type: the uid, which an answer needs, is not known.
    #[error("not an admission review: {0}")]
    Json(#[source] serde_json::Error),
    /// JSON, but of something else.
    #[error("`{found}` is not an admission review of version `{API_VERSION}`")]
    SomethingElse {
        /// Its `apiVersion` and `kind`.
        found: String,
    },
    /// The review is one, and its object cannot be read.
    #[error("the object of the review cannot be read: {problem}")]
    Object {
        /// The review's uid: the answer needs it.
        uid: String,
        /// What is wrong.
        problem: ObjectProblem,
    },
}

/// Reads a review.
///
/// # Errors
/// When it is not one, or its object cannot be read.
pub fn read(text: &str, cluster: &ClusterId, received: Timestamp) -> Result<Review, ReviewError> {
    let outer: Outer<'_> = serde_json::from_str(text).map_err(ReviewError::Json)?;
    let request = match outer.request {
        Some(request) if outer.kind == "AdmissionReview" && outer.api_version == API_VERSION => request,
        _ => {
            let found = format!("{} {}", outer.api_version, outer.kind);
            return Err(ReviewError::SomethingElse { found });
        }
    };
    let mut review = Review {
        request: RequestEvent {
            uid: request.uid.clone(),
            operation: request.operation(),
            object_ref: request.object_ref(),
            user: request.user_info.clone(),
            dry_run: request.dry_run.unwrap_or_default(),
            received: Some(received),
            ..RequestEvent::default()
        },
        scale: None,
    };
    let filled = request.fill(&mut review, cluster);
    filled.map_err(|problem| ReviewError::Object { uid: request.uid.clone(), problem })?;
    Ok(review)
}

/// What a review takes in memory while it is read and judged, in bytes, at most: the text and what is copied of it, and
/// for each of its objects the Kubernetes type it may become and the model that is made of that. An empty container is
/// two bytes of JSON.
pub fn cost(text: &str) -> usize {
    let objects = text.bytes().filter(|byte| *byte == b'{').count();
    let values = text.bytes().filter(|byte| *byte == b',').count();
    text.len().saturating_mul(2) + objects.saturating_mul(OBJECT_BYTES) + values.saturating_mul(VALUE_BYTES)
}

/// See [`cost`]: the largest object of which there may be many, a container, in the types of the Kubernetes API and in
/// the model.
const OBJECT_BYTES: usize = 3 * 1024;

/// See [`cost`]: a node of the tree that a text becomes.
const VALUE_BYTES: usize = 128;

/// The id of the event a request becomes.
pub fn id(request: &RequestEvent, cluster: &ClusterId) -> EventId {
    Fingerprint::new("request").part(cluster).part(&request.uid).into()
}

/// The event a request becomes.
pub fn event(request: RequestEvent, origin: &Origin) -> Event {
    let (id, received) = (id(&request, &origin.cluster), request.received);
    origin.event(id, received, EventData::Request(Box::new(request)))
}

// === as it comes ===

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outer<'a> {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    #[serde(borrow)]
    request: Option<Request<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    uid: String,
    kind: GroupVersion,
    resource: GroupVersion,
    sub_resource: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    operation: String,
    #[serde(default)]
    user_info: UserInfo,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    old_object: Option<&'a RawValue>,
    dry_run: Option<bool>,
}

/// A kind or a resource.
#[derive(Deserialize, Default)]
struct GroupVersion {
    #[serde(default)]
    group: String,
    version: String,
    #[serde(alias = "resource")]
    kind: String,
}

#[derive(Deserialize)]
struct ScaleObject {
    #[serde(default)]
    spec: ScaleSpec,
}

#[derive(Deserialize, Default)]
struct ScaleSpec {
    #[serde(default)]
    replicas: i64,
}

/// What the options of exec, attach and port-forward say.
#[derive(Deserialize, Default)]
#[serde(default)]
struct ConnectOptions {
    container: Option<String>,
    command: Option<Vec<String>>,
    ports: Option<Vec<u16>>,
}

impl GroupVersion {
    fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

impl Request<'_> {
    fn operation(&self) -> RequestOperation {
        match (self.operation.as_str(), self.sub_resource.as_deref()) {
            ("CONNECT", Some("attach")) => RequestOperation::Attach,
            ("CONNECT", Some("portforward")) => RequestOperation::PortForward,
            ("CONNECT", _) => RequestOperation::Exec,
            ("UPDATE", _) => RequestOperation::Update,
            ("DELETE", _) => RequestOperation::Delete,
            _ => RequestOperation::Create,
        }
    }

    fn object_ref(&self) -> ObjectReference {
        ObjectReference {
            resource: self.resource.kind.clone(),
            namespace: self.namespace.clone().unwrap_or_default(),
            name: self.name.clone().unwrap_or_default(),
            api_group: self.resource.group.clone(),
            api_version: self.resource.version.clone(),
            subresource: self.sub_resource.clone().unwrap_or_default(),
            ..ObjectReference::default()
        }
    }

    /// Reads what the review is about.
    fn fill(&self, review: &mut Review, cluster: &ClusterId) -> Result<(), ObjectProblem> {
        match self.kind.kind.as_str() {
            "Scale" => {
                let replicas = |object: Option<&RawValue>| match object {
                    Some(object) => read_as::<ScaleObject>(object, "Scale").map(|scale| scale.spec.replicas),
                    None => Ok(0),
                };
                let (now, before) = (replicas(self.object)?, replicas(self.old_object)?);
                review.scale = Some(Scale { replicas: now, before });
            }
            kind @ ("PodExecOptions" | "PodAttachOptions" | "PodPortForwardOptions") => {
                let Some(object) = self.object else { return Ok(()) };
                let options: ConnectOptions = read_as(object, kind)?;
                review.request.container = options.container.unwrap_or_default();
                review.request.command = options.command.unwrap_or_default();
                review.request.ports = options.ports.unwrap_or_default();
            }
            _ => {
                review.request.deployment = self.workload(self.object, cluster)?;
                review.request.old_deployment = self.workload(self.old_object, cluster)?;
            }
        }
        Ok(())
    }

    fn workload(
        &self,
        object: Option<&RawValue>,
        cluster: &ClusterId,
    ) -> Result<Option<Box<Deployment>>, ObjectProblem> {
        // A delete has no object, and says so with null.
        let Some(object) = object.filter(|object| object.get() != "null") else { return Ok(None) };
        let read = manifest::one(object.get(), &self.kind.api_version(), &self.kind.kind, cluster)?;
        let named = |mut model: Deployment| {
            // The request's own namespace and name count: an object may leave its out.
            if let Some(namespace) = self.namespace.as_deref().filter(|namespace| !namespace.is_empty()) {
                namespace.clone_into(&mut model.namespace);
            }
            if let Some(name) = self.name.as_deref().filter(|name| !name.is_empty()) {
                name.clone_into(&mut model.name);
            }
            Box::new(model)
        };
        Ok(read.map(named))
    }
}

fn read_as<'a, T: Deserialize<'a>>(object: &'a RawValue, kind: &str) -> Result<T, ObjectProblem> {
    serde_json::from_str(object.get())
        .map_err(|error| ObjectProblem::Field { kind: kind.to_owned(), message: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(request: &str) -> Result<Review, ReviewError> {
        let text =
            format!(r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{request}}}"#);
        read(&text, &ClusterId::new("c1"), "2026-01-02T03:04:05Z".parse().unwrap())
    }

    #[test]
    fn an_update_holds_both_workloads() {
        let pod = |image: &str| {
            format!(
                r#"{{"metadata":{{"name":"a","namespace":"shop","uid":"u1"}},"spec":{{"containers":[{{"name":"c","image":"{image}"}}]}}}}"#
            )
        };
        let review = review(&format!(
            r#"{{"uid":"r1","kind":{{"group":"","version":"v1","kind":"Pod"}},
                "resource":{{"group":"","version":"v1","resource":"pods"}},"subResource":"ephemeralcontainers",
                "name":"a","namespace":"shop","operation":"UPDATE","userInfo":{{"username":"alice"}},
                "object":{},"oldObject":{},"dryRun":true,"options":null}}"#,
            pod("nginx:2"),
            pod("nginx:1")
        ))
        .unwrap();
        let tag =
            |model: &Option<Box<Deployment>>| model.as_ref().unwrap().containers[0].image.name.tag.clone();
        assert_eq!(
            (tag(&review.request.deployment), tag(&review.request.old_deployment)),
            ("2".into(), "1".into())
        );
        assert_eq!(review.request.object_ref.subresource, "ephemeralcontainers");
        assert_eq!(review.request.user.username, "alice");
        assert!(review.request.dry_run);
    }

    #[test]
    fn a_scale_holds_two_numbers() {
        let review = review(
            r#"{"uid":"r1","kind":{"group":"autoscaling","version":"v1","kind":"Scale"},
                "resource":{"group":"apps","version":"v1","resource":"statefulsets"},"subResource":"scale",
                "name":"db","namespace":"shop","operation":"UPDATE",
                "object":{"spec":{"replicas":3}},"oldObject":{"spec":{}}}"#,
        )
        .unwrap();
        assert_eq!(review.scale, Some(Scale { replicas: 3, before: 0 }));
    }

    #[test]
    fn an_exec_holds_the_command() {
        let review = review(
            r#"{"uid":"r1","kind":{"group":"","version":"v1","kind":"PodExecOptions"},
                "resource":{"group":"","version":"v1","resource":"pods"},"subResource":"exec",
                "name":"a-1","namespace":"shop","operation":"CONNECT",
                "object":{"stdin":true,"container":"c","command":["sh","-c","id"]},"oldObject":null}"#,
        )
        .unwrap();
        assert_eq!(review.request.operation, RequestOperation::Exec);
        assert_eq!((review.request.container.as_str(), review.request.command.len()), ("c", 3));
    }

    #[test]
    fn an_error_names_the_review_it_belongs_to() {
        let error = review(
            r#"{"uid":"r1","kind":{"group":"apps","version":"v1","kind":"Deployment"},
                "resource":{"group":"apps","version":"v1","resource":"deployments"},
                "operation":"CREATE","object":{"spec":{"replicas":"many"}}}"#,
        );
        assert!(matches!(error, Err(ReviewError::Object { uid, .. }) if uid == "r1"));
        assert!(matches!(review("7"), Err(ReviewError::Json(_))));
        let other = read(r#"{"kind":"Pod","apiVersion":"v1"}"#, &ClusterId::new("c"), Timestamp::UNIX_EPOCH);
        assert!(matches!(other, Err(ReviewError::SomethingElse { .. })));
    }

    #[test]
    fn the_event_has_the_same_id_again() {
        let origin = Origin {
            cluster: ClusterId::new("c1"),
            source: "/admission".to_owned(),
            received: Timestamp::UNIX_EPOCH,
        };
        let request = RequestEvent { uid: "r1".to_owned(), ..RequestEvent::default() };
        assert_eq!(event(request.clone(), &origin).id, event(request, &origin).id);
    }
}
