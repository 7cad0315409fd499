//! What must hold of a value: data, built once from a policy's group, printable.

use jiff::Timestamp;
use lictor_wire::policy::BooleanOperator;

use crate::criterion::Value;
use crate::matcher::{
    AgeMatcher, BoolMatcher, CompositeMatcher, EnumMatcher, FloatMatcher, IntMatcher, PairMatcher, PathGlob,
    TextMatcher, UintMatcher,
};
use crate::truth::Truth;

/// What must hold of the value a criterion takes.
#[derive(Debug, PartialEq)]
pub(crate) enum Predicate {
    /// Tests, one per value of the group, combined by its operator and negation.
    Tests {
        /// The tests.
        tests: Vec<Test>,
        /// How they combine.
        operator: BooleanOperator,
        /// Whether the outcome is turned round.
        negate: bool,
    },
    /// No entry of the map passes any test. With either operator: StackRox gives the same verdicts for both.
    NoEntry(Vec<Test>),
    /// Capabilities that should have been dropped were not.
    NotDropped {
        /// The capabilities, as written.
        capabilities: Vec<String>,
        /// `OR`: none of them was dropped; `AND`: some of them was not.
        operator: BooleanOperator,
        /// Which part of the rule is evaluated.
        part: DropRule,
    },
}

/// The parts of the rule about dropped capabilities. StackRox queries the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DropRule {
    /// Both.
    Whole,
    /// The listed ones were not dropped.
    Listed,
    /// `ALL` was not dropped; holds where the policy lists `ALL` itself.
    All,
}

/// One value of a group, ready to be compared.
#[derive(Debug, PartialEq)]
pub(crate) enum Test {
    /// A text; in a list, some text.
    Text(TextMatcher),
    /// The parts, joined.
    Parts(CompositeMatcher),
    /// A signed number.
    Int(IntMatcher),
    /// An unsigned number.
    Uint(UintMatcher),
    /// A decimal number.
    Float(FloatMatcher),
    /// How long ago it was.
    Age(AgeMatcher),
    /// An enum.
    Enum(EnumMatcher),
    /// An enum's number is at least this.
    AtLeast(i64),
    /// Yes or no.
    Bool(BoolMatcher),
    /// Key and value of some entry.
    Entry(PairMatcher),
    /// Some path.
    Glob(PathGlob),
    /// Some item is this, in any case.
    Item(String),
}

impl Predicate {
    /// Whether it holds.
    pub(crate) fn holds<'a>(&self, value: &Value<'a>, now: Timestamp) -> Truth<'a> {
        match value {
            Value::Missing => return Truth::False,
            Value::Unknown(fact) => return Truth::unknown(*fact),
            _ => {}
        }
        match self {
            Self::Tests { tests, operator, negate } => {
                let truths = tests.iter().map(|test| match (test.passes(value, now), value) {
                    // What was cut off may still match.
                    (false, Value::CutText(_, fact)) => Truth::unknown(*fact),
                    (passes, _) => Truth::from(passes),
                });
                let truth = match operator {
                    BooleanOperator::Or => Truth::any(truths),
                    BooleanOperator::And => Truth::all(truths),
                };
                if *negate { truth.not() } else { truth }
            }
            Self::NoEntry(tests) => Truth::from(!tests.iter().any(|test| test.passes(value, now))),
            Self::NotDropped { capabilities, operator, part } => match value {
                Value::List(dropped) => Truth::from(not_dropped(capabilities, *operator, *part, dropped)),
                _ => Truth::False,
            },
        }
    }

    /// Whether a capability is among those that should have been dropped.
    pub(crate) fn lists(&self, capability: &str) -> bool {
        matches!(self, Self::NotDropped { capabilities, .. } if capabilities.iter().any(|listed| listed == capability))
    }

    /// Whether one item of a list takes part in a match.
    pub(crate) fn is_met_by_item(&self, item: &str) -> bool {
        match self {
            Self::Tests { tests, negate: false, .. } => tests.iter().any(|test| test.is_met_by_item(item)),
            _ => false,
        }
    }

    /// Whether one entry of a map takes part in a match.
    pub(crate) fn is_met_by_entry(&self, key: &str, value: &str) -> bool {
        match self {
            Self::Tests { tests, negate: false, .. } => {
                tests.iter().any(|test| test.is_met_by_entry(key, value))
            }
            _ => false,
        }
    }
}

