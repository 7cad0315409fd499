//! The state of the clusters, as far as judging reads it.
//!
//! Models are kept as the bytes they arrived in, packed, and parsed when an event needs them, the recent ones
//! remembered: ten thousand workloads are then some megabytes, not some hundred. JSON and zstd are read while nothing
//! is locked; under the lock there are only look-ups.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lictor_wire::topology::{Bucket, cluster_key, deployment_key, image_key, namespace_key, pod_key};
use lictor_wire::{
    Baseline, ClusterId, ClusterRecord, Deployment, DeploymentChange, DeploymentId, Event, EventData,
    ImageFacts, NamespaceRecord, PodRecord, PodRef,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fact::{Fact, Links, Value, WorkloadKey};
use crate::packed::Unpacker;
use crate::packed_map::{Found, Kept, PackedMap};

/// Workloads and image facts kept parsed. A busy node set touches some hundred workloads a second; a parsed model
/// is a few kilobytes, so this stays below 10 MB.
const PARSED: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// What is known of clusters: workloads, pods, facts about images, namespaces, clusters, baselines. Share it behind an
/// `Arc`.
#[derive(Debug, Default)]
pub struct ClusterState {
    tables: Mutex<Tables>,
    unpacker: Unpacker,
}

/// A value with the revision it was read at.
#[derive(Debug, Clone)]
pub struct Versioned<T> {
    /// The revision of its key in its bucket; 0 for a value that is in no bucket.
    pub revision: u64,
    /// The value.
    pub value: Arc<T>,
}

/// The buckets that the state of a cluster is made of.
pub const STATE_BUCKETS: [Bucket; 6] = [
    Bucket::Deployments,
    Bucket::Pods,
    Bucket::Images,
    Bucket::Namespaces,
    Bucket::Clusters,
    Bucket::Baselines,
];

#[derive(Debug)]
struct Tables {
    deployments: PackedMap<DeploymentId, Deployment>,
    links: HashMap<DeploymentId, Links>,
    by_workload: HashMap<Arc<WorkloadKey>, DeploymentId>,
    by_digest: HashMap<Arc<str>, HashSet<DeploymentId>>,
    pods: HashMap<Arc<str>, Pod>,
    pods_by_name: HashMap<Arc<PodName>, Arc<str>>,
    images: PackedMap<Box<str>, ImageFacts>,
    namespaces: HashMap<Box<str>, Arc<NamespaceRecord>>,
    clusters: HashMap<Box<str>, Arc<ClusterRecord>>,
    baselines: HashMap<Box<str>, Arc<Baseline>>,
}

#[derive(Debug)]
struct Pod {
    deployment: DeploymentId,
    name: Arc<PodName>,
}

/// A pod as a sensor names it that sends no uid.
#[derive(Debug, PartialEq, Eq, Hash)]
struct PodName {
    /// Empty when the record does not say.
    cluster: ClusterId,
    namespace: Box<str>,
    name: Box<str>,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            deployments: PackedMap::new(PARSED),
            links: HashMap::new(),
            by_workload: HashMap::new(),
            by_digest: HashMap::new(),
            pods: HashMap::new(),
            pods_by_name: HashMap::new(),
            images: PackedMap::new(PARSED),
            namespaces: HashMap::new(),
            clusters: HashMap::new(),
            baselines: HashMap::new(),
        }
    }
}

// --- what is put in ------------------------------------------------------------------------------------------------

impl ClusterState {
    /// Puts a value in, replacing an older one of the same key.
    pub fn put(&self, revision: u64, fact: Fact) {
        let mut tables = self.tables();
        match fact.0 {
            Value::Deployment { id, links, kept } => tables.put_deployment(id, revision, links, kept),
            Value::Pod { key, record } => tables.put_pod(key, record),
            Value::Image { key, kept } => tables.images.insert(key, revision, kept),
            Value::Namespace { key, record } => {
                tables.namespaces.insert(key, record);
            }
            Value::Cluster { key, record } => {
                tables.clusters.insert(key, record);
            }
            Value::Baseline { key, baseline } => {
                tables.baselines.insert(key, baseline);
            }
        }
    }

    /// Applies what an event itself says about the state: a workload's state at that time or its deletion, and facts
    /// about an image. Not needed by callers that read the buckets.
    pub fn learn(&self, event: &Event) {
        match &event.data {
            EventData::Deployment(body) if body.change == DeploymentChange::Deleted => {
                self.tables().remove_deployment(&body.deployment.id);
            }
            EventData::Deployment(body) => self.put(body.revision, Fact::deployment(body.deployment.clone())),
            EventData::Image(body) => {
                if let Some(facts) = &body.facts {
                    self.put(body.revision, Fact::image(facts.clone()));
                }
            }
            _ => {}
        }
    }

