//! From a group to a predicate.

use lictor_wire::policy::{BooleanOperator, EventSource, Group as PolicyGroup};

use crate::criterion::{Allows, Criterion, Operator, names};
use crate::evidence::wanted;
use crate::matcher::{
    AgeMatcher, BoolMatcher, CompositeMatcher, EnumMatcher, FloatMatcher, IntMatcher, PairMatcher, PathGlob,
    TextMatcher, UintMatcher, ValueError,
};
use crate::predicate::{DropRule, Predicate, Test};
use crate::problem::{ProblemCode, Problems, nearest};
use crate::section::Group;

/// Compiles a group; `None` when something is wrong with it, which is then among `problems`.
pub(super) fn compile(
    group: &PolicyGroup,
    position: usize,
    path: &str,
    source: EventSource,
    parity: bool,
    problems: &mut Problems,
) -> Option<Group> {
    let before = problems.len();
    let name = &group.field_name;
    let Some(criterion) = Criterion::named(name) else {
        let known = Criterion::all().map(|criterion| criterion.name);
        let hint = nearest(name, known).map_or_else(String::new, |near| format!("did you mean `{near}`?"));
        let message = format!("there is no criterion `{name}`");
        problems.add(ProblemCode::UnknownCriterion, format!("{path}.fieldName"), message, hint);
        return None;
    };
    check_shape(group, criterion, path, problems);
    let mut tests = Vec::new();
    for (i, value) in group.values.iter().enumerate() {
        let path = format!("{path}.values[{i}]");
        let refusal = match criterion.form(source).check(&value.value) {
            Err(refusal) => Some((format!("`{name}` {refusal}, not `{}`", value.value), "")),
            Ok(()) => match test(criterion.operator, &value.value, parity) {
                Ok(test) => {
                    tests.extend(test);
                    None
                }
                Err(error) => Some((format!("`{}`: {error}", value.value), error.hint())),
            },
        };
        if let Some((message, hint)) = refusal {
            problems.add(ProblemCode::Value, path, message, hint);
        }
    }
    (problems.len() == before).then(|| Group {
        position,
        criterion,
        predicate: predicate(criterion.operator, group, tests),
        wanted: wanted(group),
    })
}

fn check_shape(group: &PolicyGroup, criterion: &Criterion, path: &str, problems: &mut Problems) {
    let name = criterion.name;
    if group.values.is_empty() {
        problems.add(ProblemCode::Group, path, format!("`{name}` has no value"), "add one");
    }
    if group.negate && !criterion.allows.negation() {
        problems.add(
            ProblemCode::Negation,
            format!("{path}.negate"),
            format!("`{name}` cannot be negated"),
            "",
        );
    }
    if group.values.len() > 1 && !criterion.allows.several() {
        problems.add(
            ProblemCode::Operator,
            format!("{path}.values"),
            format!("`{name}` takes one value"),
            "use one section for each",
        );
    }
    if criterion.allows == Allows::ManyAlternatives && group.boolean_operator == BooleanOperator::And {
        problems.add(
            ProblemCode::Operator,
            format!("{path}.booleanOperator"),
            format!("`{name}` accepts only the operator OR"),
            "use one section for each",
        );
    }
}

fn predicate(operator: Operator, group: &PolicyGroup, tests: Vec<Test>) -> Predicate {
    match operator {
        Operator::Required => Predicate::NoEntry(tests),
        Operator::NotDropped => Predicate::NotDropped {
            capabilities: group.values.iter().map(|value| value.value.clone()).collect(),
            operator: group.boolean_operator,
            part: DropRule::Whole,
        },
        Operator::NoneVerified => Predicate::Tests { tests, operator: BooleanOperator::Or, negate: true },
        _ => Predicate::Tests { tests, operator: group.boolean_operator, negate: group.negate },
    }
}

/// The test of one value; none for capabilities that should have been dropped, which are looked at together.
fn test(operator: Operator, value: &str, parity: bool) -> Result<Option<Test>, ValueError> {
    Ok(Some(match operator {
        Operator::Regex => Test::Text(TextMatcher::whole(value)?),
        Operator::RegexSome => Test::Text(TextMatcher::whole(if value == ".*" { ".+" } else { value })?),
        Operator::Contains => Test::Text(TextMatcher::contains(value)?),
        Operator::TextMatcher | Operator::NoneVerified => Test::Text(TextMatcher::parse(value)?),
        Operator::UpperText => Test::Text(TextMatcher::parse(&value.to_uppercase())?),
        Operator::Int => Test::Int(IntMatcher::parse(value)?),
        Operator::Uint => Test::Uint(UintMatcher::parse(value)?),
        Operator::Float => Test::Float(FloatMatcher::parse(value)?),
        Operator::Age => Test::Age(AgeMatcher::parse(value)?),
        Operator::Enum(names) => Test::Enum(EnumMatcher::parse(value, names)?),
        Operator::AtLeast(names) => Test::AtLeast(
            // The form lets only names through; one that is none is out of reach.
            names
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(value))
                .map_or(i64::MAX, |(_, level)| *level),
        ),
        Operator::Propagation => {
            // Policies spell it without underscores; mounts do not.
            let fixed = !parity && value.eq_ignore_ascii_case("HOSTTOCONTAINER");
            let value = if fixed { "HOST_TO_CONTAINER" } else { value };
            Test::Enum(EnumMatcher::parse(value, names::MOUNT_PROPAGATIONS)?)
        }
        Operator::Bool => Test::Bool(BoolMatcher::parse(value)?),
        Operator::Required | Operator::Disallowed => Test::Entry(PairMatcher::parse(value)?),
        Operator::Parts(count) => Test::Parts(CompositeMatcher::parse(value, count, "A=B")?),
        Operator::PathGlob => Test::Glob(PathGlob::parse(value)?),
        Operator::Listed => Test::Item(value.to_owned()),
        Operator::NotDropped => return Ok(None),
    }))
}
