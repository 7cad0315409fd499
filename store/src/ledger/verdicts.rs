//! How verdicts become alerts.
//!
//! Everything here is decided by the verdict and what the tables hold; times are those the verdict brings. So all
//! stores that read the same log hold the same alerts.

use lictor_wire::policy::{EnforcementAction, LifecycleStage};
use lictor_wire::{AlertId, Cause, Entity, Fingerprint, Kind, Verdict, Violation};

use super::error::Result;
use super::tables::Tables;
use crate::alert::{AlertState, AlertSummary, AlertViolation, UndecidedNote, VIOLATIONS_SHOWN};
use crate::rows::{AlertRow, Change, EntityRow, ShownViolation, Slot};

/// Applies one verdict.
pub(super) fn apply(tables: &mut Tables<'_>, verdict: &Verdict) -> Result<()> {
    if matches!(verdict.cause, Cause::Replay | Cause::Draft) {
        return Ok(());
    }
    match verdict.stage {
        // Builds are answered where they are checked; no alert follows.
        LifecycleStage::Build => {
            verdict.violations.iter().try_for_each(|violation| note(tables, violation).map(|_known| ()))
        }
        // A request for a workload says what would be; what is, the watch says.
        LifecycleStage::Deploy if verdict.event.kind == Kind::Request => attempts(tables, verdict),
        LifecycleStage::Deploy => condition(tables, verdict),
        LifecycleStage::Runtime if verdict.gone => condition(tables, verdict),
        LifecycleStage::Runtime => verdict.violations.iter().try_for_each(|violation| {
            let slot = if is_attempt(verdict, violation) { Slot::RuntimeAttempt } else { Slot::Runtime };
            happened(tables, verdict, violation, slot)
        }),
    }
}

// === what is: deploy ===

/// A judgement of a workload as it is: it opens, changes and resolves.
fn condition(tables: &mut Tables<'_>, verdict: &Verdict) -> Result<()> {
    let entity = verdict.entity.key();
    for violation in &verdict.violations {
        note(tables, violation)?;
    }
    let known = tables.entity(&entity)?;
    if known.is_some_and(|known| !verdict.revisions.newer_in_any(&known.revisions)) {
        return Ok(());
    }
    let known = known.unwrap_or_default();
    let row = EntityRow { revisions: verdict.revisions.newest(&known.revisions), gone: verdict.gone };
    tables.put_entity(&entity, &row)?;
    if known.gone != verdict.gone {
        presence(tables, &entity, verdict.gone)?;
    }
    if !verdict.gone {
        for violation in &verdict.violations {
            holds(tables, verdict, violation, &entity)?;
        }
    }
    for (policy, alert) in tables.open_alerts(&entity, Slot::Deploy)? {
        let holds = verdict.violations.iter().any(|violation| violation.policy.id == policy);
        if verdict.gone || !holds {
            silence(tables, verdict, &entity, &alert)?;
        }
    }
    Ok(())
}

/// A violation holds: the open alert shows it, or a new one does.
fn holds(tables: &mut Tables<'_>, verdict: &Verdict, violation: &Violation, entity: &str) -> Result<()> {
    let Some(mut row) = tables.open_alert(entity, Slot::Deploy, &violation.policy.id)? else {
        return open_alert(tables, verdict, violation, Slot::Deploy);
    };
    // An evaluator that has not read the policy that far back knows less than the alert says.
    if violation.policy.revision < row.alert.policy.revision {
        return Ok(());
    }
    let shown = match row.shown.first() {
        Some(shown) => tables.evidence(&row.alert.id, &shown.id)?,
        None => None,
    };
    let differs = shown.is_none_or(|shown| shown.sections != violation.sections);
    let edited = row.alert.policy != violation.policy;
    let receipts = assign(tables, violation, &mut row)?;
    if !differs && !edited && !receipts && row.alert.undecided.is_none() {
        return Ok(());
    }
    row.alert.undecided = None;
    if differs || edited {
        let now = shown_violation(verdict, violation);
        if differs {
            row.alert.time = row.alert.time.max(now.time);
        }
        row.alert.policy = violation.policy.clone();
        row.alert.entity = without_pod(&verdict.entity);
        show_only(tables, &mut row, verdict, violation)?;
    }
    tables.put_alert(&row)?;
    tables.changed(&Change::Merged { alert: row.alert.id })
}

/// The judgement does not name an open alert's policy: it resolves, unless nobody knows.
fn silence(tables: &mut Tables<'_>, verdict: &Verdict, entity: &str, alert: &AlertId) -> Result<()> {
    let Some(mut row) = tables.alert(alert)? else { return Ok(()) };
    let policy = row.alert.policy.id.clone();
    if !verdict.gone {
        // Who has not read the policy in the revision that found it says nothing about it.
        if verdict.revisions.policies < row.alert.policy.revision {
            return Ok(());
        }
        if let Some(note) = undecided(verdict, &row) {
            row.alert.undecided = Some(note);
            tables.put_alert(&row)?;
            return tables.changed(&Change::Undecided { alert: row.alert.id });
        }
    }
    row.alert.state = AlertState::Resolved;
    row.alert.resolved_at = Some(verdict.judged_at);
    row.alert.undecided = None;
    tables.remove_open(entity, Slot::Deploy, &policy)?;
    tables.put_alert(&row)?;
    tables.changed(&Change::Resolved { alert: row.alert.id })
}

