//! The coats managed clouds put around an audit record.
//!
//! Azure (AKS): a diagnostic record with the event as a JSON text in `properties.log`, alone or in `records`.
//! Amazon (EKS): a CloudWatch record with it in `message`, alone or in `logEvents`.

use std::borrow::Cow;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Coat<'a> {
    #[serde(borrow, default)]
    properties: Option<Properties<'a>>,
    #[serde(borrow, default)]
    records: Option<Vec<Coat<'a>>>,
    #[serde(borrow, default)]
    message: Option<Text<'a>>,
    #[serde(borrow, default)]
    log_events: Option<Vec<Coat<'a>>>,
}

#[derive(Deserialize)]
struct Properties<'a> {
    #[serde(borrow, default)]
    log: Option<Text<'a>>,
}

/// `Cow<str>` by itself never borrows inside an `Option`; this one does where the text has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The texts inside a coat; `None` when the text wears none that is known.
pub(super) fn unwrap(text: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut inner = Vec::new();
    let known = take(serde_json::from_str(text).ok()?, &mut inner);
    known.then_some(inner)
}

fn take<'a>(coat: Coat<'a>, inner: &mut Vec<Cow<'a, str>>) -> bool {
    let mut known = false;
    for Text(text) in coat.properties.and_then(|properties| properties.log).into_iter().chain(coat.message) {
        inner.push(text);
        known = true;
    }
    for coats in [coat.records, coat.log_events].into_iter().flatten() {
        known = true;
        for coat in coats {
            take(coat, inner);
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_coat_gives_its_texts() {
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
    fn anything_else_wears_none() {
        for text in ["{}", "[]", "7", r#"{"kind":"Pod"}"#, r#"{"properties":{}}"#, r#"{"message":{}}"#] {
            assert!(unwrap(text).is_none(), "{text}");
        }
    }
}
