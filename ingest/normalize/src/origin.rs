//! What a source knows that its lines do not contain.

use jiff::Timestamp;
use lictor_wire::{ClusterId, Event, EventData, EventId};

/// Where lines come from and when they were received.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// The cluster they are about.
    pub cluster: ClusterId,
    /// The source, as a URI reference: `/audit/webhook`, `/file/var/log/audit.log`.
    pub source: String,
    /// When the bytes arrived: the time of an event whose source gives it none.
    pub received: Timestamp,
}

impl Origin {
    /// An event from there; without a time, at that of its arrival.
    pub fn event(&self, id: EventId, time: Option<Timestamp>, data: EventData) -> Event {
        Event {
            id,
            source: self.source.clone(),
            time: time.unwrap_or(self.received),
            cluster: self.cluster.clone(),
            traceparent: None,
            extensions: std::collections::BTreeMap::new(),
            data,
        }
    }
}
