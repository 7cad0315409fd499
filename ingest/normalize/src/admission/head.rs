//! What a review says before its objects: enough to answer one that cannot be read as a whole.

use std::borrow::Cow;
use std::fmt;

use lictor_wire::{RequestEvent, UserInfo};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{GroupVersion, Request};

/// Reads the beginning of a review: uid, kind of request, user, and what it is about, as far as the text goes. The API
/// server writes them before the objects. `None` when not even a uid is there.
pub fn head(beginning: &[u8]) -> Option<RequestEvent> {
    let text = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(beginning.get(..error.valid_up_to())?).ok()?,
    };
    let mut found = Found::default();
    // It ends with an error where the text does; what was found until then stays.
    let _ = Outer(&mut found).deserialize(&mut serde_json::Deserializer::from_str(text));
    let request = Request {
        uid: found.uid?,
        kind: found.kind.unwrap_or_default(),
        resource: found.resource.unwrap_or_default(),
        sub_resource: found.sub_resource,
        name: found.name,
        namespace: found.namespace,
        operation: found.operation.unwrap_or_default(),
        user_info: found.user_info.unwrap_or_default(),
        object: None,
        old_object: None,
        dry_run: None,
    };
    Some(RequestEvent {
        uid: request.uid.clone(),
        operation: request.operation(),
        object_ref: request.object_ref(),
        user: request.user_info,
        ..RequestEvent::default()
    })
}

/// The fields that have been read.
#[derive(Default)]
struct Found {
    uid: Option<String>,
    kind: Option<GroupVersion>,
    resource: Option<GroupVersion>,
    sub_resource: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    operation: Option<String>,
    user_info: Option<UserInfo>,
}

/// The review.
struct Outer<'f>(&'f mut Found);

/// Its request.
struct Inner<'f>(&'f mut Found);

impl<'de> DeserializeSeed<'de> for Outer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Outer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a review")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match &*key {
                "request" => map.next_value_seed(Inner(&mut *self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Inner<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Inner<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        fn set<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
            field: &mut Option<T>,
            map: &mut A,
        ) -> Result<(), A::Error> {
            *field = map.next_value()?;
            Ok(())
        }
        let found = self.0;
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match &*key {
                "uid" => set(&mut found.uid, &mut map)?,
                "kind" => set(&mut found.kind, &mut map)?,
                "resource" => set(&mut found.resource, &mut map)?,
                "subResource" => set(&mut found.sub_resource, &mut map)?,
                "name" => set(&mut found.name, &mut map)?,
                "namespace" => set(&mut found.namespace, &mut map)?,
                "operation" => set(&mut found.operation, &mut map)?,
                "userInfo" => set(&mut found.user_info, &mut map)?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lictor_wire::RequestOperation;

    use super::*;

    const REVIEW: &str = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"r1",
        "kind":{"group":"apps","version":"v1","kind":"Deployment"},
        "resource":{"group":"apps","version":"v1","resource":"deployments"},
        "name":"web","namespace":"shop","operation":"UPDATE","userInfo":{"username":"alice","groups":["g"]},
        "object":{"metadata":{"name":"web"},"spec":{"replicas":"many""#;

    #[test]
    fn the_beginning_of_a_review_says_whose_it_is() {
        let head = head(REVIEW.as_bytes()).unwrap();
        assert_eq!((head.uid.as_str(), head.user.username.as_str()), ("r1", "alice"));
        assert_eq!(
            (head.object_ref.namespace.as_str(), head.object_ref.resource.as_str()),
            ("shop", "deployments")
        );
        assert_eq!(head.operation, RequestOperation::Update);
    }

    #[test]
    fn any_beginning_is_read_as_far_as_it_goes() {
        for end in 0..REVIEW.len() {
            let found = head(&REVIEW.as_bytes()[..end]);
            assert_eq!(found.is_some(), end >= REVIEW.find("r1\"").unwrap() + 3, "{end}");
        }
        assert_eq!(head(b"\xff"), None);
        assert_eq!(head(b"[]"), None);
    }
}
