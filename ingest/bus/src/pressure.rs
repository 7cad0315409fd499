//! Watches whether evaluators keep up with the streams they read from.
//!
//! Event streams throw away their oldest messages when they are full. Well before unjudged ones are among them,
//! sources are stopped; messages that fall out nevertheless are reported by an event.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use lictor_wire::topology::{Bucket, Consumer, Stream};
use lictor_wire::{ClusterId, CoverageEvent, CoverageNotice, Event, EventData, EventId, Fingerprint, Kind};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::bus::Bus;
use crate::error::BusError;
use crate::topology::{read_consumer, read_stream};

/// How often the streams are checked when little is published. When much is, [`Allowance`] has them checked sooner.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Sources are stopped when this much of a stream is unjudged, and released below the other: far enough apart not to
/// flutter.
const STOP_AT: f64 = 0.70;
const FLOW_BELOW: f64 = 0.60;

/// Whether sources should be slowed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pressure {
    /// Evaluators keep up.
    #[default]
    Flow,
    /// Evaluators are far behind: sources should wait.
    Stop,
}

/// A stream and its live consumer at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sample {
    /// Sequence of the first message that is still there.
    first: u64,
    /// Sequence of the last message.
    last: u64,
    /// Messages in the stream.
    messages: u64,
    /// Bytes in the stream.
    bytes: u64,
    /// Greatest size; 0 for none.
    max_bytes: u64,
    /// Everything up to here is judged.
    ack_floor: u64,
    /// Sequence of the last message that was delivered to an evaluator.
    delivered: u64,
    /// Deliveries so far, repeated ones included.
    deliveries: u64,
}

/// Which messages that fell out of a stream were reported; shared by all publishers through the presence bucket, so
/// each range is reported once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Reported {
    /// Everything up to here that fell out was reported.
    to: u64,
}

/// How much may be published before the streams are checked again: a twentieth of the smallest one. Between two
/// checks a stream then fills by a small part of what is left above the mark, however small it is and however fast its
/// sources.
#[derive(Debug)]
pub(crate) struct Allowance {
    limit: AtomicU64,
    used: watch::Sender<u64>,
    wanted: Notify,
}

pub(crate) struct Monitor {
    pressure: watch::Sender<Pressure>,
    allowance: Arc<Allowance>,
    kinds: HashMap<Kind, Pressure>,
    samples: HashMap<Kind, Sample>,
    reported: HashMap<Kind, Reported>,
}

impl Sample {
    /// How much of the stream's size is taken by messages that are not judged, from 0 to 1. Their size is taken to be
    /// the average.
    #[expect(clippy::cast_precision_loss, reason = "a fraction compared with two digits")]
    fn unjudged(&self) -> f64 {
        if self.max_bytes == 0 || self.messages == 0 {
            return 0.0;
        }
        let waiting = self.last.saturating_sub(self.ack_floor).min(self.messages);
        let bytes = self.bytes as f64 * (waiting as f64 / self.messages as f64);
        bytes / self.max_bytes as f64
    }

    /// The sequences that fell out and were not judged, first and last.
    const fn fell_out(&self) -> Option<(u64, u64)> {
        if self.first > self.ack_floor + 1 { Some((self.ack_floor + 1, self.first - 1)) } else { None }
    }

    /// The sequences that are gone and were delivered to nobody since `before`, first and last. A purge moves the
    /// consumer past what it takes away, so nothing but the count of deliveries shows it.
    const fn purged_since(&self, before: &Self) -> Option<(u64, u64)> {
        // Messages are delivered in order.
        let reached = before.delivered + self.deliveries.saturating_sub(before.deliveries);
        if self.first > reached + 1 { Some((reached + 1, self.first - 1)) } else { None }
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self { limit: AtomicU64::new(u64::MAX), used: watch::Sender::new(0), wanted: Notify::new() }
    }
}

impl Allowance {
    /// Takes so many bytes of the allowance; waits for the next check of the streams when they are not left.
    pub(crate) async fn take(&self, bytes: u64) {
        let mut checks = self.used.subscribe();
        loop {
            let mut taken = false;
            self.used.send_if_modified(|used| {
                // What is larger than all of it goes alone.
                taken = *used == 0 || used.saturating_add(bytes) <= self.limit.load(Ordering::Relaxed);
                *used += if taken { bytes } else { 0 };
                false
            });
            if taken {
                return;
            }
            self.wanted.notify_one();
            if checks.changed().await.is_err() {
                return;
            }
        }
    }

