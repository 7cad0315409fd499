//! Criteria about workloads: metadata, volumes, ports, network policies, service account.

use crate::criterion::Allows::{Many, NegatedMany, NegatedOne, One};
use crate::criterion::Extract::{Exposure, Port, Root, Volume};
use crate::criterion::Sentence::{Always, ByName, Element, ElementWith, YesNo};
use crate::criterion::extract::{container, workload};
use crate::criterion::{CriterionGroup, DataField, Detail, Extra, Family, Operator, names, row};
use crate::matcher::Form;

pub(super) static METADATA: CriterionGroup = CriterionGroup {
    title: "Deployment metadata",
    criteria: &[
        row(Family::Workload, "Disallowed Annotation")
            .about("the workload's annotations; violated when one matches")
            .value(Root(workload::annotations), Operator::Disallowed, Form::Text, Many)
            .sentence(Always("disallowed annotations found: {value}"))
            .extra(Extra { parity_field: DataField::Annotation, ..Extra::NONE }),
        row(Family::Workload, "Required Annotation")
            .about("the workload's annotations; violated when none matches any of the values")
            .value(Root(workload::annotations), Operator::Required, Form::KeyValue, Many)
            .sentence(Always("a required annotation is missing (found annotations: {value})"))
            .extra(Extra { parity_field: DataField::Annotation, ..Extra::NONE }),
        row(Family::Workload, "Required Label")
            .about("the workload's labels; violated when none matches any of the values")
            .value(Root(workload::labels), Operator::Required, Form::KeyValue, Many)
            .sentence(Always("a required label is missing (found labels: {value})")),
        row(Family::Workload, "Runtime Class")
            .about("the runtime class of the pods; empty when unset")
            .value(Root(workload::runtime_class), Operator::Regex, Form::Text, NegatedMany)
            .sentence(Always("the runtime class is `{value}`")),
        row(Family::Workload, "Host Network")
            .about("whether the pods use the node's network")
            .value(Root(workload::host_network), Operator::Bool, Form::Bool, One)
            .sentence(YesNo(
                "the deployment uses the node's network namespace",
                "the deployment does not use the node's network namespace",
            )),
        row(Family::Workload, "Host PID")
            .about("whether the pods see the node's processes")
            .value(Root(workload::host_pid), Operator::Bool, Form::Bool, One)
            .sentence(YesNo(
                "the deployment uses the node's process namespace",
                "the deployment does not use the node's process namespace",
            )),
        row(Family::Workload, "Host IPC")
            .about("whether the pods use the node's IPC")
            .value(Root(workload::host_ipc), Operator::Bool, Form::Bool, One)
            .sentence(YesNo(
                "the deployment uses the node's IPC namespace",
                "the deployment does not use the node's IPC namespace",
            )),
        row(Family::Workload, "Namespace")
            .about("the namespace of the workload")
            .value(Root(workload::namespace), Operator::Regex, Form::Text, NegatedMany)
            .sentence(Always("the namespace is `{value}`")),
        row(Family::Workload, "Replicas")
            .about("how many pods the workload wants; for a DaemonSet, how many are available")
            .value(Root(workload::replicas), Operator::Int, Form::Comparison, NegatedMany)
            .sentence(Always("replicas is set to {value}"))
            .extra(Extra { needs_container: true, ..Extra::NONE }),
    ],
};

pub(super) static STORAGE: CriterionGroup = CriterionGroup {
    title: "Storage",
    criteria: &[
        row(Family::Workload, "Volume Name")
            .about("the name of each mounted volume, secrets left out")
            .value(Volume(container::volume_name), Operator::Regex, Form::Text, NegatedMany)
            .sentence(Element),
        row(Family::Workload, "Volume Source")
            .about("where each mounted volume comes from: a path of the node, a claim, a config map, …")
            .value(Volume(container::volume_source), Operator::Regex, Form::Text, NegatedMany)
            .sentence(Element),
        row(Family::Workload, "Volume Destination")
            .about("the path at which each volume is mounted")
            .value(Volume(container::volume_destination), Operator::Regex, Form::Text, NegatedMany)
            .sentence(Element),
        row(Family::Workload, "Volume Type")
            .about("the type of each mounted volume, such as `HostPath`")
            .value(Volume(container::volume_type), Operator::Regex, Form::Text, NegatedMany)
            .sentence(Element)
            .extra(Extra { parity_field: DataField::VolumeType, ..Extra::NONE }),
        row(Family::Workload, "Writable Mounted Volume")
            .about("whether a mounted volume can be written")
            .value(Volume(container::writable), Operator::Bool, Form::GoBool, One)
            .sentence(Element)
            .extra(Extra { parity_field: DataField::VolumeReadOnly, ..Extra::NONE }),
        row(Family::Workload, "Writable Host Mount")
            .about("whether a mounted path of the node can be written")
            .value(Volume(container::writable_host_mount), Operator::Bool, Form::GoBool, One)
            .sentence(Element)
            .extra(Extra { parity_halves: true, ..Extra::NONE }),
        row(Family::Workload, "Mount Propagation")
            .about("how mounts spread between container and node")
            .value(
                Volume(container::mount_propagation),
                Operator::Propagation,
                Form::OneOf(names::MOUNT_PROPAGATION_VALUES),
                NegatedMany,
            )
            .sentence(ElementWith(Detail::MountPropagation)),
    ],
};

