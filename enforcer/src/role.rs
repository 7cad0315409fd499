//! The role: takes verdicts, plans, guards, and writes receipts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Args;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use lictor_bus::{
    Backoff, Bus, BusError, Delivery, IntakeOptions, Line, LineOutcome, LogEntry, LogReader, ReadFrom,
    new_presence,
};
use lictor_cluster::Protected;
use lictor_detection::{PoliciesInForce, PolicyStatus};
use lictor_serve::Handle;
use lictor_wire::topology::{Consumer, Stream};
use lictor_wire::{Decision, Outcome, Presence, Receipt, ReceiptStep, Verdict};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::guard::{Limits, decide};
use crate::history::{History, Progress};
use crate::plan::{Intent, plan};

/// Waits before verdicts are pulled again after an interruption.
const PULL_AGAIN: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// The options of the enforcer.
#[derive(Debug, Clone, Args)]
#[group(id = "enforcer")]
#[command(next_help_heading = "Enforcement")]
pub struct Config {
    /// The namespaces excluded from enforcement.
    #[command(flatten)]
    pub protected: Protected,
    /// Actions per namespace within the window; above it violations are only reported.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub blast_radius: usize,
    /// The window of the blast radius, in seconds.
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    pub blast_window: u64,
    /// Events older than this are not acted on, in seconds.
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    pub stale_after: u64,
}

/// What an enforcer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Verdicts processed.
    pub verdicts: u64,
    /// Actions that the enforcer decided to take.
    pub decided: u64,
    /// Actions refused.
    pub refused: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verdicts, decided, refused } = self;
        write!(f, "{verdicts} verdicts, {decided} actions decided for, {refused} refused")
    }
}

struct Enforcer {
    bus: Bus,
    limits: Limits,
    name: String,
    policies: watch::Receiver<PolicyStatus>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    history: History,
    summary: Summary,
}

impl Config {
    fn limits(&self) -> Limits {
        let names = self.protected.names().into_iter();
        Limits {
            protected_namespaces: names.filter(|name| !name.is_empty()).map(ToOwned::to_owned).collect(),
            blast_radius: self.blast_radius,
            window: Duration::from_secs(self.blast_window),
            stale_after: Duration::from_secs(self.stale_after),
            ..Limits::usual("")
        }
    }
}

/// Runs an enforcer until `stop`. Failed operations are retried.
pub fn run(config: Config, bus: Bus, stop: CancellationToken) -> BoxFuture<'static, Summary> {
    Box::pin(run_until(config, bus, stop))
}

async fn run_until(config: Config, bus: Bus, stop: CancellationToken) -> Summary {
    let stop = stop.child_token();
    let _stopped = stop.clone().drop_guard();
    let limits = config.limits();
    let who = Presence { settings: settings(&limits), ..new_presence("enforcer") };
    let (read, policies) = watch::channel(PolicyStatus::default());
    let (name, state) = (who.instance.clone(), Mutex::default());
    let enforcer = Arc::new(Enforcer { bus, limits, name, policies, state });
    let (ready, handles) = lictor_serve::readiness();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(enforcer.bus.clone().follow_policies(PoliciesInForce::default(), read));
    tasks.spawn(enforcer.clone().wait_for_policies(handles.handle("policies")));
    tasks.spawn(enforcer.clone().follow_receipts(handles.handle("receipts")));
    drop(handles);
    let presenting = tokio::spawn(enforcer.clone().present(who, stop.clone()));
    let pulling = tokio::spawn({
        let (enforcer, stop) = (enforcer.clone(), stop.clone());
        async move {
            if stop.run_until_cancelled(ready.wait()).await.is_some() {
                tracing::info!("enforcer is ready");
                enforcer.pull(stop).await;
            }
        }
    });
    let _ = tokio::join!(pulling, presenting);
    enforcer.state().summary
}

/// The settings that explain why nothing was done, for `doctor`.
fn settings(limits: &Limits) -> BTreeMap<String, Vec<String>> {
    let namespaces = limits.protected_namespaces.iter().cloned().collect();
    BTreeMap::from([("protected namespaces".to_owned(), namespaces)])
}

impl Enforcer {
    /// The state is whole between any two statements that hold it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds the handle until the policies in force are known.
    async fn wait_for_policies(self: Arc<Self>, unread: Handle) {
        let _ = self.policies.clone().wait_for(|status| status.in_force.is_some()).await;
        drop(unread);
    }

    /// Reads what all enforcers decided within the window, and keeps reading. The handle is dropped when everything
    /// that the stream held at the start is known: the blast radius counts all of it from the first verdict on.
    async fn follow_receipts(self: Arc<Self>, unread: Handle) {
        let mut unread = Some(unread);
        let window = SignedDuration::try_from(self.limits.window).unwrap_or(SignedDuration::MAX);
        loop {
            let from = Timestamp::now().checked_sub(window).map_or(ReadFrom::First, ReadFrom::Time);
            let reader = self.bus.read(Stream::Receipts, from, false);
            if let Err(error) = self.read_receipts(reader, &mut unread).await {
                tracing::warn!(%error, "reading the receipts of the blast-radius window again");
            }
        }
    }

