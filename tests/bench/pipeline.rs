//! What judging costs beside plain consuming, and what an idle evaluator holds: one run, on a real nats-server.
//!
//! The evaluator is the release executable in a process of its own, started as its users start it. Plain consuming
//! is an async-nats pull consumer that parses nothing and acknowledges each message; where messages are compressed a
//! second one also decompresses them and finds their lines, since that is the least whoever wants the events does, and
//! the goal for packs is set where both handle the same bytes: lines that are not compressed. Both find the streams filled,
//! read the same bytes through durable consumers made for the round, and are measured by the same clock: from the
//! first message delivered until nothing is pending and nothing in flight. Rounds alternate, so that a machine that
//! grows slower meanwhile does so for both; medians are told. Only ratios mean something elsewhere.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark tells, or has nothing to say"
)]

mod drain;
mod evaluator;
mod fill;
mod process;
mod world;

use std::time::Duration;

use lictor_bus::{Bus, BusOptions};
use lictor_tests::{NatsOptions, NatsServer};
use lictor_wire::topology::Topology;

use drain::Drainer;
use evaluator::Evaluator;
use fill::Filled;
use process::Memory;
use world::World;

const SEED: u64 = 0x11c7;
const POLICIES: usize = 1_000;
const WORKLOADS: usize = 10_000;
const NAMESPACES: usize = 200;
/// Events of a scenario: enough that an evaluator is busy for seconds, and compiling patterns when they are first
/// asked for, as it does after a start, does not count for much.
const EVENTS_ALONE: usize = 200_000;
const EVENTS_PACKED: usize = 1_000_000;
const ROUNDS: usize = 3;
/// What a ratio, and idle memory, should be.
const GOAL_ALONE: f64 = 0.5;
const GOAL_PACKED: f64 = 0.3;
const GOAL_MEBIBYTES: f64 = 60.0;

/// How the streams are filled.
#[derive(Clone, Copy)]
enum Fill {
    OneByOne,
    Packed,
    Compressed,
}

/// How one scenario went.
struct Scenario {
    name: &'static str,
    goal: Option<f64>,
    filled: Filled,
    raw: Vec<f64>,
    /// Consumed and unpacked.
    lines: Vec<f64>,
    judged: Vec<f64>,
    verdicts: u64,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let server = NatsServer::start_with(NatsOptions::default()).await;
    let bus = connect(&server).await;
    let drainer = Drainer::connect(&server.url(), bus.topology().clone()).await;
    let world = World::new(SEED, POLICIES, WORKLOADS, NAMESPACES);
    let log = fill::knowledge(&bus, &world).await;

    // A first start judges every workload against every policy; that is told, and out of the way.
    let mut first = Evaluator::start(&server);
    first.ready(&bus, log).await;
    drainer.calm(Duration::from_secs(1)).await;
    let after_first = first.memory();
    first.stop();

    let mut scenarios = Vec::new();
    for fill in [Fill::OneByOne, Fill::Packed, Fill::Compressed] {
        let (name, goal, filled) = match fill {
            Fill::OneByOne => {
                let filled = fill::one_by_one(&drainer, &world, EVENTS_ALONE).await;
                ("one event a message", Some(GOAL_ALONE), filled)
            }
            Fill::Packed => {
                let filled = fill::plain_packs(&drainer, &world, EVENTS_PACKED).await;
                ("packed", Some(GOAL_PACKED), filled)
            }
            Fill::Compressed => ("packed, compressed", None, fill::packed(&bus, &world, EVENTS_PACKED).await),
        };
        let mut scenario = Scenario {
            name,
            goal,
            filled,
            raw: Vec::new(),
            lines: Vec::new(),
            judged: Vec::new(),
            verdicts: 0,
        };
        for _ in 0..ROUNDS {
            scenario.raw.push(drainer.raw(&filled, false).await);
            scenario.lines.push(drainer.raw(&filled, true).await);
            drainer.forget_rounds().await;
            drop(connect(&server).await);
            let mut evaluator = Evaluator::start(&server);
            scenario.judged.push(drainer.evaluator(&filled).await);
            scenario.verdicts = evaluator.stop().verdicts;
        }
        drainer.empty().await;
        scenarios.push(scenario);
    }

    drop(connect(&server).await);
    let mut idle = Evaluator::start(&server);
    idle.ready(&bus, log).await;
    drainer.calm(Duration::from_secs(3)).await;
    let memory = idle.memory();
    idle.stop();
    tell(&scenarios, memory, after_first);
}

async fn connect(server: &NatsServer) -> Bus {
    let options = BusOptions::new(&server.url(), Topology::default(), "bench");
    Bus::connect_new(options).await.expect("a server with the streams of the table")
}

fn tell(scenarios: &[Scenario], memory: Memory, after_first: Memory) {
    println!(
        "\n{POLICIES} policies, {WORKLOADS} workloads in {NAMESPACES} namespaces, {ROUNDS} rounds each, medians \
         (lowest to highest), thousand events a second\n"
    );
    println!(
        "{:<21}{:>7}{:>25}{:>25}{:>22}{:>22}{:>6}{:>11}",
        "", "pack", "consume and ack", "and find lines", "evaluator", "ratio", "goal", "to lines"
    );
    let mut lines = Vec::new();
    for scenario in scenarios {
        let pack = ratio(scenario.filled.events, scenario.filled.messages);
        let thousands = |rates: &[f64]| {
            let (low, middle, high) = spread(rates);
            format!("{:.1} ({:.1}–{:.1})", middle / 1e3, low / 1e3, high / 1e3)
        };
        let to = |plain: &[f64]| {
            spread(
                &plain.iter().zip(&scenario.judged).map(|(plain, judged)| judged / plain).collect::<Vec<_>>(),
            )
        };
        let (low, middle, high) = to(&scenario.raw);
        let (_, to_lines, _) = to(&scenario.lines);
        println!(
            "{:<21}{pack:>7.1}{:>25}{:>25}{:>22}{:>22}{:>6}{to_lines:>11.3}",
            scenario.name,
            thousands(&scenario.raw),
            thousands(&scenario.lines),
            thousands(&scenario.judged),
            format!("{middle:.3} ({low:.3}–{high:.3})"),
            scenario.goal.map_or_else(String::new, |goal| goal.to_string()),
        );
        lines.push(serde_json::json!({
            "scenario": scenario.name,
            "events": scenario.filled.events,
            "pack": pack,
            "bytesPerEvent": ratio(scenario.filled.bytes, scenario.filled.events),
            "verdicts": scenario.verdicts,
            "raw": scenario.raw,
            "lines": scenario.lines,
            "evaluator": scenario.judged,
            "ratio": middle,
            "ratioToLines": to_lines,
            "goal": scenario.goal,
        }));
    }
    println!(
        "\nevaluator at rest: {:.1} MiB resident, {:.1} MiB at most (goal {GOAL_MEBIBYTES}); after judging every workload \
         {:.1} MiB, {:.1} MiB at most\n",
        memory.resident, memory.at_most, after_first.resident, after_first.at_most
    );
    let line = serde_json::json!({
        "policies": POLICIES,
        "workloads": WORKLOADS,
        "scenarios": lines,
        "idleMiB": memory.resident,
        "idlePeakMiB": memory.at_most,
        "afterJudgingAllMiB": after_first.resident,
        "judgingAllPeakMiB": after_first.at_most,
    });
    println!("{line}");
}

/// Lowest, median, highest.
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |i: usize| sorted.get(i).copied().unwrap_or(f64::NAN);
    (at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1)))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^53")]
fn ratio(of: usize, to: usize) -> f64 {
    of as f64 / to as f64
}
