//! Label selectors.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use lictor_wire::{LabelSelector, LabelSelectorRequirement};
use serde::Deserialize;

type Labels = BTreeMap<String, String>;

/// A workload's selector. Older kinds (ReplicationController, DeploymentConfig) write the labels alone, which a label's
/// value distinguishes: it is never a map or a list.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Selector {
    /// Labels alone.
    Labels(Labels),
    /// As all newer kinds write it.
    Full(LabelSelector),
}

impl From<Selector> for LabelSelector {
    fn from(selector: Selector) -> Self {
        match selector {
            Selector::Labels(match_labels) => Self { match_labels, match_expressions: Vec::new() },
            Selector::Full(full) => full,
        }
    }
}

pub(super) fn of(selector: meta::LabelSelector) -> LabelSelector {
    let expressions = selector.match_expressions.unwrap_or_default().into_iter();
    let match_expressions = expressions.map(|expression| LabelSelectorRequirement {
        key: expression.key,
        operator: expression.operator,
        values: expression.values.unwrap_or_default(),
    });
    LabelSelector {
        match_labels: selector.match_labels.unwrap_or_default(),
        match_expressions: match_expressions.collect(),
    }
}

/// Whether a selector selects something with these labels. An empty one selects everything; an operator nobody
/// knows selects nothing.
pub(super) fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let labels_fit = selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value));
    labels_fit
        && selector.match_expressions.iter().all(|expression| {
            let value = labels.get(&expression.key);
            match expression.operator.as_str() {
                "In" => value.is_some_and(|value| expression.values.contains(value)),
                "NotIn" => value.is_none_or(|value| !expression.values.contains(value)),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_are_read() {
        let full: Selector = serde_json::from_str(r#"{"matchLabels":{"a":"b"}}"#).unwrap();
        let plain: Selector = serde_json::from_str(r#"{"a":"b"}"#).unwrap();
        assert_eq!(LabelSelector::from(full), LabelSelector::from(plain));
    }

    #[test]
    fn every_condition_must_hold() {
        let selector: Selector = serde_json::from_str(
            r#"{"matchLabels":{"a":"1"},"matchExpressions":[{"key":"b","operator":"In","values":["x","y"]},
                {"key":"c","operator":"DoesNotExist"},{"key":"d","operator":"NotIn","values":["z"]}]}"#,
        )
        .unwrap();
        let selector = LabelSelector::from(selector);
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Labels>()
        };
        assert!(selects(&selector, &labels(&[("a", "1"), ("b", "y")])));
        assert!(!selects(&selector, &labels(&[("a", "2"), ("b", "y")])));
        assert!(!selects(&selector, &labels(&[("a", "1"), ("b", "q")])));
        assert!(!selects(&selector, &labels(&[("a", "1"), ("b", "x"), ("c", "")])));
        assert!(!selects(&selector, &labels(&[("a", "1"), ("b", "x"), ("d", "z")])));
        assert!(selects(&LabelSelector::default(), &labels(&[])));
    }
}