    /// Removes a key of a bucket.
    pub fn remove(&self, bucket: Bucket, key: &str) {
        let mut tables = self.tables();
        match bucket {
            Bucket::Deployments => {
                if let Some(id) = tables.deployment_of_key(key) {
                    tables.remove_deployment(&id);
                }
            }
            Bucket::Pods => tables.remove_pod(key),
            Bucket::Images => tables.images.remove(key),
            Bucket::Namespaces => {
                tables.namespaces.remove(key);
            }
            Bucket::Clusters => {
                tables.clusters.remove(key);
            }
            Bucket::Baselines => {
                tables.baselines.remove(key);
            }
            Bucket::Presence | Bucket::Jobs | Bucket::Isolation => {}
        }
    }

    /// Removes everything that came from a bucket: its feed starts over.
    pub fn clear(&self, bucket: Bucket) {
        let mut tables = self.tables();
        match bucket {
            Bucket::Deployments => {
                tables.deployments.clear();
                tables.links.clear();
                tables.by_workload.clear();
                tables.by_digest.clear();
            }
            Bucket::Pods => {
                tables.pods.clear();
                tables.pods_by_name.clear();
            }
            Bucket::Images => tables.images.clear(),
            Bucket::Namespaces => tables.namespaces.clear(),
            Bucket::Clusters => tables.clusters.clear(),
            Bucket::Baselines => tables.baselines.clear(),
            Bucket::Presence | Bucket::Jobs | Bucket::Isolation => {}
        }
    }

    /// A panic in one judgement must not end all others: the maps are whole between any two statements here.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn put_deployment(&mut self, id: DeploymentId, revision: u64, mut links: Links, kept: Kept<Deployment>) {
        self.unlink(&id);
        self.by_workload.insert(links.workload.clone(), id.clone());
        for digest in &mut links.digests {
            // A digest that many workloads run is kept once.
            if let Some((known, _)) = self.by_digest.get_key_value(digest) {
                *digest = known.clone();
            }
            self.by_digest.entry(digest.clone()).or_default().insert(id.clone());
        }
        self.links.insert(id.clone(), links);
        self.deployments.insert(id, revision, kept);
    }

    /// The workload that has this key. Most keys are their ids: UIDs are tokens as they are.
    fn deployment_of_key(&self, key: &str) -> Option<DeploymentId> {
        let same = DeploymentId::new(key);
        if deployment_key(&same) == key {
            return Some(same);
        }
        self.links.keys().find(|id| deployment_key(id) == key).cloned()
    }

    fn remove_deployment(&mut self, id: &DeploymentId) {
        self.unlink(id);
        self.deployments.remove(id);
    }

    fn unlink(&mut self, id: &DeploymentId) {
        let Some(links) = self.links.remove(id) else { return };
        // A workload deleted and made again under its name has a new id, which may have arrived first.
        if self.by_workload.get(&links.workload) == Some(id) {
            self.by_workload.remove(&links.workload);
        }
        for digest in &links.digests {
            if let Some(users) = self.by_digest.get_mut(digest) {
                users.remove(id);
                if users.is_empty() {
                    self.by_digest.remove(digest);
                }
            }
        }
    }

    fn put_pod(&mut self, key: Arc<str>, record: PodRecord) {
        self.remove_pod(&key);
        let PodRecord { cluster, namespace, name, deployment, .. } = record;
        let name = Arc::new(PodName { cluster, namespace: namespace.into(), name: name.into() });
        self.pods_by_name.insert(name.clone(), key.clone());
        self.pods.insert(key, Pod { deployment, name });
    }

    fn remove_pod(&mut self, key: &str) {
        let Some(pod) = self.pods.remove(key) else { return };
        // A pod made again under its name has a new uid, which may have arrived first.
        if self.pods_by_name.get(&pod.name).is_some_and(|newest| **newest == *key) {
            self.pods_by_name.remove(&pod.name);
        }
    }
}

// --- what is looked up ---------------------------------------------------------------------------------------------

impl ClusterState {
    /// A workload by id.
    pub fn deployment(&self, id: &DeploymentId) -> Option<Versioned<Deployment>> {
        let found = self.tables().deployments.get(id)?;
        self.parsed(found, id.clone(), |tables| &mut tables.deployments)
    }

