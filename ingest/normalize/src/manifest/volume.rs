//! Volumes and their mounts. The types and what is given as their source are StackRox's; a type it does not list is
//! `unknown` and has no source.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use lictor_wire::{MountPropagation, Volume};

/// What a volume is: its type and source.
type What = (&'static str, String);

const UNKNOWN: &str = "unknown";
const SECRET: &str = "Secret";

/// The volumes of a pod, by name.
pub(super) struct Volumes(BTreeMap<String, What>);

impl Volumes {
    pub(super) fn of(spec: &core::PodSpec) -> Self {
        let volumes = spec.volumes.iter().flatten();
        Self(volumes.map(|volume| (volume.name.clone(), what(volume))).collect())
    }

    /// A container's mounts: those of volumes, and those of secrets, which StackRox keeps apart.
    pub(super) fn mounted(&self, mounts: &[core::VolumeMount]) -> (Vec<Volume>, Vec<Volume>) {
        mounts.iter().map(|mount| self.mount(mount)).partition(|volume| volume.volume_type != SECRET)
    }

    fn mount(&self, mount: &core::VolumeMount) -> Volume {
        let (volume_type, source) =
            self.0.get(&mount.name).cloned().unwrap_or_else(|| (UNKNOWN, String::new()));
        let mount_propagation = match mount.mount_propagation.as_deref() {
            Some("HostToContainer") => MountPropagation::HostToContainer,
            Some("Bidirectional") => MountPropagation::Bidirectional,
            _ => MountPropagation::None,
        };
        Volume {
            name: mount.name.clone(),
            source,
            destination: mount.mount_path.clone(),
            volume_type: volume_type.to_owned(),
            read_only: mount.read_only.unwrap_or_default(),
            mount_propagation,
            sub_path: mount.sub_path.clone().or_else(|| mount.sub_path_expr.clone()).unwrap_or_default(),
        }
    }
}

fn what(volume: &core::Volume) -> What {
    if let Some(v) = &volume.host_path {
        ("HostPath", v.path.clone())
    } else if let Some(v) = &volume.empty_dir {
        ("EmptyDir", v.medium.clone().unwrap_or_default())
    } else if let Some(v) = &volume.config_map {
        ("ConfigMap", v.name.clone())
    } else if let Some(v) = &volume.secret {
        (SECRET, v.secret_name.clone().unwrap_or_default())
    } else if let Some(v) = &volume.persistent_volume_claim {
        ("PersistentVolumeClaim", v.claim_name.clone())
    } else if let Some(v) = &volume.nfs {
        ("NFS", format!("{}/{}", v.server, v.path))
    } else if let Some(v) = &volume.git_repo {
        ("GitRepo", v.repository.clone())
    } else if let Some(v) = &volume.glusterfs {
        ("Glusterfs", v.path.clone())
    } else if let Some(v) = &volume.rbd {
        // The API server's default pool, where a manifest names none.
        ("RBD", format!("{}/{}", v.pool.as_deref().unwrap_or("rbd"), v.image))
    } else if let Some(v) = &volume.cephfs {
        ("CephFS", v.path.clone().unwrap_or_default())
    } else if let Some(v) = &volume.cinder {
        ("Cinder", v.volume_id.clone())
    } else if let Some(v) = &volume.aws_elastic_block_store {
        ("AWSElasticBlockStore", v.volume_id.clone())
    } else if let Some(v) = &volume.gce_persistent_disk {
        ("GCEPersistentDisk", v.pd_name.clone())
    } else if let Some(v) = &volume.azure_disk {
        ("AzureDisk", v.disk_name.clone())
    } else if let Some(v) = &volume.azure_file {
        ("AzureFile", v.share_name.clone())
    } else {
        (UNKNOWN, String::new())
    }
}
