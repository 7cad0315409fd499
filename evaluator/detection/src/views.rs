//! What an evaluator knows of the cluster: views of the buckets, rebuilt from NATS at every start.
//!
//! Models are kept as the bytes they arrived in, packed, and read when an event needs them, the recent ones remembered: ten
//! thousand workloads are then some megabytes, not some hundred. Every view says up to which revision it has read,
//! so a judgement can wait until it has seen what was there when it began.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lictor_wire::topology::{Bucket, cluster_key, deployment_key, image_key, namespace_key, pod_key};
use lictor_wire::{
    Baseline, ClusterId, ClusterRecord, Deployment, DeploymentId, ImageFacts, NamespaceRecord, PodRecord,
    PodRef,
};
use lru::LruCache;

use crate::packed::{Packed, Packer};

/// Workloads and image facts kept parsed. A busy node set touches some hundred workloads a second; a parsed model
/// is a few kilobytes, so this stays below 10 MB.
const PARSED: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// The views of one evaluator.
#[derive(Debug)]
pub struct Views(Mutex<State>);

#[derive(Debug)]
struct State {
    deployments: HashMap<DeploymentId, Held>,
    by_workload: HashMap<WorkloadKey, DeploymentId>,
    by_digest: HashMap<Box<str>, HashSet<DeploymentId>>,
    pods: HashMap<Box<str>, PodEntry>,
    pods_by_name: HashMap<PodName, Box<str>>,
    images: HashMap<Box<str>, Held>,
    namespaces: HashMap<Box<str>, Arc<NamespaceRecord>>,
    clusters: HashMap<Box<str>, Arc<ClusterRecord>>,
    baselines: HashMap<Box<str>, Arc<Baseline>>,
    parsed_deployments: LruCache<DeploymentId, Arc<Deployment>>,
    parsed_images: LruCache<Box<str>, Arc<ImageFacts>>,
    packer: Packer,
}

/// A value as it arrived.
#[derive(Debug, Clone)]
struct Held {
    revision: u64,
    value: Packed,
}

#[derive(Debug, Clone)]
struct PodEntry {
    deployment: DeploymentId,
    name: PodName,
}

/// Cluster, namespace, name; the cluster is empty when the record does not say.
type PodName = (ClusterId, Box<str>, Box<str>);

/// Cluster, namespace, kind, name.
type WorkloadKey = (Box<str>, Box<str>, Box<str>, Box<str>);

/// A workload with the revision it was read at.
#[derive(Debug, Clone)]
pub struct Known<T> {
    /// The bucket's revision.
    pub revision: u64,
    /// The value.
    pub value: Arc<T>,
}

/// A value that was in a bucket and cannot be read: another version's, or somebody's mistake.
#[derive(Debug, thiserror::Error)]
#[error("the value of `{key}` in bucket `{bucket:?}` cannot be read and is passed over: {source}")]
pub struct Unreadable {
    bucket: Bucket,
    key: String,
    source: serde_json::Error,
}

/// The buckets an evaluator keeps a view of.
pub const VIEWED: [Bucket; 6] = [
    Bucket::Deployments,
    Bucket::Pods,
    Bucket::Images,
    Bucket::Namespaces,
    Bucket::Clusters,
    Bucket::Baselines,
];

impl Default for Views {
    fn default() -> Self {
        Self(Mutex::new(State {
            deployments: HashMap::new(),
            by_workload: HashMap::new(),
            by_digest: HashMap::new(),
            pods: HashMap::new(),
            pods_by_name: HashMap::new(),
            images: HashMap::new(),
            namespaces: HashMap::new(),
            clusters: HashMap::new(),
            baselines: HashMap::new(),
            parsed_deployments: LruCache::new(PARSED),
            parsed_images: LruCache::new(PARSED),
            packer: Packer::default(),
        }))
    }
}

// --- what the feeds do --------------------------------------------------------------------------------------------

impl Views {
    /// Takes in a value of a bucket.
    ///
    /// # Errors
    /// When the value cannot be read; the view keeps what it had.
    pub fn put(&self, bucket: Bucket, key: &str, revision: u64, value: &Bytes) -> Result<(), Unreadable> {
        let unreadable = |source| Unreadable { bucket, key: key.to_owned(), source };
        let mut state = self.state();
        match bucket {
            Bucket::Deployments => {
                let deployment: Deployment = serde_json::from_slice(value).map_err(unreadable)?;
                state.remove_deployment(&deployment.id);
                let held = Held { revision, value: state.packer.pack(value) };
                state.put_deployment(&deployment, held);
            }
            Bucket::Pods => {
                let pod: PodRecord = serde_json::from_slice(value).map_err(unreadable)?;
                state.put_pod(key, pod);
            }
            Bucket::Images => {
                let _: ImageFacts = serde_json::from_slice(value).map_err(unreadable)?;
                state.parsed_images.pop(key);
                let held = Held { revision, value: state.packer.pack(value) };
                state.images.insert(key.into(), held);
            }
            Bucket::Namespaces => {
                let record = serde_json::from_slice(value).map_err(unreadable)?;
                state.namespaces.insert(key.into(), Arc::new(record));
            }
            Bucket::Clusters => {
                let record = serde_json::from_slice(value).map_err(unreadable)?;
                state.clusters.insert(key.into(), Arc::new(record));
            }
            Bucket::Baselines => {
                let baseline = serde_json::from_slice(value).map_err(unreadable)?;
                state.baselines.insert(key.into(), Arc::new(baseline));
            }
            Bucket::Presence | Bucket::Jobs | Bucket::Blame => {}
        }
        Ok(())
    }