/// `ALL` dropped excuses everything, unless the policy lists `ALL` itself.
fn not_dropped(listed: &[String], operator: BooleanOperator, part: DropRule, dropped: &[&str]) -> bool {
    let is_dropped =
        |capability: &str| dropped.iter().any(|dropped| dropped.eq_ignore_ascii_case(capability));
    let violated = match operator {
        BooleanOperator::Or => !listed.iter().any(|capability| is_dropped(capability)),
        BooleanOperator::And => listed.iter().any(|capability| !is_dropped(capability)),
    };
    let excused = !listed.iter().any(|capability| capability == "ALL") && is_dropped("ALL");
    match part {
        DropRule::Whole => violated && !excused,
        DropRule::Listed => violated,
        DropRule::All => !excused,
    }
}

impl Test {
    /// Whether a value passes. A value of another shape than the test's never does.
    fn passes(&self, value: &Value<'_>, now: Timestamp) -> bool {
        match (self, value) {
            (Self::Text(matcher), Value::Text(text) | Value::CutText(text, _)) => matcher.matches(text),
            (Self::Parts(matcher), Value::Parts { parts, .. }) => matcher.matches(parts, &mut String::new()),
            (Self::Int(matcher), Value::Int(number)) => matcher.matches(*number),
            (Self::Uint(matcher), Value::Uint(number)) => matcher.matches(*number),
            (Self::Float(matcher), Value::Float(number)) => matcher.matches(*number),
            (Self::Age(matcher), Value::Time(time)) => matcher.matches(*time, now),
            (Self::Enum(matcher), Value::Enum(number, name)) => matcher.matches(*number, name),
            (Self::AtLeast(least), Value::Enum(number, _)) => number >= least,
            (Self::Bool(matcher), Value::Bool(found)) => matcher.matches(*found),
            (_, Value::Map(map)) => map.iter().any(|(key, value)| self.is_met_by_entry(key, value)),
            (_, Value::List(items)) => items.iter().any(|item| self.is_met_by_item(item)),
            _ => false,
        }
    }

    fn is_met_by_item(&self, item: &str) -> bool {
        match self {
            Self::Text(matcher) => matcher.matches(item),
            Self::Glob(glob) => glob.matches(item),
            Self::Item(wanted) => wanted.eq_ignore_ascii_case(item),
            _ => false,
        }
    }