    /// The streams were checked; the smallest of them may hold `smallest` bytes, 0 for no bound.
    fn checked(&self, smallest: u64) {
        let limit = if smallest == 0 { u64::MAX } else { (smallest / 20).max(1) };
        self.limit.store(limit, Ordering::Relaxed);
        self.used.send_replace(0);
    }
}

impl Pressure {
    /// What follows from how much is unjudged.
    fn after(self, unjudged: f64) -> Self {
        match self {
            Self::Flow if unjudged >= STOP_AT => Self::Stop,
            Self::Stop if unjudged < FLOW_BELOW => Self::Flow,
            unchanged => unchanged,
        }
    }
}

impl Monitor {
    /// Checks once, so that the first answer is the truth.
    pub(crate) async fn start(bus: &Bus) -> Result<Self, BusError> {
        let mut monitor = Self {
            pressure: watch::Sender::new(Pressure::Flow),
            allowance: Arc::default(),
            kinds: HashMap::new(),
            samples: HashMap::new(),
            reported: HashMap::new(),
        };
        monitor.check(bus).await?;
        Ok(monitor)
    }

    pub(crate) fn pressure(&self) -> watch::Receiver<Pressure> {
        self.pressure.subscribe()
    }

    pub(crate) fn allowance(&self) -> Arc<Allowance> {
        Arc::clone(&self.allowance)
    }

    pub(crate) async fn run(mut self, bus: Bus, closing: CancellationToken) {
        let mut ticks = tokio::time::interval(CHECK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.allowance.wanted.notified() => {}
                () = closing.cancelled() => return,
            }
            if let Err(error) = self.check(&bus).await {
                tracing::debug!(%error, "cannot check whether evaluators keep up; assuming no change");
            }
        }
    }

    fn check<'a>(&'a mut self, bus: &'a Bus) -> BoxFuture<'a, Result<(), BusError>> {
        Box::pin(async move {
            let mut smallest = None::<u64>;
            for kind in Kind::JUDGED {
                let Some(sample) = sample(bus, kind).await? else { continue };
                if sample.max_bytes > 0 {
                    smallest = Some(smallest.map_or(sample.max_bytes, |bytes| bytes.min(sample.max_bytes)));
                }
                let before = self.kinds.get(&kind).copied().unwrap_or_default();
                let after = before.after(sample.unjudged());
                if before != after {
                    tracing::warn!(%kind, ?after, unjudged = sample.unjudged(), "the lag of the evaluators changed");
                }
                self.kinds.insert(kind, after);
                let before = self.samples.get(&kind);
                let purged = before.and_then(|before| sample.purged_since(before));
                if let Some((from, to)) = sample.fell_out().or(purged) {
                    self.report(bus, kind, from, to).await?;
                }
                // Only then: what could not be reported is found again.
                self.samples.insert(kind, sample);
            }
            let any = self.kinds.values().any(|pressure| *pressure == Pressure::Stop);
            let pressure = if any { Pressure::Stop } else { Pressure::Flow };
            self.pressure.send_if_modified(|before| std::mem::replace(before, pressure) != pressure);
            self.allowance.checked(smallest.unwrap_or(0));
            Ok(())
        })
    }

    /// Reports what fell out and was not reported before. Two publishers that see it at once give it the same id.
    async fn report(&mut self, bus: &Bus, kind: Kind, from: u64, to: u64) -> Result<(), BusError> {
        let mut reported = self.reported.get(&kind).copied().unwrap_or_default();
        if to <= reported.to {
            return Ok(());
        }
        let key = format!("fellout.{kind}");
        if let Some((_, shared)) = bus.get::<Reported>(Bucket::Presence, &key).await? {
            reported.to = reported.to.max(shared.to);
        }
        let from = from.max(reported.to + 1);
        if from <= to {
            tracing::error!(%kind, from, to, "messages left the stream before they were judged: it was full, or was purged");
            bus.publish_event(&fell_out(kind, from, to, Timestamp::now())).await?;
            bus.put(Bucket::Presence, &key, &Reported { to }).await?;
        }
        self.reported.insert(kind, Reported { to: to.max(reported.to) });
        Ok(())
    }
}