    /// Forgets a key of a bucket.
    pub fn remove(&self, bucket: Bucket, key: &str) {
        let mut state = self.state();
        match bucket {
            Bucket::Deployments => {
                if let Ok(id) = lictor_wire::token::unescape(key) {
                    state.remove_deployment(&DeploymentId::new(id));
                }
            }
            Bucket::Pods => state.remove_pod(key),
            Bucket::Images => {
                state.parsed_images.pop(key);
                state.images.remove(key);
            }
            Bucket::Namespaces => {
                state.namespaces.remove(key);
            }
            Bucket::Clusters => {
                state.clusters.remove(key);
            }
            Bucket::Baselines => {
                state.baselines.remove(key);
            }
            Bucket::Presence | Bucket::Jobs | Bucket::Blame => {}
        }
    }

    /// Forgets a whole bucket: its feed starts over.
    pub fn clear(&self, bucket: Bucket) {
        let mut state = self.state();
        match bucket {
            Bucket::Deployments => {
                state.deployments.clear();
                state.by_workload.clear();
                state.by_digest.clear();
                state.parsed_deployments.clear();
            }
            Bucket::Pods => {
                state.pods.clear();
                state.pods_by_name.clear();
            }
            Bucket::Images => {
                state.images.clear();
                state.parsed_images.clear();
            }
            Bucket::Namespaces => state.namespaces.clear(),
            Bucket::Clusters => state.clusters.clear(),
            Bucket::Baselines => state.baselines.clear(),
            Bucket::Presence | Bucket::Jobs | Bucket::Blame => {}
        }
    }

    /// A panic in one judgement must not end all others: the maps are whole between any two statements here.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put_deployment(&mut self, deployment: &Deployment, held: Held) {
        let id = deployment.id.clone();
        self.by_workload.insert(workload_key(deployment), id.clone());
        for digest in deployment.digests() {
            self.by_digest.entry(digest.into()).or_default().insert(id.clone());
        }
        self.deployments.insert(id, held);
    }

    fn remove_deployment(&mut self, id: &DeploymentId) {
        self.parsed_deployments.pop(id);
        let Some(held) = self.deployments.remove(id) else { return };
        let Some(value) = self.packer.unpack(&held.value) else { return };
        let Ok(deployment) = serde_json::from_slice::<Deployment>(&value) else { return };
        let key = workload_key(&deployment);
        // A workload deleted and made again under its name has a new id, which may have arrived first.
        if self.by_workload.get(&key) == Some(id) {
            self.by_workload.remove(&key);
        }
        for digest in deployment.digests() {
            if let Some(users) = self.by_digest.get_mut(digest) {
                users.remove(id);
                if users.is_empty() {
                    self.by_digest.remove(digest);
                }
            }
        }
    }

    fn put_pod(&mut self, key: &str, pod: PodRecord) {
        self.remove_pod(key);
        let name = (pod.cluster, pod.namespace.into(), pod.name.into());
        self.pods_by_name.insert(name.clone(), key.into());
        self.pods.insert(key.into(), PodEntry { deployment: pod.deployment, name });
    }

    fn remove_pod(&mut self, key: &str) {
        let Some(pod) = self.pods.remove(key) else { return };
        if self.pods_by_name.get(&pod.name).is_some_and(|held| **held == *key) {
            self.pods_by_name.remove(&pod.name);
        }
    }
}

fn workload_key(deployment: &Deployment) -> WorkloadKey {
    (
        deployment.cluster_id.as_str().into(),
        deployment.namespace.as_str().into(),
        deployment.kind.as_str().into(),
        deployment.name.as_str().into(),
    )
}

// --- what judging asks --------------------------------------------------------------------------------------------

impl Views {
    /// A workload by id.
    #[must_use]
    pub fn deployment(&self, id: &DeploymentId) -> Option<Known<Deployment>> {
        self.state().deployment(id)
    }

