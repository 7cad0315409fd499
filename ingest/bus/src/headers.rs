//! Headers of messages: the names lictor writes, and a view of those that came.

use std::fmt;

use async_nats::HeaderMap;

/// Names a message so that a repeat within the stream's window is recognised.
pub const MESSAGE_ID: &str = "Nats-Msg-Id";
/// How many lines a message holds.
pub const EVENTS: &str = "Lictor-Events";
/// Up to which number, inclusive, all messages of the same producer, epoch and kind had been acknowledged when this one
/// was numbered.
pub const ACKED: &str = "Lictor-Acked";
/// What the payload is.
pub const CONTENT_TYPE: &str = "Content-Type";
/// How the payload is packed.
pub const CONTENT_ENCODING: &str = "Content-Encoding";
/// Since when a parked event waits, as decided by whoever parked it.
pub(crate) const PARKED_SINCE: &str = "Lictor-Parked-Since";
/// The facts a parked event waits for: a JSON list of texts.
pub(crate) const MISSING: &str = "Lictor-Missing";
/// Where a parked event's original message is: `<stream>/<sequence>/<line>`.
pub const ORIGIN: &str = "Lictor-Origin";

pub(crate) const ONE_EVENT: &str = "application/cloudevents+json";
pub(crate) const EVENT_LIST: &str = "application/cloudevents-batch+json";
pub(crate) const EVENT_LINES: &str = "application/x-ndjson";
pub(crate) const JSON: &str = "application/json";
pub(crate) const ZSTD: &str = "zstd";
pub(crate) const KV_OPERATION: &str = "KV-Operation";

/// The headers of a message. Names are compared exactly.
#[derive(Clone, Default)]
pub struct Headers(pub(crate) HeaderMap);

impl Headers {
    /// The last value of a header.
    pub fn get(&self, name: &str) -> Option<&str> {
        // The client's own lookup asserts that the name is valid; a name that is not is simply not there.
        self.0
            .iter()
            .find(|(known, _)| AsRef::<str>::as_ref(*known) == name)
            .and_then(|(_, values)| values.last())
            .map(async_nats::HeaderValue::as_str)
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.iter().map(|(name, values)| {
                (AsRef::<str>::as_ref(name), values.iter().map(|value| value.as_str()).collect::<Vec<_>>())
            }))
            .finish()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(name.into(), one_line(&value.into()));
        }
        Self(headers)
    }
}

/// A header's value ends at the line's end, so line ends in it become spaces.
pub(crate) fn one_line(value: &str) -> String {
    value.replace(['\r', '\n'], " ")
}
