//! Reads from the Kubernetes API while a review waits, each with a deadline.
//!
//! Workloads and owners are read from the API server and not from a cache that may be behind: an owner that does not
//! exist exempts nobody, and a scale is judged on the workload as it is. Labels of namespaces are watched, because
//! many reviews need them; those of a namespace that has not been seen yet are read.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::Request;
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, Client};
use lictor_cluster::{Cluster, Permission};
use lictor_normalize::manifest::{controller, is_controller, one};
use lictor_wire::{ClusterId, Deployment, ObjectReference, OwnerReference, UserInfo};
use lru::LruCache;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::break_glass;

/// The kinds of workload: API group and version, kind, resource.
const KINDS: [(&str, &str, &str); 10] = [
    ("apps/v1", "Deployment", "deployments"),
    ("apps/v1", "StatefulSet", "statefulsets"),
    ("apps/v1", "DaemonSet", "daemonsets"),
    ("apps/v1", "ReplicaSet", "replicasets"),
    ("batch/v1", "Job", "jobs"),
    ("batch/v1", "CronJob", "cronjobs"),
    ("v1", "ReplicationController", "replicationcontrollers"),
    ("v1", "Pod", "pods"),
    ("apps.openshift.io/v1", "DeploymentConfig", "deploymentconfigs"),
    ("extensions/v1beta1", "ReplicaSet", "replicasets"),
];

/// Owners of owners followed at most: a pod's ReplicaSet's Deployment, a pod's Job's CronJob.
const MAX_CHAIN: usize = 4;

/// How long an owner is cached. A burst of pods of one owner reads it once; a change or deletion is seen this much later
/// at most.
const OWNER_TTL: Duration = Duration::from_secs(2);

/// Owners cached. A pod's template is a few kilobytes.
const CACHED_OWNERS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {what}: {problem}")]
pub(crate) struct LookupError {
    what: String,
    problem: String,
}

/// Reads from one cluster.
pub(crate) struct Lookup {
    client: Client,
    cluster: ClusterId,
    namespaces: reflector::Store<Namespace>,
    owners: Mutex<LruCache<String, (Instant, Arc<Deployment>)>>,
    watching: AbortHandle,
}

/// The id of a cluster: the UID of its namespace `kube-system`.
///
/// # Errors
/// When the namespace cannot be read.
pub(crate) async fn cluster_id(client: &Client) -> Result<ClusterId, kube::Error> {
    let namespace = Api::<Namespace>::all(client.clone()).get("kube-system").await?;
    Ok(ClusterId::new(namespace.metadata.uid.unwrap_or_default()))
}

impl Lookup {
    /// Starts to watch namespaces; everything else is read when it is needed.
    pub(crate) fn new(client: Client, cluster: ClusterId) -> Self {
        let (namespaces, writer) = reflector::store();
        let watch = watcher(Api::<Namespace>::all(client.clone()), watcher::Config::default())
            .default_backoff()
            .modify(|namespace| {
                namespace.metadata.managed_fields = None;
                namespace.metadata.annotations = None;
                namespace.status = None;
            })
            .reflect(writer);
        let watching = tokio::spawn(async move {
            let mut watch = std::pin::pin!(watch);
            while let Some(item) = watch.next().await {
                if let Err(error) = item {
                    tracing::debug!(%error, "the watch of namespaces was interrupted; resuming");
                }
            }
        });
        let owners = Mutex::new(LruCache::new(CACHED_OWNERS));
        Self { client, cluster, namespaces, owners, watching: watching.abort_handle() }
    }

    /// The id of the cluster.
    pub(crate) const fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// Labels of a namespace.
    ///
    /// # Errors
    /// When it has not been seen by the watch and cannot be read.
    pub(crate) async fn namespace_labels(
        &self,
        name: &str,
        deadline: Instant,
    ) -> Result<BTreeMap<String, String>, LookupError> {
        if let Some(known) = self.namespaces.get(&reflector::ObjectRef::new(name)) {
            return Ok(known.metadata.labels.clone().unwrap_or_default());
        }
        let what = || format!("namespace {name}");
        let api = Api::<Namespace>::all(self.client.clone());
        let namespace = before(api.get(name), deadline, what).await?;
        Ok(namespace.metadata.labels.unwrap_or_default())
    }

    /// The workload that a request for one of its subresources is about; `None` when its kind is not a workload, or it
    /// does not exist.
    ///
    /// # Errors
    /// When the API server does not answer before `deadline`, or refuses.
    pub(crate) async fn workload(
        &self,
        object: &ObjectReference,
        deadline: Instant,
    ) -> Result<Option<Deployment>, LookupError> {
        let kind = KINDS.into_iter().find(|(api_version, _, resource)| {
            let group = api_version.split_once('/').map_or("", |(group, _)| group);
            group == object.api_group && *resource == object.resource
        });
        match kind {
            Some(kind) => self.get(kind, &object.namespace, &object.name, deadline).await,
            None => Ok(None),
        }
    }