    /// The workload of a pod: by the pod's uid, else by the workload the sensor named, else, for a sensor that
    /// sends no uid, by the pod's name.
    ///
    /// A known uid is the last word: a name may have passed from one workload to another.
    #[must_use]
    pub fn deployment_of(&self, cluster: &str, pod: &PodRef) -> Option<Known<Deployment>> {
        let mut state = self.state();
        let by_uid = (!pod.uid.is_empty())
            .then(|| state.pods.get(&*pod_key(&pod.uid)))
            .flatten()
            .map(|entry| entry.deployment.clone());
        let id = by_uid.or_else(|| {
            let workload = pod.workload.as_ref()?;
            let key: WorkloadKey = (
                cluster.into(),
                pod.namespace.as_str().into(),
                workload.kind.as_str().into(),
                workload.name.as_str().into(),
            );
            state.by_workload.get(&key).cloned()
        });
        if id.is_none() && pod.uid.is_empty() {
            let name = |cluster| (cluster, pod.namespace.as_str().into(), pod.name.as_str().into());
            let cluster = ClusterId::new(cluster);
            return match state.by_pod_name(&name(cluster.clone())) {
                Some(known) => Some(known),
                // A record that does not say its cluster is of the one that its workload is on.
                None => {
                    let known = state.by_pod_name(&name(ClusterId::default()))?;
                    (known.value.cluster_id == cluster).then_some(known)
                }
            };
        }
        state.deployment(&id?)
    }

    /// Every workload that is known.
    #[must_use]
    pub fn deployment_ids(&self) -> Vec<DeploymentId> {
        self.state().deployments.keys().cloned().collect()
    }

    /// The workloads that run a digest.
    #[must_use]
    pub fn users_of(&self, digest: &str) -> Vec<DeploymentId> {
        self.state().by_digest.get(digest).map(|users| users.iter().cloned().collect()).unwrap_or_default()
    }

    /// Facts about the images of a workload, container by container; and the highest revision among them.
    #[must_use]
    pub fn images_of(&self, deployment: &Deployment) -> (Vec<Option<Arc<ImageFacts>>>, u64) {
        let mut state = self.state();
        let mut newest = 0;
        let facts = deployment.containers.iter().map(|container| {
            let known = state.image(&container.image.id)?;
            newest = newest.max(known.revision);
            Some(known.value)
        });
        (facts.collect(), newest)
    }

    /// Facts about a digest.
    #[must_use]
    pub fn image(&self, digest: &str) -> Option<Known<ImageFacts>> {
        self.state().image(digest)
    }

    /// What is known of a namespace.
    #[must_use]
    pub fn namespace(&self, cluster: &str, namespace: &str) -> Option<Arc<NamespaceRecord>> {
        self.state().namespaces.get(&*namespace_key(cluster, namespace)).cloned()
    }

    /// What is known of a cluster.
    #[must_use]
    pub fn cluster(&self, cluster: &str) -> Option<Arc<ClusterRecord>> {
        self.state().clusters.get(&*cluster_key(cluster)).cloned()
    }

    /// What a workload usually does, where somebody keeps that.
    #[must_use]
    pub fn baseline(&self, id: &DeploymentId) -> Option<Arc<Baseline>> {
        self.state().baselines.get(&*deployment_key(id)).cloned()
    }

    /// How much is held, by name, for `doctor` and presence.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let state = self.state();
        [
            ("deployments", state.deployments.len()),
            ("pods", state.pods.len()),
            ("images", state.images.len()),
            ("namespaces", state.namespaces.len()),
        ]
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count as u64))
        .collect()
    }
}

impl State {
    fn by_pod_name(&mut self, name: &PodName) -> Option<Known<Deployment>> {
        let id = self.pods.get(self.pods_by_name.get(name)?)?.deployment.clone();
        self.deployment(&id)
    }

    fn deployment(&mut self, id: &DeploymentId) -> Option<Known<Deployment>> {
        let held = self.deployments.get(id)?;
        let revision = held.revision;
        if let Some(value) = self.parsed_deployments.get(id) {
            return Some(Known { revision, value: value.clone() });
        }
        // It was read once when it came in.
        let value = self.packer.unpack(&held.value)?;
        let value = Arc::new(serde_json::from_slice::<Deployment>(&value).ok()?);
        self.parsed_deployments.put(id.clone(), value.clone());
        Some(Known { revision, value })
    }

    fn image(&mut self, digest: &str) -> Option<Known<ImageFacts>> {
        if digest.is_empty() {
            return None;
        }
        let key = image_key(digest);
        let held = self.images.get(&*key)?;
        let revision = held.revision;
        if let Some(value) = self.parsed_images.get(&*key) {
            return Some(Known { revision, value: value.clone() });
        }
        let value = self.packer.unpack(&held.value)?;
        let value = Arc::new(serde_json::from_slice::<ImageFacts>(&value).ok()?);
        self.parsed_images.put(key.into(), value.clone());
        Some(Known { revision, value })
    }
}

