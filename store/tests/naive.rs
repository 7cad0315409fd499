//! The rules once more, without tables, indexes or thought of cost: what the ledger must agree with.

use std::collections::BTreeMap;

use lictor_store::{
    ActionSummary, Alert, AlertState, AlertSummary, AlertViolation, LastReceipt, UndecidedNote,
};
use lictor_wire::policy::{EnforcementAction, LifecycleStage};
use lictor_wire::{
    AlertId, Cause, Decision, Entity, Fingerprint, Kind, Outcome, Receipt, ReceiptId, ReceiptStep, Revisions,
    Verdict, Violation, ViolationId,
};

#[derive(Default)]
pub(crate) struct Naive {
    alerts: Vec<(AlertSummary, Vec<AlertViolation>)>,
    seen: BTreeMap<ViolationId, (u64, Option<AlertId>)>,
    entities: BTreeMap<String, (Revisions, bool)>,
    receipts: BTreeMap<ReceiptId, Receipt>,
}

impl Naive {
    pub(crate) fn receipt(&mut self, receipt: &Receipt) {
        self.receipts.entry(receipt.id.clone()).or_insert_with(|| receipt.clone());
    }

    pub(crate) fn verdict(&mut self, verdict: &Verdict) {
        if [Cause::Replay, Cause::Draft].contains(&verdict.cause) {
            return;
        }
        let request = verdict.event.kind == Kind::Request;
        match verdict.stage {
            LifecycleStage::Deploy if !request => return self.is(verdict),
            LifecycleStage::Runtime if verdict.gone => return self.is(verdict),
            _ => {}
        }
        for violation in &verdict.violations {
            let asks = |action| violation.enforcement.contains(&action);
            let denied = request
                && match verdict.stage {
                    LifecycleStage::Runtime => asks(EnforcementAction::FailKubeRequest),
                    _ => asks(EnforcementAction::ScaleToZero),
                };
            let known = self.seen.get(&violation.id).cloned();
            self.see(violation);
            if verdict.stage == LifecycleStage::Deploy && !denied {
                continue;
            }
            match known {
                Some((revision, Some(alert))) if violation.policy.revision > revision => {
                    let (summary, violations) =
                        self.alerts.iter_mut().find(|(summary, _)| summary.id == alert).unwrap();
                    if violation.policy.revision > summary.policy.revision {
                        summary.policy = violation.policy.clone();
                    }
                    for old in violations {
                        if old.id == violation.id {
                            *old = evidence(verdict, violation);
                        }
                    }
                }
                Some((revision, _)) if violation.policy.revision <= revision => {}
                _ => self.happened(verdict, violation, denied),
            }
        }
    }

    fn see(&mut self, violation: &Violation) {
        let (revision, _) = self.seen.entry(violation.id.clone()).or_default();
        *revision = (*revision).max(violation.policy.revision);
    }

    fn give(&mut self, violation: &Violation, alert: &AlertId) {
        self.see(violation);
        self.seen.get_mut(&violation.id).unwrap().1.get_or_insert_with(|| alert.clone());
    }

    fn is(&mut self, verdict: &Verdict) {
        for violation in &verdict.violations {
            self.see(violation);
        }
        let key = verdict.entity.key();
        let (read, was_gone) = self.entities.get(&key).copied().unwrap_or_default();
        if self.entities.contains_key(&key) && !verdict.revisions.newer_in_any(&read) {
            return;
        }
        self.entities.insert(key.clone(), (read.newest(&verdict.revisions), verdict.gone));
        if was_gone != verdict.gone {
            for (summary, _) in &mut self.alerts {
                if summary.entity.key() == key && summary.state != AlertState::Resolved {
                    summary.inactive = verdict.gone;
                }
            }
        }
        let holding: Vec<&Violation> =
            if verdict.gone { Vec::new() } else { verdict.violations.iter().collect() };
        for violation in &holding {
            let open = self.open(verdict, violation, false);
            let Some(index) = open else {
                self.begin(verdict, violation, AlertState::Active);
                continue;
            };
            let (summary, shown) = &mut self.alerts[index];
            let id = summary.id.clone();
            if violation.policy.revision < summary.policy.revision {
                continue;
            }
            let differs = shown[0].sections != violation.sections;
            if differs || summary.policy != violation.policy {
                summary.policy = violation.policy.clone();
                summary.entity = plain(&verdict.entity);
                if differs {
                    summary.time = summary.time.max(verdict.event.time);
                }
                *shown = vec![evidence(verdict, violation)];
            }
            summary.undecided = None;
            self.give(violation, &id);
        }
        for (summary, _) in &mut self.alerts {
            if summary.entity.key() != key
                || summary.state != AlertState::Active
                || summary.lifecycle_stage != LifecycleStage::Deploy
                || holding.iter().any(|violation| violation.policy.id == summary.policy.id)
            {
                continue;
            }
            if !verdict.gone {
                if verdict.revisions.policies < summary.policy.revision {
                    continue;
                }
                let missing = verdict.undecided.iter().find(|u| u.policy.id == summary.policy.id);
                let failure = verdict.failures.iter().find(|f| f.policy.id == summary.policy.id);
                if missing.is_some() || failure.is_some() {
                    summary.undecided = Some(UndecidedNote {
                        at: verdict.judged_at,
                        missing: missing.map(|u| u.missing.clone()).unwrap_or_default(),
                        failure: failure.map(|f| f.message.clone()),
                    });
                    continue;
                }
            }
            summary.state = AlertState::Resolved;
            summary.resolved_at = Some(verdict.judged_at);
            summary.undecided = None;
        }
    }

