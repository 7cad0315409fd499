//! The role: pulls, judges, settles, until it is stopped.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use lictor_bus::{
    Backoff, BadLine, Bus, BusError, Delivery, Fate, Intake, IntakeOptions, Line, LineOutcome, LineText,
    new_presence,
};
use lictor_detection::{
    Judge, JudgeContext, Judgement, JudgementStatus, Policies, PoliciesInForce, PolicyStatus,
};
use lictor_wire::topology::{Consumer, Stream};
use lictor_wire::{
    Cause, Command, CommandAction, Deployment, Event, EventId, EventRef, Fingerprint, Kind, PolicyLogReader,
    Presence, Projection, Verdict,
};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::follow::{Knowledge, NotUpToDate};

/// Deliveries judged and not yet settled, per puller. Settling is one round trip; at 64 events a delivery this keeps
/// a connection busy without holding much that another evaluator could do.
const SETTLING: usize = 64;
/// From so many lines on judging takes longer than handing the work to another thread.
const LINES_WORTH_A_TASK: usize = 8;
/// How long settling may take after the stop signal; what is left is delivered to another evaluator.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);
/// Waits before a puller that failed pulls again.
const PULL_AGAIN: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// What can be configured.
#[derive(Debug, Clone, Default, Args)]
#[group(id = "evaluator")]
pub struct Config {
    /// Aborts the process on this event: for crash tests only, and not in release builds.
    #[cfg(debug_assertions)]
    #[arg(long, hide = true)]
    pub abort_on: Option<String>,
}

/// Why an evaluator ended.
#[derive(Debug, thiserror::Error)]
pub enum EvaluatorError {
    /// The bus did not let it begin.
    #[error("the evaluator cannot begin: {0}")]
    Bus(#[from] BusError),
}

/// What an evaluator did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Events judged.
    pub judged: u64,
    /// Events parked.
    pub parked: u64,
    /// Lines that were dead-lettered.
    pub dead: u64,
    /// Verdicts published.
    pub verdicts: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { judged, parked, dead, verdicts } = self;
        write!(f, "{judged} events judged, {parked} parked, {dead} dead, {verdicts} verdicts")
    }
}

/// Why one message was not settled; it is delivered again.
#[derive(Debug, thiserror::Error)]
enum HandleError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    NotUpToDate(#[from] NotUpToDate),
}

#[derive(Debug, Default)]
struct Counts {
    judged: AtomicU64,
    parked: AtomicU64,
    dead: AtomicU64,
    verdicts: AtomicU64,
}

struct Evaluator {
    bus: Bus,
    knowledge: Knowledge,
    counts: Counts,
    #[cfg_attr(not(debug_assertions), expect(dead_code, reason = "all there is to configure is for tests"))]
    config: Config,
}

/// Runs an evaluator until `stop`, then settles what it has judged.
///
/// # Errors
/// When the bus prevents it from starting; once it runs, failures are retried.
pub fn run(
    config: Config,
    bus: Bus,
    stop: CancellationToken,
) -> BoxFuture<'static, Result<Summary, EvaluatorError>> {
    Box::pin(run_with(config, bus, stop, PoliciesInForce::default()))
}

async fn run_with(
    config: Config,
    bus: Bus,
    stop: CancellationToken,
    policies: impl PolicyLogReader<Snapshot = PolicyStatus>,
) -> Result<Summary, EvaluatorError> {
    let stop = stop.child_token();
    let _stopped = stop.clone().drop_guard();
    let knowledge = Knowledge::follow(&bus, policies);
    let who = new_presence("evaluator");
    let evaluator = Arc::new(Evaluator { bus, knowledge, counts: Counts::default(), config });
    let mut tasks = JoinSet::new();
    tasks.spawn(evaluator.clone().present(who, stop.clone()));
    let ready = tokio::select! {
        () = evaluator.knowledge.complete() => true,
        () = stop.cancelled() => false,
    };
    if ready {
        let policies = evaluator.knowledge.policies().map_or(0, |policies| policies.set.len());
        tracing::info!(policies, "evaluator is ready");
        let consumers = Kind::JUDGED.map(Consumer::Judge).into_iter();
        let others = [Consumer::Retry, Consumer::PolicyChanges, Consumer::EvaluatorCommands];
        for consumer in consumers.chain(others) {
            tasks.spawn(evaluator.clone().pull(consumer, stop.clone()));
        }
        stop.cancelled().await;
    }
    if timeout(DRAIN_WITHIN, tasks.join_all()).await.is_err() {
        tracing::warn!(
            "stopping took too long; unacknowledged messages will be redelivered to another evaluator"
        );
    }
    Ok(evaluator.counts.summary())
}

