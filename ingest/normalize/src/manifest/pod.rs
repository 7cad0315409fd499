//! What a pod's status adds to its spec.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lictor_wire::{ClusterId, Deployment, DeploymentId, PodContainer, PodRecord};

use crate::path::{container_id, image_digest};

/// A pod as it runs.
pub(super) struct Running {
    /// The record to keep; its cluster and workload are set when objects are linked.
    record: PodRecord,
    created: Option<Timestamp>,
    /// Normalised reference per container of the spec.
    images: BTreeMap<String, String>,
    /// All its containers have ended for good.
    pub(super) ended: bool,
}

impl Running {
    pub(super) fn new(meta: &ObjectMeta, spec: &core::PodSpec, status: core::PodStatus) -> Self {
        let images = spec.init_containers.iter().flatten().chain(&spec.containers);
        let images = images.filter_map(|container| {
            let image = lictor_wire::ImageName::parse(container.image.as_deref()?);
            Some((container.name.clone(), image.full_name))
        });
        let ips = match status.pod_ips {
            Some(ips) if !ips.is_empty() => ips.into_iter().map(|ip| ip.ip).collect(),
            _ => status.pod_ip.into_iter().collect(),
        };
        let statuses =
            [status.init_container_statuses, status.container_statuses, status.ephemeral_container_statuses];
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            record: PodRecord {
                uid: lictor_wire::PodId::new(text(&meta.uid)),
                cluster: ClusterId::default(),
                namespace: meta.namespace.clone().unwrap_or_else(|| "default".to_owned()),
                name: text(&meta.name),
                deployment: DeploymentId::default(),
                node: text(&spec.node_name),
                ips,
                containers: statuses.into_iter().flatten().flatten().map(container).collect(),
            },
            created: meta.creation_timestamp.as_ref().map(|time| time.0),
            images: images.collect(),
            ended: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
        }
    }

    /// The record, for the workload the pod belongs to; `None` for a pod that is only written, not there.
    pub(super) fn record(&self, workload: &Deployment) -> Option<PodRecord> {
        (!self.record.uid.is_empty()).then(|| PodRecord {
            cluster: workload.cluster_id.clone(),
            deployment: workload.id.clone(),
            ..self.record.clone()
        })
    }

    /// For sorting: younger pods later.
    pub(super) const fn created(&self) -> Option<Timestamp> {
        self.created
    }

    /// Fills in the digests that a workload's image references resolved to. A pod of an older template has other
    /// references and adds nothing.
    pub(super) fn fill_in_digests(&self, model: &mut Deployment) {
        for container in model.containers.iter_mut().filter(|container| container.image.id.is_empty()) {
            let same = self.images.get(&container.name) == Some(&container.image.name.full_name);
            let ran = self.record.containers.iter().find(|ran| ran.name == container.name);
            if let Some(ran) = ran.filter(|_| same) {
                container.image.id.clone_from(&ran.image_digest);
            }
        }
    }
}

fn container(status: core::ContainerStatus) -> PodContainer {
    PodContainer {
        id: container_id(status.container_id.as_deref().unwrap_or_default()).to_owned(),
        image_digest: image_digest(&status.image_id).to_owned(),
        name: status.name,
    }
}
