//! What is judged: one occurrence with everything known around it, borrowed.

use std::collections::BTreeMap;

use lictor_wire::{
    AuditEvent, ClusterId, Deployment, EventData, FileEvent, ImageFacts, NetworkEvent, PodRef, ProcessEvent,
    RequestEvent,
};

/// What happened, and the facts it was joined with. A fact that is `None` is not known (yet), which differs from known
/// to be empty.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The cluster it happened on.
    pub cluster: &'a ClusterId,
    /// What happened.
    pub occurrence: Occurrence<'a>,
    /// The workload it happened to, or that is judged itself.
    pub deployment: Option<&'a Deployment>,
    /// Facts about the image of each of the workload's containers, in the same order; the facts of containers past its
    /// end are not known.
    pub images: &'a [Option<&'a ImageFacts>],
    /// Labels of the cluster.
    pub cluster_labels: Option<&'a BTreeMap<String, String>>,
    /// Labels of the namespace.
    pub namespace_labels: Option<&'a BTreeMap<String, String>>,
    /// Whether the process or connection departs from what the workload's locked baseline lists. Without a locked
    /// baseline nothing does.
    pub deviates: Option<bool>,
}

/// What happened.
#[derive(Debug, Clone, Copy)]
pub enum Occurrence<'a> {
    /// The workload of the input was seen or changed.
    Deployment,
    /// A process started or ended. Only starts are judged.
    Process(&'a ProcessEvent),
    /// A connection was opened, accepted or closed.
    Network(&'a NetworkEvent),
    /// A file was opened or changed, in a pod or on a node.
    File(&'a FileEvent),
    /// The API server recorded a request.
    Audit(&'a AuditEvent),
    /// The API server has a request reviewed. One for a workload is judged as that workload; put it in the input.
    Request(&'a RequestEvent),
    /// An image is judged by itself, before it is deployed.
    Image(&'a ImageFacts),
}

impl<'a> Occurrence<'a> {
    /// The occurrence in an event's body; `None` for one that is about a workload or an image, or is not judged.
    pub fn of(data: &'a EventData) -> Option<Self> {
        match data {
            EventData::Process(body) => Some(Self::Process(body)),
            EventData::Network(body) => Some(Self::Network(body)),
            EventData::File(body) => Some(Self::File(body)),
            EventData::Audit(body) => Some(Self::Audit(body)),
            EventData::Request(body) => Some(Self::Request(body)),
            EventData::Deployment(_) | EventData::Image(_) | EventData::Coverage(_) => None,
        }
    }
}

impl<'a> Input<'a> {
    /// The pod it happened in, where it happened in one.
    pub(crate) fn pod(&self) -> Option<&'a PodRef> {
        match self.occurrence {
            Occurrence::Process(event) => event.pod.as_ref(),
            Occurrence::Network(event) => event.pod.as_ref(),
            Occurrence::File(event) => event.pod.as_ref(),
            _ => None,
        }
    }

    /// The namespace it happened in; `None` when not known, empty for an object of the whole cluster.
    pub(crate) fn namespace(&self) -> Option<&'a str> {
        match self.occurrence {
            Occurrence::Audit(event) => {
                Some(event.object_ref.as_ref().map_or("", |object| object.namespace.as_str()))
            }
            Occurrence::Request(event) if self.deployment.is_none() => {
                Some(event.object_ref.namespace.as_str())
            }
            _ => match self.deployment {
                Some(deployment) => Some(deployment.namespace.as_str()),
                None => self.pod().map(|pod| pod.namespace.as_str()),
            },
        }
    }
}
