//! Criteria about processes and connections of workloads.

use crate::criterion::Allows::{NegatedMany, One};
use crate::criterion::Extract::{Ancestor, Container, Process, Root};
use crate::criterion::Sentence::{Event, YesNo};
use crate::criterion::extract::event;
use crate::criterion::{Criterion, CriterionGroup, Extra, Family, Operator};
use crate::matcher::Form;

pub(super) static PROCESSES: CriterionGroup = CriterionGroup {
    title: "Process activity",
    criteria: &[
        Criterion {
            name: "Process Name",
            about: "the base name of the executable that started",
            family: Family::Process,
            extract: Process(event::process_name),
            operator: Operator::Regex,
            form: Form::Text,
            allows: NegatedMany,
            sentence: Event,
            extra: Extra::NONE,
        },
        Criterion {
            name: "Process Ancestor",
            about: "the path of each executable the process descends from",
            family: Family::Process,
            extract: Ancestor(event::ancestor_path),
            operator: Operator::Regex,
            form: Form::Text,
            allows: NegatedMany,
            sentence: Event,
            extra: Extra::NONE,
        },
        Criterion {
            name: "Process Arguments",
            about: "the arguments, joined by spaces",
            family: Family::Process,
            extract: Process(event::process_arguments),
            operator: Operator::Contains,
            form: Form::Text,
            allows: NegatedMany,
            sentence: Event,
            extra: Extra::NONE,
        },
        Criterion {
            name: "Process UID",
            about: "the user id of the process",
            family: Family::Process,
            extract: Process(event::process_uid),
            operator: Operator::Uint,
            form: Form::Text,
            allows: NegatedMany,
            sentence: Event,
            extra: Extra::NONE,
        },
    ],
};

pub(super) static BASELINES: CriterionGroup = CriterionGroup {
    title: "Baseline deviation",
    criteria: &[
        Criterion {
            name: "Unexpected Process Executed",
            about: "whether the process departs from the container's locked baseline",
            family: Family::ProcessBaseline,
            extract: Container(event::unexpected_process),
            operator: Operator::Bool,
            form: Form::Bool,
            allows: One,
            sentence: YesNo(
                "unexpected process `{process}` in {container}",
                "expected process `{process}` in {container}",
            ),
            extra: Extra::NONE,
        },
        Criterion {
            name: "Unexpected Network Flow Detected",
            about: "whether the connection departs from the workload's locked baseline",
            family: Family::NetworkBaseline,
            extract: Root(event::unexpected_flow),
            operator: Operator::Bool,
            form: Form::Bool,
            allows: One,
            sentence: Event,
            extra: Extra::NONE,
        },
    ],
};
