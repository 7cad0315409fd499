//! One object by itself, as the API server holds it.

use lictor_wire::{ClusterId, Deployment};

use super::workload::{self, Workload};
use super::{ObjectProblem, exposure};
use crate::yaml;

/// Reads one workload from its JSON, as the API server writes it. What depends on other objects (services, network
/// policies, service accounts) is left unset. `None` when the kind is not a workload.
///
/// An object without a UID gets an id of cluster, namespace, kind and name.
///
/// # Errors
/// When it is not JSON, nests too deeply, or a field does not fit the kind.
pub fn one(
    text: &str,
    api_version: &str,
    kind: &str,
    cluster: &ClusterId,
) -> Result<Option<Deployment>, ObjectProblem> {
    if !workload::is_workload(api_version, kind) {
        return Ok(None);
    }
    let misfit = |message: String| ObjectProblem::Field { kind: kind.to_owned(), message };
    let document = yaml::read_json(text).map_err(|error| ObjectProblem::Syntax(error.to_string()))?;
    let mut workload =
        workload::of(document.root(), api_version, kind).map_err(|error| misfit(error.to_string()))?;
    workload.place_in(cluster);
    let Workload { mut model, running, .. } = workload;
    if let Some(running) = running {
        running.fill_in_digests(&mut model);
    }
    model.ports = exposure::declared(&model);
    Ok(Some(model))
}
