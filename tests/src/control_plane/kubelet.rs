//! A stand-in for a node: pods that come to it are said to run, and go when they are told to.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Container, Node, Pod, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::processes::stop;

/// How long it may take to say goodbye.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// How often a node says that it lives, and for how many seconds that holds: as real ones do.
const RENEW_EVERY: Duration = Duration::from_secs(10);
const LEASE_SECONDS: i32 = 40;

/// A node; it stops on drop.
#[derive(Debug)]
pub struct Kubelet {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Kubelet {
    /// Registers a node and starts to look after its pods, in a thread of its own: tests come and go.
    pub(super) fn start(kubeconfig: PathBuf, node: &str) -> Self {
        let (stop, stopped) = oneshot::channel();
        let node = node.to_owned();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime =
                runtime.unwrap_or_else(|error| crate::processes::stop(&format!("no runtime: {error}")));
            runtime.block_on(async {
                let client = super::client(&kubeconfig).await;
                tokio::select! {
                    () = look_after(client, &node) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_timeout(STOP_WITHIN);
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn look_after(client: Client, node: &str) {
    if let Err(error) = register(&client, node).await {
        stop(&format!("the node cannot be registered: {error}"));
    }
    tokio::join!(renew(&client, node), tend_all(&client, node));
}

/// Keeps the node's lease fresh.
async fn renew(client: &Client, node: &str) {
    let leases = Api::<Lease>::namespaced(client.clone(), "kube-node-lease");
    let params = PatchParams::apply("kubelet").force();
    let mut ticks = tokio::time::interval(RENEW_EVERY);
    loop {
        ticks.tick().await;
        let mut lease = Lease::default();
        lease.metadata.name = Some(node.to_owned());
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(node.to_owned()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        });
        // The next time is soon enough.
        let _ = leases.patch(node, &params, &Patch::Apply(&lease)).await;
    }
}

/// Does what every pod needs, as it changes.
async fn tend_all(client: &Client, node: &str) {
    let pods = watcher(Api::<Pod>::all(client.clone()), watcher::Config::default());
    let mut pods = std::pin::pin!(pods.default_backoff().applied_objects());
    while let Some(pod) = pods.next().await {
        // The control plane may be on its way out; and whatever fails is seen again with the pod's next change.
        if let Ok(pod) = pod {
            let _ = tend(client, node, &pod).await;
        }
    }
}

async fn register(client: &Client, name: &str) -> kube::Result<()> {
    let nodes = Api::<Node>::all(client.clone());
    let node: Node = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
    }))
    .map_err(kube::Error::SerdeError)?;
    nodes.create(&PostParams::default(), &node).await?;
    // Admission marks every new node as not ready; without a lifecycle controller the mark stays.
    nodes.patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": {"taints": null}}))).await?;
    let status = json!({"status": {
        "conditions": [{"type": "Ready", "status": "True", "reason": "StandIn", "message": "a stand-in"}],
        "capacity": {"cpu": "64", "memory": "256Gi", "pods": "1000"},
        "allocatable": {"cpu": "64", "memory": "256Gi", "pods": "1000"},
        "nodeInfo": {"kubeletVersion": "v1.37.2", "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "none://1",
            "kernelVersion": "", "kubeProxyVersion": "", "machineID": "", "operatingSystem": "linux", "osImage": "", "systemUUID": ""},
    }});
    nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await?;
    Ok(())
}

/// Does what a pod needs next.
async fn tend(client: &Client, node: &str, pod: &Pod) -> kube::Result<()> {
    let (Some(spec), Some(namespace)) = (&pod.spec, pod.namespace()) else { return Ok(()) };
    let (name, pods) = (pod.name_any(), Api::<Pod>::namespaced(client.clone(), &namespace));
    match spec.node_name.as_deref() {
        None | Some("") if meant_for_another(spec, node) => {}
        None | Some("") => {
            let binding = json!({
                "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, "namespace": namespace},
                "target": {"apiVersion": "v1", "kind": "Node", "name": node},
            });
            pods.create_subresource::<Value, Value>("binding", &name, &PostParams::default(), &binding)
                .await?;
        }
        Some(on) if on != node => {}
        Some(_) if pod.metadata.deletion_timestamp.is_some() => {
            pods.delete(&name, &DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() })
                .await?;
        }
        Some(_) => {
            if let Some(status) = running(pod) {
                pods.patch_status(&name, &PatchParams::default(), &Patch::Strategic(status)).await?;
            }
        }
    }
    Ok(())
}

/// Whether a pod names the nodes it wants, as those of a daemon set do, and this is none of them.
fn meant_for_another(spec: &PodSpec, node: &str) -> bool {
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required =
        affinity.and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref());
    let terms = required.map(|required| required.node_selector_terms.as_slice()).unwrap_or_default();
    let mut fields = terms.iter().flat_map(|term| term.match_fields.iter().flatten()).peekable();
    fields.peek().is_some() && !fields.any(|field| field.values.iter().flatten().any(|name| name == node))
}

/// The status of a pod that runs; `None` when it has it.
fn running(pod: &Pod) -> Option<Value> {
    let (spec, status) = (pod.spec.as_ref()?, pod.status.clone().unwrap_or_default());
    let of = |containers: &[Container]| {
        let status = |c: &Container| status_of(&c.name, c.image.as_deref(), c.resources.as_ref());
        containers.iter().map(status).collect::<Vec<Value>>()
    };
    let regular = of(&spec.containers);
    let init = of(spec.init_containers.as_deref().unwrap_or_default());
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    let ephemeral: Vec<Value> =
        ephemeral.map(|c| status_of(&c.name, c.image.as_deref(), c.resources.as_ref())).collect();
    let told = |statuses: &Option<Vec<_>>| statuses.as_ref().map_or(0, Vec::len);
    if told(&status.container_statuses) == regular.len()
        && told(&status.ephemeral_container_statuses) == ephemeral.len()
        && told(&status.init_container_statuses) == init.len()
    {
        return None;
    }
    let condition = |name: &str| json!({"type": name, "status": "True"});
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(condition);
    Some(json!({"status": {
        "phase": "Running", "conditions": conditions, "startTime": "2026-01-01T00:00:00Z",
        "podIP": "10.88.0.1", "podIPs": [{"ip": "10.88.0.1"}], "hostIP": "127.0.0.1",
        "containerStatuses": regular, "initContainerStatuses": init, "ephemeralContainerStatuses": ephemeral,
    }}))
}

fn status_of(name: &str, image: Option<&str>, resources: Option<&ResourceRequirements>) -> Value {
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    let image = image.unwrap_or_default();
    json!({
        "name": name, "ready": true, "started": true, "restartCount": 0, "image": image, "imageID": image_id(image),
        "containerID": format!("none://{name}"), "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        // A node that says these is one that can resize.
        "resources": resources.cloned().unwrap_or_default(), "allocatedResources": requests,
    })
}

/// The digest an image is named by, else one made up from its name: nothing is ever fetched.
fn image_id(image: &str) -> String {
    if image.contains("@sha256:") {
        return image.to_owned();
    }
    let mut id = format!("{image}@sha256:");
    for part in 0..4 {
        let mut hasher = DefaultHasher::new();
        (image, part).hash(&mut hasher);
        let _ = write!(id, "{:016x}", hasher.finish());
    }
    id
}
