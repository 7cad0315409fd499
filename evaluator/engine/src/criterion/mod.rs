//! Criteria: what a policy can ask of a subject.
//!
//! [`table`] has one row for each. A row says where in the tree of elements the criterion looks and how it takes
//! the value there ([`Extract`]), how values are compared ([`Operator`]), what the policy may write ([`Form`]),
//! and with which other criteria it can stand ([`Family`]).

mod about;
mod extract;
mod leaf;
pub(crate) mod names;
pub(crate) mod reference;
mod table;

use lictor_wire::policy::{EventSource, LifecycleStage};
use lictor_wire::{Vulnerability, VulnerabilityState};

use crate::value::{EnumNames, Form};
use crate::view::{Element, Level};
pub(crate) use extract::Extract;
pub(crate) use leaf::Leaf;

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Criterion {
    /// The field name policies use.
    pub(crate) name: &'static str,
    /// What it is about.
    pub(crate) family: Family,
    /// Where it looks.
    pub(crate) extract: Extract,
    /// How it compares.
    pub(crate) operator: Operator,
    /// What values look like.
    pub(crate) form: Form,
    /// Whether it can be negated and hold several values.
    pub(crate) allows: Allows,
    /// Whether it only holds for a workload with at least one container. StackRox's messages need the container's
    /// name, and without it there is no violation.
    pub(crate) needs_container: bool,
    /// Whether only vulnerabilities count that nobody snoozed, put off or called a false positive.
    pub(crate) standing: bool,
}

/// What a criterion is about; decides where it can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Images: at build, at deploy, and beside runtime criteria.
    Image,
    /// Workloads: at deploy, and beside runtime criteria.
    Workload,
    /// Processes of workloads, and those that touch files.
    Process,
    /// Processes a workload does not usually run.
    ProcessBaseline,
    /// Connections a workload does not usually make.
    NetworkBaseline,
    /// Requests to the API server: commands to running pods, and what the audit log holds.
    KubeRequest,
    /// What only the audit log holds.
    Audit,
    /// Files of workloads and of nodes.
    File,
}

/// How the values of a criterion are compared.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operator {
    /// The whole text matches a regular expression.
    Regex,
    /// As [`Operator::Regex`], and `.*` means some text.
    RegexSome,
    /// The text contains a match of a regular expression.
    Contains,
    /// The little language of prefixes, `r/`, `g/` and quotes; a plain value is a prefix.
    TextMatcher,
    /// As [`Operator::TextMatcher`], on the value in upper case.
    UpperText,
    /// A signed number with an optional comparator.
    Int,
    /// An unsigned number with an optional comparator.
    Uint,
    /// A decimal number with an optional comparator.
    Float,
    /// Older than so many days.
    Age,
    /// A name of an enum with an optional comparator.
    Enum(EnumNames),
    /// This name of an enum or a higher one.
    AtLeast(EnumNames),
    /// Mount propagation, whose names policies spell differently.
    Propagation,
    /// Equality.
    Bool,
    /// No label or annotation matches.
    Required,
    /// Some label or annotation matches.
    Disallowed,
    /// So many parts, each a regular expression, the last taking what is left.
    Parts(usize),
    /// Some path of the list matches a glob.
    PathGlob,
    /// The list holds the value.
    Listed,
    /// Capabilities that should have been dropped and were not.
    NotDropped,
    /// None of the integrations verified the image.
    NoneVerified,
}

/// What a group of the criterion may look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allows {
    /// One value.
    One,
    /// One value, negated or not.
    NegatedOne,
    /// Several values with either operator.
    Many,
    /// Several values with either operator, negated or not.
    NegatedMany,
    /// Several values, of which one suffices.
    ManyAlternatives,
}

impl Criterion {
    /// The row of a field name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        table::CRITERIA.iter().find(|criterion| criterion.name == name)
    }

    /// Every row.
    pub(crate) fn all() -> &'static [Self] {
        &table::CRITERIA
    }

    /// Its level in the tree of elements.
    pub(crate) const fn level(&self) -> Level {
        self.extract.level()
    }

    /// The value it takes from an element.
    pub(crate) fn leaf<'a>(&self, element: &Element<'a>) -> Leaf<'a> {
        match element {
            Element::Vulnerability(vulnerability)
                if self.standing && !vulnerability_stands(vulnerability) =>
            {
                Leaf::Missing
            }
            _ => self.extract.leaf(element),
        }
    }

    const fn standing(mut self) -> Self {
        self.standing = true;
        self
    }

    const fn needs_container(mut self) -> Self {
        self.needs_container = true;
        self
    }
}

/// Whether nobody snoozed it, put it off or called it a false positive.
fn vulnerability_stands(vulnerability: &Vulnerability) -> bool {
    !vulnerability.suppressed && vulnerability.state == VulnerabilityState::Observed
}

impl Allows {
    /// Whether a group can be negated.
    pub(crate) const fn negation(self) -> bool {
        matches!(self, Self::NegatedOne | Self::NegatedMany)
    }

    /// Whether a group can hold several values.
    pub(crate) const fn several(self) -> bool {
        matches!(self, Self::Many | Self::NegatedMany | Self::ManyAlternatives)
    }
}

impl Family {
    /// Whether its criteria can be used at a stage. A missing event source is a problem of its own.
    pub(crate) const fn is_usable(self, stage: LifecycleStage, source: EventSource) -> bool {
        match (stage, source) {
            (LifecycleStage::Build, _) => matches!(self, Self::Image),
            (LifecycleStage::Deploy, _) => !self.is_runtime(),
            (LifecycleStage::Runtime, EventSource::DeploymentEvent) => !matches!(self, Self::Audit),
            (LifecycleStage::Runtime, EventSource::AuditLogEvent) => {
                matches!(self, Self::KubeRequest | Self::Audit)
            }
            (LifecycleStage::Runtime, EventSource::NodeEvent) => matches!(self, Self::Process | Self::File),
            (LifecycleStage::Runtime, EventSource::NotApplicable) => true,
        }
    }

    /// Whether its criteria are about something that happened, not about how things are.
    pub(crate) const fn is_runtime(self) -> bool {
        !matches!(self, Self::Image | Self::Workload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_79_names_and_each_stands_once() {
        let mut names: Vec<_> = Criterion::all().iter().map(|criterion| criterion.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 79);
    }

    #[test]
    fn names_are_exact() {
        assert!(Criterion::named("Process Name").is_some());
        assert!(Criterion::named("process name").is_none());
        assert!(Criterion::named("Process Name ").is_none());
    }
}
