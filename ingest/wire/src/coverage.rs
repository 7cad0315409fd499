//! What was not delivered, said by whoever knows.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::json::is_default;
use crate::{Kind, PodRef, RawJson};

/// A gap in what lictor sees: it distinguishes "nothing happened" from "nothing was seen".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Flat")]
pub struct CoverageEvent {
    /// What was lost, and how it is known.
    #[serde(flatten)]
    pub notice: CoverageNotice,
    /// How many events were lost; 0 when that is unknown.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lost: u64,
    /// The node it concerns; empty when it concerns none in particular.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// In words, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// The ways in which events are known to be missing.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "notice", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CoverageNotice {
    /// The sensor dropped events to keep its own rate limit.
    SensorRateLimit,
    /// The sensor started or stopped throttling one process or container.
    SensorThrottle {
        /// Whether it started.
        started: bool,
        /// The pod, where it is known.
        pod: Option<PodRef>,
    },
    /// The source sent something whose kind is not known here; it is kept whole.
    Unrecognised {
        /// What was sent.
        raw: RawJson,
    },
    /// Published messages were acknowledged by the stream and are not in it.
    MissingMessage {
        /// The event stream's kind.
        kind: Kind,
        /// The producer that published it.
        producer: String,
        /// Identifies one run of the producer.
        epoch: String,
        /// The first message's number.
        number: u64,
        /// The last message's number, where it is several in a row.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<u64>,
    },
    /// One audit ID came with different requests: a client chose it, or an aggregated API server repeats it. Nothing is
    /// lost by it; whoever looks a request up by its audit ID finds several.
    AuditIdReused,
    /// Events were dropped because they could not be published for too long.
    NotPublished {
        /// Their kind.
        kind: Kind,
    },
    /// Messages fell out of a full stream before they were judged.
    FellOut {
        /// The event stream's kind.
        kind: Kind,
        /// First sequence that is gone.
        from: u64,
        /// Last sequence that is gone.
        to: u64,
        /// When it was noticed.
        at: Timestamp,
    },
    /// A file was cut, or deleted, before it was known to be read to its end: records of it may be missing.
    FileGap {
        /// The path that is read.
        path: String,
    },
}

/// How a coverage event is read: serde buffers what it flattens, and a [`RawJson`] cannot be read from a buffer.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Flat {
    notice: String,
    lost: u64,
    node: String,
    detail: String,
    started: Option<bool>,
    pod: Option<PodRef>,
    raw: Option<RawJson>,
    kind: Option<Kind>,
    producer: Option<String>,
    epoch: Option<String>,
    number: Option<u64>,
    from: Option<u64>,
    to: Option<u64>,
    at: Option<Timestamp>,
    path: Option<String>,
}

impl TryFrom<Flat> for CoverageEvent {
    type Error = String;

    fn try_from(flat: Flat) -> Result<Self, String> {
        fn need<T>(field: Option<T>, name: &str) -> Result<T, String> {
            field.ok_or_else(|| format!("missing field `{name}`"))
        }
        let notice = match flat.notice.as_str() {
            "sensorRateLimit" => CoverageNotice::SensorRateLimit,
            "sensorThrottle" => {
                CoverageNotice::SensorThrottle { started: need(flat.started, "started")?, pod: flat.pod }
            }
            "unrecognised" => CoverageNotice::Unrecognised { raw: need(flat.raw, "raw")? },
            "missingMessage" => CoverageNotice::MissingMessage {
                kind: need(flat.kind, "kind")?,
                producer: need(flat.producer, "producer")?,
                epoch: need(flat.epoch, "epoch")?,
                number: need(flat.number, "number")?,
                to: flat.to,
            },
            "auditIdReused" => CoverageNotice::AuditIdReused,
            "notPublished" => CoverageNotice::NotPublished { kind: need(flat.kind, "kind")? },
            "fellOut" => CoverageNotice::FellOut {
                kind: need(flat.kind, "kind")?,
                from: need(flat.from, "from")?,
                to: need(flat.to, "to")?,
                at: need(flat.at, "at")?,
            },
            "fileGap" => CoverageNotice::FileGap { path: need(flat.path, "path")? },
            other => return Err(format!("unknown notice `{other}`")),
        };
        Ok(Self { notice, lost: flat.lost, node: flat.node, detail: flat.detail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notice_comes_back() {
        let at = Timestamp::UNIX_EPOCH;
        let (producer, epoch) = ("ingest-1".to_owned(), "e".to_owned());
        let notices = [
            CoverageNotice::SensorRateLimit,
            CoverageNotice::SensorThrottle { started: true, pod: Some(PodRef::default()) },
            CoverageNotice::SensorThrottle { started: false, pod: None },
            CoverageNotice::Unrecognised { raw: RawJson::parse(r#"{"b": 1.0, "a":[null]}"#).unwrap() },
            CoverageNotice::MissingMessage { kind: Kind::Process, producer, epoch, number: 7, to: Some(9) },
            CoverageNotice::AuditIdReused,
            CoverageNotice::NotPublished { kind: Kind::Request },
            CoverageNotice::FellOut { kind: Kind::Audit, from: 1, to: 2, at },
            CoverageNotice::FileGap { path: "/var/log/audit.log".to_owned() },
        ];
        for notice in notices {
            let event = CoverageEvent { notice, lost: 3, node: "n".to_owned(), detail: String::new() };
            let text = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<CoverageEvent>(&text).unwrap(), event, "{text}");
        }
    }
}
