//! Everything that is written to Kubernetes, and the namespaces in which nothing is.
//!
//! No other crate writes to Kubernetes. Each call has a deadline. Each write is compare-and-set: it names the version
//! it replaces, and when that version is outdated it answers so, and the caller reads again.
//!
//! This crate must not know why something is written: admission and the enforcer decide that.

mod access;
mod protected;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{ByteString, NamespaceResourceScope};
use kube::api::PostParams;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

pub use crate::access::Permission;
pub use crate::protected::{PROTECTED_NAMESPACES, Protected};

/// Timeout of one call: these are small objects.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The name of an object in a namespace, written `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    /// The namespace.
    pub namespace: String,
    /// The name within the namespace.
    pub name: String,
}

/// A call failed. A write may have been applied nevertheless; read the object again to find out.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {object}: {problem}")]
pub struct ClusterError {
    operation: &'static str,
    object: String,
    problem: String,
    /// The HTTP status of the response, if there was one.
    status: Option<u16>,
}

/// An object as it was read, with the `resourceVersion` that an update must send.
#[derive(Debug, Clone)]
pub struct Object<T> {
    /// Its `resourceVersion`.
    pub version: String,
    /// The object.
    pub value: T,
}

/// The data of a Secret, by key.
pub type SecretData = BTreeMap<String, Vec<u8>>;

/// Writes to a cluster.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

impl Cluster {
    /// Writes through this client.
    pub const fn new(client: Client) -> Self {
        Self { client }
    }

    /// Reads a Secret.
    ///
    /// # Errors
    /// When the API server does not answer, or refuses.
    pub async fn secret(&self, name: &ObjectName) -> Result<Option<Secret>, ClusterError> {
        get(&self.namespaced(name), &name.name, "the Secret", name).await
    }

    /// Writes the data of a Secret; false when another client has written it since `found` was read. A new one has type
    /// `kubernetes.io/tls`. An existing one keeps its type, which is immutable, and its labels and annotations.
    ///
    /// # Errors
    /// When the API server does not answer, or refuses.
    pub async fn write_secret(
        &self,
        name: &ObjectName,
        found: Option<&Secret>,
        data: SecretData,
    ) -> Result<bool, ClusterError> {
        let new = || Secret {
            metadata: metadata(Some(&name.namespace), &name.name, None),
            type_: Some("kubernetes.io/tls".to_owned()),
            ..Secret::default()
        };
        let mut secret = found.cloned().unwrap_or_else(new);
        secret.metadata.managed_fields = None;
        secret.data = Some(data.into_iter().map(|(key, bytes)| (key, ByteString(bytes))).collect());
        let version = found.map(|found| version(&found.metadata));
        write(&self.namespaced(name), &name.name, &secret, version.as_deref(), "the Secret", name).await
    }

    /// Reads a webhook configuration.
    ///
    /// # Errors
    /// When the API server does not answer, or refuses.
    pub async fn webhooks(&self, name: &str) -> Result<Option<ValidatingWebhookConfiguration>, ClusterError> {
        get(&Api::all(self.client.clone()), name, "the webhook configuration", &name).await
    }

    /// Writes a webhook configuration over the version in its metadata; false on a conflict (another client has written
    /// it since).
    ///
    /// # Errors
    /// When the API server does not answer, or refuses.
    pub async fn write_webhooks(
        &self,
        configuration: &ValidatingWebhookConfiguration,
    ) -> Result<bool, ClusterError> {
        let name = configuration.metadata.name.as_deref().unwrap_or_default();
        let version = configuration.metadata.resource_version.as_deref();
        let api = Api::all(self.client.clone());
        write(&api, name, configuration, version, "the webhook configuration", &name).await
    }

    /// Reads a Lease.
    ///
    /// # Errors
    /// When the API server does not answer, or refuses.
    pub async fn lease(&self, name: &ObjectName) -> Result<Option<Object<LeaseSpec>>, ClusterError> {
        let found = get::<Lease>(&self.namespaced(name), &name.name, "the Lease", name).await?;
        Ok(found
            .map(|lease| Object { version: version(&lease.metadata), value: lease.spec.unwrap_or_default() }))
    }

    /// Writes a Lease over `version`, or creates it; false on a conflict (another client has written it since).
    ///
    /// # Errors
    /// When the API server does not answer, or refuses.
    pub async fn write_lease(
        &self,
        name: &ObjectName,
        version: Option<&str>,
        spec: LeaseSpec,
    ) -> Result<bool, ClusterError> {
        let metadata = metadata(Some(&name.namespace), &name.name, version);
        let lease = Lease { metadata, spec: Some(spec) };
        write(&self.namespaced(name), &name.name, &lease, version, "the Lease", name).await
    }

