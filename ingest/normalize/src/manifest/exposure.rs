//! What reaches a workload's ports.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use lictor_wire::{Deployment, Exposure, ExposureLevel, Port};
use serde::Deserialize;

use super::policies::namespace;

/// An OpenShift route.
#[derive(Deserialize)]
pub(super) struct Route {
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: RouteSpec,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RouteSpec {
    host: String,
    to: RouteTarget,
    alternate_backends: Vec<RouteTarget>,
    port: Option<RoutePort>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RouteTarget {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoutePort {
    target_port: IntOrString,
}

/// The ports containers declare, with their host ports.
pub(super) fn declared(model: &Deployment) -> Vec<Port> {
    let mut ports: Vec<Port> = Vec::new();
    for port in model.containers.iter().flat_map(|container| &container.ports) {
        let at = position(&mut ports, &port.name, port.container_port, &port.protocol);
        if let Some(at) = ports.get_mut(at).filter(|_| port.host_port != 0) {
            expose(
                at,
                Exposure { level: ExposureLevel::Host, node_port: port.host_port, ..Exposure::default() },
            );
        }
    }
    ports
}

fn position(ports: &mut Vec<Port>, name: &str, container_port: i32, protocol: &str) -> usize {
    let same = |port: &Port| port.container_port == container_port && port.protocol == protocol;
    ports.iter().position(same).unwrap_or_else(|| {
        ports.push(Port {
            name: name.to_owned(),
            container_port,
            protocol: protocol.to_owned(),
            ..Port::default()
        });
        ports.len() - 1
    })
}

/// Adds what services and routes of the input do for a workload's ports.
pub(super) fn apply(model: &mut Deployment, services: &[core::Service], routes: &[Route]) {
    for service in services {
        let Some(spec) = service
            .spec
            .as_ref()
            .filter(|_| namespace(service.metadata.namespace.as_ref()) == model.namespace)
        else {
            continue;
        };
        if !selects(spec, &model.pod_labels) {
            continue;
        }
        let name = service.metadata.name.clone().unwrap_or_default();
        for service_port in spec.ports.iter().flatten() {
            let Some(at) = target(&mut model.ports, service_port) else { continue };
            let Some(port) = model.ports.get_mut(at) else { continue };
            expose(port, by_service(service, spec, service_port));
            for route in routes.iter().filter(|route| {
                route.metadata.namespace == service.metadata.namespace && route.leads_to(&name, service_port)
            }) {
                expose(
                    port,
                    Exposure {
                        level: ExposureLevel::Route,
                        service_name: name.clone(),
                        service_port: service_port.port,
                        external_hostnames: Some(route.spec.host.clone())
                            .filter(|host| !host.is_empty())
                            .into_iter()
                            .collect(),
                        ..Exposure::default()
                    },
                );
            }
        }
    }
}

/// A service without a selector has its addresses written by hand; one that is only a name has none.
fn selects(spec: &core::ServiceSpec, labels: &BTreeMap<String, String>) -> bool {
    let selector = spec.selector.as_ref().filter(|selector| !selector.is_empty());
    spec.type_.as_deref() != Some("ExternalName")
        && selector.is_some_and(|selector| selector.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

/// The workload's port a service's port leads to. A number is a port even if no container declares it; a name is
/// only one that a container has.
fn target(ports: &mut Vec<Port>, service_port: &core::ServicePort) -> Option<usize> {
    let protocol = service_port.protocol.as_deref().filter(|p| !p.is_empty()).unwrap_or("TCP");
    match &service_port.target_port {
        Some(IntOrString::String(name)) => {
            ports.iter().position(|port| port.name == *name && port.protocol == protocol)
        }
        Some(IntOrString::Int(number)) => Some(position(ports, "", *number, protocol)),
        None => Some(position(ports, "", service_port.port, protocol)),
    }
}

fn by_service(service: &core::Service, spec: &core::ServiceSpec, port: &core::ServicePort) -> Exposure {
    let level = match spec.type_.as_deref() {
        Some("LoadBalancer") => ExposureLevel::External,
        Some("NodePort") => ExposureLevel::Node,
        _ => ExposureLevel::Internal,
    };
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    Exposure {
        level,
        service_name: service.metadata.name.clone().unwrap_or_default(),
        service_port: port.port,
        node_port: port.node_port.unwrap_or_default(),
        external_ips: ingress.iter().filter_map(|ingress| ingress.ip.clone()).collect(),
        external_hostnames: ingress.iter().filter_map(|ingress| ingress.hostname.clone()).collect(),
    }
}

/// Adds a way in; the port's level is the widest of them.
fn expose(port: &mut Port, exposure: Exposure) {
    if width(exposure.level) > width(port.exposure) {
        port.exposure = exposure.level;
    }
    port.exposure_infos.push(exposure);
}

const fn width(level: ExposureLevel) -> u8 {
    match level {
        ExposureLevel::Unset => 0,
        ExposureLevel::Internal => 1,
        ExposureLevel::Host => 2,
        ExposureLevel::Node => 3,
        ExposureLevel::Route => 4,
        ExposureLevel::External => 5,
    }
}

impl Route {
    fn leads_to(&self, service: &str, port: &core::ServicePort) -> bool {
        let targets = std::iter::once(&self.spec.to).chain(&self.spec.alternate_backends);
        let port_fits = match self.spec.port.as_ref().map(|port| &port.target_port) {
            None => true,
            Some(IntOrString::String(name)) => {
                port.name.as_ref() == Some(name)
                    || port.target_port == Some(IntOrString::String(name.clone()))
            }
            Some(IntOrString::Int(number)) => {
                port.port == *number || port.target_port == Some(IntOrString::Int(*number))
            }
        };
        port_fits && targets.into_iter().any(|target| target.name == service)
    }
}