async fn sample(bus: &Bus, kind: Kind) -> Result<Option<Sample>, BusError> {
    let spec = bus.topology().consumer(Consumer::Judge(kind));
    let stream = bus.topology().stream_name(Stream::Events(kind));
    // The consumer first: messages judged in between then count as unjudged, and never the other way round.
    let Some(consumer) = read_consumer(bus.jetstream(), &stream, &spec.name).await? else { return Ok(None) };
    let Some(info) = read_stream(bus.jetstream(), &stream).await? else { return Ok(None) };
    Ok(Some(Sample {
        first: info.state.first_sequence,
        last: info.state.last_sequence,
        messages: info.state.messages,
        bytes: info.state.bytes,
        max_bytes: u64::try_from(info.config.max_bytes).unwrap_or(0),
        ack_floor: consumer.ack_floor.stream_sequence,
        delivered: consumer.delivered.stream_sequence,
        deliveries: consumer.delivered.consumer_sequence,
    }))
}

/// The event that reports it; who reports the same again uses the same id.
fn fell_out(kind: Kind, from: u64, to: u64, at: Timestamp) -> Event {
    Event {
        id: EventId::from(Fingerprint::new("fell-out").part(kind.as_str()).number(from)),
        source: "/lictor/bus".to_owned(),
        time: at,
        cluster: ClusterId::default(),
        traceparent: None,
        extensions: BTreeMap::new(),
        data: EventData::Coverage(Box::new(CoverageEvent {
            notice: CoverageNotice::FellOut { kind, from, to, at },
            lost: 0,
            node: String::new(),
            detail: format!(
                "{} messages of kind {kind} left the stream before they were judged: it was full, or was purged",
                to - from + 1
            ),
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(first: u64, last: u64, ack_floor: u64) -> Sample {
        let messages = last + 1 - first;
        let (bytes, max_bytes, delivered) = (messages * 10, 1_000, ack_floor);
        Sample { first, last, messages, bytes, max_bytes, ack_floor, delivered, deliveries: ack_floor }
    }

    #[test]
    fn counts_what_is_not_judged() {
        assert_eq!(sample(1, 100, 100).unjudged(), 0.0);
        assert_eq!(sample(1, 100, 0).unjudged(), 1.0);
        assert_eq!(sample(1, 100, 30).unjudged(), 0.7);
        assert_eq!(sample(51, 150, 0).unjudged(), 1.0);
        assert_eq!(Sample { max_bytes: 0, ..sample(1, 100, 0) }.unjudged(), 0.0);
        assert_eq!(Sample::default().unjudged(), 0.0);
    }

    #[test]
    fn stops_and_releases_apart() {
        let mut pressure = Pressure::Flow;
        let mut course = Vec::new();
        for unjudged in [0.5, 0.69, 0.7, 0.65, 0.61, 0.59, 0.69, 0.71] {
            pressure = pressure.after(unjudged);
            course.push(pressure == Pressure::Stop);
        }
        assert_eq!(course, [false, false, true, true, true, false, false, true]);
    }

    #[tokio::test]
    async fn what_is_published_between_two_checks_is_bounded() {
        let allowance = Allowance::default();
        allowance.checked(2_000);
        allowance.take(60).await;
        allowance.take(40).await;
        let more = allowance.take(1);
        tokio::pin!(more);
        assert!(futures_util::poll!(&mut more).is_pending());
        allowance.wanted.notified().await;
        allowance.checked(2_000);
        more.await;
        allowance.checked(2_000);
        allowance.take(1_000).await;
    }

    #[test]
    fn sees_what_fell_out() {
        assert_eq!(sample(1, 9, 0).fell_out(), None);
        assert_eq!(sample(5, 9, 4).fell_out(), None);
        assert_eq!(sample(5, 9, 8).fell_out(), None);
        assert_eq!(sample(5, 9, 2).fell_out(), Some((3, 4)));
    }

    #[test]
    fn sees_a_purge_that_moved_the_consumer_along() {
        let before = sample(1, 70, 30);
        // Forty messages that nobody judged are gone.
        let purged = Sample { deliveries: 30, ..sample(71, 70, 70) };
        assert_eq!(purged.purged_since(&before), Some((31, 70)));
        // Ten of them were delivered before.
        let some = Sample { deliveries: 40, ..sample(71, 70, 70) };
        assert_eq!(some.purged_since(&before), Some((41, 70)));
        // All were judged, and what was judged may go.
        assert_eq!(sample(71, 70, 70).purged_since(&before), None);
        assert_eq!(sample(20, 70, 30).purged_since(&before), None);
        // Repeated deliveries hide a loss, and never make one up.
        assert_eq!(Sample { deliveries: 90, ..sample(71, 70, 70) }.purged_since(&before), None);
    }
}
