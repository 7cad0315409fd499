//! What becomes of a pack on its way through an evaluator, step by step: one thread, no server. The reported rate is
//! of events; most of them concern no policy.

#![expect(clippy::expect_used, clippy::panic, reason = "a benchmark that cannot run has nothing to say")]

#[path = "../../tests/bench/world.rs"]
#[expect(dead_code, reason = "a world has more in it than one benchmark looks at")]
mod world;

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use lictor_bus::{CONTENT_ENCODING, CONTENT_TYPE, Headers, unpack};
use lictor_detection::{ClusterState, Judge};
use lictor_engine::{Options, PolicyRevision, PolicySet};
use lictor_wire::{Event, Kind, Projection};
use world::World;

const SEED: u64 = 0x11c7;
const POLICIES: usize = 1_000;
const PACK: usize = 64;
const PACKS: usize = 16;

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^53")]
fn ratio(of: usize, to: usize) -> f64 {
    of as f64 / to as f64
}

/// The packs as a publisher would send them.
fn compressed(lines: &[String]) -> Vec<(Headers, Bytes)> {
    let packs = lines.chunks(PACK).map(|pack| {
        let payload = zstd::bulk::compress(pack.join("\n").as_bytes(), 1).expect("a compressed pack");
        let headers = [(CONTENT_TYPE, "application/x-ndjson"), (CONTENT_ENCODING, "zstd")];
        (headers.into_iter().collect(), Bytes::from(payload))
    });
    packs.collect()
}

fn steps(criterion: &mut Criterion) {
    let world = World::new(SEED, POLICIES, 10_000, 200);
    let revisions =
        world.policies.iter().map(|policy| PolicyRevision { policy: Arc::new(policy.clone()), revision: 1 });
    let set = PolicySet::compile(revisions, Options::default()).set;
    let judge = Judge { state: &ClusterState::default(), policies: &set, policies_revision: 1 };
    for kind in [Kind::Process, Kind::Network, Kind::File, Kind::Audit] {
        let of_kind = world.events(60_000).filter(|line| line.kind == kind).map(|line| line.line);
        let lines: Vec<String> = of_kind.take(PACK * PACKS).collect();
        let packs = compressed(&lines);
        let projections: Vec<Projection> =
            lines.iter().map(|line| Projection::of(line).expect("an event")).collect();

        let mut group = criterion.benchmark_group(kind.as_str());
        group.throughput(Throughput::Elements(lines.len() as u64));
        group.bench_function("unpack", |bencher| {
            bencher.iter(|| {
                for (headers, payload) in &packs {
                    black_box(unpack(headers, payload).expect("lines"));
                }
            });
        });
        group.bench_function("look", |bencher| {
            bencher.iter(|| {
                for line in &lines {
                    black_box(Projection::of(line));
                }
            });
        });
        group.bench_function("pass over", |bencher| {
            bencher.iter(|| {
                for projection in &projections {
                    black_box(judge.passes_prefilter(projection, Timestamp::UNIX_EPOCH));
                }
            });
        });
        group.bench_function("read", |bencher| {
            bencher.iter(|| {
                for line in &lines {
                    black_box(Event::parse(line).expect("an event"));
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
