//! Finding messages that were acknowledged and are not there.
//!
//! Every message of a publisher carries a number and the number up to which all were acknowledged when it was frozen.
//! The stream had those before it was offered this one, so a reader in order has seen them: a number at or below that
//! mark which was not seen is lost. Numbers above it may still be on their way, in any order.
//!
//! A reader that begins in the middle of a stream has not seen what came before. The first message it sees of a start
//! may have been overtaken by later numbers; those that could have been are not reported. They end with the first
//! message frozen after the one seen first was acknowledged: every later number is stored after that one, in sight.

mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use lictor_wire::token::LONGEST;
use lictor_wire::{ClusterId, CoverageEvent, CoverageNotice, Event, EventData, EventId, Fingerprint, Kind};

pub use watch::ContinuityWatch;

/// Starts of producers that are remembered. A producer restarted every minute fills this in three days, and one that
/// was silent for longer than the others started over.
const STARTS_REMEMBERED: usize = 4_096;

/// Gaps returned at once for one message, so that no message makes a list without bound; the rest follow with the
/// messages after it.
const GAPS_AT_ONCE: usize = 100;

/// Numbers of one start that are remembered beyond the first one missing: far more than a publisher has in flight.
/// What is below them then counts as missing.
const SEEN_AT_MOST: usize = 65_536;

/// Messages that are missing, one or several in a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gap {
    /// The stream's kind.
    pub kind: Kind,
    /// The producer that published it.
    pub producer: String,
    /// Identifies one run of the producer.
    pub epoch: String,
    /// The first one's number.
    pub first: u64,
    /// The last one's number.
    pub last: u64,
}

/// Which numbers were seen. Pure: feed it every message of the event streams, each stream in order.
#[derive(Debug, Clone, Default)]
struct Continuity {
    starts: HashMap<(Kind, String, String), Start>,
    /// Kinds whose stream is read from before any start of a producer.
    whole: BTreeSet<Kind>,
    /// Counts messages, to forget the starts that were silent for longest.
    clock: u64,
}

/// One start of one producer, on one stream.
#[derive(Debug, Clone)]
struct Start {
    /// Everything up to here is accounted for.
    settled: u64,
    /// What was seen beyond.
    seen: BTreeSet<u64>,
    /// Numbers up to here may have been stored before where reading began.
    tolerated: Tolerated,
    last: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tolerated {
    /// Until a message says that this number, the first one seen, was acknowledged.
    Until(u64),
    /// Up to this number.
    UpTo(u64),
}

// === impl Gap ===

impl Gap {
    /// The event that reports it. The same gap always gets the same event id.
    pub fn to_event(&self, now: Timestamp) -> Event {
        let Self { kind, producer, epoch, first, last } = self.clone();
        let id = Fingerprint::new("missing-message")
            .part(kind.as_str())
            .part(&producer)
            .part(&epoch)
            .number(first);
        let messages = match last - first {
            0 => format!("message {first}"),
            more => format!("{} messages from number {first} on", more + 1),
        };
        let detail = format!("{messages} of producer {producer}: acknowledged, and not in the stream");
        Event {
            id: EventId::from(id),
            source: "/lictor/bus".to_owned(),
            time: now,
            cluster: ClusterId::default(),
            traceparent: None,
            extensions: BTreeMap::new(),
            data: EventData::Coverage(Box::new(CoverageEvent {
                notice: CoverageNotice::MissingMessage {
                    kind,
                    producer,
                    epoch,
                    number: first,
                    to: (last > first).then_some(last),
                },
                lost: 0,
                node: String::new(),
                detail,
            })),
        }
    }
}

// === impl Continuity ===

impl Continuity {
    /// The stream of this kind is read from its very first message: nothing came before, and nothing is tolerated.
    fn whole_stream(&mut self, kind: Kind) {
        self.whole.insert(kind);
    }

    /// The stream of this kind dropped messages for its limits before they were read here: what came before the next
    /// message is not reported.
    fn skipped(&mut self, kind: Kind) {
        self.whole.remove(&kind);
        self.starts.retain(|(of, ..), _| *of != kind);
    }

