//! The wrappers that managed clouds put around an audit record.
//!
//! Azure (AKS): a diagnostic record with the event as a JSON text in `properties.log`, alone or in `records`.
//! Amazon (EKS): a CloudWatch record with it in `message`, alone or in `logEvents`.

use std::borrow::Cow;

use lictor_wire::Bounded;
use serde::Deserialize;

use crate::path::Text;
use crate::{FormatError, MOST_ITEMS};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wrapper<'a> {
    #[serde(borrow, default)]
    properties: Option<Properties<'a>>,
    #[serde(borrow, default)]
    message: Option<Text<'a>>,
    #[serde(borrow, default)]
    records: Option<Bounded<Single<'a>, MOST_ITEMS>>,
    #[serde(borrow, default)]
    log_events: Option<Bounded<Single<'a>, MOST_ITEMS>>,
}

/// A wrapper around one text.
#[derive(Deserialize)]
struct Single<'a> {
    #[serde(borrow, default)]
    properties: Option<Properties<'a>>,
    #[serde(borrow, default)]
    message: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Properties<'a> {
    #[serde(borrow, default)]
    log: Option<Text<'a>>,
}

/// The texts inside a wrapper; `None` when it is not one of these.
pub(super) fn unwrap(text: &str) -> Result<Option<Vec<Cow<'_, str>>>, FormatError> {
    let Ok(Wrapper { properties, message, records, log_events }) = serde_json::from_str(text) else {
        return Ok(None);
    };
    let mut inner: Vec<Cow<'_, str>> = Single { properties, message }.texts().collect();
    let mut known = !inner.is_empty();
    for list in [records, log_events].into_iter().flatten() {
        known = true;
        inner.extend(list.all()?.into_iter().flat_map(Single::texts));
    }
    Ok(known.then_some(inner))
}

impl<'a> Single<'a> {
    fn texts(self) -> impl Iterator<Item = Cow<'a, str>> {
        let log = self.properties.and_then(|properties| properties.log);
        log.into_iter().chain(self.message).map(|Text(text)| text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrapper_gives_its_texts() {
        let cases = [
            (r#"{"category":"kube-audit","properties":{"log":"{\"a\":1}","pod":"p"}}"#, vec![r#"{"a":1}"#]),
            (r#"{"records":[{"properties":{"log":"1"}},{"properties":{"log":"2"}}]}"#, vec!["1", "2"]),
            (r#"{"timestamp":5,"message":"m"}"#, vec!["m"]),
            (r#"{"messageType":"CONTROL_MESSAGE","logEvents":[]}"#, vec![]),
            (r#"{"logEvents":[{"id":"1","message":"x"},{"id":"2","message":"y"}]}"#, vec!["x", "y"]),
        ];
        for (text, inner) in cases {
            assert_eq!(unwrap(text).unwrap().unwrap(), inner, "{text}");
        }
    }

    #[test]
    fn anything_else_is_not_a_wrapper() {
        for text in ["{}", "[]", "7", r#"{"kind":"Pod"}"#, r#"{"properties":{}}"#, r#"{"message":{}}"#] {
            assert!(unwrap(text).unwrap().is_none(), "{text}");
        }
    }
}