/// Unknown is not false: a policy without its facts, or whose evaluation failed, resolves nothing.
fn undecided(verdict: &Verdict, row: &AlertRow) -> Option<UndecidedNote> {
    let policy = &row.alert.policy.id;
    let missing = verdict.undecided.iter().find(|undecided| undecided.policy.id == *policy);
    let failure = verdict.failures.iter().find(|failure| failure.policy.id == *policy);
    (missing.is_some() || failure.is_some()).then(|| UndecidedNote {
        at: verdict.judged_at,
        missing: missing.map(|undecided| undecided.missing.clone()).unwrap_or_default(),
        failure: failure.map(|failure| failure.message.clone()),
    })
}

/// The entity was deleted, or exists again: all its open alerts say so.
fn presence(tables: &mut Tables<'_>, entity: &str, gone: bool) -> Result<()> {
    for slot in Slot::ALL {
        for (_, alert) in tables.open_alerts(entity, slot)? {
            if let Some(mut row) = tables.alert(&alert)? {
                row.alert.inactive = gone;
                tables.put_alert(&row)?;
                tables.changed(&Change::Presence { alert })?;
            }
        }
    }
    Ok(())
}

// === what happened: runtime, and requests ===

fn attempts(tables: &mut Tables<'_>, verdict: &Verdict) -> Result<()> {
    for violation in &verdict.violations {
        if is_attempt(verdict, violation) {
            happened(tables, verdict, violation, Slot::DeployAttempt)?;
        } else {
            note(tables, violation)?;
        }
    }
    Ok(())
}

/// Whether the policy asks for such requests to be denied.
fn is_attempt(verdict: &Verdict, violation: &Violation) -> bool {
    use EnforcementAction::{
        FailDeploymentCreate, FailDeploymentUpdate, FailKubeRequest, ScaleToZero, UnsatisfiableNodeConstraint,
    };
    let denies = |action: &EnforcementAction| match verdict.stage {
        LifecycleStage::Runtime => *action == FailKubeRequest,
        LifecycleStage::Deploy | LifecycleStage::Build => matches!(
            action,
            ScaleToZero | UnsatisfiableNodeConstraint | FailDeploymentCreate | FailDeploymentUpdate
        ),
    };
    verdict.event.kind == Kind::Request && violation.enforcement.iter().any(denies)
}

/// Something happened: the open alert counts one more, or a new one begins.
fn happened(tables: &mut Tables<'_>, verdict: &Verdict, violation: &Violation, slot: Slot) -> Result<()> {
    match note(tables, violation)? {
        Noted::Repeat => Ok(()),
        Noted::Newer { alert: Some(alert) } => judged_again(tables, verdict, violation, &alert),
        Noted::New | Noted::Newer { alert: None } => {
            match tables.open_alert(&verdict.entity.key(), slot, &violation.policy.id)? {
                Some(row) => count(tables, verdict, violation, row),
                None => open_alert(tables, verdict, violation, slot),
            }
        }
    }
}

fn count(tables: &mut Tables<'_>, verdict: &Verdict, violation: &Violation, mut row: AlertRow) -> Result<()> {
    let now = shown_violation(verdict, violation);
    row.alert.count += 1;
    row.alert.time = row.alert.time.max(now.time);
    row.alert.first_occurred = row.alert.first_occurred.min(now.time);
    if violation.policy.revision > row.alert.policy.revision {
        row.alert.policy = violation.policy.clone();
    }
    assign(tables, violation, &mut row)?;
    let place = row.shown.partition_point(|shown| *shown > now);
    if place < VIOLATIONS_SHOWN {
        if place == 0 {
            row.alert.entity = without_pod(&verdict.entity);
        }
        row.shown.insert(place, now);
        tables.put_evidence(&row.alert.id, &shown_as(verdict, violation))?;
    }
    while row.shown.len() > VIOLATIONS_SHOWN {
        if let Some(oldest) = row.shown.pop() {
            tables.drop_evidence(&row.alert.id, &oldest.id)?;
        }
    }
    tables.put_alert(&row)?;
    tables.changed(&Change::Merged { alert: row.alert.id })
}

