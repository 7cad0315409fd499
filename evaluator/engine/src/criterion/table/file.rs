//! Criteria about files that were opened or changed.

use lictor_wire::policy::EventSource;

use crate::criterion::Allows::{Many, NegatedMany};
use crate::criterion::Extract::Root;
use crate::criterion::Sentence::Event;
use crate::criterion::extract::event;
use crate::criterion::{Criterion, CriterionGroup, Extra, Family, Operator, names};
use crate::matcher::Form;

pub(super) static ACTIVITY: CriterionGroup = CriterionGroup {
    title: "File activity",
    criteria: &[
        Criterion {
            name: "File Path",
            about: "the paths of the file on the node and in the container, before and after a rename",
            family: Family::File,
            extract: Root(event::file_paths),
            operator: Operator::PathGlob,
            form: Form::PathGlob,
            allows: Many,
            sentence: Event,
            extra: Extra { required_by: Some(EventSource::NodeEvent), ..Extra::NONE },
        },
        Criterion {
            name: "File Operation",
            about: "what was done to the file",
            family: Family::File,
            extract: Root(event::file_operation),
            operator: Operator::TextMatcher,
            form: Form::OneOf(names::FILE_OPERATIONS),
            allows: NegatedMany,
            sentence: Event,
            extra: Extra { needs: Some("File Path"), ..Extra::NONE },
        },
    ],
};
