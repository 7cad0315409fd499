//! What an event is about: the one table of it.
//!
//! | event | target | joined with | entity |
//! |---|---|---|---|
//! | deployment | the workload | the state's model of it, else the event's own | the workload |
//! | image | every workload that runs the digest | each of them | each of them |
//! | process, network | the pod; without one, nothing | the pod's workload | the workload, and the pod |
//! | file | the pod, else the node | the pod's workload | the workload and the pod, else the node |
//! | audit | the object | nothing | the object |
//! | request | what it asks for | the workload it would become, else that of the pod | the workload, else the object |
//! | coverage | nothing | | |

use std::collections::BTreeMap;
use std::sync::Arc;

use lictor_engine::Occurrence;
use lictor_wire::{
    AuditEvent, ClusterId, Deployment, DeploymentEvent, DeploymentId, Entity, EventData, FileEvent,
    ImageFacts, PodRef, RequestEvent, RequestOperation,
};

use crate::state::{ClusterState, Versioned};

/// What is judged because of an event.
#[derive(Debug, Clone, Copy)]
pub enum Target<'e> {
    /// A workload.
    Workload(&'e DeploymentEvent),
    /// Every workload that runs a digest.
    UsersOf(&'e str),
    /// Something that happened in a pod.
    Pod(&'e PodRef, Occurrence<'e>),
    /// A file of a node, outside of pods.
    Node(&'e FileEvent),
    /// An object that a request to the API server was about.
    Object(&'e AuditEvent),
    /// A request that the API server asks about.
    Request(&'e RequestEvent),
    /// An image before anything runs it. No event is about one.
    Image(&'e ImageFacts),
}

/// The annotations lictor itself reads; they travel with the entity, so that the enforcer need not look.
const OWN_ANNOTATIONS: [&str; 3] = [
    "admission.stackrox.io/break-glass",
    "admission.stackrox.io/bypass-kube-event-enforcement",
    "lictor.io/break-glass",
];

impl<'e> Target<'e> {
    /// What an event is about; `None` for one that no policy applies to.
    pub fn of(data: &'e EventData) -> Option<Self> {
        match data {
            EventData::Deployment(body) => Some(Self::Workload(body)),
            EventData::Image(body) => Some(Self::UsersOf(&body.digest)),
            EventData::Process(body) => Some(Self::Pod(body.pod.as_ref()?, Occurrence::Process(body))),
            EventData::Network(body) => Some(Self::Pod(body.pod.as_ref()?, Occurrence::Network(body))),
            EventData::File(body) => Some(match &body.pod {
                Some(pod) => Self::Pod(pod, Occurrence::File(body)),
                None => Self::Node(body),
            }),
            EventData::Audit(body) => Some(Self::Object(body)),
            EventData::Request(body) => Some(Self::Request(body)),
            EventData::Coverage(_) => None,
        }
    }

    /// What happened to it.
    pub fn occurrence(self) -> Occurrence<'e> {
        match self {
            Self::Workload(_) | Self::UsersOf(_) => Occurrence::Deployment,
            Self::Pod(_, occurrence) => occurrence,
            Self::Node(body) => Occurrence::File(body),
            Self::Object(body) => Occurrence::Audit(body),
            Self::Request(body) => Occurrence::Request(body),
            Self::Image(facts) => Occurrence::Image(facts),
        }
    }

    /// The namespace it is in; empty where there is none.
    pub fn namespace(self) -> &'e str {
        match self {
            Self::Workload(body) => &body.deployment.namespace,
            Self::Pod(pod, _) => &pod.namespace,
            Self::Object(body) => body.object_ref.as_ref().map_or("", |object| &object.namespace),
            Self::Request(body) => &body.object_ref.namespace,
            Self::UsersOf(_) | Self::Node(_) | Self::Image(_) => "",
        }
    }

    /// The entity a verdict about it names, with the workload it was joined with. An admission request has it from the
    /// API server, all others from the cluster state.
    pub fn entity(self, cluster: &ClusterId, workload: Option<&Deployment>) -> Entity {
        match self {
            Self::Workload(body) => of_workload(workload.unwrap_or(&body.deployment), None),
            Self::UsersOf(digest) => match workload {
                Some(workload) => of_workload(workload, None),
                None => Entity::ContainerImage { digest: digest.to_owned(), name: String::new() },
            },
            Self::Pod(pod, _) => match workload {
                Some(workload) => of_workload(workload, Some(pod)),
                None => of_unknown_workload(cluster, pod),
            },
            Self::Node(body) => Entity::Node { name: body.node.clone(), cluster: cluster.clone() },
            Self::Object(body) => {
                let object = body.object_ref.clone().unwrap_or_default();
                let (resource, name, namespace) = (object.resource, object.name, object.namespace);
                Entity::Resource { resource, name, namespace, cluster: cluster.clone() }
            }
            Self::Request(body) => of_request(cluster, body, workload),
            Self::Image(facts) => {
                let name = facts.names.first().map(|name| name.full_name.clone()).unwrap_or_default();
                Entity::ContainerImage { digest: facts.digest.clone(), name }
            }
        }
    }

    /// Hands on the workload it is joined with, and `None` where there is none or it is not known; several times for
    /// what is about several workloads. Of those, one that has gone meanwhile is left to the event that says so.
    pub(crate) fn workloads(
        self,
        state: &ClusterState,
        cluster: &ClusterId,
        each: &mut dyn FnMut(Option<&Versioned<Deployment>>),
    ) {
        match self {
            Self::Workload(body) => {
                let known = state.deployment(&body.deployment.id);
                // The bucket lost it, or the event came without: the event's own model is what there is.
                let own = || Versioned { revision: body.revision, value: Arc::new(body.deployment.clone()) };
                each(Some(&known.unwrap_or_else(own)));
            }
            Self::UsersOf(digest) => {
                for id in state.users_of(digest) {
                    if let Some(known) = state.deployment(&id) {
                        each(Some(&known));
                    }
                }
            }
            Self::Pod(pod, _) => each(state.deployment_of(cluster, pod).as_ref()),
            Self::Request(body) => {
                let known = match &body.deployment {
                    Some(model) => Some(Versioned { revision: 0, value: Arc::new((**model).clone()) }),
                    None => state.deployment_of(cluster, &pod_of(body)),
                };
                each(known.as_ref());
            }
            Self::Node(_) | Self::Object(_) | Self::Image(_) => each(None),
        }
    }
}

pub(crate) fn of_workload(workload: &Deployment, pod: Option<&PodRef>) -> Entity {
    let own = |name: &str| workload.annotations.get(name).map(|value| (name.to_owned(), value.clone()));
    Entity::Deployment {
        id: workload.id.clone(),
        name: workload.name.clone(),
        kind: workload.kind.clone(),
        namespace: workload.namespace.clone(),
        cluster: workload.cluster_id.clone(),
        pod: pod.map(without_labels),
        annotations: OWN_ANNOTATIONS.into_iter().filter_map(own).collect(),
    }
}

/// The entity of an event whose workload never came to be known: what the sensor says of it.
fn of_unknown_workload(cluster: &ClusterId, pod: &PodRef) -> Entity {
    let (kind, name) = match &pod.workload {
        Some(workload) => (workload.kind.clone(), workload.name.clone()),
        None => ("Pod".to_owned(), pod.name.clone()),
    };
    let id = if pod.workload.is_none() && !pod.uid.is_empty() {
        DeploymentId::new(pod.uid.as_str())
    } else {
        Deployment::id_without_uid(cluster, &pod.namespace, &kind, &name)
    };
    Entity::Deployment {
        id,
        name,
        kind,
        namespace: pod.namespace.clone(),
        cluster: cluster.clone(),
        pod: Some(without_labels(pod)),
        annotations: BTreeMap::new(),
    }
}

/// The entity of a request. A create has a new UID each time it is tried; the alert about it is one.
fn of_request(cluster: &ClusterId, request: &RequestEvent, workload: Option<&Deployment>) -> Entity {
    let Some(workload) = workload else {
        return Entity::Resource {
            resource: request.object_ref.resource.clone(),
            name: request.object_ref.name.clone(),
            namespace: request.object_ref.namespace.clone(),
            cluster: cluster.clone(),
        };
    };
    let Deployment { id, name, kind, namespace, .. } = workload;
    Entity::Deployment {
        id: match request.operation {
            RequestOperation::Create => Deployment::id_without_uid(cluster, namespace, kind, name),
            _ => id.clone(),
        },
        name: name.clone(),
        kind: kind.clone(),
        namespace: namespace.clone(),
        cluster: cluster.clone(),
        pod: request.operation.is_command().then(|| pod_of(request)),
        annotations: BTreeMap::new(),
    }
}

/// The pod that a command goes to.
fn pod_of(request: &RequestEvent) -> PodRef {
    let object = &request.object_ref;
    PodRef { namespace: object.namespace.clone(), name: object.name.clone(), ..PodRef::default() }
}

fn without_labels(pod: &PodRef) -> PodRef {
    PodRef { labels: BTreeMap::new(), ..pod.clone() }
}