    /// An item whenever the webhook configuration or the Secret may have changed; the first one immediately. Never
    /// ends.
    pub fn changes(&self, webhooks: &str, secret: &ObjectName) -> impl Stream<Item = ()> + Send + use<> {
        let named = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
        let webhooks =
            watcher(Api::<ValidatingWebhookConfiguration>::all(self.client.clone()), named(webhooks));
        let secrets = watcher(self.namespaced::<Secret>(secret), named(&secret.name));
        futures_util::stream::select(moments(webhooks), moments(secrets))
    }

    fn namespaced<K>(&self, name: &ObjectName) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &name.namespace)
    }
}

/// When a watch had an event; it is resumed after an interruption.
fn moments<K: Send + 'static>(
    watch: impl Stream<Item = Result<Event<K>, watcher::Error>> + Send,
) -> impl Stream<Item = ()> + Send {
    watch.default_backoff().filter_map(async |event| match event {
        Ok(_) => Some(()),
        Err(error) => {
            tracing::debug!(%error, "a watch was interrupted; resuming");
            None
        }
    })
}

async fn get<K>(
    api: &Api<K>,
    name: &str,
    what: &str,
    whole: &(dyn fmt::Display + Sync),
) -> Result<Option<K>, ClusterError>
where
    K: Clone + fmt::Debug + DeserializeOwned,
{
    let object = format!("{what} {whole}");
    match timeout(ANSWER_WITHIN, api.get_opt(name)).await {
        Ok(found) => found.map_err(|error| ClusterError::new("read", object, &error)),
        Err(_) => Err(ClusterError::no_answer("read", object)),
    }
}

/// Creates an object without a version, and replaces one with a version.
async fn write<K>(
    api: &Api<K>,
    name: &str,
    object: &K,
    version: Option<&str>,
    what: &str,
    whole: &(dyn fmt::Display + Sync),
) -> Result<bool, ClusterError>
where
    K: Clone + fmt::Debug + DeserializeOwned + Serialize,
{
    let params = PostParams { field_manager: Some("lictor".to_owned()), ..PostParams::default() };
    let writing = async {
        match version {
            Some(_) => api.replace(name, &params, object).await,
            None => api.create(&params, object).await,
        }
    };
    let object = format!("{what} {whole}");
    match timeout(ANSWER_WITHIN, writing).await {
        Ok(Ok(_)) => Ok(true),
        // Another client wrote or created it.
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(false),
        // Another client deleted it; on a create, the namespace is missing.
        Ok(Err(kube::Error::Api(status))) if status.code == 404 && version.is_some() => Ok(false),
        Ok(Err(error)) => Err(ClusterError::new("write", object, &error)),
        Err(_) => Err(ClusterError::no_answer("write", object)),
    }
}

impl ClusterError {
    /// What to do about it, in one line.
    pub const fn hint(&self) -> &'static str {
        match self.status {
            None => "check that the API server is reachable from here",
            Some(401) => "the credentials are rejected: check the service account or the kubeconfig",
            Some(403) => "the account lacks this permission: grant it in a role",
            Some(404) => "create the namespace",
            Some(422) => "the existing object cannot be updated: delete it, and it is created again",
            Some(_) => "it is retried; if it persists, check the API server",
        }
    }

    fn new(operation: &'static str, object: String, error: &kube::Error) -> Self {
        let (problem, status) = match error {
            kube::Error::Api(status) => (status.message.clone(), Some(status.code)),
            kube::Error::Service(error) => (error.to_string(), None),
            error => (error.to_string(), None),
        };
        Self { operation, object, problem, status }
    }

    fn no_answer(operation: &'static str, object: String) -> Self {
        let problem = format!("no answer within {} s", ANSWER_WITHIN.as_secs());
        Self { operation, object, problem, status: None }
    }
}

/// The data of a Secret.
pub fn bytes(secret: &Secret) -> SecretData {
    secret.data.iter().flatten().map(|(key, bytes)| (key.clone(), bytes.0.clone())).collect()
}

fn metadata(namespace: Option<&str>, name: &str, version: Option<&str>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(ToOwned::to_owned),
        resource_version: version.map(ToOwned::to_owned),
        labels: Some(BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), "lictor".to_owned())])),
        ..ObjectMeta::default()
    }
}

fn version(metadata: &ObjectMeta) -> String {
    metadata.resource_version.clone().unwrap_or_default()
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for ObjectName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("expected NAMESPACE/NAME".to_owned()),
        }
    }
}
