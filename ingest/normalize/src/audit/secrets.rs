//! What never leaves this crate: bodies of objects that hold secrets. No criterion asks for them, and events are there
//! for everybody to subscribe to.

use std::borrow::Cow;

use lictor_wire::AuditEvent;

/// Resources whose bodies hold secrets, and the subresources that do: a request for a token is answered with it, and a
/// review is asked about one.
const SECRET: [(&str, &str); 4] =
    [("secrets", ""), ("configmaps", ""), ("tokenreviews", ""), ("serviceaccounts", "token")];

/// The annotation that says what was withheld.
const WITHHELD: &str = "lictor.io/withheld";

/// Takes the bodies out of a record whose object holds secrets, and says how long they were.
pub(super) fn withhold(record: &mut AuditEvent) {
    let Some(object) = &record.object_ref else { return };
    let holds_secrets = |(resource, subresource): &(&str, &str)| {
        object.resource == *resource && (subresource.is_empty() || object.subresource == *subresource)
    };
    if !SECRET.iter().any(holds_secrets) {
        return;
    }
    let bodies =
        [("requestObject", record.request_object.take()), ("responseObject", record.response_object.take())];
    let lengths = bodies.into_iter().filter_map(|(name, body)| Some((name, body?.as_str().len())));
    let lengths: Vec<String> = lengths.map(|(name, bytes)| format!("{name}: {bytes} bytes")).collect();
    if !lengths.is_empty() {
        record.annotations.insert(WITHHELD.to_owned(), lengths.join(", "));
    }
}

/// A record that cannot be read, as far as it is kept: nobody knows whose bodies it has. The API server writes them
/// behind all that names the request.
pub(crate) fn without_bodies(text: &str) -> Cow<'_, str> {
    let bodies = ["requestObject", "responseObject"];
    let first = bodies.iter().filter_map(|name| text.find(name)).min();
    match first.and_then(|at| text.get(..at)) {
        Some(before) => Cow::Owned(format!("{before}… ({} bytes withheld)", text.len() - before.len())),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use lictor_wire::{ObjectReference, RawJson};

    use super::*;

    fn record(resource: &str, subresource: &str) -> AuditEvent {
        let body = || RawJson::parse(r#"{"data":{"password":"aHVudGVyMg=="}}"#).ok();
        let mut record = AuditEvent {
            object_ref: Some(ObjectReference {
                resource: resource.to_owned(),
                subresource: subresource.to_owned(),
                ..ObjectReference::default()
            }),
            request_object: body(),
            response_object: body(),
            ..AuditEvent::default()
        };
        withhold(&mut record);
        record
    }

    #[test]
    fn bodies_of_secrets_are_withheld() {
        for (resource, subresource) in
            [("secrets", ""), ("configmaps", ""), ("tokenreviews", ""), ("serviceaccounts", "token")]
        {
            let record = record(resource, subresource);
            assert_eq!((&record.request_object, &record.response_object), (&None, &None), "{resource}");
            assert_eq!(record.annotations[WITHHELD], "requestObject: 36 bytes, responseObject: 36 bytes");
        }
        for (resource, subresource) in [("pods", ""), ("serviceaccounts", "")] {
            let record = record(resource, subresource);
            assert!(record.request_object.is_some() && record.annotations.is_empty(), "{resource}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_kept_up_to_its_bodies() {
        let broken = r#"{"verb":"create","requestObject":{"data":{"password":"aHVudGVyMg=="}}"#;
        assert_eq!(without_bodies(broken), "{\"verb\":\"create\",\"… (51 bytes withheld)");
        assert_eq!(without_bodies("{\"verb\":"), "{\"verb\":");
    }
}
