//! What was published shortly before: a repeat of it is not published again, and an audit ID that was used for two
//! requests is noticed.

use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroUsize;

use jiff::Timestamp;
use lictor_wire::{ClusterId, CoverageEvent, CoverageNotice, Event, EventData, EventId, Fingerprint, Kind};
use lru::LruCache;

/// Events remembered: what the fullest API server sends in 16 seconds, the time in which it retries most.
/// An older repeat is published again, harmlessly. About 12 MiB with the audit IDs.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(65_536).expect("not zero");

/// An audit ID that is used again for another request is reported once in this time.
const HOUR: i64 = 60 * 60;

/// Events that streams have acknowledged. Only those: folding a repeat of what is still in flight would acknowledge it
/// to the source too early.
#[derive(Debug)]
pub(crate) struct Recent {
    published: LruCache<EventId, ()>,
    /// Cluster, audit ID and stage, hashed, and the event id, hashed: a client may choose its audit ID, but whoever
    /// does not has one for each request.
    audit_ids: LruCache<u64, u64>,
    /// The clients choose what is hashed; they do not know the keys.
    hasher: RandomState,
    /// A report of a reused audit ID that no stream has yet.
    report: Option<Event>,
}

/// What is remembered of an event that is being published.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) kind: Kind,
    id: EventId,
    audit: Option<Audit>,
}

#[derive(Debug)]
struct Audit {
    key: u64,
    id: String,
    cluster: ClusterId,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            published: LruCache::new(REMEMBERED),
            audit_ids: LruCache::new(REMEMBERED),
            hasher: RandomState::new(),
            report: None,
        }
    }
}

impl Recent {
    /// Takes apart what is new and what was published before, or stands in `events` twice.
    pub(crate) fn fold(&mut self, events: Vec<Event>) -> (Vec<Event>, Vec<Event>) {
        let mut here = std::collections::HashSet::new();
        events
            .into_iter()
            .partition(|event| self.published.get(&event.id).is_none() && here.insert(event.id.clone()))
    }

    /// What [`Recent::remember`] needs when `event` itself is no longer there.
    pub(crate) fn sent(&self, event: &Event) -> Sent {
        let audit = match &event.data {
            EventData::Audit(record) if !record.audit_id.is_empty() => Some(Audit {
                key: self.hasher.hash_one((event.cluster.as_str(), &record.audit_id, record.stage.as_str())),
                id: record.audit_id.clone(),
                cluster: event.cluster.clone(),
            }),
            _ => None,
        };
        Sent { kind: event.kind(), id: event.id.clone(), audit }
    }

    /// Remembers what streams have acknowledged; returns how many audit IDs stand for something else than before.
    pub(crate) fn remember(&mut self, sent: Vec<Sent>, now: Timestamp) -> u64 {
        let mut reused = 0;
        for Sent { id, audit, .. } in sent {
            if let Some(audit) = audit {
                let content = self.hasher.hash_one(id.as_str());
                if self.audit_ids.put(audit.key, content).is_some_and(|before| before != content) {
                    reused += 1;
                    self.report(&audit, now);
                }
            }
            self.published.put(id, ());
        }
        reused
    }

    /// The report that is to be published, if there is one.
    pub(crate) fn unreported(&self) -> Option<Event> {
        self.report.clone()
    }

    /// Takes note that the report was published.
    pub(crate) fn reported(&mut self, report: &Event) {
        self.published.put(report.id.clone(), ());
        if self.report.as_ref().is_some_and(|pending| pending.id == report.id) {
            self.report = None;
        }
    }

    fn report(&mut self, audit: &Audit, now: Timestamp) {
        let hour = now.as_second().div_euclid(HOUR);
        let id = Fingerprint::new("audit-id-reused").part(&audit.cluster).part(hour.to_le_bytes()).into();
        if self.published.contains(&id) {
            return;
        }
        let shown: String = audit.id.chars().take(64).collect();
        let detail = format!(
            "audit ID `{shown}` was used for different requests: a client chose it (header Audit-ID), or an \
             aggregated API server repeats it; each request is evaluated"
        );
        let notice =
            CoverageEvent { notice: CoverageNotice::AuditIdReused, lost: 0, node: String::new(), detail };
        self.report = Some(Event {
            id,
            source: "/lictor/ingest".to_owned(),
            time: Timestamp::from_second(hour * HOUR).unwrap_or(now),
            cluster: audit.cluster.clone(),
            traceparent: None,
            extensions: std::collections::BTreeMap::new(),
            data: EventData::Coverage(Box::new(notice)),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lictor_wire::{AuditEvent, AuditStage};

    fn record(id: &str, audit_id: &str, stage: AuditStage) -> Event {
        let record = AuditEvent { audit_id: audit_id.to_owned(), stage, ..AuditEvent::default() };
        Event {
            id: EventId::new(id),
            source: "/audit".to_owned(),
            time: Timestamp::UNIX_EPOCH,
            cluster: ClusterId::new("c1"),
            traceparent: None,
            extensions: std::collections::BTreeMap::new(),
            data: EventData::Audit(Box::new(record)),
        }
    }

    fn remember(recent: &mut Recent, event: &Event) -> u64 {
        let sent = recent.sent(event);
        recent.remember(vec![sent], Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn an_audit_id_that_stands_for_two_requests_is_reported_once_an_hour() {
        let mut recent = Recent::default();
        let complete = AuditStage::ResponseComplete;
        assert_eq!(remember(&mut recent, &record("e1", "a", AuditStage::RequestReceived)), 0);
        assert_eq!(remember(&mut recent, &record("e2", "a", complete.clone())), 0);
        assert_eq!(remember(&mut recent, &record("e2", "a", complete.clone())), 0);
        assert!(recent.unreported().is_none());
        assert_eq!(remember(&mut recent, &record("e3", "a", complete.clone())), 1);
        let report = recent.unreported().unwrap();
        recent.reported(&report);
        assert_eq!(remember(&mut recent, &record("e4", "a", complete.clone())), 1);
        assert!(recent.unreported().is_none());
        let sent = recent.sent(&record("e5", "a", complete));
        assert_eq!(recent.remember(vec![sent], Timestamp::from_second(HOUR).unwrap()), 1);
        assert_ne!(recent.unreported().unwrap().id, report.id);
    }
}
