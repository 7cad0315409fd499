//! `lictor replay`: judges what happened already, from files, without a bus or a cluster.
//!
//! Memory grows with what is violated, not with what is read: a line is judged and let go.

use std::collections::BTreeMap;
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use lictor_evaluator::judge::{Judge, Loaded, Occasion};
use lictor_normalize::manifest::{self, Text};
use lictor_normalize::{Batch, FormatError, Origin};
use lictor_wire::policy::{LifecycleStage, Policy};
use lictor_wire::{Cause, Entity, Event, EventData, PolicyRef, Undecided};

use super::check::rules;
use crate::cli::Replay;
use crate::exit::{Exit, Failure};
use crate::offline::{Contents, Recording, World, compile, findings, learn};
use crate::report::{EntityResult, Open, Report, Times, Violated};
use crate::text;

/// How many unreadable lines are told one by one; the rest is counted.
const TOLD: u64 = 10;

/// Recordings that stay open from when they are told apart until they are read; a file beyond these is opened again
/// when its turn comes. A quarter of the descriptors that a process usually has.
const KEPT_OPEN: usize = 256;

pub(super) fn run(options: &Replay) -> Result<Exit, Failure> {
    let rules = rules(&options.judging.policies)?;
    let loaded = Loaded { set: compile(rules.clone(), options.judging.parity), revision: 0, complete: true };
    let mut world = World::new(&options.judging.cluster);
    let bar = progress(&options.files);
    let (mut recordings, mut manifests) = (Vec::new(), Vec::new());
    for path in &options.files {
        match Contents::open(path, |raw| Box::new(bar.wrap_read(raw))).map_err(Failure::not_understood)? {
            Contents::Empty { name } => bar.suspend(|| text::note(&format!("{name}: empty"))),
            Contents::Manifest { name, text } => manifests.push((name, text)),
            Contents::Recording(mut recording) => {
                if recordings.len() >= KEPT_OPEN {
                    recording.close();
                }
                recordings.push(recording);
            }
        }
    }
    // Manifests are context: all of it is known before the first event is judged.
    let broken = know_manifests(&mut world, &manifests, &bar);
    let mut replayed = Replayed { unreadable: broken, ..Replayed::default() };
    for recording in recordings {
        replay(recording, &mut world, &loaded, &rules, &bar, &mut replayed)?;
    }
    bar.finish_and_clear();
    let report = replayed.report(rules);
    report.write(options.output.into())?;
    if report.summary.unreadable > 0 {
        let message =
            format!("{} lines or objects could not be read and were not judged", report.summary.unreadable);
        return Err(Failure::not_understood(message));
    }
    if report.summary.events.is_empty() {
        let failure = Failure::not_understood("there is no event in what was given");
        return Err(
            failure.hint("give an audit log, a Tetragon export or events of lictor; manifests are context")
        );
    }
    Ok(if report.summary.violations > 0 { Exit::Violated } else { Exit::Fine })
}

fn know_manifests(world: &mut World, texts: &[(String, String)], bar: &ProgressBar) -> u64 {
    let found = manifest::read(texts.iter().map(|(name, text)| Text { name, text }), world.cluster());
    for error in &found.errors {
        bar.suspend(|| text::note(&format!("{error} ({})", error.hint())));
    }
    world.know_manifests(&found);
    found.errors.len() as u64
}

