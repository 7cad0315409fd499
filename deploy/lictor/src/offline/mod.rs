//! Judging without a bus: what a file says is known, and what a file says happened.
//!
//! The same joins and the same policies as in an evaluator; only the buckets are filled from files.

mod document;
mod source;

use bytes::Bytes;
use jiff::Timestamp;
use lictor_detection::views::Views;
use lictor_engine::{Findings, Input, Occurrence, PolicyRevision, PolicySet};
use lictor_evaluator::judge::{Judge, Loaded};
use lictor_normalize::manifest::Manifests;
use lictor_wire::topology::{Bucket, cluster_key, deployment_key, image_key, namespace_key, pod_key};
use lictor_wire::{
    Baseline, ClusterId, ClusterRecord, Deployment, DeploymentEvent, Entity, Event, EventData, EventId,
    ImageFacts, NamespaceRecord, PodRecord, Policy,
};
use serde::Serialize;

pub(crate) use document::{Document, DocumentError};
pub(crate) use source::{Contents, Recording};

/// What is known of a cluster.
#[derive(Debug)]
pub(crate) struct World {
    cluster: ClusterId,
    views: Views,
    revision: u64,
}

impl World {
    /// A cluster of which nothing is known.
    pub(crate) fn new(cluster: &str) -> Self {
        Self { cluster: ClusterId::new(cluster), views: Views::default(), revision: 0 }
    }

    /// The cluster.
    pub(crate) fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// Takes in what manifests hold.
    pub(crate) fn know_manifests(&mut self, found: &Manifests) {
        for deployment in &found.deployments {
            self.know_deployment(deployment);
        }
        for pod in &found.pods {
            self.know_pod(pod);
        }
        for namespace in &found.namespaces {
            self.know_namespace(namespace);
        }
    }

    pub(crate) fn know_deployment(&mut self, deployment: &Deployment) {
        self.put(Bucket::Deployments, &deployment_key(&deployment.id), deployment);
    }

    pub(crate) fn forget_deployment(&self, deployment: &Deployment) {
        self.views.remove(Bucket::Deployments, &deployment_key(&deployment.id));
    }

    pub(crate) fn know_pod(&mut self, pod: &PodRecord) {
        self.put(Bucket::Pods, &pod_key(&pod.uid), pod);
    }

    pub(crate) fn know_image(&mut self, facts: &ImageFacts) {
        self.put(Bucket::Images, &image_key(&facts.digest), facts);
    }

    pub(crate) fn know_namespace(&mut self, namespace: &NamespaceRecord) {
        let key = namespace_key(self.cluster.as_str(), &namespace.name);
        self.put(Bucket::Namespaces, &key, namespace);
    }

    pub(crate) fn know_cluster(&mut self, cluster: &ClusterRecord) {
        let key = cluster_key(self.cluster.as_str());
        self.put(Bucket::Clusters, &key, cluster);
    }

    pub(crate) fn know_baseline(&mut self, baseline: &Baseline) {
        self.put(Bucket::Baselines, &deployment_key(&baseline.deployment), baseline);
    }

    fn put(&mut self, bucket: Bucket, key: &str, value: &impl Serialize) {
        self.revision += 1;
        // Both directions of what `wire` writes are tested there; a value that cannot be written is not known.
        if let Ok(bytes) = serde_json::to_vec(value) {
            let _known = self.views.put(bucket, key, self.revision, &Bytes::from(bytes));
        }
    }

    /// What events are judged with.
    pub(crate) fn judge<'a>(&'a self, policies: &'a Loaded) -> Judge<'a> {
        Judge { views: &self.views, policies }
    }

    /// Hands on what an event is about, joined with what is known.
    pub(crate) fn subjects(&self, event: &Event, each: &mut dyn FnMut(&Input<'_>, Entity)) {
        self.judge(&Loaded::default()).subjects(event, each);
    }

    /// Hands on an image as it is judged before it is deployed.
    pub(crate) fn image_subject(&self, facts: &ImageFacts, each: &mut dyn FnMut(&Input<'_>, Entity)) {
        let name = facts.names.first().map(|name| name.full_name.clone()).unwrap_or_default();
        let subject = Input {
            cluster: &self.cluster,
            occurrence: Occurrence::Image(facts),
            deployment: None,
            images: &[],
            cluster_labels: None,
            namespace_labels: None,
            deviates: None,
        };
        each(&subject, Entity::ContainerImage { digest: facts.digest.clone(), name });
    }
}

/// Compiles policies that were read and validated.
pub(crate) fn compile(policies: impl IntoIterator<Item = Policy>, parity: bool) -> PolicySet {
    let revisions = policies
        .into_iter()
        .map(|policy| PolicyRevision { policy: std::sync::Arc::new(policy), revision: 0 });
    PolicySet::compile(revisions, lictor_engine::Options { parity }).set
}

/// Judges one subject with a set.
pub(crate) fn findings(set: &PolicySet, subject: &Input<'_>, now: Timestamp) -> Findings {
    set.judge(subject, now)
}

/// Whether an event changes what is known, and how; everything else happens to what is known.
pub(crate) fn learn(world: &mut World, event: &Event) {
    match &event.data {
        EventData::Deployment(body) if body.change == lictor_wire::DeploymentChange::Deleted => {
            world.forget_deployment(&body.deployment);
        }
        EventData::Deployment(body) => world.know_deployment(&body.deployment),
        EventData::Image(body) => {
            if let Some(facts) = &body.facts {
                world.know_image(facts);
            }
        }
        _ => {}
    }
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
