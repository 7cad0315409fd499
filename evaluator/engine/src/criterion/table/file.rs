//! Criteria about files that were opened or changed.

use lictor_wire::policy::EventSource;

use crate::criterion::Allows::{Many, NegatedMany};
use crate::criterion::Extract::Root;
use crate::criterion::Sentence::Event;
use crate::criterion::extract::event;
use crate::criterion::{CriterionGroup, Extra, Family, Operator, names, row};
use crate::matcher::Form;

pub(super) static ACTIVITY: CriterionGroup = CriterionGroup {
    title: "File activity",
    criteria: &[
        row(Family::File, "File Path")
            .about("the paths of the file on the node and in the container, before and after a rename")
            .value(Root(event::file_paths), Operator::PathGlob, Form::PathGlob, Many)
            .sentence(Event)
            .extra(Extra { required_by: Some(EventSource::NodeEvent), ..Extra::NONE }),
        row(Family::File, "File Operation")
            .about("what was done to the file")
            .value(
                Root(event::file_operation),
                Operator::TextMatcher,
                Form::OneOf(names::FILE_OPERATIONS),
                NegatedMany,
            )
            .sentence(Event)
            .extra(Extra { needs: Some("File Path"), ..Extra::NONE }),
    ],
};
