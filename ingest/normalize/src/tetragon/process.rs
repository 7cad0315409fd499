//! Process executions, and the process that network and file events name.

use lictor_wire::{Ancestor, ContainerRef, PodId, PodRef, ProcessAction, ProcessEvent, WorkloadRef};

use super::raw::{Execution, Pod, Process};
use crate::path::{base_name, container_id, image_digest};

/// The kernel's audit id without a login.
const NO_LOGIN: u32 = u32::MAX;

pub(super) fn exec(line: &Execution, node: &str) -> ProcessEvent {
    process(&line.process, line.parent.as_ref(), &line.ancestors, node)
}

pub(super) fn exit(line: &Execution, node: &str) -> ProcessEvent {
    ProcessEvent {
        action: ProcessAction::Exit,
        exit_status: Some(u32::try_from(line.status).unwrap_or(u32::MAX)),
        signal: line.signal.clone(),
        ..exec(line, node)
    }
}

pub(super) fn process(
    process: &Process,
    parent: Option<&Process>,
    ancestors: &[Process],
    node: &str,
) -> ProcessEvent {
    let credentials = process.process_credentials.as_ref();
    ProcessEvent {
        action: ProcessAction::Exec,
        name: base_name(&process.binary).to_owned(),
        exec_file_path: process.binary.clone(),
        args: process.arguments.clone(),
        uid: credentials.and_then(|ids| ids.euid.or(ids.uid)).or(process.uid),
        gid: credentials.and_then(|ids| ids.egid.or(ids.gid)),
        login_uid: process.auid.filter(|uid| *uid != NO_LOGIN),
        user: process.user.as_ref().map(|user| user.name.clone()).unwrap_or_default(),
        pid: u32::try_from(process.pid).unwrap_or_default(),
        exec_id: process.exec_id.clone(),
        parent_exec_id: process.parent_exec_id.clone(),
        cwd: process.cwd.clone(),
        started: process.start_time,
        ancestors: lineage(parent, ancestors),
        capabilities: capabilities(process),
        exit_status: None,
        signal: String::new(),
        pod: process.pod.as_ref().map(pod),
        container: container(process),
        node: node.to_owned(),
        truncated: process.flags.split(' ').any(|flag| flag == "truncArgs" || flag == "errorArgs"),
    }
}

/// Parent first. The export lists ancestors from the grandparent on; should one start with the parent, it is told
/// once.
fn lineage(parent: Option<&Process>, ancestors: &[Process]) -> Vec<Ancestor> {
    let repeats_parent = match (parent, ancestors.first()) {
        (Some(parent), Some(first)) => !parent.exec_id.is_empty() && parent.exec_id == first.exec_id,
        _ => false,
    };
    let parent = parent.filter(|_| !repeats_parent);
    parent
        .into_iter()
        .chain(ancestors)
        .map(|ancestor| Ancestor { exec_file_path: ancestor.binary.clone(), uid: ancestor.uid })
        .collect()
}

fn capabilities(process: &Process) -> Vec<String> {
    let effective = process.cap.iter().flat_map(|cap| &cap.effective);
    effective.map(|name| name.strip_prefix("CAP_").unwrap_or(name).to_owned()).collect()
}

fn pod(pod: &Pod) -> PodRef {
    let workload = (!pod.workload.is_empty() && !pod.workload_kind.is_empty())
        .then(|| WorkloadRef { kind: pod.workload_kind.clone(), name: pod.workload.clone() });
    PodRef {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        uid: PodId::new(pod.uid.as_str()),
        workload,
        labels: pod.pod_labels.clone(),
    }
}

/// The container as the pod names it; failing that, what the cgroup shows: the first characters of its id.
fn container(process: &Process) -> Option<ContainerRef> {
    if let Some(container) = process.pod.as_ref().and_then(|pod| pod.container.as_ref()) {
        let image = container.image.as_ref();
        return Some(ContainerRef {
            id: container_id(&container.id).to_owned(),
            name: container.name.clone(),
            image: image.map(|image| image.name.clone()).unwrap_or_default(),
            image_digest: image.map(|image| image_digest(&image.id).to_owned()).unwrap_or_default(),
            started: container.start_time,
        });
    }
    let id = process.docker.as_str();
    (!id.is_empty()).then(|| ContainerRef { id: id.to_owned(), ..ContainerRef::default() })
}