    fn is_met_by_entry(&self, key: &str, value: &str) -> bool {
        match self {
            Self::Entry(matcher) => matcher.matches(key, value),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn each(tests: impl IntoIterator<Item = Test>, operator: BooleanOperator) -> Predicate {
        Predicate::Tests { tests: tests.into_iter().collect(), operator, negate: false }
    }

    fn text(value: &str) -> Test {
        Test::Text(TextMatcher::parse(value).unwrap())
    }

    fn entries(values: &[&str]) -> Vec<Test> {
        values.iter().map(|value| Test::Entry(PairMatcher::parse(value).unwrap())).collect()
    }

    const OPERATORS: [BooleanOperator; 2] = [BooleanOperator::Or, BooleanOperator::And];

    #[test]
    fn what_is_not_dropped_violates() {
        use BooleanOperator::{And, Or};
        for (operator, listed, dropped, violates) in [
            (Or, &["NET_RAW"][..], &[][..], true),
            (Or, &["NET_RAW"], &["net_raw"], false),
            (Or, &["NET_RAW"], &["ALL"], false),
            (Or, &["NET_RAW"], &["CAP_NET_RAW"], true),
            (Or, &["NET_RAW", "SYS_ADMIN"], &["SYS_ADMIN"], false),
            (And, &["NET_RAW", "SYS_ADMIN"], &["SYS_ADMIN"], true),
            (And, &["NET_RAW", "SYS_ADMIN"], &["SYS_ADMIN", "NET_RAW"], false),
            (And, &["NET_RAW", "SYS_ADMIN"], &["all"], false),
            (And, &["NET_RAW"], &[], true),
            (Or, &["ALL"], &["NET_RAW"], true),
            (Or, &["ALL"], &["all"], false),
            (Or, &["ALL", "NET_RAW"], &["NET_RAW"], false),
            (And, &["ALL", "NET_RAW"], &["ALL"], true),
            (And, &["all", "NET_RAW"], &["ALL"], false),
        ] {
            let capabilities = listed.iter().map(|name| (*name).to_owned()).collect();
            let predicate = Predicate::NotDropped { capabilities, operator, part: DropRule::Whole };
            let holds = predicate.holds(&Value::List(dropped.to_vec()), now());
            assert_eq!(holds, Truth::from(violates), "{operator:?} {listed:?} {dropped:?}");
        }
    }

    #[test]
    fn what_is_added_violates() {
        let adding = |operator, added: &[&'static str]| {
            let listed = ["NET_RAW", "SYS_ADMIN"].map(|name| Test::Item(name.to_owned()));
            each(listed, operator).holds(&Value::List(added.to_vec()), now()).is_true()
        };
        assert!(adding(BooleanOperator::Or, &["sys_admin"]));
        assert!(!adding(BooleanOperator::And, &["sys_admin"]));
        assert!(adding(BooleanOperator::And, &["sys_admin", "x", "NET_RAW"]));
        assert!(!adding(BooleanOperator::Or, &[]));
        assert!(!adding(BooleanOperator::Or, &["SYS_ADMIN_X"]));
    }

    #[test]
    fn one_verifier_is_enough() {
        const ONE: &str = "io.stackrox.signatureintegration.05fea766-e2f8-44b3-9959-eaa61a4d7422";
        const TWO: &str = "io.stackrox.signatureintegration.15fea766-e2f8-44b3-9959-eaa61a4d7422";
        let predicate = Predicate::Tests {
            tests: vec![text(ONE), text(TWO)],
            operator: BooleanOperator::Or,
            negate: true,
        };
        let violates = |verified: &[&str]| predicate.holds(&Value::List(verified.to_vec()), now()).is_true();
        assert!(!violates(&[TWO]));
        assert!(!violates(&[&ONE.to_uppercase()]));
        assert!(violates(&["io.stackrox.signatureintegration.x"]));
        assert!(violates(&[]));
    }

    #[test]
    fn empty_lists_never_match() {
        let matches = |value: &str, items: &[&'static str]| {
            each([text(value)], BooleanOperator::Or).holds(&Value::List(items.to_vec()), now()).is_true()
        };
        assert!(!matches("!x", &[]));
        assert!(!matches("*", &[]));
        assert!(matches("b", &["a", "bc"]));
        assert!(each([text("b")], BooleanOperator::Or).is_met_by_item("bc"));
        assert!(!each([text("b")], BooleanOperator::Or).is_met_by_item("a"));
    }

    fn labels() -> BTreeMap<String, String> {
        let labels = [("team", "core"), ("owner", "a=b"), ("Env", "prod\n")];
        labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn required_means_that_none_is_there() {
        let labels = labels();
        let violates = |values: &[&str]| {
            Predicate::NoEntry(entries(values)).holds(&Value::Map(&labels), now()).is_true()
        };
        assert!(violates(&["email="]));
        assert!(!violates(&["team="]));
        assert!(!violates(&["team=", "email="]));
        assert!(violates(&["email=", "phone="]));
    }

    #[test]
    fn disallowed_means_that_one_or_all_are_there() {
        let labels = labels();
        let violates = |operator, values: &[&str]| {
            each(entries(values), operator).holds(&Value::Map(&labels), now()).is_true()
        };
        assert!(violates(BooleanOperator::Or, &["team=", "email="]));
        assert!(!violates(BooleanOperator::And, &["team=", "email="]));
        assert!(violates(BooleanOperator::And, &["team=", "owner"]));
        assert!(!violates(BooleanOperator::Or, &["email="]));
    }

    #[test]
    fn empty_maps_violate_what_is_required() {
        let (nothing, values) = (BTreeMap::new(), ["a="]);
        let required = Predicate::NoEntry(entries(&values));
        assert!(required.holds(&Value::Map(&nothing), now()).is_true());
        for operator in OPERATORS {
            assert!(each(entries(&values), operator).holds(&Value::Map(&nothing), now()).is_false());
        }
    }
}
