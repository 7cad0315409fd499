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

/// How long the API server may take for one call: these are small objects.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// An object of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The API server did not do it. Nothing was changed, or nobody knows; looking again tells.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {object}: {problem}")]
pub struct ClusterError {
    operation: &'static str,
    object: String,
    problem: String,
    /// The status of the answer; none when there was no answer.
    status: Option<u16>,
}

/// What lies there, with the version a write must name.
#[derive(Debug, Clone)]
pub struct Versioned<T> {
    /// The version.
    pub version: String,
    /// The object.
    pub value: T,
}

/// Bytes of a Secret, by key.
pub type SecretData = BTreeMap<String, Vec<u8>>;

/// Writes to a cluster.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

impl Cluster {
    /// Writes through this client.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self { client }
    }

    /// Reads a Secret.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn secret(&self, name: &ObjectName) -> Result<Option<Secret>, ClusterError> {
        get(&self.namespaced(name), &name.name, "the secret", name).await
    }

    /// Writes the bytes of a Secret; false when somebody else has written since `found` was read. A new one is of type
    /// `kubernetes.io/tls`. One that is there keeps its type, which cannot be changed, and what others noted on it.
    ///
    /// # Errors
    /// When the API server does not do it.
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
        write(&self.namespaced(name), &name.name, &secret, version.as_deref(), "the secret", name).await
    }

    /// Reads the registration of webhooks.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn webhooks(&self, name: &str) -> Result<Option<ValidatingWebhookConfiguration>, ClusterError> {
        get(&Api::all(self.client.clone()), name, "the webhook configuration", &name).await
    }

    /// Writes a registration of webhooks in place of the version its metadata names; false when somebody else was
    /// faster.
    ///
    /// # Errors
    /// When the API server does not do it.
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
    /// When the API server does not answer.
    pub async fn lease(&self, name: &ObjectName) -> Result<Option<Versioned<LeaseSpec>>, ClusterError> {
        let found = get::<Lease>(&self.namespaced(name), &name.name, "the lease", name).await?;
        Ok(found.map(|lease| Versioned {
            version: version(&lease.metadata),
            value: lease.spec.unwrap_or_default(),
        }))
    }

    /// Writes a Lease; false when somebody else was faster.
    ///
    /// # Errors
    /// When the API server does not do it.
    pub async fn write_lease(
        &self,
        name: &ObjectName,
        version: Option<&str>,
        spec: LeaseSpec,
    ) -> Result<bool, ClusterError> {
        let metadata = metadata(Some(&name.namespace), &name.name, version);
        let lease = Lease { metadata, spec: Some(spec) };
        write(&self.namespaced(name), &name.name, &lease, version, "the lease", name).await
    }

    /// Says whenever the registration or the Secret may have changed, beginning at once. Never ends.
    pub fn changes(&self, webhooks: &str, secret: &ObjectName) -> impl Stream<Item = ()> + Send + use<> {
        let named = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
        let webhooks =
            watcher(Api::<ValidatingWebhookConfiguration>::all(self.client.clone()), named(webhooks));
        let secrets = watcher(self.namespaced::<Secret>(secret), named(&secret.name));
        futures_util::stream::select(happened(webhooks), happened(secrets))
    }

    fn namespaced<K>(&self, name: &ObjectName) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &name.namespace)
    }
}

/// The moments of a watch; one that is interrupted is taken up again.
fn happened<K: Send + 'static>(
    watch: impl Stream<Item = Result<Event<K>, watcher::Error>> + Send,
) -> impl Stream<Item = ()> + Send {
    watch.default_backoff().filter_map(async |event| match event {
        Ok(_) => Some(()),
        Err(error) => {
            tracing::debug!(%error, "a watch is interrupted");
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

/// Creates what has no version, and replaces what has.
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
        // Somebody else wrote it or made it.
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(false),
        // Somebody else took it away; where there was nothing, its namespace is missing.
        Ok(Err(kube::Error::Api(status))) if status.code == 404 && version.is_some() => Ok(false),
        Ok(Err(error)) => Err(ClusterError::new("write", object, &error)),
        Err(_) => Err(ClusterError::no_answer("write", object)),
    }
}

impl ClusterError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self.status {
            None => "check that the API server can be reached from here",
            Some(401) => "the credentials are not accepted: check the service account or the kubeconfig",
            Some(403) => "the account may not do that: grant it this in a role",
            Some(404) => "create the namespace",
            Some(422) => "what is there cannot be made what it should be: delete it, and it is made anew",
            Some(_) => "it is tried again; if it stays so, look at the API server",
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

/// The bytes that lie in a Secret.
#[must_use]
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
