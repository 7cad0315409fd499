//! The ledger against the naive twin: random logs, in random batches, with random restarts.

use std::collections::BTreeMap;

use lictor_store::{Ledger, Log, Record};
use lictor_wire::policy::{EnforcementAction, LifecycleStage};
use lictor_wire::{
    Cause, Decision, Kind, Outcome, PolicyFailure, Receipt, ReceiptStep, Refusal, Undecided, Verdict,
};
use proptest::prelude::*;

use crate::naive::Naive;
use crate::support::{clean, entry, in_pod, memory, policy, receipt, shown, with, with_action, workload};

/// Something a log holds.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Verdict(Box<Verdict>),
    Receipt(Box<Receipt>),
    /// An earlier one of the list, again.
    Again(usize),
}

const WORKLOADS: [&str; 2] = ["web", "db"];
const POLICIES: [&str; 3] = ["p", "q", "r"];
const FOUND: [&str; 2] = ["one", "two"];

/// Violations as (policy, how far its revision lies behind what was read, evidence).
fn violations() -> impl Strategy<Value = Vec<(usize, u64, usize)>> {
    prop::collection::vec((0..POLICIES.len(), 0..2_u64, 0..FOUND.len()), 0..3)
}

fn add(mut verdict: Verdict, violations: &[(usize, u64, usize)]) -> Verdict {
    for (index, (name, behind, found)) in violations.iter().enumerate() {
        if violations[..index].iter().all(|(before, ..)| before != name) {
            let policy = policy(POLICIES[*name], verdict.revisions.policies - behind);
            verdict = with(verdict, policy, FOUND[*found]);
        }
    }
    verdict
}

fn a_condition() -> impl Strategy<Value = Verdict> {
    let read = (0..5_u64, 0..3_u64, 5..9_u64);
    let unknown = prop::option::weighted(0.2, (0..POLICIES.len(), any::<bool>()));
    (0..WORKLOADS.len(), 0..8_i64, read, violations(), unknown, 0..12_u8).prop_map(
        |(name, event, (deployment, images, policies), violating, unknown, dice)| {
            let read = [deployment, images, policies];
            let blank =
                clean(LifecycleStage::Deploy, workload(WORKLOADS[name]), &format!("d{event}"), event, read);
            let mut verdict = add(blank, &violating);
            if let Some((name, failed)) = unknown {
                let policy = policy(POLICIES[name], policies);
                if failed {
                    verdict.failures.push(PolicyFailure { policy, message: "no".to_owned() });
                } else {
                    verdict.undecided.push(Undecided { policy, missing: vec!["scan".to_owned()] });
                }
            }
            match dice {
                0 => verdict.gone = true,
                1 => verdict.cause = Cause::Replay,
                2 => verdict.event.kind = Kind::Request,
                3 => {
                    verdict.event.kind = Kind::Request;
                    verdict = with_action(verdict, EnforcementAction::ScaleToZero);
                }
                _ => {}
            }
            verdict
        },
    )
}

fn an_occurrence() -> impl Strategy<Value = Verdict> {
    (0..WORKLOADS.len(), 0..90_i64, 5..9_u64, violations(), 0..20_u8).prop_map(
        |(name, event, policies, violating, dice)| {
            let pod = format!("pod-{}", event % 3);
            let entity = in_pod(WORKLOADS[name], &pod);
            let id = format!("r{event}");
            let blank = clean(LifecycleStage::Runtime, entity, &id, event % 50, [1, 1, policies]);
            let mut verdict = add(blank, &violating);
            match dice {
                0 => verdict.cause = Cause::Draft,
                1 => {
                    verdict.event.kind = Kind::Request;
                    verdict = with_action(verdict, EnforcementAction::FailKubeRequest);
                }
                2 => verdict.gone = true,
                _ => {}
            }
            verdict
        },
    )
}

fn a_receipt() -> impl Strategy<Value = Option<Receipt>> {
    let about = prop_oneof![a_condition(), an_occurrence()];
    (about, 0..4_u8, any::<bool>(), 0..9_i64).prop_map(|(verdict, step, kill, at)| {
        let step = match step {
            0 => ReceiptStep::Decision(Decision::Act),
            1 => ReceiptStep::Decision(Decision::Refuse {
                refusal: Refusal::BlastRadius,
                reason: "enough".to_owned(),
            }),
            2 => ReceiptStep::Outcome(Outcome::Succeeded { change: "gone".to_owned() }),
            _ => ReceiptStep::Outcome(Outcome::AlreadyDone),
        };
        let action = if kill { EnforcementAction::KillPod } else { EnforcementAction::ScaleToZero };
        (!verdict.violations.is_empty()).then(|| receipt(&verdict, action, step, at))
    })
}

pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let verdict = |verdict| Step::Verdict(Box::new(verdict));
    prop::collection::vec(
        prop_oneof![
            4 => a_condition().prop_map(verdict),
            6 => an_occurrence().prop_map(verdict),
            2 => a_receipt().prop_filter_map("no violation", |r| r.map(|r| Step::Receipt(Box::new(r)))),
            1 => (0..most).prop_map(Step::Again),
        ],
        1..most,
    )
}

/// The two logs the steps make, each with where in the other it was written.
#[derive(Default)]
pub(crate) struct Logs {
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) receipts: Vec<Receipt>,
}

pub(crate) fn logs(steps: &[Step]) -> Logs {
    let mut logs = Logs::default();
    for step in steps {
        let step = match step {
            Step::Again(index) => &steps[index % steps.len()],
            step => step,
        };
        match step {
            Step::Verdict(verdict) => logs.verdicts.push(verdict.as_ref().clone()),
            Step::Receipt(receipt) => logs.receipts.push(receipt.as_ref().clone()),
            Step::Again(_) => {}
        }
    }
    logs
}

/// Applies messages `from..to` (counted from 0) of a log.
pub(crate) fn feed(ledger: &Ledger, logs: &Logs, log: Log, from: usize, to: usize) -> bool {
    let record = |index: usize| match log {
        Log::Verdicts => Record::Verdict(Box::new(logs.verdicts[index].clone())),
        _ => Record::Receipt(Box::new(logs.receipts[index].clone())),
    };
    let entries: Vec<_> = (from..to).map(|index| entry(index as u64 + 1, record(index))).collect();
    ledger.apply(log, &entries).is_ok()
}

/// What the naive twin shows after that many verdicts and receipts.
pub(crate) fn expected(logs: &Logs, verdicts: usize, receipts: usize) -> BTreeMap<String, serde_json::Value> {
    let mut naive = Naive::default();
    logs.verdicts[..verdicts].iter().for_each(|verdict| naive.verdict(verdict));
    logs.receipts[..receipts].iter().for_each(|receipt| naive.receipt(receipt));
    naive.shown()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_agrees_with_the_naive_twin(
        steps in steps(160),
        cuts in prop::collection::vec((1..24_usize, any::<bool>(), 0..6_u8), 60),
    ) {
        let logs = logs(&steps);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.redb");
        let mut ledger = Ledger::open(&path).unwrap();
        let (mut verdicts, mut receipts) = (0, 0);
        for (many, which, dice) in cuts {
            let (log, at, all) = if which {
                (Log::Verdicts, &mut verdicts, logs.verdicts.len())
            } else {
                (Log::Receipts, &mut receipts, logs.receipts.len())
            };
            let to = all.min(*at + many);
            // Now and then a batch begins again some messages back.
            let from = if dice == 1 { at.saturating_sub(5) } else { *at };
            prop_assert!(feed(&ledger, &logs, log, from, to));
            *at = to;
            if dice == 0 {
                drop(ledger);
                ledger = Ledger::open(&path).unwrap();
            }
            if dice == 2 {
                prop_assert_eq!(shown(&ledger), expected(&logs, verdicts, receipts));
            }
        }
        prop_assert!(feed(&ledger, &logs, Log::Verdicts, verdicts, logs.verdicts.len()));
        prop_assert!(feed(&ledger, &logs, Log::Receipts, receipts, logs.receipts.len()));
        prop_assert_eq!(shown(&ledger), expected(&logs, logs.verdicts.len(), logs.receipts.len()));

        // A store built from an empty file, receipts first, shows the same bytes.
        let rebuilt = memory();
        prop_assert!(feed(&rebuilt, &logs, Log::Receipts, 0, logs.receipts.len()));
        prop_assert!(feed(&rebuilt, &logs, Log::Verdicts, 0, logs.verdicts.len()));
        let bytes = |ledger: &Ledger| serde_json::to_vec(&shown(ledger)).unwrap();
        prop_assert_eq!(bytes(&rebuilt), bytes(&ledger));
        prop_assert_eq!(rebuilt.violation_ids().unwrap(), ledger.violation_ids().unwrap());
    }
}
