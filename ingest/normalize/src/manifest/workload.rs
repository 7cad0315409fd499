//! One model for every kind of workload.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::JobTemplateSpec;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lictor_wire::{ClusterId, Deployment, DeploymentId, OwnerReference, Toleration};
use serde::Deserialize;

use super::container::{Surroundings, all};
use super::pod::Running;
use super::selector::Selector;
use crate::yaml::{Item, TypeError};

/// A workload, before it is known whose it is.
pub(super) struct Workload {
    /// Its model; the ids are set when objects are linked.
    pub(super) model: Deployment,
    /// Kubernetes UID; empty where a manifest has none.
    pub(super) uid: String,
    /// It has finished: nothing of it runs any more.
    pub(super) ended: bool,
    /// Whether its pod spec sets `automountServiceAccountToken` itself.
    pub(super) token_decided: bool,
    /// Present for a pod.
    pub(super) running: Option<Running>,
}

impl Workload {
    /// Says which cluster it is in. Without a UID it gets an id of cluster, namespace, kind and name.
    pub(super) fn place_in(&mut self, cluster: &ClusterId) {
        let model = &mut self.model;
        if self.uid.is_empty() {
            model.id = Deployment::id_without_uid(cluster, &model.namespace, &model.kind, &model.name);
        }
        model.cluster_id = cluster.clone();
    }
}

/// The API groups in which a kind is Kubernetes' or OpenShift's own; elsewhere the same word means another thing.
pub(super) fn is_workload(api_version: &str, kind: &str) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    match kind {
        "Pod" | "ReplicationController" => group.is_empty(),
        "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet" => group == "apps" || group == "extensions",
        "Job" | "CronJob" => group == "batch",
        // OpenShift 3 wrote it without a group.
        "DeploymentConfig" => group == "apps.openshift.io" || group.is_empty(),
        _ => false,
    }
}

/// The shape that all kinds but pods share.
#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    metadata: ObjectMeta,
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    replicas: Option<i64>,
    selector: Option<Selector>,
    suspend: Option<bool>,
    parallelism: Option<i64>,
    completions: Option<i64>,
    template: Option<core::PodTemplateSpec>,
    job_template: Option<JobTemplateSpec>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    number_available: Option<i64>,
    completion_time: Option<String>,
    conditions: Option<Vec<Condition>>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type", default)]
    condition: String,
    #[serde(default)]
    status: String,
}

/// Reads a workload, of a kind that is one.
pub(super) fn of(item: Item<'_>, api_version: &str, kind: &str) -> Result<Workload, TypeError> {
    Ok(match kind {
        "Pod" => of_pod(core::Pod::deserialize(item)?, api_version),
        _ => of_object(Object::deserialize(item)?, api_version, kind),
    })
}

/// A workload of any kind but Pod.
fn of_object(object: Object, api_version: &str, kind: &str) -> Workload {
    let spec = object.spec.unwrap_or_default();
    let status = object.status.unwrap_or_default();
    let (template, parallelism, completions) = match spec.job_template {
        Some(job) => {
            let job = job.spec.unwrap_or_default();
            (Some(job.template), job.parallelism.map(i64::from), job.completions.map(i64::from))
        }
        None => (spec.template, spec.parallelism, spec.completions),
    };
    let template = template.unwrap_or_default();
    let (pod_meta, pod_spec) = (template.metadata.unwrap_or_default(), template.spec.unwrap_or_default());

    let ended = kind == "Job" && has_finished(&status);
    let mut workload = build(object.metadata, pod_meta, pod_spec, api_version, kind);
    workload.ended = ended;
    workload.model.suspended = spec.suspend.unwrap_or_default();
    workload.model.parallelism = parallelism;
    workload.model.completions = completions;
    workload.model.label_selector = spec.selector.map(Into::into);
    workload.model.replicas = match kind {
        "Job" | "CronJob" => None,
        "DaemonSet" => Some(status.number_available.unwrap_or_default()),
        // One, where it is not set: the API server's default.
        _ => Some(spec.replicas.unwrap_or(1)),
    };
    workload
}

