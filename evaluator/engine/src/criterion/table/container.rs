//! Criteria about how containers are configured.

use crate::criterion::Allows::{Many, NegatedMany, NegatedOne, One};
use crate::criterion::Extract::{Container, Env};
use crate::criterion::Sentence::{Always, ByCount, ByName, Element, YesNo};
use crate::criterion::extract::container;
use crate::criterion::{CriterionGroup, DataField, Extra, Family, Operator, names, row};
use crate::matcher::{CAPABILITIES, Form};

pub(super) static CONFIGURATION: CriterionGroup = CriterionGroup {
    title: "Container configuration",
    criteria: &[
        row(Family::Workload, "Environment Variable")
            .about("each environment variable: where its value comes from, key and value")
            .value(Env(container::env), Operator::Parts(3), Form::EnvVariable, Many)
            .sentence(Element),
        row(Family::Workload, "Container CPU Request")
            .about("the CPU a container requests, in cores; 0 when it requests none")
            .value(Container(container::cpu_request), Operator::Float, Form::Comparison, Many)
            .sentence(Always("the CPU request of {container} is set to {value} cores")),
        row(Family::Workload, "Container CPU Limit")
            .about("the CPU a container may use, in cores; 0 when there is no limit")
            .value(Container(container::cpu_limit), Operator::Float, Form::Comparison, Many)
            .sentence(Always("the CPU limit of {container} is set to {value} cores")),
        row(Family::Workload, "Container Memory Request")
            .about("the memory a container requests, in MiB; 0 when it requests none")
            .value(Container(container::memory_request), Operator::Float, Form::Comparison, Many)
            .sentence(Always("the memory request of {container} is set to {value} MB")),
        row(Family::Workload, "Container Memory Limit")
            .about("the memory a container may use, in MiB; 0 when there is no limit")
            .value(Container(container::memory_limit), Operator::Float, Form::Comparison, Many)
            .sentence(Always("the memory limit of {container} is set to {value} MB")),
        row(Family::Workload, "Privileged Container")
            .about("whether a container is privileged")
            .value(Container(container::privileged), Operator::Bool, Form::Bool, One)
            .sentence(YesNo("{container} is privileged", "{container} is not privileged")),
        row(Family::Workload, "Read-Only Root Filesystem")
            .about("whether a container's root filesystem is read-only")
            .value(Container(container::read_only_root), Operator::Bool, Form::Bool, One)
            .sentence(YesNo(
                "{container} has a read-only root filesystem",
                "{container} has a read-write root filesystem",
            )),
        row(Family::Workload, "Allow Privilege Escalation")
            .about(
                "whether a container's processes can gain privileges; true when the manifest does \
                 not say",
            )
            .value(Container(container::privilege_escalation), Operator::Bool, Form::Bool, One)
            .sentence(YesNo(
                "{container} allows privilege escalation",
                "{container} does not allow privilege escalation",
            )),
        row(Family::Workload, "Seccomp Profile Type")
            .about("the seccomp profile of a container or else its pod; never matches when neither has one")
            .value(
                Container(container::seccomp),
                Operator::Enum(names::SECCOMP_PROFILES),
                Form::Name(names::SECCOMP_PROFILES),
                NegatedOne,
            )
            .sentence(ByName(
                "{container} has seccomp profile type `{value}`",
                &[
                    ("UNCONFINED", "unconfined"),
                    ("RUNTIME_DEFAULT", "runtime_default"),
                    ("LOCALHOST", "localhost"),
                ],
            )),
        row(Family::Workload, "Drop Capabilities")
            .about(
                "the capabilities a container drops; violated when those named are not among them. \
                 OR: none of them was dropped, AND: one was not. Dropping ALL drops each",
            )
            .value(
                Container(container::dropped_capabilities),
                Operator::NotDropped,
                Form::OneOf(names::CAPABILITIES_TO_DROP),
                Many,
            )
            .sentence(ByCount {
                none: "{container} does not drop the expected capabilities (drops no capabilities)",
                one: "{container} does not drop the expected capabilities (drops {value})",
                several: "{container} does not drop the expected capabilities (drops {value})",
            }),
        row(Family::Workload, "Add Capabilities")
            .about("the capabilities a container adds")
            .value(
                Container(container::added_capabilities),
                Operator::Listed,
                Form::OneOf(CAPABILITIES),
                Many,
            )
            .sentence(ByCount {
                none: "{container} adds no capabilities",
                one: "{container} adds capability {value}",
                several: "{container} adds capabilities {value}",
            })
            .extra(Extra { excludes: Some("Drop Capabilities"), ..Extra::NONE }),
        row(Family::Workload, "Container Name")
            .about("the name of a container")
            .value(Container(container::name), Operator::Regex, Form::Text, NegatedMany)
            .sentence(Always("a container is named `{value}`"))
            .extra(Extra { parity_field: DataField::ContainerName, ..Extra::NONE }),
        row(Family::Workload, "AppArmor Profile")
            .about("the AppArmor profile of a container; empty when it has none")
            .value(Container(container::app_armor), Operator::Regex, Form::Text, NegatedMany)
            .sentence(Always("{container} has AppArmor profile `{value}`")),
        row(Family::Workload, "Liveness Probe Defined")
            .about("whether a container has a liveness probe")
            .value(Container(container::liveness_probe), Operator::Bool, Form::Bool, One)
            .sentence(YesNo("{container} has a liveness probe", "{container} has no liveness probe")),
        row(Family::Workload, "Readiness Probe Defined")
            .about("whether a container has a readiness probe")
            .value(Container(container::readiness_probe), Operator::Bool, Form::Bool, NegatedOne)
            .sentence(YesNo("{container} has a readiness probe", "{container} has no readiness probe")),
    ],
};