    fn happened(&mut self, verdict: &Verdict, violation: &Violation, attempt: bool) {
        let Some(index) = self.open(verdict, violation, attempt) else {
            let state = if attempt { AlertState::Attempted } else { AlertState::Active };
            return self.begin(verdict, violation, state);
        };
        let (summary, shown) = &mut self.alerts[index];
        let id = summary.id.clone();
        summary.count += 1;
        summary.time = summary.time.max(verdict.event.time);
        summary.first_occurred = summary.first_occurred.min(verdict.event.time);
        if violation.policy.revision > summary.policy.revision {
            summary.policy = violation.policy.clone();
        }
        shown.push(evidence(verdict, violation));
        shown.sort_by(|a, b| (b.time, &b.id).cmp(&(a.time, &a.id)));
        if shown[0].id == violation.id {
            summary.entity = plain(&verdict.entity);
        }
        self.give(violation, &id);
    }

    fn open(&self, verdict: &Verdict, violation: &Violation, attempt: bool) -> Option<usize> {
        self.alerts.iter().position(|(summary, _)| {
            summary.state != AlertState::Resolved
                && (summary.state == AlertState::Attempted) == attempt
                && summary.policy.id == violation.policy.id
                && summary.lifecycle_stage == verdict.stage
                && summary.entity.key() == verdict.entity.key()
        })
    }

    fn begin(&mut self, verdict: &Verdict, violation: &Violation, state: AlertState) {
        let key = verdict.entity.key();
        let id: AlertId = Fingerprint::new(if state == AlertState::Attempted { "attempt" } else { "alert" })
            .part(&violation.policy.id)
            .part(verdict.stage.as_str())
            .part(&key)
            .part(&violation.id)
            .into();
        let time = verdict.event.time;
        let before = self.alerts.iter().position(|(summary, _)| summary.id == id);
        let before = before.map(|index| self.alerts.remove(index).0);
        let summary = AlertSummary {
            id: id.clone(),
            policy: violation.policy.clone(),
            lifecycle_stage: verdict.stage,
            entity: plain(&verdict.entity),
            state,
            first_occurred: before.as_ref().map_or(time, |before| before.first_occurred),
            time: before.as_ref().map_or(time, |before| before.time.max(time)),
            resolved_at: None,
            count: 1,
            enforcement: Vec::new(),
            inactive: self.entities.get(&key).is_some_and(|(_, gone)| *gone),
            undecided: None,
        };
        self.alerts.push((summary, vec![evidence(verdict, violation)]));
        self.give(violation, &id);
    }

    /// Every alert as the API would show it, by id.
    pub(crate) fn shown(&self) -> BTreeMap<String, serde_json::Value> {
        let shown = self.alerts.iter().map(|(summary, violations)| {
            let mut alert =
                Alert { summary: summary.clone(), violations: violations.iter().take(40).cloned().collect() };
            alert.summary.enforcement = self.enforcement(&summary.id);
            (summary.id.as_str().to_owned(), serde_json::to_value(alert).unwrap())
        });
        shown.collect()
    }

    fn enforcement(&self, alert: &AlertId) -> Vec<ActionSummary> {
        let mut actions: BTreeMap<EnforcementAction, ActionSummary> = BTreeMap::new();
        for receipt in self.receipts.values() {
            let of = self.seen.get(&receipt.violation).and_then(|(_, alert)| alert.as_ref());
            if of != Some(alert) {
                continue;
            }
            let (step, message) = match &receipt.step {
                ReceiptStep::Decision(Decision::Act) => ("act", ""),
                ReceiptStep::Decision(Decision::DryRun) => ("dryRun", ""),
                ReceiptStep::Decision(Decision::Refuse { reason, .. }) => {
                    ("refused.blastRadius", reason.as_str())
                }
                ReceiptStep::Outcome(Outcome::Succeeded { change }) => ("succeeded", change.as_str()),
                ReceiptStep::Outcome(Outcome::AlreadyDone) => ("alreadyDone", ""),
                ReceiptStep::Outcome(Outcome::Failed { message }) => ("failed", message.as_str()),
                ReceiptStep::Outcome(Outcome::NotExecuted) => ("notExecuted", ""),
            };
            let last = LastReceipt {
                at: receipt.at,
                id: receipt.id.clone(),
                step: step.to_owned(),
                message: message.to_owned(),
            };
            let action = actions.entry(receipt.action).or_insert_with(|| ActionSummary {
                action: receipt.action,
                counts: BTreeMap::new(),
                last: last.clone(),
            });
            *action.counts.entry(step.to_owned()).or_default() += 1;
            action.last = action.last.clone().max(last);
        }
        actions.into_values().collect()
    }
}

fn evidence(verdict: &Verdict, violation: &Violation) -> AlertViolation {
    let pod = match &verdict.entity {
        Entity::Deployment { pod, .. } => pod.clone(),
        _ => None,
    };
    AlertViolation {
        id: violation.id.clone(),
        time: verdict.event.time,
        verdict: verdict.id.clone(),
        event: verdict.event.clone(),
        policy_revision: violation.policy.revision,
        pod,
        sections: violation.sections.clone(),
        enforcement: violation.enforcement.clone(),
        admission: verdict.admission.clone(),
    }
}

fn plain(entity: &Entity) -> Entity {
    let mut entity = entity.clone();
    if let Entity::Deployment { pod, .. } = &mut entity {
        *pod = None;
    }
    entity
}
