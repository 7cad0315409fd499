//! Everything that is written to Kubernetes, and nothing else that writes.
//!
//! Each call has a deadline. Each write is compare-and-set: it says which version it replaces, and when somebody else
//! was faster it answers so, and the caller looks again.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{ByteString, NamespaceResourceScope};
use kube::api::PostParams;
use kube::runtime::watcher;
use kube::runtime::watcher::Event;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use futures_util::{Stream, StreamExt};
use kube::runtime::WatchStreamExt;

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
    pub async fn secret(&self, name: &ObjectName) -> Result<Option<Versioned<SecretData>>, ClusterError> {
        let found = get::<Secret>(&self.namespaced(name), &name.name, "the secret", name).await?;
        Ok(found.map(|secret| {
            let data = secret.data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0));
            Versioned { version: version(&secret.metadata), value: data.collect() }
        }))
    }

    /// Writes a Secret of type `kubernetes.io/tls`; false when somebody else has written since `version` was read.
    ///
    /// # Errors
    /// When the API server does not do it.
    pub async fn write_secret(
        &self,
        name: &ObjectName,
        version: Option<&str>,
        data: SecretData,
    ) -> Result<bool, ClusterError> {
        let secret = Secret {
            metadata: metadata(Some(&name.namespace), &name.name, version),
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(data.into_iter().map(|(key, bytes)| (key, ByteString(bytes))).collect()),
            ..Secret::default()
        };
        write(&self.namespaced(name), &name.name, &secret, version, name).await
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
        write(&Api::all(self.client.clone()), name, configuration, version, &name).await
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
        write(&self.namespaced(name), &name.name, &lease, version, name).await
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
    let fail =
        |problem: String| ClusterError { operation: "read", object: format!("{what} {whole}"), problem };
    match timeout(ANSWER_WITHIN, api.get_opt(name)).await {
        Ok(found) => found.map_err(|error| fail(error.to_string())),
        Err(_) => Err(fail(no_answer())),
    }
}

/// Creates what has no version, and replaces what has.
async fn write<K>(
    api: &Api<K>,
    name: &str,
    object: &K,
    version: Option<&str>,
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
    let fail = |problem: String| ClusterError { operation: "write", object: whole.to_string(), problem };
    match timeout(ANSWER_WITHIN, writing).await {
        Ok(Ok(_)) => Ok(true),
        // Somebody else wrote it, made it, or took it away.
        Ok(Err(kube::Error::Api(status)))
            if matches!(status.code, 404 | 409) && status.reason != "Forbidden" =>
        {
            if status.code == 404 && version.is_none() {
                Err(fail(status.message.clone()))
            } else {
                Ok(false)
            }
        }
        Ok(Err(error)) => Err(fail(error.to_string())),
        Err(_) => Err(fail(no_answer())),
    }
}

fn no_answer() -> String {
    format!("no answer within {} s", ANSWER_WITHIN.as_secs())
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
