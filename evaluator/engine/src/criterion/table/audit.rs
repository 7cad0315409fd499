//! Criteria about requests to the API server: commands to running pods, and the audit log.

use lictor_wire::policy::EventSource;

use crate::criterion::Allows::{Many, NegatedMany, One};
use crate::criterion::Extract::Root;
use crate::criterion::Sentence::Event;
use crate::criterion::extract::event;
use crate::criterion::{CriterionGroup, Extra, Family, Operator, names, row};
use crate::matcher::Form;

pub(super) static COMMANDS: CriterionGroup = CriterionGroup {
    title: "User issued commands",
    criteria: &[
        row(Family::KubeRequest, "Kubernetes Resource")
            .about("what the request was about")
            .value(
                Root(event::resource),
                Operator::Enum(names::RESOURCES),
                Form::Name(names::RESOURCES),
                Many,
            )
            .sentence(Event)
            .extra(Extra {
                forms: &[
                    (EventSource::DeploymentEvent, Form::OneOf(names::POD_RESOURCES)),
                    (EventSource::AuditLogEvent, Form::OneOf(names::AUDIT_RESOURCES)),
                ],
                required_by: Some(EventSource::AuditLogEvent),
                ..Extra::NONE
            }),
        row(Family::KubeRequest, "Kubernetes User Name")
            .about("the user who made the request, not one they impersonated")
            .value(Root(event::user_name), Operator::TextMatcher, Form::KubernetesName, NegatedMany)
            .sentence(Event)
            .extra(Extra { needs: Some("Kubernetes Resource"), ..Extra::NONE }),
        row(Family::KubeRequest, "Kubernetes User Groups")
            .about("the groups of the user who made the request")
            .value(Root(event::user_groups), Operator::TextMatcher, Form::KubernetesName, NegatedMany)
            .sentence(Event)
            .extra(Extra { needs: Some("Kubernetes Resource"), ..Extra::NONE }),
    ],
};

pub(super) static AUDIT_LOG: CriterionGroup = CriterionGroup {
    title: "Audit log",
    criteria: &[
        row(Family::Audit, "Kubernetes API Verb")
            .about("what the request does")
            .value(Root(event::verb), Operator::Enum(names::VERBS), Form::Name(names::VERBS), Many)
            .sentence(Event)
            .extra(Extra { required_by: Some(EventSource::AuditLogEvent), ..Extra::NONE }),
        row(Family::Audit, "Kubernetes Resource Name")
            .about("the name of the object that the request is about")
            .value(Root(event::resource_name), Operator::TextMatcher, Form::Text, NegatedMany)
            .sentence(Event),
        row(Family::Audit, "User Agent")
            .about("the program that made the request, as it calls itself")
            .value(Root(event::user_agent), Operator::TextMatcher, Form::Text, NegatedMany)
            .sentence(Event),
        row(Family::Audit, "Source IP Address")
            .about("the addresses the request came from")
            .value(Root(event::source_ips), Operator::TextMatcher, Form::IpAddress, NegatedMany)
            .sentence(Event),
        row(Family::Audit, "Is Impersonated User")
            .about("whether the request was made by impersonation")
            .value(Root(event::impersonated), Operator::Bool, Form::Bool, One)
            .sentence(Event),
    ],
};
