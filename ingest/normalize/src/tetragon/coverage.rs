//! What the sensor reports as not delivered, and what it delivers of kinds not known here.

use lictor_wire::{CoverageEvent, CoverageNotice, RawJson};

use super::raw::{RateLimit, Throttle};
use crate::path::on_one_line;

pub(super) fn rate_limit(info: &RateLimit, node: String) -> CoverageEvent {
    CoverageEvent {
        notice: CoverageNotice::SensorRateLimit,
        lost: info.number_of_dropped_process_events,
        node,
        detail: "the sensor dropped process events to keep its rate limit".to_owned(),
    }
}

pub(super) fn throttle(throttle: &Throttle, node: String) -> CoverageEvent {
    let started = throttle.throttle_type != "THROTTLE_STOP";
    let word = if started { "started" } else { "stopped" };
    CoverageEvent {
        notice: CoverageNotice::SensorThrottle { started, pod: None },
        lost: 0,
        node,
        detail: format!("the sensor {word} throttling events of {}", throttle.cgroup),
    }
}

pub(super) fn unrecognised(text: &str, node: String) -> Result<CoverageEvent, serde_json::Error> {
    Ok(CoverageEvent {
        notice: CoverageNotice::Unrecognised { raw: RawJson::parse(&on_one_line(text))? },
        lost: 0,
        node,
        detail: "a kind of Tetragon event that is not judged".to_owned(),
    })
}
