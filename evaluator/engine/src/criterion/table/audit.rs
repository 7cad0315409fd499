//! Criteria about requests to the API server: commands to running pods, and the audit log.

use lictor_wire::policy::EventSource;

use crate::criterion::Allows::{Many, NegatedMany, One};
use crate::criterion::Extract::Root;
use crate::criterion::Sentence::Event;
use crate::criterion::extract::event;
use crate::criterion::{Criterion, CriterionGroup, Extra, Family, Operator, names};
use crate::matcher::Form;

pub(super) static COMMANDS: CriterionGroup = CriterionGroup {
    title: "User issued commands",
    criteria: &[
        Criterion {
            name: "Kubernetes Resource",
            about: "what the request was about",
            family: Family::KubeRequest,
            extract: Root(event::resource),
            operator: Operator::Enum(names::RESOURCES),
            form: Form::Name(names::RESOURCES),
            allows: Many,
            sentence: Event,
            extra: Extra {
                forms: &[
                    (EventSource::DeploymentEvent, Form::OneOf(names::POD_RESOURCES)),
                    (EventSource::AuditLogEvent, Form::OneOf(names::AUDIT_RESOURCES)),
                ],
                required_by: Some(EventSource::AuditLogEvent),
                ..Extra::NONE
            },
        },
        Criterion {
            name: "Kubernetes User Name",
            about: "the user who made the request, not one they impersonated",
            family: Family::KubeRequest,
            extract: Root(event::user_name),
            operator: Operator::TextMatcher,
            form: Form::KubernetesName,
            allows: NegatedMany,
            sentence: Event,
            extra: Extra { needs: Some("Kubernetes Resource"), ..Extra::NONE },
        },
        Criterion {
            name: "Kubernetes User Groups",
            about: "the groups of the user who made the request",
            family: Family::KubeRequest,
            extract: Root(event::user_groups),
            operator: Operator::TextMatcher,
            form: Form::KubernetesName,
            allows: NegatedMany,
            sentence: Event,
            extra: Extra { needs: Some("Kubernetes Resource"), ..Extra::NONE },
        },
    ],
};

pub(super) static AUDIT_LOG: CriterionGroup = CriterionGroup {
    title: "Audit log",
    criteria: &[
        Criterion {
            name: "Kubernetes API Verb",
            about: "what the request does",
            family: Family::Audit,
            extract: Root(event::verb),
            operator: Operator::Enum(names::VERBS),
            form: Form::Name(names::VERBS),
            allows: Many,
            sentence: Event,
            extra: Extra { required_by: Some(EventSource::AuditLogEvent), ..Extra::NONE },
        },
        Criterion {
            name: "Kubernetes Resource Name",
            about: "the name of the object that the request is about",
            family: Family::Audit,
            extract: Root(event::resource_name),
            operator: Operator::TextMatcher,
            form: Form::Text,
            allows: NegatedMany,
            sentence: Event,
            extra: Extra::NONE,
        },
        Criterion {
            name: "User Agent",
            about: "the program that made the request, as it calls itself",
            family: Family::Audit,
            extract: Root(event::user_agent),
            operator: Operator::TextMatcher,
            form: Form::Text,
            allows: NegatedMany,
            sentence: Event,
            extra: Extra::NONE,
        },
        Criterion {
            name: "Source IP Address",
            about: "the addresses the request came from",
            family: Family::Audit,
            extract: Root(event::source_ips),
            operator: Operator::TextMatcher,
            form: Form::IpAddress,
            allows: NegatedMany,
            sentence: Event,
            extra: Extra::NONE,
        },
        Criterion {
            name: "Is Impersonated User",
            about: "whether the request was made in somebody else's name",
            family: Family::Audit,
            extract: Root(event::impersonated),
            operator: Operator::Bool,
            form: Form::Bool,
            allows: One,
            sentence: Event,
            extra: Extra::NONE,
        },
    ],
};
