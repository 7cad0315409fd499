//! `lictor replay`: judges what happened already, from files, without a bus or a cluster.
//!
//! Memory grows with what is violated, not with what is read: a line is judged and dropped.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use lictor_detection::{EntityTally, Tally, ViolationTally};
use lictor_engine::PolicySet;
use lictor_normalize::manifest::{self, Text};
use lictor_normalize::{Batch, FormatError, Origin};
use lictor_wire::policy::{LifecycleStage, Policy};

use super::check::{Rules, rules};
use crate::cli::Replay;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::offline::{Contents, OfflineCluster, Recording, compile};
use crate::report::{EntityResult, Open, Policies, Report, Times, Violated};
use crate::text;

/// How many unreadable lines are reported one by one; the rest is counted.
const REPORTED: u64 = 10;

/// Recordings that stay open from when they are recognised until they are read; a file beyond these is opened again
/// when its turn comes. A quarter of the descriptors that a process usually has.
const KEPT_OPEN: usize = 256;

pub(super) fn run(options: &Replay) -> Result<Exit, Failure> {
    let rules = rules(&options.judging.policies)?;
    let policies = compile(rules.enabled.clone(), options.judging.parity);
    let mut known = OfflineCluster::new(&options.judging.cluster);
    let files = files(&options.files)?;
    let bar = progress(&files);
    let (mut recordings, mut manifests) = (Vec::new(), Vec::new());
    for path in &files {
        match Contents::open(path, |raw| Box::new(bar.wrap_read(raw))).map_err(Failure::invalid_input)? {
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
    let broken = know_manifests(&mut known, &manifests, &bar);
    let mut replayed = Replayed { unreadable: broken, ..Replayed::default() };
    for recording in recordings {
        replay(recording, &known, &policies, &bar, &mut replayed)?;
    }
    bar.finish_and_clear();
    let report = replayed.report(rules);
    report.write(options.output.into())?;
    if report.summary.unreadable > 0 {
        let lines = text::count(report.summary.unreadable, "line or object", "lines or objects");
        return Err(Failure::invalid_input(format!("{lines} not readable, and so not judged")));
    }
    if report.summary.events.is_empty() {
        let failure = Failure::invalid_input("the input contains no event");
        return Err(
            failure.hint("give an audit log, a Tetragon export or events of lictor; manifests are context")
        );
    }
    Ok(if report.summary.violations > 0 { Exit::Violated } else { Exit::Fine })
}

/// Files by name; of folders what is in them, and standard input as it is.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut all = Vec::new();
    for path in paths {
        if path.is_dir() {
            all.extend(files::below(path)?);
        } else {
            all.push(path.clone());
        }
    }
    Ok(all)
}

fn know_manifests(known: &mut OfflineCluster, texts: &[(String, String)], bar: &ProgressBar) -> u64 {
    let found = manifest::read(texts.iter().map(|(name, text)| Text { name, text }), known.cluster());
    for error in &found.errors {
        bar.suspend(|| text::note(&format!("{error} ({})", error.hint())));
    }
    known.know_manifests(&found);
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
    known: &OfflineCluster,
    policies: &PolicySet,
    bar: &ProgressBar,
    replayed: &mut Replayed,
) -> Result<(), Failure> {
    let (name, format) = (recording.name(), recording.format);
    let origin = Origin {
        cluster: known.cluster().clone(),
        source: format!("/file/{name}"),
        received: Timestamp::now(),
    };
    let mut lines = recording.lines(|raw| Box::new(bar.wrap_read(raw))).map_err(Failure::invalid_input)?;
    let mut batch = Batch::default();
    while let Some(line) = lines.next().map_err(Failure::invalid_input)? {
        let mut unreadable = |problem: &str, error: &FormatError, more: u64| {
            replayed.unreadable += 1 + more;
            if replayed.unreadable <= REPORTED {
                let hint = error.hint();
                bar.suspend(|| text::note(&format!("{name}:{}: {problem} ({hint})", line.number)));
            }
        };
        if let Err(error) = format.read(&line.text, &origin, &mut batch) {
            unreadable(&error.to_string(), &error, 0);
        }
        for item in batch.rejected.drain(..) {
            unreadable(&item.reason(), &item.error, item.more);
        }
        batch.events.drain(..).for_each(|event| replayed.tally.replay(&event, known.state(), policies));
    }
    Ok(())
}

/// The results so far.
#[derive(Debug, Default)]
struct Replayed {
    tally: Tally,
    unreadable: u64,
}

impl Replayed {
    fn report(self, rules: Rules) -> Report {
        let Rules { enabled: rules, given } = rules;
        let enabled = rules.len();
        let Tally { entities, events } = self.tally;
        let results: Vec<EntityResult> = entities
            .into_values()
            .map(|EntityTally { entity, violations, undecided }| EntityResult {
                name: entity.display_name(),
                entity,
                place: None,
                violations: violations.into_values().map(|tally| violated(&tally, &rules)).collect(),
                undecided: undecided.values().map(Open::undecided).collect(),
                failures: Vec::new(),
            })
            .collect();
        let evaluated = rules.into_iter().filter(|policy| {
            !policy.lifecycle_stages.contains(&LifecycleStage::Build) || policy.lifecycle_stages.len() > 1
        });
        let entities = results.len();
        let mut report = Report::new(results, evaluated.collect(), entities);
        report.policies = Policies { given, enabled, stage: "the deploy and runtime stages" };
        report.summary.events = events;
        report.summary.unreadable = self.unreadable;
        report
    }
}

fn violated(tally: &ViolationTally, rules: &[Policy]) -> Violated {
    let ViolationTally { violation, stage, count, first, last } = tally;
    let times = Times { count: *count, first: *first, last: *last };
    let violated =
        Violated::of(&violation.policy, &violation.sections, &violation.enforcement, *stage, rules);
    Violated { times: Some(times), ..violated }
}
