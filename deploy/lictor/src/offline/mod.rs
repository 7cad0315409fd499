//! Judging without a bus: what a file says is known, and what a file says happened.
//!
//! The same joins and the same policies as in an evaluator; only the buckets are filled from files.

mod document;
mod source;

use jiff::Timestamp;
use lictor_detection::{ClusterState, Fact, Target};
use lictor_engine::{Input, PolicyRevision, PolicySet};
use lictor_normalize::manifest::Manifests;
use lictor_wire::{ClusterId, Deployment, DeploymentEvent, Entity, Event, EventData, EventId, Policy};

pub(crate) use document::{Document, DocumentError};
pub(crate) use source::{Contents, Recording};

/// What is known of a cluster.
#[derive(Debug)]
pub(crate) struct OfflineCluster {
    cluster: ClusterId,
    state: ClusterState,
}

impl OfflineCluster {
    /// A cluster of which nothing is known.
    pub(crate) fn new(cluster: &str) -> Self {
        Self { cluster: ClusterId::new(cluster), state: ClusterState::default() }
    }

    /// The cluster.
    pub(crate) fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// What is known of it.
    pub(crate) fn state(&self) -> &ClusterState {
        &self.state
    }

    /// Takes in a value.
    pub(crate) fn know(&mut self, fact: Fact) {
        self.state.put(0, fact);
    }

    /// Takes in what manifests hold.
    pub(crate) fn know_manifests(&mut self, found: &Manifests) {
        let Manifests { deployments, pods, namespaces, .. } = found;
        deployments.iter().cloned().for_each(|deployment| self.know(Fact::deployment(deployment)));
        pods.iter().cloned().for_each(|pod| self.know(Fact::pod(pod)));
        for namespace in namespaces {
            self.know(Fact::namespace(&self.cluster, namespace.clone()));
        }
    }

    /// Hands on what an event is about, joined with what is known.
    pub(crate) fn inputs(&self, event: &Event, each: &mut dyn FnMut(&Input<'_>, Entity)) {
        if let Some(target) = Target::of(&event.data) {
            self.state.join(&event.cluster, target, each);
        }
    }
}

/// Compiles policies that were read and validated.
pub(crate) fn compile(policies: impl IntoIterator<Item = Policy>, parity: bool) -> PolicySet {
    let revisions = policies
        .into_iter()
        .map(|policy| PolicyRevision { policy: std::sync::Arc::new(policy), revision: 0 });
    PolicySet::compile(revisions, lictor_engine::Options { parity }).set
}

/// The event that says that a workload was seen.
pub(crate) fn seen(deployment: Deployment, now: Timestamp) -> Event {
    let cluster = deployment.cluster_id.clone();
    let body = DeploymentEvent { deployment, ..DeploymentEvent::default() };
    happened(EventData::Deployment(Box::new(body)), &cluster, now)
}

/// An event of which only the body is known.
fn happened(data: EventData, cluster: &ClusterId, now: Timestamp) -> Event {
    Event {
        id: EventId::new("file"),
        source: "/file".to_owned(),
        time: now,
        cluster: cluster.clone(),
        traceparent: None,
        extensions: std::collections::BTreeMap::new(),
        data,
    }
}
