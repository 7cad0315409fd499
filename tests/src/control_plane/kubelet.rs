//! A stand-in for a node: pods that come to it are said to run, and go when they are told to.

use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{Container, Node, Pod, ResourceRequirements};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::stop;

/// How long it may take to say goodbye.
const STOP_WITHIN: Duration = Duration::from_secs(2);

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
            let runtime = runtime.unwrap_or_else(|error| super::stop(&format!("no runtime: {error}")));
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
    let pods = watcher(Api::<Pod>::all(client.clone()), watcher::Config::default());
    let mut pods = std::pin::pin!(pods.default_backoff().applied_objects());
    while let Some(pod) = pods.next().await {
        // The control plane may be on its way out; and whatever fails is seen again with the pod's next change.
        if let Ok(pod) = pod {
            let _ = tend(&client, node, &pod).await;
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

/// The status of a pod that runs; `None` when it has it.
fn running(pod: &Pod) -> Option<Value> {
    let (spec, status) = (pod.spec.as_ref()?, pod.status.clone().unwrap_or_default());
    let ephemeral =
        spec.ephemeral_containers.iter().flatten().map(|c| (c.name.as_str(), c.resources.as_ref()));
    let of = |containers: &[Container]| {
        containers.iter().map(|c| status_of(&c.name, c.resources.as_ref())).collect::<Vec<Value>>()
    };
    let regular = of(&spec.containers);
    let init = of(spec.init_containers.as_deref().unwrap_or_default());
    let ephemeral: Vec<Value> = ephemeral.map(|(name, resources)| status_of(name, resources)).collect();
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

fn status_of(name: &str, resources: Option<&ResourceRequirements>) -> Value {
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    json!({
        "name": name, "ready": true, "started": true, "restartCount": 0, "image": "", "imageID": "",
        "containerID": format!("none://{name}"), "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        // A node that says these is one that can resize.
        "resources": resources.cloned().unwrap_or_default(), "allocatedResources": requests,
    })
}