/// A newer revision of the policy judged the same event: what it found replaces what was found, and nothing is
/// counted twice.
fn judged_again(
    tables: &mut Tables<'_>,
    verdict: &Verdict,
    violation: &Violation,
    alert: &AlertId,
) -> Result<()> {
    let Some(mut row) = tables.alert(alert)? else { return Ok(()) };
    if violation.policy.revision > row.alert.policy.revision {
        row.alert.policy = violation.policy.clone();
    }
    if row.shown.iter().any(|shown| shown.id == violation.id) {
        tables.put_evidence(alert, &shown_as(verdict, violation))?;
    }
    tables.put_alert(&row)?;
    tables.changed(&Change::Merged { alert: row.alert.id })
}

// === both ===

/// Whether a violation had been seen.
enum Noted {
    New,
    /// With a lower revision of its policy; the alert it went to.
    Newer {
        alert: Option<AlertId>,
    },
    Repeat,
}

/// Remembers a violation's id with the highest revision of its policy.
fn note(tables: &mut Tables<'_>, violation: &Violation) -> Result<Noted> {
    let revision = violation.policy.revision;
    match tables.violation(&violation.id)? {
        None => {
            tables.put_violation(&violation.id, revision, None)?;
            Ok(Noted::New)
        }
        Some(known) if revision > known.revision => {
            tables.put_violation(&violation.id, revision, known.alert.as_ref())?;
            Ok(Noted::Newer { alert: known.alert })
        }
        Some(_) => Ok(Noted::Repeat),
    }
}

/// Gives a violation to its first alert, with the receipts about it that came before. Whether the alert changed.
///
/// Once given it stays: receipts find their alert the same way whichever of the two logs is read first.
fn assign(tables: &mut Tables<'_>, violation: &Violation, row: &mut AlertRow) -> Result<bool> {
    let known = tables.violation(&violation.id)?;
    if known.as_ref().is_some_and(|known| known.alert.is_some()) {
        return Ok(false);
    }
    let revision = known.map_or(0, |known| known.revision).max(violation.policy.revision);
    tables.put_violation(&violation.id, revision, Some(&row.alert.id))?;
    let receipts = tables.receipts_of(&violation.id)?;
    for receipt in &receipts {
        row.alert.add_receipt(receipt);
    }
    Ok(!receipts.is_empty())
}

fn open_alert(tables: &mut Tables<'_>, verdict: &Verdict, violation: &Violation, slot: Slot) -> Result<()> {
    let entity = verdict.entity.key();
    let now = shown_violation(verdict, violation);
    let (domain, state) = match slot {
        Slot::Deploy | Slot::Runtime => ("alert", AlertState::Active),
        Slot::DeployAttempt | Slot::RuntimeAttempt => ("attempt", AlertState::Attempted),
    };
    let id: AlertId = Fingerprint::new(domain)
        .part(&violation.policy.id)
        .part(verdict.stage.as_str())
        .part(&entity)
        .part(&violation.id)
        .into();
    let inactive = tables.entity(&entity)?.is_some_and(|known| known.gone);
    // There is one where the very violation it began with holds again, after an edit and back, say.
    let mut row = tables.alert(&id)?.unwrap_or_else(|| AlertRow {
        alert: AlertSummary {
            id,
            policy: violation.policy.clone(),
            lifecycle_stage: verdict.stage,
            entity: without_pod(&verdict.entity),
            state,
            first_occurred: now.time,
            time: now.time,
            resolved_at: None,
            count: 1,
            enforcement: Vec::new(),
            inactive,
            undecided: None,
        },
        shown: Vec::new(),
        filed: None,
    });
    row.alert.policy = violation.policy.clone();
    row.alert.entity = without_pod(&verdict.entity);
    row.alert.state = state;
    row.alert.time = row.alert.time.max(now.time);
    row.alert.resolved_at = None;
    row.alert.inactive = inactive;
    show_only(tables, &mut row, verdict, violation)?;
    assign(tables, violation, &mut row)?;
    tables.put_open(&entity, slot, &row.alert)?;
    tables.put_alert(&row)?;
    tables.changed(&Change::Opened { alert: row.alert.id })
}

/// The alert shows this violation and no other.
fn show_only(
    tables: &mut Tables<'_>,
    row: &mut AlertRow,
    verdict: &Verdict,
    violation: &Violation,
) -> Result<()> {
    for before in std::mem::take(&mut row.shown) {
        tables.drop_evidence(&row.alert.id, &before.id)?;
    }
    row.shown.push(shown_violation(verdict, violation));
    tables.put_evidence(&row.alert.id, &shown_as(verdict, violation))
}

fn shown_violation(verdict: &Verdict, violation: &Violation) -> ShownViolation {
    ShownViolation { time: verdict.event.time, id: violation.id.clone() }
}

fn shown_as(verdict: &Verdict, violation: &Violation) -> AlertViolation {
    let pod = if let Entity::Deployment { pod, .. } = &verdict.entity { pod.clone() } else { None };
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

fn without_pod(entity: &Entity) -> Entity {
    let mut entity = entity.clone();
    if let Entity::Deployment { pod, .. } = &mut entity {
        *pod = None;
    }
    entity
}
