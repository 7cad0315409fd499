//! Small readings of texts that several formats share.

use std::borrow::Cow;

use serde::Deserialize;

/// `Cow<str>` by itself never borrows inside another type; this one does where the text has no escapes.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// The part of a path after its last slash; the whole path when nothing follows one.
pub(crate) fn base_name(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some((_, name)) if !name.is_empty() => name,
        _ => path,
    }
}

/// A runtime's container id without its scheme: `containerd://4f0c` is `4f0c`.
pub(crate) fn container_id(id: &str) -> &str {
    id.split_once("://").map_or(id, |(_, id)| id)
}

/// The digest in a running image's id: `registry.example/app@sha256:…`, `docker-pullable://…@sha256:…` or the
/// digest alone. Empty when there is none.
pub(crate) fn image_digest(image_id: &str) -> &str {
    image_id.rfind("sha256:").and_then(|start| image_id.get(start..)).unwrap_or_default()
}

/// A JSON text without line ends. In JSON they are between values only, where a space means the same; an event is a
/// line, and carries parts of the text as they are.
pub(crate) fn on_one_line(json: &str) -> Cow<'_, str> {
    if json.contains(['\n', '\r']) { json.replace(['\n', '\r'], " ").into() } else { json.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_follows_the_last_slash() {
        for (path, name) in
            [("/usr/bin/bash", "bash"), ("bash", "bash"), ("", ""), ("/", "/"), ("/a/", "/a/"), ("/é/ü", "ü")]
        {
            assert_eq!(base_name(path), name, "{path}");
        }
    }

    #[test]
    fn ids_lose_their_scheme_and_digests_their_repository() {
        assert_eq!(container_id("containerd://4f0c"), "4f0c");
        assert_eq!(container_id("4f0c"), "4f0c");
        assert_eq!(image_digest("reg.example/a@sha256:01"), "sha256:01");
        assert_eq!(image_digest("sha256:01"), "sha256:01");
        assert_eq!(image_digest("reg.example/a:1"), "");
    }
}