    /// The owner in a reference; `None` when it does not exist.
    ///
    /// # Errors
    /// When the API server does not answer before `deadline`, or refuses.
    pub(crate) async fn owner(
        &self,
        reference: &OwnerReference,
        namespace: &str,
        deadline: Instant,
    ) -> Result<Option<Arc<Deployment>>, LookupError> {
        if let Some(owner) = self.cached(&reference.uid) {
            return Ok(Some(owner));
        }
        let Some(kind) = KINDS
            .into_iter()
            .find(|(api_version, kind, _)| *api_version == reference.api_version && *kind == reference.kind)
        else {
            return Ok(None);
        };
        let owner = self.get(kind, namespace, &reference.name, deadline).await?.map(Arc::new);
        if let Some(owner) = owner.as_ref().filter(|owner| owner.id.as_str() == reference.uid) {
            let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
            owners.put(reference.uid.clone(), (Instant::now(), owner.clone()));
        }
        Ok(owner)
    }

    /// The workload at the top of a pod's owners: the pod itself when it has no controller.
    ///
    /// # Errors
    /// When the API server does not answer before `deadline`, or refuses.
    pub(crate) async fn top(&self, pod: Deployment, deadline: Instant) -> Result<Deployment, LookupError> {
        let mut top = pod;
        for _ in 0..MAX_CHAIN {
            let Some(reference) = controller(&top).cloned() else { break };
            let Some(owner) = self.owner(&reference, &top.namespace, deadline).await? else { break };
            if owner.id.as_str() != reference.uid || !is_controller(&reference, &owner, &top) {
                break;
            }
            top = Deployment::clone(&owner);
        }
        Ok(top)
    }

    /// Whether a user has the permission for break-glass in a namespace, by the cluster's own authorisation.
    ///
    /// # Errors
    /// When the API server does not answer before `deadline`, or refuses.
    pub(crate) async fn may_break_glass(
        &self,
        user: &UserInfo,
        namespace: &str,
        deadline: Instant,
    ) -> Result<bool, LookupError> {
        let what = || format!("the permissions of {}", user.username);
        let permission = Permission {
            namespace,
            group: break_glass::GROUP,
            resource: break_glass::RESOURCE,
            verb: break_glass::VERB,
        };
        let cluster = Cluster::new(self.client.clone());
        before(cluster.has_permission(user, &permission), deadline, what).await
    }

    fn cached(&self, uid: &str) -> Option<Arc<Deployment>> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, owner) = owners.get(uid)?;
        (at.elapsed() < OWNER_TTL).then(|| owner.clone())
    }

    async fn get(
        &self,
        (api_version, kind, resource): (&str, &str, &str),
        namespace: &str,
        name: &str,
        deadline: Instant,
    ) -> Result<Option<Deployment>, LookupError> {
        let what = || format!("{kind} {namespace}/{name}");
        // The name in an owner reference is whatever its author wrote.
        if !is_name(namespace) || !is_name(name) {
            return Ok(None);
        }
        let prefix = if api_version.contains('/') { "apis" } else { "api" };
        let path = format!("/{prefix}/{api_version}/namespaces/{namespace}/{resource}/{name}");
        let request = Request::get(path).body(Vec::new());
        let request = request.map_err(|error| LookupError::failed(what(), &error))?;
        let reading = async {
            match self.client.request_text(request).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
                read => read.map(Some),
            }
        };
        let Some(text) = before(reading, deadline, what).await? else { return Ok(None) };
        one(&text, api_version, kind, &self.cluster).map_err(|problem| LookupError::failed(what(), &problem))
    }
}

impl LookupError {
    fn failed(what: String, problem: &dyn fmt::Display) -> Self {
        Self { what, problem: problem.to_string() }
    }
}

/// Waits until `deadline` for `reading`, which reads `what`.
async fn before<T, E: fmt::Display>(
    reading: impl Future<Output = Result<T, E>>,
    deadline: Instant,
    what: impl Fn() -> String,
) -> Result<T, LookupError> {
    match timeout_at(deadline, reading).await {
        Ok(read) => read.map_err(|error| LookupError::failed(what(), &error)),
        Err(_) => Err(LookupError::failed(what(), &"the Kubernetes API did not answer in time")),
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// Whether a text can be the name of a namespace or workload: RFC 1123, as Kubernetes requires.
fn is_name(text: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    !text.is_empty() && text.len() <= 253 && text.bytes().all(allowed) && !text.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_leave_their_path() {
        for name in ["web", "web-1.x", "0"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "..", "../secrets/x", "a/b", "a?b", "A", "a b", "a%2fb", ".a"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
