//! Criteria: what a policy can say about what is evaluated.
//!
//! [`table`] has one row for each: where in the tree of elements it looks and how it takes the value there
//! ([`Extract`]), how values are compared ([`Operator`]), what the policy may write ([`Form`]), with which other
//! criteria it can be used ([`Family`], [`Extra`]), and what a violation says ([`Sentence`]).

mod extract;
pub(crate) mod names;
pub(crate) mod reference;
mod sentence;
mod table;
#[cfg(test)]
mod tests;
mod value;

use lictor_wire::policy::{EventSource, LifecycleStage};
use lictor_wire::{Vulnerability, VulnerabilityState};

use crate::matcher::{EnumNames, Form};
use crate::view::{Element, Level};
pub(crate) use extract::Extract;
pub(crate) use sentence::{Detail, Sentence};
pub(crate) use value::Value;

/// Criteria that people look for together.
#[derive(Debug)]
pub(crate) struct CriterionGroup {
    /// The title.
    pub(crate) title: &'static str,
    /// The rows.
    pub(crate) criteria: &'static [Criterion],
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Criterion {
    /// The field name policies use.
    pub(crate) name: &'static str,
    /// What it looks at, for people.
    pub(crate) about: &'static str,
    /// What it is about; decides at which stages it can be used.
    pub(crate) family: Family,
    /// Where it looks.
    pub(crate) extract: Extract,
    /// How it compares.
    pub(crate) operator: Operator,
    /// What values look like.
    pub(crate) form: Form,
    /// Whether it can be negated and hold several values.
    pub(crate) allows: Allows,
    /// What a violation says.
    pub(crate) sentence: Sentence,
    /// What is special about it.
    pub(crate) extra: Extra,
}

/// The beginning of a row.
struct Begun {
    name: &'static str,
    family: Family,
}

/// A row that says what it is about, and takes no value yet.
struct Named {
    name: &'static str,
    about: &'static str,
    family: Family,
}

/// A row that has no sentence yet.
struct Valued {
    named: Named,
    extract: Extract,
    operator: Operator,
    form: Form,
    allows: Allows,
}

/// What is special about a criterion; about most of them nothing is.
#[derive(Debug)]
pub(crate) struct Extra {
    /// Other forms than the row's, by event source.
    pub(crate) forms: &'static [(EventSource, Form)],
    /// Every section of a policy with this event source needs it.
    pub(crate) required_by: Option<EventSource>,
    /// The criterion that its section needs as well.
    pub(crate) needs: Option<&'static str>,
    /// The criterion under which none of its values may be in the same policy.
    pub(crate) excludes: Option<&'static str>,
    /// Whether a policy with it can only report.
    pub(crate) never_enforced: bool,
    /// Whether it only holds for a workload with at least one container. StackRox's messages need the container's
    /// name, and without it there is no violation.
    pub(crate) needs_container: bool,
    /// Whether only vulnerabilities count that nobody snoozed, put off or called a false positive.
    pub(crate) standing: bool,
    /// The field of StackRox's data that it looks at; decides how parity links it.
    pub(crate) parity_field: DataField,
    /// Whether parity looks for mounts of the node's paths and for writable mounts apart.
    pub(crate) parity_halves: bool,
}

/// A field of StackRox's data. Parity pools the queries that look at one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DataField {
    /// The one that has the criterion's name.
    Named,
    Annotation,
    ContainerName,
    FixedBy,
    ImageLabel,
    VolumeReadOnly,
    VolumeType,
    VulnerabilityState,
    VulnerabilitySuppressed,
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
        Self::all().find(|criterion| criterion.name == name)
    }

    /// Every row, in the order in which people meet them.
    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        table::GROUPS.iter().flat_map(|group| group.criteria)
    }

    /// What its values look like in a policy with an event source.
    pub(crate) fn form(&self, source: EventSource) -> Form {
        let narrower = self.extra.forms.iter().find(|(narrowed, _)| *narrowed == source);
        narrower.map_or(self.form, |(_, form)| *form)
    }

    /// Its level in the tree of elements.
    pub(crate) const fn level(&self) -> Level {
        self.extract.level()
    }

    /// The value it takes from an element.
    pub(crate) fn value<'a>(&self, element: &Element<'a>) -> Value<'a> {
        match element {
            Element::Vulnerability(vulnerability)
                if self.extra.standing && !vulnerability_stands(vulnerability) =>
            {
                Value::Missing
            }
            _ => self.extract.value(element),
        }
    }
}

// --- writing a row -----------------------------------------------------------------------------------------------

/// Begins a row with the field name policies use.
const fn row(family: Family, name: &'static str) -> Begun {
    Begun { name, family }
}

impl Begun {
    /// What it looks at, for people.
    const fn about(self, about: &'static str) -> Named {
        Named { name: self.name, about, family: self.family }
    }
}

impl Named {
    /// What value it takes, how that is compared, and what a policy may write.
    const fn value(self, extract: Extract, operator: Operator, form: Form, allows: Allows) -> Valued {
        Valued { named: self, extract, operator, form, allows }
    }
}

impl Valued {
    /// What a violation says. The row is complete.
    const fn sentence(self, sentence: Sentence) -> Criterion {
        let Self { named: Named { name, about, family }, extract, operator, form, allows } = self;
        Criterion { name, about, family, extract, operator, form, allows, sentence, extra: Extra::NONE }
    }
}

impl Criterion {
    /// What is special about it.
    const fn extra(self, extra: Extra) -> Self {
        Self { extra, ..self }
    }
}

/// Names are unique.
impl PartialEq for Criterion {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Extra {
    /// Nothing.
    pub(crate) const NONE: Self = Self {
        forms: &[],
        required_by: None,
        needs: None,
        excludes: None,
        never_enforced: false,
        needs_container: false,
        standing: false,
        parity_field: DataField::Named,
        parity_halves: false,
    };
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