    /// Takes the next message of a stream by its `Nats-Msg-Id` and `Lictor-Acked`; returns what is missing, each
    /// number once. A message without a number of this sort is not a publisher's, and is ignored; so is one that says
    /// that more were acknowledged than its stream, in which it has this sequence, ever held.
    fn see(&mut self, kind: Kind, message_id: &str, acked: Option<&str>, sequence: u64) -> Vec<Gap> {
        let Some((producer, epoch, number)) = parse_id(message_id) else { return Vec::new() };
        let Some(acked) = acked.and_then(|acked| acked.parse::<u64>().ok()) else { return Vec::new() };
        // A message is frozen before it is acknowledged.
        if acked >= number || acked >= sequence {
            return Vec::new();
        }
        self.clock += 1;
        let key = (kind, producer.to_owned(), epoch.to_owned());
        if !self.starts.contains_key(&key) {
            self.make_room();
        }
        let whole = self.whole.contains(&kind);
        let start = self.starts.entry(key).or_insert_with(|| Start {
            settled: if whole { 0 } else { acked },
            seen: BTreeSet::new(),
            tolerated: if whole { Tolerated::UpTo(0) } else { Tolerated::Until(number) },
            last: 0,
        });
        start.last = self.clock;
        start
            .see(number, acked)
            .into_iter()
            .map(|(first, last)| Gap {
                kind,
                producer: producer.to_owned(),
                epoch: epoch.to_owned(),
                first,
                last,
            })
            .collect()
    }