impl Evaluator {
    /// Pulls from one consumer until `stop`.
    async fn pull(self: Arc<Self>, consumer: Consumer, stop: CancellationToken) {
        let mut backoff = PULL_AGAIN;
        while !stop.is_cancelled() {
            let ended = match self.bus.intake(consumer, IntakeOptions::default()).await {
                Ok(intake) => {
                    backoff.reset();
                    self.clone().pull_from(intake, &stop).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                tracing::warn!(%error, ?consumer, "pulling was interrupted; retrying");
                stop.run_until_cancelled(sleep(backoff.fail())).await;
            }
        }
    }

    async fn pull_from(
        self: Arc<Self>,
        mut intake: Intake,
        stop: &CancellationToken,
    ) -> Result<(), BusError> {
        let mut settling = FuturesUnordered::new();
        let ended = loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break Ok(()),
                Some(()) = settling.next(), if !settling.is_empty() => {}
                delivery = intake.next(), if settling.len() < SETTLING => match delivery {
                    Some(Ok(delivery)) => settling.push(self.clone().handle(delivery)),
                    Some(Err(error)) => break Err(error),
                    None => break Ok(()),
                },
            }
        };
        while settling.next().await.is_some() {}
        ended
    }

    /// Judges one delivery and settles it; a pack in a task of its own, so that the packs of one kind keep as many
    /// cores busy as there are.
    async fn handle(self: Arc<Self>, delivery: Delivery) {
        let worth_a_task = delivery.lines.len() >= LINES_WORTH_A_TASK;
        let work = self.judge_and_settle(delivery);
        let settled = if worth_a_task {
            match AbortOnDropHandle::new(tokio::spawn(work)).await {
                Ok(settled) => settled,
                Err(error) => {
                    return tracing::error!(%error, "judging was aborted; the message is delivered again");
                }
            }
        } else {
            work.await
        };
        if let Err(error) = settled {
            tracing::warn!(%error, "a message was not acknowledged and will be redelivered");
        }
    }

    /// Judges one delivery and settles it. A failure leaves it unacknowledged: it is delivered again.
    async fn judge_and_settle(self: Arc<Self>, delivery: Delivery) -> Result<(), HandleError> {
        let policies = self.knowledge.policies()?;
        let lines: Vec<_> =
            delivery.lines.iter().map(|line| self.read(line, delivery.message.consumer, &policies)).collect();
        // What changes how others are judged is judged with everything there is by now, so that of two changes that
        // cross, one has seen the other.
        let must_be_current = lines.iter().flatten().flatten().any(|line| match line {
            Line::Event(event) => matches!(event.kind(), Kind::Deployment | Kind::Image),
            Line::Policy(_) | Line::Installation | Line::Command(_) => true,
            Line::Verdict(_) | Line::Document(_) => false,
        });
        if must_be_current {
            self.knowledge.bring_up(&self.bus).await?;
        }
        // Bringing up may have brought other policies.
        let policies = if must_be_current { self.knowledge.policies()? } else { policies };
        let mut outcomes = Vec::with_capacity(lines.len());
        let mut last_policy_change = None;
        for line in lines {
            outcomes.push(match line {
                Ok(Some(Line::Event(event))) => self.judge(&event, &delivery, &policies),
                Ok(Some(Line::Policy(_) | Line::Installation)) => {
                    let last = match last_policy_change {
                        Some(last) => last,
                        None => *last_policy_change.insert(self.bus.last_sequence(Stream::Policies).await?),
                    };
                    self.policy_changed(last, &delivery, &policies)
                }
                Ok(Some(Line::Command(command))) => self.commanded(&command, &delivery, &policies),
                Ok(Some(Line::Verdict(_) | Line::Document(_)) | None) => LineOutcome::judged(Vec::new()),
                Err(bad) => bad.into(),
            });
        }
        self.counts.note(&outcomes);
        Ok(delivery.settle(outcomes).await?)
    }

    /// Reads a line; no more than a look for an event that concerns nobody, which leaves nothing to judge.
    fn read(
        &self,
        line: &LineText,
        consumer: Consumer,
        policies: &Policies,
    ) -> Result<Option<Line>, BadLine> {
        let judge = self.judge_with(policies);
        if matches!(consumer, Consumer::Judge(Kind::Process | Kind::Network | Kind::File | Kind::Audit))
            && let Some(projection) = Projection::of(line.text()?)
        {
            #[cfg(debug_assertions)]
            self.abort_if_configured(&projection.id);
            if !judge.passes_prefilter(&projection, Timestamp::now()) {
                return Ok(None);
            }
        }
        line.read().map(Some)
    }

    fn judge(&self, event: &Event, delivery: &Delivery, policies: &Policies) -> LineOutcome {
        #[cfg(debug_assertions)]
        self.abort_if_configured(&event.id);
        let now = Timestamp::now();
        let waited = delivery.message.consumer == Consumer::Retry;
        let (stream, sequence) = delivery.message.origin();
        let context = JudgeContext {
            stream,
            sequence,
            cause: if waited { Cause::Parked } else { Cause::Observed },
            may_wait: !(waited && delivery.message.expired(now)),
            now,
            traceparent: event.traceparent.as_deref(),
        };
        outcome(self.judge_with(policies).event(event, context))
    }

    fn judge_with<'a>(&'a self, policies: &'a Policies) -> Judge<'a> {
        Judge { state: &self.knowledge.state, policies: &policies.set, policies_revision: policies.revision }
    }

    #[cfg(debug_assertions)]
    fn abort_if_configured(&self, event: &EventId) {
        if self.config.abort_on.as_deref() == Some(event.as_str()) {
            tracing::error!(%event, "aborting, as configured");
            std::process::abort();
        }
    }

    /// A policy changed, or another log takes the place of a lost one: every workload is judged again, by whoever got
    /// this message.
    fn policy_changed(&self, last: u64, delivery: &Delivery, policies: &Policies) -> LineOutcome {
        // What is in force is from another log, and its revisions say nothing about this one's. It waits for a person
        // to say what is lost, or for an evaluator that follows.
        if let Some(reason) = &self.knowledge.policy_status().problems.not_followed {
            return LineOutcome::parked(vec![format!("following the policy log: {reason}")]);
        }
        // A later change has every workload judged with this one too; only the last of several has work to do.
        if last > delivery.message.sequence {
            return LineOutcome::judged(Vec::new());
        }
        if policies.revision < delivery.message.sequence {
            return LineOutcome::dead(format!(
                "the policies up to this revision do not compile; workloads were not judged by them, those up to \
                 revision {} are in force",
                policies.revision
            ));
        }
        let id = Fingerprint::new("policy-change")
            .number(delivery.message.sequence)
            .part(delivery.message.published.to_string());
        LineOutcome::judged(self.judge_again(id.into(), Cause::Policy, delivery, policies, |_| true))
    }

    fn commanded(&self, command: &Command, delivery: &Delivery, policies: &Policies) -> LineOutcome {
        let CommandAction::Reassess { scope } = &command.action else {
            return LineOutcome::dead("an evaluator does not do this");
        };
        let wanted = |deployment: &Deployment| {
            scope.cluster.as_ref().is_none_or(|cluster| *cluster == deployment.cluster_id)
                && scope.namespace.as_ref().is_none_or(|namespace| *namespace == deployment.namespace)
                && scope.deployment.as_ref().is_none_or(|id| *id == deployment.id)
        };
        let id = Fingerprint::new("command").part(&command.id).into();
        LineOutcome::judged(self.judge_again(id, Cause::Reassess, delivery, policies, wanted))
    }

    fn judge_again(
        &self,
        id: EventId,
        cause: Cause,
        delivery: &Delivery,
        policies: &Policies,
        wanted: impl Fn(&Deployment) -> bool,
    ) -> Vec<Verdict> {
        let judge = self.judge_with(policies);
        // What is judged again was not seen itself: the change of a policy, or the command, stands for it.
        let event = EventRef {
            id,
            kind: Kind::Deployment,
            time: delivery.message.published,
            stream: delivery.message.stream.clone(),
            sequence: delivery.message.sequence,
        };
        let context = JudgeContext {
            stream: &delivery.message.stream,
            sequence: delivery.message.sequence,
            cause,
            may_wait: false,
            now: Timestamp::now(),
            traceparent: None,
        };
        let ids = judge.state.deployment_ids();
        let known = ids.iter().filter_map(|id| judge.state.deployment(id));
        known
            .filter(|known| wanted(&known.value))
            .map(|known| judge.workload(&known, &event, context))
            .collect()
    }

    /// Says that this evaluator runs, and with which policies.
    async fn present(self: Arc<Self>, who: Presence, stop: CancellationToken) {
        if stop.run_until_cancelled(self.knowledge.policy_log_read()).await.is_none() {
            return;
        }
        let refresh = |who: &mut Presence| {
            let summary = self.counts.summary();
            self.knowledge.policy_status().report(who);
            who.counts = self.knowledge.state.counts();
            who.counts.extend(
                [("judged", summary.judged), ("parked", summary.parked), ("dead", summary.dead)]
                    .map(|(name, count)| (name.to_owned(), count)),
            );
        };
        self.bus.heartbeat(who, refresh, stop.cancelled()).await;
    }
}

