//! Gathers lines into packs, and numbers each pack when it is frozen.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lictor_wire::Kind;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::numbers::Numbers;
use super::unacknowledged::Unacknowledged;
use super::{Answer, Call};
use crate::bus::Bus;
use crate::offload::has_reference;
use crate::pack::{self, Frozen};
use crate::publish::Publication;

/// How long the first line of a pack waits for others: measured, 101 events a message at 50,000 events a second, and
/// nobody notices two milliseconds.
const LINGER: Duration = Duration::from_millis(2);

/// A pack is full at this size: larger ones gain nothing more, and a redelivery repeats all of one.
const PACK_BYTES: usize = 64 * 1024;

/// Frozen messages that wait for their acknowledgement: at 64 KB some 16 MB, and at 30 ms for a synced write some
/// 8,000 messages a second, more than one stream takes.
const IN_FLIGHT: usize = 256;

/// Lines for one subject that are not a message yet.
struct Pack {
    kind: Kind,
    lines: String,
    count: usize,
    waiting: Vec<(Arc<Answer>, usize)>,
    serial: u64,
}

/// The one task that makes messages of lines.
pub(super) struct Gatherer {
    bus: Bus,
    /// What every message's id begins with: `<producer>.<epoch>`.
    id: String,
    packs: HashMap<String, Pack>,
    /// Packs in the order in which they are due; one that was frozen earlier is recognised by its serial.
    due: VecDeque<(Instant, String, u64)>,
    serial: u64,
    numbers: HashMap<Kind, Arc<Mutex<Numbers>>>,
    in_flight: Arc<Semaphore>,
    abandon: CancellationToken,
    tasks: TaskTracker,
}

impl Gatherer {
    pub(super) fn new(bus: Bus, id: String, abandon: CancellationToken, tasks: TaskTracker) -> Self {
        Self {
            bus,
            id,
            packs: HashMap::new(),
            due: VecDeque::new(),
            serial: 0,
            numbers: HashMap::new(),
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT)),
            abandon,
            tasks,
        }
    }

    /// Gathers until nobody calls any more, or `closing`; then sends what is gathered.
    pub(super) async fn run(mut self, mut calls: mpsc::Receiver<Call>, closing: CancellationToken) {
        loop {
            let due = self.due.front().map(|(at, ..)| *at);
            tokio::select! {
                call = calls.recv() => match call {
                    Some(call) => self.gather(call).await,
                    None => break,
                },
                () = until(due) => self.freeze_due().await,
                () = closing.cancelled(), if !calls.is_closed() => calls.close(),
            }
        }
        let subjects: Vec<String> = self.packs.keys().cloned().collect();
        for subject in subjects {
            self.freeze(&subject).await;
        }
    }

    async fn gather(&mut self, call: Call) {
        for (line, subject) in call.lines {
            // A pack that would grow past its size goes first, so that one large line does not drag others along.
            // So does one whose body is elsewhere: whoever unpacks a message holds the bodies of all its lines.
            let alone = has_reference(line.line.as_bytes());
            let size = if alone { PACK_BYTES } else { line.line.len() };
            if self.packs.get(&subject).is_some_and(|pack| pack.lines.len() + size > PACK_BYTES) {
                self.freeze(&subject).await;
            }
            if let Some(pack) = self.packs.get_mut(&subject) {
                pack.add(&line.line, &call.answer);
            } else {
                self.serial += 1;
                let mut pack = Pack {
                    kind: line.kind,
                    lines: String::new(),
                    count: 0,
                    waiting: Vec::new(),
                    serial: self.serial,
                };
                pack.add(&line.line, &call.answer);
                self.due.push_back((Instant::now() + LINGER, subject.clone(), self.serial));
                self.packs.insert(subject.clone(), pack);
            }
            if alone || self.packs.get(&subject).is_some_and(|pack| pack.lines.len() >= PACK_BYTES) {
                self.freeze(&subject).await;
            }
        }
        // Under a steady stream of calls nobody waits for the timer, so quiet subjects are frozen here.
        self.freeze_due().await;
    }

    async fn freeze_due(&mut self) {
        let now = Instant::now();
        while let Some((at, ..)) = self.due.front()
            && *at <= now
        {
            let Some((_, subject, serial)) = self.due.pop_front() else { return };
            if self.packs.get(&subject).is_some_and(|pack| pack.serial == serial) {
                self.freeze(&subject).await;
            }
        }
    }

    /// Makes a pack a message and sends it on its way, as soon as fewer than [`IN_FLIGHT`] are.
    async fn freeze(&mut self, subject: &str) {
        let Some(pack) = self.packs.remove(subject) else { return };
        let permit = tokio::select! {
            permit = Arc::clone(&self.in_flight).acquire_owned() => permit.ok(),
            () = self.abandon.cancelled() => None,
        };
        let Some(permit) = permit else {
            pack.waiting.iter().for_each(|(answer, events)| answer.add(*events, false));
            return;
        };
        let numbers = Arc::clone(self.numbers.entry(pack.kind).or_default());
        let (number, acked) = numbers.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Frozen { headers, payload } =
            pack::freeze(pack.lines, pack.count, &format!("{}.{number}", self.id), acked);
        let publication = Publication { subject: subject.to_owned(), headers, payload };
        let message = Unacknowledged { publication, number, numbers, permit };
        self.tasks.spawn(message.deliver(self.bus.clone(), pack.waiting, self.abandon.clone()));
    }
}

impl Pack {
    fn add(&mut self, line: &str, answer: &Arc<Answer>) {
        if self.count > 0 {
            self.lines.push('\n');
        }
        self.lines.push_str(line);
        self.count += 1;
        match self.waiting.last_mut() {
            Some((last, events)) if Arc::ptr_eq(last, answer) => *events += 1,
            _ => self.waiting.push((Arc::clone(answer), 1)),
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