    /// Reads until what was read is no longer there.
    async fn read_receipts(
        &self,
        mut reader: LogReader,
        unread: &mut Option<Handle>,
    ) -> Result<(), BusError> {
        while let Some(entry) = reader.next_of_backlog().await {
            self.note(&entry?);
        }
        drop(unread.take());
        while let Some(entry) = reader.next().await {
            self.note(&entry?);
        }
        Ok(())
    }

    fn note(&self, entry: &LogEntry) {
        let receipt = entry
            .body()
            .map_err(|error| error.to_string())
            .and_then(|body| serde_json::from_slice::<Receipt>(&body).map_err(|error| error.to_string()));
        match receipt {
            Ok(receipt) => self.state().history.add(&receipt),
            Err(error) => {
                tracing::warn!(error, sequence = entry.sequence, "cannot read a receipt; it is not counted");
            }
        }
    }

    async fn pull(self: Arc<Self>, stop: CancellationToken) {
        let mut backoff = PULL_AGAIN;
        while !stop.is_cancelled() {
            let mut intake = match self.bus.intake(Consumer::Enforce, IntakeOptions::default()).await {
                Ok(intake) => intake,
                Err(error) => {
                    tracing::warn!(%error, "cannot pull verdicts; retrying");
                    stop.run_until_cancelled(sleep(backoff.fail())).await;
                    continue;
                }
            };
            loop {
                let delivery = tokio::select! {
                    () = stop.cancelled() => return,
                    delivery = intake.next() => delivery,
                };
                match delivery {
                    Some(Ok(delivery)) => {
                        backoff.reset();
                        if let Err(error) = self.handle(delivery).await {
                            tracing::warn!(%error, "cannot process a verdict; it will be delivered again");
                        }
                    }
                    Some(Err(error)) => {
                        tracing::warn!(%error, "pulling verdicts was interrupted; retrying");
                        stop.run_until_cancelled(sleep(backoff.fail())).await;
                        break;
                    }
                    None => break,
                }
            }
            self.state().history.forget(self.limits.window, Timestamp::now());
        }
    }

    /// Publishes heartbeats with the policies in force and the counts.
    async fn present(self: Arc<Self>, who: Presence, stop: CancellationToken) {
        let mut policies = self.policies.clone();
        if stop.run_until_cancelled(policies.wait_for(PolicyStatus::is_read)).await.is_none() {
            return;
        }
        let refresh = |who: &mut Presence| {
            let Summary { verdicts, decided, refused } = self.state().summary;
            self.policies.borrow().report(who);
            who.counts = [("verdicts", verdicts), ("decided", decided), ("refused", refused)]
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count))
                .collect();
        };
        self.bus.heartbeat(who, refresh, stop.cancelled()).await;
    }

    /// Processes one message: it is acknowledged once its receipts are published.
    async fn handle(&self, delivery: Delivery) -> Result<(), BusError> {
        let mut outcomes = Vec::with_capacity(delivery.lines.len());
        for line in &delivery.lines {
            let verdict = match line.read() {
                Ok(Line::Verdict(verdict)) => verdict,
                Ok(_) => {
                    outcomes.push(LineOutcome::dead("not a verdict"));
                    continue;
                }
                Err(bad) => {
                    outcomes.push(bad.into());
                    continue;
                }
            };
            for receipt in self.receipts(&verdict, Timestamp::now()) {
                self.bus.publish_receipt(&receipt).await?;
                self.state().history.add(&receipt);
            }
            self.state().summary.verdicts += 1;
            outcomes.push(LineOutcome::judged(Vec::new()));
        }
        delivery.settle(outcomes).await
    }

    /// The receipts that are still to be published about a verdict: none when it is a repeat, the outcome alone when an
    /// enforcer stopped between decision and outcome.
    fn receipts(&self, verdict: &Verdict, now: Timestamp) -> Vec<Receipt> {
        let policies = self.policies.borrow().in_force.clone().unwrap_or_default();
        let mut state = self.state();
        let mut receipts = Vec::new();
        let mut beside = 0;
        for intent in plan(verdict) {
            match state.history.progress(&intent.key()) {
                Some(Progress::Finished) => continue,
                Some(Progress::Decided) => {}
                None => {
                    let policy = policies.text(&intent.violation.policy.id);
                    let decision = decide(&intent, &self.limits, &state.history, beside, policy, now);
                    let refused = matches!(decision, Decision::Refuse { .. });
                    receipts.push(self.receipt(&intent, ReceiptStep::Decision(decision), now));
                    if refused {
                        state.summary.refused += 1;
                        continue;
                    }
                    state.summary.decided += 1;
                    beside += 1;
                }
            }
            receipts.push(self.receipt(&intent, ReceiptStep::Outcome(Outcome::NotExecuted), now));
        }
        receipts
    }

    fn receipt(&self, intent: &Intent<'_>, step: ReceiptStep, now: Timestamp) -> Receipt {
        let action_key = intent.key();
        Receipt {
            id: Receipt::id_of(&action_key, &step),
            action_key,
            violation: intent.violation.id.clone(),
            verdict: intent.verdict.id.clone(),
            policy: intent.violation.policy.clone(),
            entity: intent.verdict.entity.clone(),
            action: intent.action,
            step,
            at: now,
            enforcer: self.name.clone(),
        }
    }
}
