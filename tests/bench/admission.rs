//! What a judged review costs beside one that is always allowed: one run, the same server, the same clients.
//!
//! Both webhooks are processes of their own that serve through the same code (TLS, HTTP/2, limits); one says yes to
//! everything, the other is the release executable with a thousand policies about workloads, a bus, and a control
//! plane it registers itself with. Reviews are posted straight to them, as the API server posts them. Rounds
//! alternate; medians are told. Latency is measured from the moment a review was due, so a server that falls behind
//! shows it. Only differences and ratios mean something elsewhere.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark tells, or has nothing to say"
)]

#[path = "admission/allow.rs"]
mod allow;
#[path = "admission/load.rs"]
mod load;
mod process;
#[path = "admission/reviews.rs"]
mod reviews;
#[path = "admission/webhook.rs"]
mod webhook;

use std::time::Duration;

use load::{Client, Latencies};
use process::Memory;
use webhook::{Always, Lictor};

const SEED: u64 = 0x11c8;
const POLICIES: usize = 1_000;
const REVIEWS: usize = 2_000;
/// Reviews a second at which latency is measured.
const RATE: u32 = 1_000;
const ROUNDS: usize = 5;
const LATENCY_ROUND: Duration = Duration::from_secs(5);
const RATE_ROUND: Duration = Duration::from_secs(3);
/// Added latency, share of the rate, and memory as they should be.
const GOAL_ADDED: Duration = Duration::from_millis(1);
const GOAL_RATE: f64 = 0.5;
const GOAL_MEBIBYTES: f64 = 60.0;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    if allow::is_wanted() {
        runtime.block_on(allow::serve());
    } else {
        runtime.block_on(measure());
    }
}

async fn measure() {
    let reviews = reviews::reviews(SEED, REVIEWS);
    let bytes: usize = reviews.iter().map(|review| review.len()).sum();
    let always = Always::start().await;
    let mut lictor = Lictor::start(&reviews::policies(POLICIES)).await;
    let clients = [Client::connect(always.address).await, Client::connect(lictor.address).await];
    let idle = lictor.memory();
    let mut latencies: [Vec<Latencies>; 2] = Default::default();
    let mut rates: [Vec<f64>; 2] = Default::default();
    for client in &clients {
        client.at_rate(&reviews, RATE, Duration::from_secs(1)).await;
    }
    for _ in 0..ROUNDS {
        for (client, latencies) in clients.iter().zip(&mut latencies) {
            latencies.push(client.at_rate(&reviews, RATE, LATENCY_ROUND).await);
        }
    }
    let working = lictor.memory();
    for _ in 0..ROUNDS {
        for (client, rates) in clients.iter().zip(&mut rates) {
            rates.push(client.at_most(&reviews, RATE_ROUND).await);
        }
    }
    let memory = lictor.memory();
    let said = lictor.stop();
    tell(&latencies, &rates, bytes / REVIEWS, [idle, working, memory], &said);
}

fn tell(
    latencies: &[Vec<Latencies>; 2],
    rates: &[Vec<f64>; 2],
    bytes: usize,
    [idle, working, memory]: [Memory; 3],
    said: &str,
) {
    println!(
        "\n{POLICIES} policies about workloads, reviews of {bytes} bytes on average, {ROUNDS} rounds each, medians\n"
    );
    println!("{:<16}{:>16}{:>16}{:>22}", "", "p50 at 1,000/s", "p99 at 1,000/s", "reviews/s at most");
    let of = |which: usize| {
        let p50 = median(latencies[which].iter().map(|l| l.p50.as_secs_f64()));
        let p99 = median(latencies[which].iter().map(|l| l.p99.as_secs_f64()));
        (p50, p99, median(rates[which].iter().copied()))
    };
    let (always, lictor) = (of(0), of(1));
    for (name, (p50, p99, rate)) in [("always allow", always), ("lictor", lictor)] {
        println!("{name:<16}{:>13.3} ms{:>13.3} ms{rate:>22.0}", p50 * 1e3, p99 * 1e3);
    }
    let added = median(
        latencies[0].iter().zip(&latencies[1]).map(|(a, b)| b.p99.as_secs_f64() - a.p99.as_secs_f64()),
    );
    let share = median(rates[0].iter().zip(&rates[1]).map(|(a, b)| b / a));
    println!("\nadded to p99: {:.3} ms (goal {} ms)", added * 1e3, GOAL_ADDED.as_millis());
    println!("share of the rate: {share:.2} (goal {GOAL_RATE})");
    println!(
        "memory: {:.1} MiB at rest, {:.1} MiB at 1,000/s (goal {GOAL_MEBIBYTES}), {:.1} MiB after the most, {:.1} MiB at most",
        idle.resident, working.resident, memory.resident, memory.at_most
    );
    println!("{}\n", said.trim());
    let line = serde_json::json!({
        "policies": POLICIES, "bytes": bytes, "addedP99Ms": added * 1e3, "rateShare": share,
        "idleMiB": idle.resident, "workingMiB": working.resident, "afterMiB": memory.resident, "peakMiB": memory.at_most,
        "alwaysP99Ms": always.1 * 1e3, "lictorP99Ms": lictor.1 * 1e3, "alwaysRate": always.2, "lictorRate": lictor.2,
    });
    println!("{line}");
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