    /// The workload of a pod: by the pod's uid, else by the workload the sensor named, else, for a sensor that
    /// sends no uid, by the pod's name.
    ///
    /// A known uid is authoritative: a name may have passed from one workload to another.
    pub fn deployment_of(&self, cluster: &ClusterId, pod: &PodRef) -> Option<Versioned<Deployment>> {
        let mut tables = self.tables();
        let id = tables.workload_of(cluster, pod)?.clone();
        let found = tables.deployments.get(&id)?;
        drop(tables);
        self.parsed(found, id, |tables| &mut tables.deployments)
    }

    /// The ids of all workloads.
    pub fn deployment_ids(&self) -> Vec<DeploymentId> {
        self.tables().deployments.keys().cloned().collect()
    }

    /// The workloads that run a digest.
    pub fn users_of(&self, digest: &str) -> Vec<DeploymentId> {
        let tables = self.tables();
        tables.by_digest.get(digest).map(|users| users.iter().cloned().collect()).unwrap_or_default()
    }

    /// Facts about a digest; none are known of the empty one.
    pub fn image(&self, digest: &str) -> Option<Versioned<ImageFacts>> {
        if digest.is_empty() {
            return None;
        }
        let key = image_key(digest);
        let found = self.tables().images.get(&*key)?;
        self.parsed(found, key.into(), |tables| &mut tables.images)
    }

    /// A namespace of a cluster.
    pub fn namespace(&self, cluster: &ClusterId, namespace: &str) -> Option<Arc<NamespaceRecord>> {
        self.tables().namespaces.get(&*namespace_key(cluster.as_str(), namespace)).cloned()
    }

    /// A cluster.
    pub fn cluster(&self, cluster: &ClusterId) -> Option<Arc<ClusterRecord>> {
        self.tables().clusters.get(&*cluster_key(cluster.as_str())).cloned()
    }

    /// What a workload usually does, if a baseline is kept for it.
    pub fn baseline(&self, id: &DeploymentId) -> Option<Arc<Baseline>> {
        self.tables().baselines.get(&*deployment_key(id)).cloned()
    }

    /// The number of values, by type.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let tables = self.tables();
        [
            ("deployments", tables.deployments.len()),
            ("pods", tables.pods.len()),
            ("images", tables.images.len()),
            ("namespaces", tables.namespaces.len()),
        ]
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count as u64))
        .collect()
    }

    /// Parses what was found packed, and remembers it.
    fn parsed<K: Clone + Eq + Hash, T: Serialize + DeserializeOwned>(
        &self,
        found: Found<T>,
        key: K,
        map: impl FnOnce(&mut Tables) -> &mut PackedMap<K, T>,
    ) -> Option<Versioned<T>> {
        let (revision, packed) = match found {
            Found::Parsed(value) => return Some(value),
            Found::Packed { revision, packed } => (revision, packed),
        };
        // It was read once when it came in.
        let value: Arc<T> = Arc::new(serde_json::from_slice(&self.unpacker.unpack(&packed)?).ok()?);
        map(&mut self.tables()).remember(key, &packed, value.clone());
        Some(Versioned { revision, value })
    }
}

impl Tables {
    fn workload_of(&self, cluster: &ClusterId, pod: &PodRef) -> Option<&DeploymentId> {
        let namespace = || pod.namespace.as_str().into();
        let by_uid = (!pod.uid.is_empty()).then(|| self.pods.get(&*pod_key(&pod.uid))).flatten();
        if let Some(pod) = by_uid {
            return Some(&pod.deployment);
        }
        let by_workload = pod.workload.as_ref().and_then(|workload| {
            self.by_workload.get(&WorkloadKey {
                cluster: cluster.clone(),
                namespace: namespace(),
                kind: workload.kind.as_str().into(),
                name: workload.name.as_str().into(),
            })
        });
        if by_workload.is_some() || !pod.uid.is_empty() {
            return by_workload;
        }
        let by_name = |cluster| {
            let name = PodName { cluster, namespace: namespace(), name: pod.name.as_str().into() };
            Some(&self.pods.get(self.pods_by_name.get(&name)?)?.deployment)
        };
        by_name(cluster.clone()).or_else(|| {
            // A record that does not say its cluster is of the one that its workload is on.
            by_name(ClusterId::default())
                .filter(|id| self.links.get(*id).is_some_and(|links| links.workload.cluster == *cluster))
        })
    }
}

#[cfg(test)]
mod tests;
