//! Criteria about processes and connections of workloads.

use crate::criterion::Allows::{NegatedMany, One};
use crate::criterion::Extract::{Ancestor, Container, Process, Root};
use crate::criterion::Sentence::{Event, YesNo};
use crate::criterion::extract::event;
use crate::criterion::{CriterionGroup, Family, Operator, row};
use crate::matcher::Form;

pub(super) static PROCESSES: CriterionGroup = CriterionGroup {
    title: "Process activity",
    criteria: &[
        row(Family::Process, "Process Name")
            .about("the base name of the executable that started")
            .value(Process(event::process_name), Operator::Regex, Form::Text, NegatedMany)
            .sentence(Event),
        row(Family::Process, "Process Ancestor")
            .about("the path of each executable the process descends from")
            .value(Ancestor(event::ancestor_path), Operator::Regex, Form::Text, NegatedMany)
            .sentence(Event),
        row(Family::Process, "Process Arguments")
            .about("the arguments, joined by spaces")
            .value(Process(event::process_arguments), Operator::Contains, Form::Text, NegatedMany)
            .sentence(Event),
        row(Family::Process, "Process UID")
            .about("the user id of the process")
            .value(Process(event::process_uid), Operator::Uint, Form::Text, NegatedMany)
            .sentence(Event),
    ],
};

pub(super) static BASELINES: CriterionGroup = CriterionGroup {
    title: "Baseline deviation",
    criteria: &[
        row(Family::ProcessBaseline, "Unexpected Process Executed")
            .about("whether the process departs from the container's locked baseline")
            .value(Container(event::unexpected_process), Operator::Bool, Form::Bool, One)
            .sentence(YesNo(
                "unexpected process `{process}` in {container}",
                "expected process `{process}` in {container}",
            )),
        row(Family::NetworkBaseline, "Unexpected Network Flow Detected")
            .about("whether the connection departs from the workload's locked baseline")
            .value(Root(event::unexpected_flow), Operator::Bool, Form::Bool, One)
            .sentence(Event),
    ],
};
