//! Label selectors.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use lictor_wire::{LabelSelector, LabelSelectorRequirement};
use serde::Deserialize;

type Labels = BTreeMap<String, String>;

/// A workload's selector. Older kinds (ReplicationController, DeploymentConfig) write the labels alone.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Selector {
    /// As all newer kinds write it.
    Full(Full),
    /// Labels alone.
    Labels(Labels),
}

/// Distinguished from plain labels by its fields: a label's value is never a map or a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Full {
    #[serde(default)]
    match_labels: Option<Labels>,
    #[serde(default)]
    match_expressions: Option<Vec<meta::LabelSelectorRequirement>>,
}

impl From<Selector> for LabelSelector {
    fn from(selector: Selector) -> Self {
        match selector {
            Selector::Labels(match_labels) => Self { match_labels, match_expressions: Vec::new() },
            Selector::Full(full) => model(full.match_labels, full.match_expressions),
        }
    }
}

pub(super) fn of(selector: meta::LabelSelector) -> LabelSelector {
    model(selector.match_labels, selector.match_expressions)
}

fn model(labels: Option<Labels>, expressions: Option<Vec<meta::LabelSelectorRequirement>>) -> LabelSelector {
    let expressions = expressions.unwrap_or_default().into_iter();
    let match_expressions = expressions
        .map(|expression| LabelSelectorRequirement {
            key: expression.key,
            operator: expression.operator,
            values: expression.values.unwrap_or_default(),
        })
        .collect();
    LabelSelector { match_labels: labels.unwrap_or_default(), match_expressions }
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
