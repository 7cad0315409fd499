//! What is asked of the Kubernetes API while a review waits: only reading, and each question has a deadline.
//!
//! Workloads and owners are read where they lie and not from a copy that may be behind: an owner that is not there
//! exempts nobody, and a scale is judged on the workload as it is. Labels of namespaces are watched, because many
//! reviews need them; one that is not known yet is asked for.

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

/// Owners form short chains: a pod's ReplicaSet's Deployment, a pod's Job's CronJob.
const MAX_CHAIN: usize = 4;

/// How long an owner that was found is believed to be as it was. A burst of pods of one owner asks once; an owner
/// that is deleted or changed meanwhile counts as before for no longer than this.
const OWNER_FRESH: Duration = Duration::from_secs(2);

/// Owners remembered. A pod's template is a few kilobytes.
const OWNERS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// Why the API did not say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LookupError {
    /// There was not enough time.
    #[error("the Kubernetes API did not answer in time about {what}")]
    Late {
        /// What was asked for.
        what: String,
    },
    /// It refused, or answered something that cannot be read.
    #[error("{what} cannot be read: {message}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Why.
        message: String,
    },
}

/// Reads the cluster.
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
/// When the API does not say.
pub(crate) async fn cluster_id(client: &Client) -> Result<ClusterId, kube::Error> {
    let namespace = Api::<Namespace>::all(client.clone()).get("kube-system").await?;
    Ok(ClusterId::new(namespace.metadata.uid.unwrap_or_default()))
}

impl Lookup {
    /// Starts to watch namespaces; everything else is asked when it is needed.
    #[must_use]
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
                    tracing::debug!(%error, "watching namespaces is interrupted");
                }
            }
        });
        let owners = Mutex::new(LruCache::new(OWNERS));
        Self { client, cluster, namespaces, owners, watching: watching.abort_handle() }
    }

    /// The cluster.
    #[must_use]
    pub(crate) const fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// Labels of a namespace.
    ///
    /// # Errors
    /// When it is not known yet and the API does not say.
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
        let namespace = answer(api.get(name), deadline, what).await?;
        Ok(namespace.metadata.labels.unwrap_or_default())
    }

    /// The workload that a request for one of its subresources is about; `None` when its kind is no workload, or
    /// it is not there.
    ///
    /// # Errors
    /// When the API does not say.
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

    /// An owner as its reference names it; `None` when no such object is there.
    ///
    /// # Errors
    /// When the API does not say.
    pub(crate) async fn owner(
        &self,
        reference: &OwnerReference,
        namespace: &str,
        deadline: Instant,
    ) -> Result<Option<Arc<Deployment>>, LookupError> {
        if let Some(owner) = self.remembered(&reference.uid) {
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

    /// The workload at the top of a pod's owners: the pod itself when nobody controls it.
    ///
    /// # Errors
    /// When the API does not say.
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

    /// Whether a user may break glass in a namespace, as the cluster's own authorisation says.
    ///
    /// # Errors
    /// When the API does not say.
    pub(crate) async fn may_break_glass(
        &self,
        user: &UserInfo,
        namespace: &str,
        deadline: Instant,
    ) -> Result<bool, LookupError> {
        let what = || format!("whether {} may break glass", user.username);
        let permission = Permission {
            namespace,
            group: break_glass::GROUP,
            resource: break_glass::RESOURCE,
            verb: break_glass::VERB,
        };
        let cluster = Cluster::new(self.client.clone());
        answer(cluster.has_permission(user, &permission), deadline, what).await
    }

    fn remembered(&self, uid: &str) -> Option<Arc<Deployment>> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, owner) = owners.get(uid)?;
        (at.elapsed() < OWNER_FRESH).then(|| owner.clone())
    }

    async fn get(
        &self,
        (api_version, kind, resource): (&str, &str, &str),
        namespace: &str,
        name: &str,
        deadline: Instant,
    ) -> Result<Option<Deployment>, LookupError> {
        let what = || format!("{kind} {namespace}/{name}");
        // A name out of an owner reference is whatever its author liked to write.
        if !is_name(namespace) || !is_name(name) {
            return Ok(None);
        }
        let prefix = if api_version.contains('/') { "apis" } else { "api" };
        let path = format!("/{prefix}/{api_version}/namespaces/{namespace}/{resource}/{name}");
        let request = Request::get(path).body(Vec::new());
        let request = request.map_err(|error| LookupError::refused(what(), &error))?;
        let asked = async {
            match self.client.request_text(request).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
                answered => answered.map(Some),
            }
        };
        let Some(text) = answer(asked, deadline, what).await? else { return Ok(None) };
        one(&text, api_version, kind, &self.cluster).map_err(|problem| LookupError::refused(what(), &problem))
    }
}

impl LookupError {
    fn refused(what: String, problem: &dyn fmt::Display) -> Self {
        Self::Refused { what, message: problem.to_string() }
    }
}

/// Waits for an answer about `what`, until `deadline`.
async fn answer<T, E: fmt::Display>(
    asked: impl Future<Output = Result<T, E>>,
    deadline: Instant,
    what: impl Fn() -> String,
) -> Result<T, LookupError> {
    match timeout_at(deadline, asked).await {
        Ok(answered) => answered.map_err(|error| LookupError::refused(what(), &error)),
        Err(_) => Err(LookupError::Late { what: what() }),
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// Whether a text can be the name of a namespace or workload: RFC 1123, as Kubernetes has it.
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
