//! Whose an object is.

use std::collections::HashMap;

use lictor_wire::{Deployment, OwnerReference};

use super::selector::selects;
use super::workload::Workload;

/// Owners form short chains: a pod's ReplicaSet's Deployment, a pod's Job's CronJob. A longer one is a circle.
const MAX_CHAIN: usize = 8;

/// For each workload the position of the one it belongs to: itself, when it is top-level.
pub(super) fn tops(workloads: &[Workload]) -> Vec<usize> {
    let by_uid: HashMap<&str, usize> = workloads
        .iter()
        .enumerate()
        .filter(|(_, workload)| !workload.uid.is_empty() && !workload.ended)
        .map(|(i, workload)| (workload.uid.as_str(), i))
        .collect();
    (0..workloads.len()).map(|i| top(i, workloads, &by_uid)).collect()
}

fn top(start: usize, workloads: &[Workload], by_uid: &HashMap<&str, usize>) -> usize {
    let mut at = start;
    for _ in 0..MAX_CHAIN {
        match workloads.get(at).and_then(|workload| owner(workload, workloads, by_uid)) {
            // Whoever is their own owner by a detour has none.
            Some(owner) if owner == start => return start,
            Some(owner) => at = owner,
            None => return at,
        }
    }
    start
}

/// The controller an object names, if it is there and would call the object its own.
fn owner(owned: &Workload, workloads: &[Workload], by_uid: &HashMap<&str, usize>) -> Option<usize> {
    let reference = controller(&owned.model)?;
    let position = *by_uid.get(reference.uid.as_str())?;
    let owner = &workloads.get(position)?.model;
    is_controller(reference, owner, &owned.model).then_some(position)
}

/// The owner that an object says controls it.
pub fn controller(owned: &Deployment) -> Option<&OwnerReference> {
    owned.owners.iter().find(|owner| owner.controller)
}

/// Whether `owner`, which is known to be there under the UID that `reference` names, is what `owned` refers to and can
/// control it: it is not a pod, and its selector, if it has one, selects `owned`.
pub fn is_controller(reference: &OwnerReference, owner: &Deployment, owned: &Deployment) -> bool {
    let named = owner.kind == reference.kind
        // A pod controls nothing.
        && owner.kind != "Pod"
        && owner.name == reference.name
        && owner.namespace == owned.namespace;
    // A controller releases what its selector does not select.
    let selected = || owner.label_selector.as_ref().is_none_or(|selector| selects(selector, &owned.labels));
    named && selected()
}