pub(super) static NETWORKING: CriterionGroup = CriterionGroup {
    title: "Networking",
    criteria: &[
        row(Family::Workload, "Exposed Port")
            .about("each port of the workload's containers and services")
            .value(Port(workload::container_port), Operator::Int, Form::Comparison, NegatedMany)
            .sentence(Element)
            .extra(Extra { needs_container: true, ..Extra::NONE }),
        row(Family::Workload, "Exposed Port Protocol")
            .about("the protocol of each such port")
            .value(Port(workload::protocol), Operator::UpperText, Form::Text, NegatedMany)
            .sentence(Element)
            .extra(Extra { needs_container: true, ..Extra::NONE }),
        row(Family::Workload, "Exposed Node Port")
            .about("the node's port behind which each such port is reached; 0 when there is none")
            .value(Exposure(workload::node_port), Operator::Int, Form::Comparison, NegatedMany)
            .sentence(Always("exposed node port {value}/{protocol} is present")),
        row(Family::Workload, "Port Exposure Method")
            .about("how each such port is reached from outside of the pod")
            .value(
                Exposure(workload::exposure_level),
                Operator::Enum(names::EXPOSURES),
                Form::Name(names::EXPOSURES),
                NegatedMany,
            )
            .sentence(ByName(
                "the deployment's ports are exposed {value}",
                &[
                    ("EXTERNAL", "with a load balancer"),
                    ("NODE", "with a node port"),
                    ("INTERNAL", "inside of the cluster only"),
                    ("HOST", "with a host port"),
                    ("ROUTE", "with a route"),
                ],
            ))
            .extra(Extra { needs_container: true, ..Extra::NONE }),
        row(Family::Workload, "Has Ingress Network Policy")
            .about("whether a network policy restricts what comes in")
            .value(Root(workload::ingress_policy), Operator::Bool, Form::Bool, NegatedOne)
            .sentence(YesNo(
                "the deployment has an ingress network policy",
                "the deployment is missing an ingress network policy",
            ))
            .extra(Extra { never_enforced: true, ..Extra::NONE }),
        row(Family::Workload, "Has Egress Network Policy")
            .about("whether a network policy restricts what goes out")
            .value(Root(workload::egress_policy), Operator::Bool, Form::Bool, NegatedOne)
            .sentence(YesNo(
                "the deployment has an egress network policy",
                "the deployment is missing an egress network policy",
            ))
            .extra(Extra { never_enforced: true, ..Extra::NONE }),
    ],
};

pub(super) static ACCESS: CriterionGroup = CriterionGroup {
    title: "Access control",
    criteria: &[
        row(Family::Workload, "Service Account")
            .about("the service account of the pods; `default` when unset")
            .value(Root(workload::service_account), Operator::Regex, Form::Text, NegatedMany)
            .sentence(Always("the service account is `{value}`")),
        row(Family::Workload, "Automount Service Account Token")
            .about("whether the service account's token is mounted")
            .value(Root(workload::automount), Operator::Bool, Form::Bool, One)
            .sentence(YesNo(
                "the deployment mounts the service account's token",
                "the deployment does not mount the service account's token",
            ))
            .extra(Extra { needs_container: true, ..Extra::NONE }),
        row(Family::Workload, "Minimum RBAC Permissions")
            .about("what the service account may do: this level or a higher one")
            .value(
                Root(workload::permissions),
                Operator::AtLeast(names::PERMISSION_LEVELS),
                Form::OneOf(names::PERMISSION_VALUES),
                NegatedOne,
            )
            .sentence(ByName(
                "the service account has {value}",
                &[
                    ("NONE", "no specified access"),
                    ("DEFAULT", "default access"),
                    ("ELEVATED_IN_NAMESPACE", "elevated access in the namespace"),
                    ("ELEVATED_CLUSTER_WIDE", "elevated access cluster wide"),
                    ("CLUSTER_ADMIN", "cluster admin access"),
                ],
            )),
    ],
};