/// What becomes of the line of a judged event.
fn outcome(Judgement { verdicts, status }: Judgement) -> LineOutcome {
    let fate = match status {
        JudgementStatus::Judged => Fate::Judged,
        JudgementStatus::Parked { missing } => Fate::Parked { missing },
    };
    LineOutcome { verdicts, fate }
}

impl Counts {
    fn note(&self, outcomes: &[LineOutcome]) {
        let mut sum = Summary::default();
        for outcome in outcomes {
            match outcome.fate {
                Fate::Judged => sum.judged += 1,
                Fate::Parked { .. } => sum.parked += 1,
                Fate::Dead { .. } => sum.dead += 1,
            }
            sum.verdicts += outcome.verdicts.len() as u64;
        }
        self.judged.fetch_add(sum.judged, Ordering::Relaxed);
        self.parked.fetch_add(sum.parked, Ordering::Relaxed);
        self.dead.fetch_add(sum.dead, Ordering::Relaxed);
        self.verdicts.fetch_add(sum.verdicts, Ordering::Relaxed);
    }

    fn summary(&self) -> Summary {
        Summary {
            judged: self.judged.load(Ordering::Relaxed),
            parked: self.parked.load(Ordering::Relaxed),
            dead: self.dead.load(Ordering::Relaxed),
            verdicts: self.verdicts.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests;
