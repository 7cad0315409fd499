//! The wrappers that managed clouds put around an audit record.
//!
//! Azure (AKS): a diagnostic record with the event as a JSON text in `properties.log`, alone or in `records`.
//! Amazon (EKS): a CloudWatch record with it in `message`, alone or in `logEvents`.

use std::borrow::Cow;

use serde::Deserialize;

use crate::path::Text;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wrapper<'a> {
    #[serde(borrow, default)]
    properties: Option<Properties<'a>>,
    #[serde(borrow, default)]
    records: Option<Vec<Wrapper<'a>>>,
    #[serde(borrow, default)]
    message: Option<Text<'a>>,
    #[serde(borrow, default)]
    log_events: Option<Vec<Wrapper<'a>>>,
}

#[derive(Deserialize)]
struct Properties<'a> {
    #[serde(borrow, default)]
    log: Option<Text<'a>>,
}

/// The texts inside a wrapper; `None` when it is not one of these.
pub(super) fn unwrap(text: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut inner = Vec::new();
    let known = take(serde_json::from_str(text).ok()?, &mut inner);
    known.then_some(inner)
}

fn take<'a>(wrapper: Wrapper<'a>, inner: &mut Vec<Cow<'a, str>>) -> bool {
    let mut known = false;
    for Text(text) in
        wrapper.properties.and_then(|properties| properties.log).into_iter().chain(wrapper.message)
    {
        inner.push(text);
        known = true;
    }
    for wrappers in [wrapper.records, wrapper.log_events].into_iter().flatten() {
        known = true;
        for wrapper in wrappers {
            take(wrapper, inner);
        }
    }
    known
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
            assert_eq!(unwrap(text).unwrap(), inner, "{text}");
        }
    }

    #[test]
    fn anything_else_is_not_a_wrapper() {
        for text in ["{}", "[]", "7", r#"{"kind":"Pod"}"#, r#"{"properties":{}}"#, r#"{"message":{}}"#] {
            assert!(unwrap(text).is_none(), "{text}");
        }
    }
}