#[cfg(test)]
mod tests {
    use lictor_wire::{Container, ContainerImage, PodId, WorkloadRef};

    use super::*;

    fn deployment(id: &str, name: &str, digest: &str) -> Deployment {
        Deployment {
            id: DeploymentId::new(id),
            name: name.to_owned(),
            kind: "Deployment".to_owned(),
            namespace: "shop".to_owned(),
            cluster_id: lictor_wire::ClusterId::new("c"),
            containers: vec![Container {
                image: ContainerImage { id: digest.to_owned(), ..ContainerImage::default() },
                ..Container::default()
            }],
            ..Deployment::default()
        }
    }

    fn bytes(value: &impl serde::Serialize) -> Bytes {
        serde_json::to_vec(value).unwrap().into()
    }

    #[test]
    fn a_pod_finds_its_workload() {
        let views = Views::default();
        views.put(Bucket::Deployments, "d1", 4, &bytes(&deployment("d1", "web", "sha256:1"))).unwrap();
        let record = PodRecord {
            uid: PodId::new("u1"),
            namespace: "shop".to_owned(),
            name: "web-1".to_owned(),
            deployment: DeploymentId::new("d1"),
            ..PodRecord::default()
        };
        views.put(Bucket::Pods, "u1", 5, &bytes(&record)).unwrap();

        let pod = |uid: &str, name: &str, workload: Option<&str>| PodRef {
            uid: PodId::new(uid),
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            workload: workload
                .map(|name| WorkloadRef { kind: "Deployment".to_owned(), name: name.to_owned() }),
            ..PodRef::default()
        };
        let found = |pod: &PodRef| views.deployment_of("c", pod).map(|known| known.revision);
        assert_eq!(found(&pod("u1", "web-1", None)), Some(4));
        assert_eq!(found(&pod("u2", "web-2", Some("web"))), Some(4));
        assert_eq!(found(&pod("", "web-1", None)), Some(4));
        // Another pod of the same name is another pod.
        assert_eq!(found(&pod("u3", "web-1", None)), None);
        assert_eq!(found(&pod("u3", "web-1", Some("api"))), None);

        views.remove(Bucket::Pods, "u1");
        assert_eq!(found(&pod("u1", "web-1", None)), None);
    }

    #[test]
    fn equal_pod_names_on_two_clusters_are_two_pods() {
        let views = Views::default();
        // The records of `old` are of a producer that does not say the cluster.
        for (cluster, names_it) in [("c1", true), ("c2", true), ("old", false)] {
            let cluster = ClusterId::new(cluster);
            let id = DeploymentId::new(format!("workload on {cluster}"));
            let model = Deployment { id: id.clone(), cluster_id: cluster.clone(), ..Deployment::default() };
            views.put(Bucket::Deployments, &deployment_key(&id), 1, &bytes(&model)).unwrap();
            let record = PodRecord {
                uid: PodId::new(format!("pod on {cluster}")),
                cluster: if names_it { cluster } else { ClusterId::default() },
                namespace: "shop".to_owned(),
                name: "web-0".to_owned(),
                deployment: id,
                ..PodRecord::default()
            };
            views.put(Bucket::Pods, &pod_key(&record.uid), 1, &bytes(&record)).unwrap();
        }
        let found = |cluster: &str| {
            let pod = PodRef { namespace: "shop".to_owned(), name: "web-0".to_owned(), ..PodRef::default() };
            views.deployment_of(cluster, &pod).map(|known| known.value.cluster_id.as_str().to_owned())
        };
        for cluster in ["c1", "c2", "old"] {
            assert_eq!(found(cluster).as_deref(), Some(cluster));
        }
        assert_eq!(found("c3"), None);

        views.remove(Bucket::Pods, &pod_key(&PodId::new("pod on c2")));
        assert_eq!(found("c2"), None);
        assert_eq!(found("c1").as_deref(), Some("c1"));
    }

    #[test]
    fn a_digest_finds_its_users_until_they_change() {
        let views = Views::default();
        views.put(Bucket::Deployments, "d1", 1, &bytes(&deployment("d1", "web", "sha256:1"))).unwrap();
        views.put(Bucket::Deployments, "d2", 2, &bytes(&deployment("d2", "api", "sha256:1"))).unwrap();
        assert_eq!(views.users_of("sha256:1").len(), 2);
        views.put(Bucket::Deployments, "d1", 3, &bytes(&deployment("d1", "web", "sha256:2"))).unwrap();
        assert_eq!(views.users_of("sha256:1"), [DeploymentId::new("d2")]);
        views.remove(Bucket::Deployments, "d2");
        assert!(views.users_of("sha256:1").is_empty());
        assert_eq!(views.deployment(&DeploymentId::new("d1")).unwrap().revision, 3);
    }
}
