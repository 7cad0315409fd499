//! What has been decided lately. Pure: receipts and time are arguments.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lictor_wire::{ActionKey, Decision, Entity, Receipt, ReceiptStep};

/// What has been decided lately, by all enforcers together: read from the receipts stream.
#[derive(Debug, Default)]
pub(crate) struct History {
    progress: HashMap<ActionKey, Progress>,
    order: VecDeque<ActionKey>,
    acted: HashMap<(String, String), VecDeque<Timestamp>>,
}

/// How far an action is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It was decided for; its outcome is not published yet.
    Decided,
    /// It was refused, or its outcome is published.
    Finished,
}

/// Actions remembered, to recognise a verdict that is delivered again. A repeated receipt has the same id, so readers of
/// receipts recognise older ones; remembering them here only saves the repeat. About 10 MB at most.
const REMEMBERED: usize = 65_536;

impl History {
    /// Adds a receipt, of this enforcer or another. A repeated one changes nothing.
    pub(crate) fn add(&mut self, receipt: &Receipt) {
        let progress = match &receipt.step {
            ReceiptStep::Decision(Decision::Act | Decision::DryRun) => Progress::Decided,
            ReceiptStep::Decision(Decision::Refuse { .. }) | ReceiptStep::Outcome(_) => Progress::Finished,
        };
        let known = self.progress.get(&receipt.action_key).copied();
        if known.is_none() {
            self.order.push_back(receipt.action_key.clone());
            if self.order.len() > REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.progress.remove(&oldest);
            }
        }
        if known != Some(Progress::Finished) {
            self.progress.insert(receipt.action_key.clone(), progress);
        }
        if known.is_none() && progress == Progress::Decided {
            self.acted.entry(place(&receipt.entity)).or_default().push_back(receipt.at);
        }
    }

    /// How far an action is; `None` when no enforcer has decided about it.
    pub(crate) fn progress(&self, key: &ActionKey) -> Option<Progress> {
        self.progress.get(key).copied()
    }

    /// Forgets actions that are out of the window.
    pub(crate) fn forget(&mut self, window: Duration, now: Timestamp) {
        self.acted.retain(|_, times| {
            times.retain(|at| within(*at, window, now));
            !times.is_empty()
        });
    }

    pub(crate) fn acted_within(&self, entity: &Entity, window: Duration, now: Timestamp) -> usize {
        let times = self.acted.get(&place(entity));
        times.map_or(0, |times| times.iter().filter(|at| within(**at, window, now)).count())
    }
}

/// What the blast radius is counted over: one namespace of one cluster.
fn place(entity: &Entity) -> (String, String) {
    let cluster = entity.cluster().map(|cluster| cluster.as_str().to_owned()).unwrap_or_default();
    (cluster, entity.namespace().to_owned())
}

fn within(at: Timestamp, window: Duration, now: Timestamp) -> bool {
    now.duration_since(at) <= SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::tests::receipt;

    #[test]
    fn an_action_is_finished_when_its_end_is_written() {
        let mut history = History::default();
        let decided = receipt(1, "2026-01-01T00:05:00Z");
        let ended =
            Receipt { step: ReceiptStep::Outcome(lictor_wire::Outcome::NotExecuted), ..decided.clone() };
        assert_eq!(history.progress(&decided.action_key), None);
        history.add(&decided);
        assert_eq!(history.progress(&decided.action_key), Some(Progress::Decided));
        history.add(&ended);
        history.add(&decided);
        assert_eq!(history.progress(&decided.action_key), Some(Progress::Finished));
    }
}
