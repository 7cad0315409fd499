//! The values that the state of a cluster is made of, ready to be put in.

use std::sync::Arc;

use lictor_wire::topology::{Bucket, cluster_key, deployment_key, image_key, namespace_key, pod_key};
use lictor_wire::{
    Baseline, ClusterId, ClusterRecord, Deployment, DeploymentId, ImageFacts, NamespaceRecord, PodRecord,
};
use serde::de::DeserializeOwned;

use crate::packed::Packer;
use crate::packed_map::Kept;

/// A value that the state of a cluster is made of, with its key; made from the value itself, or by a [`FactReader`]
/// from what a bucket holds.
#[derive(Debug)]
pub struct Fact(pub(crate) Value);

#[derive(Debug)]
pub(crate) enum Value {
    Deployment { id: DeploymentId, links: Links, kept: Kept<Deployment> },
    Pod { key: Arc<str>, record: PodRecord },
    Image { key: Box<str>, kept: Kept<ImageFacts> },
    Namespace { key: Box<str>, record: Arc<NamespaceRecord> },
    Cluster { key: Box<str>, record: Arc<ClusterRecord> },
    Baseline { key: Box<str>, baseline: Arc<Baseline> },
}

/// What a workload is found by, apart from its id.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) workload: Arc<WorkloadKey>,
    pub(crate) digests: Box<[Arc<str>]>,
}

/// A workload as a sensor names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct WorkloadKey {
    pub(crate) cluster: ClusterId,
    pub(crate) namespace: Box<str>,
    pub(crate) kind: Box<str>,
    pub(crate) name: Box<str>,
}

impl Links {
    fn of(deployment: &Deployment) -> Self {
        Self {
            workload: Arc::new(WorkloadKey {
                cluster: deployment.cluster_id.clone(),
                namespace: deployment.namespace.as_str().into(),
                kind: deployment.kind.as_str().into(),
                name: deployment.name.as_str().into(),
            }),
            digests: deployment.digests().map(Arc::from).collect(),
        }
    }
}

impl Fact {
    /// A workload's model.
    pub fn deployment(deployment: Deployment) -> Self {
        let (id, links) = (deployment.id.clone(), Links::of(&deployment));
        Self(Value::Deployment { id, links, kept: Kept::Parsed(Arc::new(deployment)) })
    }

    /// A pod, and the workload it belongs to.
    pub fn pod(record: PodRecord) -> Self {
        Self(Value::Pod { key: pod_key(&record.uid).into(), record })
    }

    /// Facts about an image.
    pub fn image(facts: ImageFacts) -> Self {
        Self(Value::Image { key: image_key(&facts.digest).into(), kept: Kept::Parsed(Arc::new(facts)) })
    }

    /// A namespace of a cluster.
    pub fn namespace(cluster: &ClusterId, record: NamespaceRecord) -> Self {
        let key = namespace_key(cluster.as_str(), &record.name).into();
        Self(Value::Namespace { key, record: Arc::new(record) })
    }

    /// A cluster.
    pub fn cluster(cluster: &ClusterId, record: ClusterRecord) -> Self {
        Self(Value::Cluster { key: cluster_key(cluster.as_str()).into(), record: Arc::new(record) })
    }

    /// What a workload usually does.
    pub fn baseline(baseline: Baseline) -> Self {
        let key = deployment_key(&baseline.deployment).into();
        Self(Value::Baseline { key, baseline: Arc::new(baseline) })
    }
}

/// Reads values of buckets: parses them into their compact form, before any lock is taken. One for each feed.
#[derive(Debug, Default)]
pub struct FactReader(Packer);

/// A value of a bucket that is not what the bucket holds: written by another version, or by mistake.
#[derive(Debug, thiserror::Error)]
#[error("the value of `{key}` in bucket `{bucket:?}` cannot be read and is skipped: {source}")]
pub struct Unreadable {
    bucket: Bucket,
    key: String,
    source: serde_json::Error,
}

impl FactReader {
    /// Reads the value of a key; `None` for a bucket that the state of a cluster is not made of.
    ///
    /// # Errors
    /// When it is not the JSON of what the bucket holds.
    pub fn read(&mut self, bucket: Bucket, key: &str, value: &[u8]) -> Result<Option<Fact>, Unreadable> {
        let unreadable = |source| Unreadable { bucket, key: key.to_owned(), source };
        self.value(bucket, key, value).map_err(unreadable).map(|value| value.map(Fact))
    }

    fn value(&mut self, bucket: Bucket, key: &str, value: &[u8]) -> Result<Option<Value>, serde_json::Error> {
        Ok(Some(match bucket {
            Bucket::Deployments => {
                let deployment: Deployment = serde_json::from_slice(value)?;
                let (links, kept) = (Links::of(&deployment), Kept::Packed(self.0.pack(value)));
                Value::Deployment { id: deployment.id, links, kept }
            }
            Bucket::Pods => Value::Pod { key: key.into(), record: serde_json::from_slice(value)? },
            Bucket::Images => {
                let _: ImageFacts = serde_json::from_slice(value)?;
                Value::Image { key: key.into(), kept: Kept::Packed(self.0.pack(value)) }
            }
            Bucket::Namespaces => Value::Namespace { key: key.into(), record: shared(value)? },
            Bucket::Clusters => Value::Cluster { key: key.into(), record: shared(value)? },
            Bucket::Baselines => Value::Baseline { key: key.into(), baseline: shared(value)? },
            Bucket::Presence | Bucket::Jobs | Bucket::Isolation => return Ok(None),
        }))
    }
}

fn shared<T: DeserializeOwned>(value: &[u8]) -> Result<Arc<T>, serde_json::Error> {
    serde_json::from_slice(value).map(Arc::new)
}
