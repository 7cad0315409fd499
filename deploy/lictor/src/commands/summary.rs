//! What one run saw, judged and decided: the answer of `lictor up --once`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use lictor_store::{AlertFilter, Cursor, Ledger, LedgerError, Page, ReceiptFilter};
use lictor_wire::{Decision, Evidence, Outcome, ReceiptStep};
use serde::Serialize;

use crate::cli::Output;
use crate::exit::Failure;
use crate::text;

/// Alerts and receipts read at a time.
const PAGE: usize = 500;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    /// Events published, by kind.
    events: BTreeMap<String, u64>,
    /// Lines that could not be read or judged.
    dead_letters: u64,
    /// Violations by policy and entity, sorted.
    violations: Vec<ViolationRow>,
    /// What was decided about them, by policy, entity, action and step, sorted.
    receipts: Vec<ReceiptRow>,
    /// How fast it went.
    rates: Rates,
}

#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
struct ViolationRow {
    policy: String,
    entity: String,
    severity: String,
    stage: String,
    count: u64,
    evidence: BTreeSet<Evidence>,
}

#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
struct ReceiptRow {
    policy: String,
    entity: String,
    action: String,
    what: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// All of it in words.
    #[serde(skip)]
    told: String,
    count: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rates {
    seconds: f64,
    events_per_second: f64,
}

impl Summary {
    /// Reads what the store of this run holds.
    pub(super) fn gather(
        store: &Path,
        events: BTreeMap<String, u64>,
        took: Duration,
    ) -> Result<Self, Failure> {
        let ledger = Ledger::open(&super::up::ledger_file(store)).map_err(Failure::unreachable)?;
        let published: u64 = events.values().sum();
        let seconds = took.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
        let events_per_second = published as f64 / seconds.max(0.001);
        Ok(Self {
            events,
            dead_letters: ledger.totals().map_err(Failure::unreachable)?.dead_letters,
            violations: violations(&ledger)?,
            receipts: receipts(&ledger)?,
            rates: Rates { seconds, events_per_second },
        })
    }

    pub(super) fn show(&self, output: Output) -> Result<(), Failure> {
        match output {
            Output::Json => text::line(&serde_json::to_string_pretty(self).map_err(Failure::unreachable)?),
            Output::Table => self.show_table(),
        }
        Ok(())
    }

    fn show_table(&self) {
        let events: Vec<String> = self.events.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        text::line(&format!("\nevents: {}; dead letters: {}", events.join(", "), self.dead_letters));
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING).set_header(["severity", "count", "policy", "entity"]);
        for row in &self.violations {
            let severity = row.severity.trim_end_matches("_SEVERITY").to_owned();
            table.add_row([
                severity,
                row.count.to_string(),
                text::plain(&row.policy),
                text::plain(&row.entity),
            ]);
        }
        text::line(&table.to_string());
        for row in &self.receipts {
            text::line(&format!("{}: {}", text::plain(&row.entity), text::plain(&row.told)));
        }
        text::line(&format!("{:.1} s, {:.0} events/s", self.rates.seconds, self.rates.events_per_second));
    }
}

/// Everything of the ledger's pages.
fn all<T>(page: impl Fn(Option<&Cursor>) -> Result<Page<T>, LedgerError>) -> Result<Vec<T>, Failure> {
    let (mut items, mut after) = (Vec::new(), None);
    loop {
        let page = page(after.as_ref()).map_err(Failure::unreachable)?;
        items.extend(page.items);
        match page.next {
            Some(next) => after = Some(next.parse().map_err(Failure::unreachable)?),
            None => return Ok(items),
        }
    }
}

fn violations(ledger: &Ledger) -> Result<Vec<ViolationRow>, Failure> {
    let mut rows = Vec::new();
    for summary in all(|after| ledger.alerts(&AlertFilter::default(), after, PAGE))? {
        let alert = ledger.alert(&summary.id).map_err(Failure::unreachable)?;
        let sections =
            alert.iter().flat_map(|alert| &alert.violations).flat_map(|violation| &violation.sections);
        rows.push(ViolationRow {
            policy: summary.policy.name.clone(),
            entity: summary.entity.display_name(),
            severity: summary.policy.severity.to_string(),
            stage: summary.lifecycle_stage.to_string(),
            count: summary.count,
            evidence: sections.flat_map(|section| section.evidence.iter().cloned()).collect(),
        });
    }
    rows.sort();
    Ok(rows)
}

fn receipts(ledger: &Ledger) -> Result<Vec<ReceiptRow>, Failure> {
    let mut rows = BTreeMap::new();
    for stored in all(|after| ledger.receipts(&ReceiptFilter::default(), after, PAGE))? {
        let receipt = stored.receipt;
        let told = text::step(&receipt);
        let (what, reason) = match receipt.step {
            ReceiptStep::Decision(Decision::Act) => ("decided: act", String::new()),
            ReceiptStep::Decision(Decision::DryRun) => ("decided: dry run", String::new()),
            ReceiptStep::Decision(Decision::Refuse { reason, .. }) => ("refused", reason),
            ReceiptStep::Outcome(Outcome::NotExecuted) => ("outcome: not executed", String::new()),
            ReceiptStep::Outcome(Outcome::AlreadyDone) => ("outcome: already done", String::new()),
            ReceiptStep::Outcome(Outcome::Succeeded { change }) => ("outcome: succeeded", change),
            ReceiptStep::Outcome(Outcome::Failed { message }) => ("outcome: failed", message),
        };
        let row = ReceiptRow {
            policy: receipt.policy.name,
            entity: receipt.entity.display_name(),
            action: receipt.action.to_string(),
            what: what.to_owned(),
            reason,
            told,
            count: 0,
        };
        *rows.entry(row).or_insert(0) += 1;
    }
    Ok(rows.into_iter().map(|(row, count)| ReceiptRow { count, ..row }).collect())
}
