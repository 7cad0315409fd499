//! Sorts objects by kind, and links them when all are there.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lictor_wire::{ClusterId, Deployment, NamespaceRecord};
use serde::Deserialize;

use super::document::Document;
use super::permissions::{Permissions, Reach};
use super::workload::{self, Workload};
use super::{Ignored, ManifestError, Manifests, Place, exposure, owners, policies};

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// Every object that describes workloads.
#[derive(Default)]
pub(super) struct Objects {
    workloads: Vec<Workload>,
    places: Vec<Place>,
    services: Vec<core::Service>,
    routes: Vec<exposure::Route>,
    network_policies: Vec<NetworkPolicy>,
    accounts: Vec<core::ServiceAccount>,
    permissions: Permissions,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    metadata: ObjectName,
}

#[derive(Deserialize, Default)]
struct ObjectName {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Namespace {
    #[serde(default)]
    metadata: ObjectMeta,
}

impl Objects {
    /// Takes an object. One that cannot be read is an error and changes nothing.
    pub(super) fn take(
        &mut self,
        document: &Document<'_>,
        manifests: &mut Manifests,
    ) -> Result<(), ManifestError> {
        let (version, kind) = (document.api_version.as_str(), document.kind.as_str());
        if workload::is_workload(version, kind) {
            let workload = workload::of(document.item, version, kind);
            self.workloads.push(workload.map_err(|error| document.misfit(&error))?);
            self.places.push(document.place.clone());
            return Ok(());
        }
        let Permissions { roles, bindings } = &mut self.permissions;
        match (version, kind) {
            ("v1", "Namespace") => manifests.namespaces.push(namespace(document.read()?)),
            ("v1", "Service") => self.services.push(document.read()?),
            ("v1", "ServiceAccount") => self.accounts.push(document.read()?),
            (_, "NetworkPolicy") if version.starts_with("networking.k8s.io/") => {
                self.network_policies.push(document.read()?);
            }
            (RBAC, "Role") => roles.push((Reach::Namespace, document.read()?)),
            (RBAC, "ClusterRole") => roles.push((Reach::Cluster, document.read()?)),
            (RBAC, "RoleBinding") => bindings.push((Reach::Namespace, document.read()?)),
            (RBAC, "ClusterRoleBinding") => bindings.push((Reach::Cluster, document.read()?)),
            ("route.openshift.io/v1", "Route") => self.routes.push(document.read()?),
            // A list without items.
            (_, list) if list.ends_with("List") => {}
            _ => {
                let name = document.read().map(|named: Named| named.metadata.name.unwrap_or_default());
                manifests.ignored.push(Ignored {
                    place: document.place.clone(),
                    api_version: version.to_owned(),
                    kind: kind.to_owned(),
                    name: name.unwrap_or_default(),
                });
            }
        }
        Ok(())
    }

    /// Draws the conclusions.
    pub(super) fn link(mut self, cluster: &ClusterId, manifests: &mut Manifests) {
        for workload in &mut self.workloads {
            workload.place_in(cluster);
        }
        let tops = owners::tops(&self.workloads);
        self.link_pods(&tops, manifests);
        let Self { workloads, places, services, routes, network_policies, accounts, permissions } = self;
        for (i, ((mut workload, place), top)) in workloads.into_iter().zip(places).zip(tops).enumerate() {
            if workload.ended {
                let Deployment { api_version, kind, name, .. } = workload.model;
                manifests.ended.push(Ignored { place, api_version, kind, name });
                continue;
            }
            if top != i {
                continue;
            }
            let model = &mut workload.model;
            model.ports = exposure::declared(model);
            exposure::apply(model, &services, &routes);
            // Without any policy in the input it is unknown what applies.
            if !network_policies.is_empty() {
                model.network_policies = Some(policies::applied(model, &network_policies));
            }
            policies::run_as(model, workload.token_decided, &accounts);
            model.service_account_permission_level = permissions.level(model);
            manifests.deployments.push(workload.model);
            manifests.places.push(place);
        }
    }

    fn link_pods(&mut self, tops: &[usize], manifests: &mut Manifests) {
        let mut running_pods: Vec<(usize, usize)> = Vec::new();
        for (i, (workload, top)) in self.workloads.iter().zip(tops).enumerate() {
            let Some(running) = workload.running.as_ref().filter(|_| !workload.ended) else { continue };
            let model = self.workloads.get(*top).map_or(&workload.model, |top| &top.model);
            manifests.pods.extend(running.record(model));
            running_pods.push((i, *top));
        }
        // The youngest pod first; an older one fills in only what is still open.
        let created = |i: usize| self.workloads.get(i).and_then(|w| w.running.as_ref()?.created());
        running_pods.sort_by_key(|(pod, _)| std::cmp::Reverse(created(*pod)));
        for (pod, top) in running_pods {
            let Some(running) = self.workloads.get_mut(pod).and_then(|pod| pod.running.take()) else {
                continue;
            };
            if let Some(top) = self.workloads.get_mut(top) {
                running.fill_in_digests(&mut top.model);
            }
        }
    }
}

fn namespace(object: Namespace) -> NamespaceRecord {
    NamespaceRecord {
        name: object.metadata.name.unwrap_or_default(),
        uid: object.metadata.uid.unwrap_or_default(),
        labels: object.metadata.labels.unwrap_or_default(),
        annotations: object.metadata.annotations.unwrap_or_default(),
    }
}