fn progress(files: &[PathBuf]) -> ProgressBar {
    let sizes = files.iter().filter_map(|path| std::fs::metadata(path).ok());
    let bar = ProgressBar::with_draw_target(
        Some(sizes.map(|metadata| metadata.len()).sum()),
        // Only on a terminal.
        ProgressDrawTarget::stderr_with_hz(4),
    );
    let style =
        ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

fn replay(
    recording: Recording,
    world: &mut World,
    loaded: &Loaded,
    rules: &[Policy],
    bar: &ProgressBar,
    replayed: &mut Replayed,
) -> Result<(), Failure> {
    let (name, format) = (recording.name(), recording.format);
    let origin = Origin {
        cluster: world.cluster().clone(),
        source: format!("/file/{name}"),
        received: Timestamp::now(),
    };
    let mut lines = recording.lines(|raw| Box::new(bar.wrap_read(raw))).map_err(Failure::not_understood)?;
    let mut batch = Batch::default();
    while let Some(line) = lines.next().map_err(Failure::not_understood)? {
        let mut unreadable = |problem: &str, error: &FormatError| {
            replayed.unreadable += 1;
            if replayed.unreadable <= TOLD {
                let hint = error.hint();
                bar.suspend(|| text::note(&format!("{name}:{}: {problem} ({hint})", line.number)));
            }
        };
        if let Err(error) = format.read(&line.text, &origin, &mut batch) {
            unreadable(&error.to_string(), &error);
        }
        for item in batch.rejected.drain(..) {
            unreadable(&format!("item {}: {}", item.index, item.error), &item.error);
        }
        batch.events.drain(..).for_each(|event| replayed.judge(&event, world, loaded, rules));
    }
    Ok(())
}

/// What came of everything so far.
#[derive(Debug, Default)]
struct Replayed {
    /// By the entity's key.
    entities: BTreeMap<String, Concerned>,
    events: BTreeMap<&'static str, u64>,
    unreadable: u64,
}

/// An entity that something was found about, and what; by policy id.
#[derive(Debug)]
struct Concerned {
    entity: Entity,
    violations: BTreeMap<String, Violated>,
    undecided: BTreeMap<String, Open>,
}

impl Replayed {
    fn judge(&mut self, event: &Event, world: &mut World, loaded: &Loaded, rules: &[Policy]) {
        *self.events.entry(event.kind().as_str()).or_default() += 1;
        learn(world, event);
        // Ages and expiries count from when it happened.
        let now = event.time;
        if let EventData::Request(_) = &event.data {
            world.subjects(event, &mut |subject, entity| {
                let found = findings(&loaded.set, subject, now);
                for of in &found.violations {
                    let violated =
                        Violated::of(&of.policy, &of.sections, &of.enforcement, found.stage, rules);
                    self.violated(&entity, violated, now);
                }
                found.undecided.iter().for_each(|undecided| self.open(&entity, undecided));
            });
            return;
        }
        let occasion = Occasion {
            stream: "",
            sequence: 0,
            cause: Cause::Replay,
            may_wait: false,
            now,
            traceparent: None,
        };
        let judge: Judge<'_> = world.judge(loaded);
        for verdict in judge.event(event, occasion).verdicts {
            for of in &verdict.violations {
                let violated = Violated::of(&of.policy, &of.sections, &of.enforcement, verdict.stage, rules);
                self.violated(&verdict.entity, violated, now);
            }
            // What hangs on facts about images hangs on them at every event; it is said once for each workload.
            verdict.undecided.iter().for_each(|undecided| self.open(&verdict.entity, undecided));
        }
    }

    fn of(&mut self, entity: &Entity) -> &mut Concerned {
        self.entities.entry(entity.key()).or_insert_with(|| Concerned {
            entity: entity.clone(),
            violations: BTreeMap::new(),
            undecided: BTreeMap::new(),
        })
    }

    fn violated(&mut self, entity: &Entity, violated: Violated, at: Timestamp) {
        let known = &mut self.of(entity).violations;
        let violated = known.entry(violated.id.clone()).or_insert(violated);
        let times = violated.times.get_or_insert(Times { count: 0, first: at, last: at });
        times.count += 1;
        times.first = times.first.min(at);
        times.last = times.last.max(at);
    }

    fn open(&mut self, entity: &Entity, undecided: &Undecided) {
        let PolicyRef { id, .. } = &undecided.policy;
        self.of(entity).undecided.entry(id.to_string()).or_insert_with(|| Open::undecided(undecided));
    }

    fn report(self, rules: Vec<Policy>) -> Report {
        let results: Vec<EntityResult> = self
            .entities
            .into_values()
            .map(|Concerned { entity, violations, undecided }| EntityResult {
                name: entity.display_name(),
                entity,
                place: None,
                // A policy that held once is no longer open.
                undecided: undecided
                    .into_values()
                    .filter(|open| !violations.contains_key(&open.id))
                    .collect(),
                violations: violations.into_values().collect(),
                failures: Vec::new(),
            })
            .collect();
        let asked = rules.into_iter().filter(|policy| {
            !policy.lifecycle_stages.contains(&LifecycleStage::Build) || policy.lifecycle_stages.len() > 1
        });
        let entities = results.len();
        let mut report = Report::new(results, asked.collect(), entities);
        report.summary.events = self.events;
        report.summary.unreadable = self.unreadable;
        report
    }
}
