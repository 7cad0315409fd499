//! `lictor replay`: judges what happened already, from files, without a bus or a cluster.
//!
//! Memory grows with what is violated, not with what is read: a line is judged and let go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use lictor_evaluator::judge::{Judge, Loaded, Occasion};
use lictor_normalize::Origin;
use lictor_normalize::manifest::{self, Text};
use lictor_wire::policy::{LifecycleStage, Policy};
use lictor_wire::{Cause, Entity, Event, EventData, PolicyRef, Undecided};

use super::check::rules;
use crate::cli::Replay;
use crate::exit::{Exit, Failure};
use crate::offline::{Format, Lines, World, compile, findings, learn};
use crate::report::{EntityResult, Open, Report, Times, Violated};
use crate::text;

/// How many unreadable lines are told one by one; the rest is counted.
const TOLD: u64 = 10;

pub(super) fn run(options: &Replay) -> Result<Exit, Failure> {
    let rules = rules(&options.judging.policies)?;
    let loaded = Loaded { set: compile(rules.clone(), options.judging.parity), revision: 0, complete: true };
    let mut world = World::new(&options.judging.cluster);
    let mut recordings = Vec::new();
    let mut manifests = Vec::new();
    for path in &options.files {
        let first = Lines::open(path, |raw| raw).and_then(|mut lines| lines.next());
        match first.map_err(Failure::not_understood)? {
            None => text::note(&format!("{}: empty", path.display())),
            Some(line) => match Format::of(&line.text) {
                Format::Manifest => manifests.push(path.clone()),
                format => recordings.push((path.clone(), format)),
            },
        }
    }
    let broken = know_manifests(&mut world, &manifests)?;
    let mut replayed = Replayed { unreadable: broken, ..Replayed::default() };
    let bar = progress(&recordings);
    for (path, format) in &recordings {
        replay(path, *format, &mut world, &loaded, &rules, &bar, &mut replayed)?;
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

fn know_manifests(world: &mut World, paths: &[PathBuf]) -> Result<u64, Failure> {
    let mut texts = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::not_understood(format!("{}: {error}", path.display())))?;
        texts.push((path.display().to_string(), text));
    }
    let found = manifest::read(texts.iter().map(|(name, text)| Text { name, text }), world.cluster());
    for error in &found.errors {
        text::note(&format!("{error} ({})", error.hint()));
    }
    world.know_manifests(&found);
    Ok(found.errors.len() as u64)
}

fn progress(recordings: &[(PathBuf, Format)]) -> ProgressBar {
    let sizes = recordings.iter().filter_map(|(path, _)| std::fs::metadata(path).ok());
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
    path: &Path,
    format: Format,
    world: &mut World,
    loaded: &Loaded,
    rules: &[Policy],
    bar: &ProgressBar,
    replayed: &mut Replayed,
) -> Result<(), Failure> {
    let origin = Origin {
        cluster: world.cluster().clone(),
        source: format!("/file/{}", path.display()),
        received: Timestamp::now(),
    };
    let mut lines = Lines::open(path, |raw| Box::new(bar.wrap_read(raw))).map_err(Failure::not_understood)?;
    while let Some(line) = lines.next().map_err(Failure::not_understood)? {
        match format.read(&line.text, &origin) {
            Ok(events) => events.iter().for_each(|event| replayed.judge(event, world, loaded, rules)),
            Err((problem, hint)) => {
                replayed.unreadable += 1;
                if replayed.unreadable <= TOLD {
                    bar.suspend(|| {
                        text::note(&format!("{}:{}: {problem} ({hint})", path.display(), line.number));
                    });
                }
            }
        }
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