    fn make_room(&mut self) {
        if self.starts.len() < STARTS_REMEMBERED {
            return;
        }
        let oldest = self.starts.iter().min_by_key(|(_, start)| start.last).map(|(key, _)| key.clone());
        oldest.and_then(|key| self.starts.remove(&key));
    }
}

impl Start {
    /// Takes a message; returns the first and last numbers of what is missing.
    fn see(&mut self, number: u64, acked: u64) -> Vec<(u64, u64)> {
        if number > self.settled {
            self.seen.insert(number);
        }
        if let Tolerated::Until(first) = self.tolerated
            && acked >= first
        {
            self.tolerated = Tolerated::UpTo(number);
        }
        let full = self.seen.len() > SEEN_AT_MOST;
        let acked = if full { self.seen.first().map_or(acked, |first| acked.max(*first)) } else { acked };
        if acked <= self.settled {
            return Vec::new();
        }
        let mut next = match self.tolerated {
            // Nothing acknowledged by now can be reported.
            Tolerated::Until(_) => acked + 1,
            Tolerated::UpTo(tolerated) => self.settled.max(tolerated) + 1,
        };
        let mut missing = Vec::new();
        for seen in self.seen.range(next.min(acked)..=acked).copied().chain([acked + 1]) {
            if missing.len() == GAPS_AT_ONCE {
                break;
            }
            if next < seen {
                missing.push((next, seen - 1));
            }
            next = next.max(seen + 1);
        }
        self.settled = match missing.last() {
            Some((_, last)) if missing.len() == GAPS_AT_ONCE => *last,
            _ => acked,
        };
        self.seen = self.seen.split_off(&(self.settled + 1));
        missing
    }
}

/// `<producer>.<epoch>.<number>`.
fn parse_id(id: &str) -> Option<(&str, &str, u64)> {
    let mut parts = id.split('.');
    let (producer, epoch, number) = (parts.next()?, parts.next()?, parts.next()?);
    let bounded = |part: &str| (1..=LONGEST).contains(&part.len());
    if parts.next().is_some() || !bounded(producer) || !bounded(epoch) {
        return None;
    }
    Some((producer, epoch, number.parse().ok().filter(|number| *number > 0)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONE: [u64; 0] = [];

    fn numbers(gaps: Vec<Gap>) -> Vec<u64> {
        gaps.into_iter().flat_map(|gap| gap.first..=gap.last).collect()
    }

    fn whole() -> Continuity {
        let mut continuity = Continuity::default();
        continuity.whole_stream(Kind::Process);
        continuity
    }

    #[test]
    fn a_number_is_missing_only_when_it_was_acknowledged() {
        let mut continuity = whole();
        let mut see =
            |id: &str, acked: &str| numbers(continuity.see(Kind::Process, id, Some(acked), u64::MAX));
        assert_eq!(see("p.e.1", "0"), NONE);
        assert_eq!(see("p.e.3", "1"), NONE);
        assert_eq!(see("p.e.4", "3"), [2]);
        assert_eq!(see("p.e.5", "3"), NONE);
        assert_eq!(see("p.e.2", "1"), NONE);
    }

    #[test]
    fn a_new_start_counts_anew() {
        let mut continuity = whole();
        let mut see =
            |id: &str, acked: &str| numbers(continuity.see(Kind::Process, id, Some(acked), u64::MAX));
        assert_eq!(see("p.e1.1", "0"), NONE);
        assert_eq!(see("p.e2.2", "1"), [1]);
        assert_eq!(see("q.e1.1", "0"), NONE);
        assert_eq!(see("p.e1.2", "1"), NONE);
    }

    #[test]
    fn more_than_can_be_said_at_once_is_said_in_turn() {
        let mut continuity = whole();
        // Every other number is missing.
        let gaps = GAPS_AT_ONCE as u64 + 5;
        for number in 1..=gaps {
            continuity.see(Kind::Process, &format!("p.e.{}", number * 2), Some("0"), u64::MAX);
        }
        let acked = (gaps * 2).to_string();
        let see = |continuity: &mut Continuity, more: u64| {
            let id = format!("p.e.{}", gaps * 2 + more);
            continuity.see(Kind::Process, &id, Some(&acked), u64::MAX).len()
        };
        assert_eq!(see(&mut continuity, 1), GAPS_AT_ONCE);
        assert_eq!(see(&mut continuity, 2), 5);
        assert_eq!(see(&mut continuity, 3), 0);
    }

    #[test]
    fn a_forged_mark_makes_one_notice_at_most() {
        let mut continuity = whole();
        let mark = "9000000000000000000";
        let id = format!("p.e.{}", u64::MAX);
        // More than the stream ever held: not a publisher's.
        assert_eq!(continuity.see(Kind::Process, &id, Some(mark), 10_001), []);
        let gaps = continuity.see(Kind::Process, &id, Some("10000"), 10_001);
        assert_eq!(gaps.iter().map(|gap| (gap.first, gap.last)).collect::<Vec<_>>(), [(1, 10_000)]);
        assert_eq!(continuity.see(Kind::Process, &id, Some("10000"), 10_002), []);
    }

    #[test]
    fn numbers_that_are_never_acknowledged_are_bounded() {
        let mut continuity = whole();
        for number in 2..SEEN_AT_MOST as u64 + 10 {
            continuity.see(Kind::Process, &format!("p.e.{number}"), Some("0"), u64::MAX);
        }
        assert!(continuity.starts.values().all(|start| start.seen.len() <= SEEN_AT_MOST));
    }

    #[test]
    fn what_is_no_publishers_message_is_left_alone() {
        let mut continuity = whole();
        for id in ["", "a", "a.b", "a.b.c", "a.b.0", "a..1", "a.b.1.2"] {
            assert_eq!(continuity.see(Kind::Process, id, Some("9"), u64::MAX), []);
        }
        assert_eq!(continuity.see(Kind::Process, "a.b.1", None, u64::MAX), []);
        assert_eq!(continuity.see(Kind::Process, "a.b.1", Some("x"), u64::MAX), []);
        assert_eq!(continuity.see(Kind::Process, "a.b.1", Some("18446744073709551615"), u64::MAX), []);
    }

    #[test]
    fn what_came_before_the_beginning_is_tolerated() {
        // Stored in the order 6, 5, 7, 8; reading begins with 5, so 6 came before.
        let mut continuity = Continuity::default();
        let mut see =
            |id: &str, acked: &str| numbers(continuity.see(Kind::Process, id, Some(acked), u64::MAX));
        assert_eq!(see("p.e.5", "4"), NONE);
        assert_eq!(see("p.e.7", "4"), NONE);
        assert_eq!(see("p.e.8", "7"), NONE);
        assert_eq!(see("p.e.10", "8"), NONE);
        assert_eq!(see("p.e.11", "10"), [9]);
    }

    #[test]
    fn starts_are_forgotten_oldest_first() {
        let mut continuity = whole();
        for start in 0..=STARTS_REMEMBERED {
            continuity.see(Kind::Process, &format!("p.e{start}.1"), Some("0"), u64::MAX);
        }
        assert_eq!(continuity.starts.len(), STARTS_REMEMBERED);
        assert!(!continuity.starts.contains_key(&(Kind::Process, "p".to_owned(), "e0".to_owned())));
    }

    /// What a publisher and its stream do, step by step.
    #[derive(Debug, Clone, Copy)]
    enum Do {
        Freeze,
        /// One of the frozen ones reaches the stream.
        Store(usize),
        /// One of the stored ones is acknowledged.
        Acknowledge(usize),
    }

    /// The stream in order: number and mark.
    fn play(steps: &[Do]) -> Vec<(u64, u64)> {
        let (mut stream, mut frozen, mut stored) = (Vec::new(), Vec::new(), Vec::new());
        let (mut last, mut acked) = (0, BTreeSet::new());
        for step in steps {
            match *step {
                Do::Freeze => {
                    let mark = (1..).take_while(|number| acked.contains(number)).last().unwrap_or(0);
                    last += 1;
                    frozen.push((last, mark));
                }
                Do::Store(which) if !frozen.is_empty() => {
                    let message: (u64, u64) = frozen.remove(which % frozen.len());
                    stored.push(message.0);
                    stream.push(message);
                }
                Do::Acknowledge(which) if !stored.is_empty() => {
                    acked.insert(stored.remove(which % stored.len()));
                }
                Do::Store(_) | Do::Acknowledge(_) => {}
            }
        }
        stream
    }

    fn steps() -> impl Strategy<Value = Vec<Do>> {
        let step = prop_oneof![
            Just(Do::Freeze),
            any::<usize>().prop_map(Do::Store),
            any::<usize>().prop_map(Do::Acknowledge),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// The naive twin knows everything: the whole stream, what was taken out of it, and from where it is read.
        #[test]
        fn finds_what_a_naive_twin_finds(
            steps in steps(),
            removed in prop::collection::btree_set(0_usize..60, 0..8),
            begin in 0_usize..40,
        ) {
            let stream = play(&steps);
            let read: Vec<_> = stream
                .iter()
                .enumerate()
                .filter(|(i, _)| *i >= begin && !removed.contains(i))
                .map(|(_, message)| *message)
                .collect();
            let gone: BTreeSet<u64> = stream
                .iter()
                .enumerate()
                .filter(|(i, _)| *i >= begin && removed.contains(i))
                .map(|(_, (number, _))| *number)
                .collect();
            let mut continuity = Continuity::default();
            if begin == 0 {
                continuity.whole_stream(Kind::File);
            }
            let mut found = BTreeSet::new();
            for (number, acked) in &read {
                for gap in continuity.see(Kind::File, &format!("p.e.{number}"), Some(&acked.to_string()), u64::MAX) {
                    for number in gap.first..=gap.last {
                        prop_assert!(found.insert(number), "said twice: {number}");
                    }
                }
            }
            let mark = read.iter().map(|(_, acked)| *acked).max().unwrap_or(0);
            // Numbers up to here may have been stored before the beginning.
            let tolerated = if begin == 0 {
                0
            } else {
                let first = read.first().map_or(u64::MAX, |(number, _)| *number);
                read.iter().find(|(_, acked)| *acked >= first).map_or(u64::MAX, |(number, _)| *number)
            };
            let expected: BTreeSet<u64> =
                gone.iter().copied().filter(|number| *number <= mark && *number > tolerated).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
