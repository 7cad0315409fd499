//! What a target is joined with: everything that one judgement reads.

use std::sync::Arc;

use jiff::Timestamp;
use lictor_engine::{Findings, Input, Occurrence, PolicySet};
use lictor_wire::{
    Baseline, ClusterId, ClusterRecord, Deployment, Entity, ImageFacts, NamespaceRecord, Revisions,
};

use crate::state::{ClusterState, Versioned};
use crate::target::Target;

impl ClusterState {
    /// Passes to `each` the target joined with all known state, and its entity: once for most targets, once for each
    /// workload that runs an image.
    pub fn join(&self, cluster: &ClusterId, target: Target<'_>, each: &mut dyn FnMut(&Input<'_>, Entity)) {
        target.workloads(self, cluster, &mut |workload| {
            let entity = target.entity(cluster, workload.map(|workload| &*workload.value));
            Joined::new(self, cluster, target, workload).with_input(|input| each(input, entity));
        });
    }
}

pub(crate) struct Joined<'a> {
    cluster: &'a ClusterId,
    occurrence: Occurrence<'a>,
    workload: Option<&'a Versioned<Deployment>>,
    images: Vec<Option<Arc<ImageFacts>>>,
    cluster_record: Option<Arc<ClusterRecord>>,
    namespace_record: Option<Arc<NamespaceRecord>>,
    baseline: Option<Arc<Baseline>>,
    /// The highest revision among the facts about images.
    images_revision: u64,
}

impl<'a> Joined<'a> {
    /// Joins a target with one of its workloads.
    pub(crate) fn new(
        state: &ClusterState,
        cluster: &'a ClusterId,
        target: Target<'a>,
        workload: Option<&'a Versioned<Deployment>>,
    ) -> Self {
        match (target, workload) {
            (Target::Workload(_) | Target::UsersOf(_), Some(workload)) => Self::workload(state, workload),
            _ => Self::read(state, cluster, target.namespace(), target.occurrence(), workload),
        }
    }

    /// Joins a workload that is judged itself.
    pub(crate) fn workload(state: &ClusterState, workload: &'a Versioned<Deployment>) -> Self {
        let Deployment { cluster_id, namespace, .. } = &*workload.value;
        Self::read(state, cluster_id, namespace, Occurrence::Deployment, Some(workload))
    }

    fn read(
        state: &ClusterState,
        cluster: &'a ClusterId,
        namespace: &str,
        occurrence: Occurrence<'a>,
        workload: Option<&'a Versioned<Deployment>>,
    ) -> Self {
        let mut images_revision = 0;
        let containers = workload.map(|workload| &*workload.value.containers).unwrap_or_default();
        let images = containers.iter().map(|container| {
            let known = state.image(&container.image.id)?;
            images_revision = images_revision.max(known.revision);
            Some(known.value)
        });
        Self {
            cluster,
            occurrence,
            workload,
            images: images.collect(),
            cluster_record: state.cluster(cluster),
            namespace_record: state.namespace(cluster, namespace),
            baseline: workload.and_then(|workload| state.baseline(&workload.value.id)),
            images_revision,
        }
    }

    pub(crate) fn evaluate(&self, policies: &PolicySet, now: Timestamp) -> Findings {
        self.with_input(|input| policies.evaluate(input, now))
    }

    /// The revisions of what was read, and that of the policies that are evaluated.
    pub(crate) fn revisions(&self, policies: u64) -> Revisions {
        let deployment = self.workload.map_or(0, |workload| workload.revision);
        Revisions { deployment, images: self.images_revision, policies }
    }

    fn with_input<T>(&self, evaluate: impl FnOnce(&Input<'_>) -> T) -> T {
        let images: Vec<Option<&ImageFacts>> = self.images.iter().map(|facts| facts.as_deref()).collect();
        evaluate(&Input {
            cluster: self.cluster,
            occurrence: self.occurrence,
            deployment: self.workload.map(|workload| &*workload.value),
            images: &images,
            cluster_labels: self.cluster_record.as_ref().map(|record| &record.labels),
            namespace_labels: self.namespace_record.as_ref().map(|record| &record.labels),
            deviates: self.deviates(),
        })
    }

    /// Whether what happened departs from the baseline; not known while the workload is not.
    fn deviates(&self) -> Option<bool> {
        self.workload?;
        let baseline = self.baseline.as_deref();
        Some(match self.occurrence {
            Occurrence::Process(process) => baseline.is_some_and(|usual| usual.process_deviates(process)),
            Occurrence::Network(event) => baseline.is_some_and(|usual| usual.connection_deviates(event)),
            _ => false,
        })
    }
}