fn has_finished(status: &Status) -> bool {
    let finished = |condition: &Condition| {
        condition.status == "True" && matches!(condition.condition.as_str(), "Complete" | "Failed")
    };
    status.completion_time.is_some() || status.conditions.iter().flatten().any(finished)
}

/// A pod by itself.
fn of_pod(pod: core::Pod, api_version: &str) -> Workload {
    let spec = pod.spec.unwrap_or_default();
    let running = Running::new(&pod.metadata, &spec, pod.status.unwrap_or_default());
    let pod_meta = pod.metadata.clone();
    let mut workload = build(pod.metadata, pod_meta, spec, api_version, "Pod");
    workload.ended = running.ended;
    workload.running = Some(running);
    workload
}

fn build(
    meta: ObjectMeta,
    pod_meta: ObjectMeta,
    spec: core::PodSpec,
    api_version: &str,
    kind: &str,
) -> Workload {
    let annotations = meta.annotations.unwrap_or_default();
    let pod_annotations = pod_meta.annotations.unwrap_or_default();
    let containers =
        all(&Surroundings { spec: &spec, annotations: &annotations, pod_annotations: &pod_annotations });
    let pod_security = spec.security_context.unwrap_or_default();
    let named = |name: Option<String>| name.filter(|name| !name.is_empty());
    let uid = meta.uid.unwrap_or_default();
    let model = Deployment {
        id: DeploymentId::new(uid.as_str()),
        name: named(meta.name).or(meta.generate_name).unwrap_or_default(),
        kind: kind.to_owned(),
        api_version: api_version.to_owned(),
        namespace: named(meta.namespace).unwrap_or_else(|| "default".to_owned()),
        resource_version: meta.resource_version.unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        created: meta.creation_timestamp.map(|time| time.0),
        deleting: meta.deletion_timestamp.is_some(),
        labels: meta.labels.unwrap_or_default(),
        annotations,
        pod_labels: pod_meta.labels.unwrap_or_default(),
        pod_annotations,
        owners: meta.owner_references.unwrap_or_default().into_iter().map(owner).collect(),
        host_network: spec.host_network.unwrap_or_default(),
        host_pid: spec.host_pid.unwrap_or_default(),
        host_ipc: spec.host_ipc.unwrap_or_default(),
        host_users: spec.host_users,
        share_process_namespace: spec.share_process_namespace.unwrap_or_default(),
        runtime_class: spec.runtime_class_name.unwrap_or_default(),
        priority_class: spec.priority_class_name.unwrap_or_default(),
        restart_policy: spec.restart_policy.unwrap_or_default(),
        node_selector: spec.node_selector.unwrap_or_default(),
        tolerations: spec.tolerations.unwrap_or_default().into_iter().map(toleration).collect(),
        service_account: named(spec.service_account_name)
            .or_else(|| named(spec.service_account))
            .unwrap_or_else(|| "default".to_owned()),
        automount_service_account_token: spec.automount_service_account_token.unwrap_or(true),
        image_pull_secrets: spec.image_pull_secrets.unwrap_or_default().into_iter().map(|s| s.name).collect(),
        fs_group: pod_security.fs_group,
        sysctls: sysctls(pod_security.sysctls),
        containers,
        ..Deployment::default()
    };
    let token_decided = spec.automount_service_account_token.is_some();
    Workload { model, uid, ended: false, token_decided, running: None }
}

fn owner(owner: k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference) -> OwnerReference {
    OwnerReference {
        api_version: owner.api_version,
        kind: owner.kind,
        name: owner.name,
        uid: owner.uid,
        controller: owner.controller.unwrap_or_default(),
    }
}

fn toleration(toleration: core::Toleration) -> Toleration {
    Toleration {
        key: toleration.key.unwrap_or_default(),
        operator: toleration.operator.unwrap_or_default(),
        value: toleration.value.unwrap_or_default(),
        effect: toleration.effect.unwrap_or_default(),
    }
}

fn sysctls(sysctls: Option<Vec<core::Sysctl>>) -> BTreeMap<String, String> {
    sysctls.unwrap_or_default().into_iter().map(|sysctl| (sysctl.name, sysctl.value)).collect()
}
