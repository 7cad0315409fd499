//! Everything that goes wrong, at once and at seeded moments: processes are killed and paused, the server is killed,
//! the log that is read is rotated and compressed, lines are malformed, packs burst, headers are forged. At the end
//! every event was judged once, nothing else was, and no process ever had more memory than is stated for it.
//!
//! `LICTOR_CHAOS_SECONDS` and `LICTOR_CHAOS_SEED` make it longer and other; `make chaos` does. A server that loses its
//! disk is in `loss`: there is nothing to compare afterwards.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use lictor_wire::topology::Role;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep};

use crate::MACHINE;
use crate::support::{Cluster, Process, compare, every_process, process, violation_read};

/// How long trouble lasts, in seconds.
const SECONDS: u64 = 60;
const SEED: u64 = 11;
/// How long everything may take to be judged after it.
const CALM_WITHIN: Duration = Duration::from_secs(120);
/// Workloads, one per namespace.
const NAMESPACES: usize = 50;
/// What the source writes per second.
const RATE: usize = 2_000;
/// Rotated files from this number on are compressed.
const COMPRESSED_FROM: usize = 3;

/// Roles, and the most memory each may ever have resident, in MiB: what `deploy/docs/running.md` states, and what a
/// build without optimisation takes beside it.
const ROLES: [(&str, usize); 5] =
    [("evaluator", 256), ("evaluator", 256), ("enforcer", 256), ("store", 384), ("ingest", 256)];

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Killed(usize),
    Paused(usize, Duration),
    ServerKilled,
    Rotated,
    Malformed,
    Burst,
    Forged,
}

impl Trouble {
    /// Each once, some more often, in a seeded order.
    fn all(random: &mut StdRng) -> Vec<Self> {
        let mut all = vec![Self::ServerKilled, Self::Malformed, Self::Burst, Self::Forged];
        all.extend([Self::Rotated; 3]);
        for role in 0..ROLES.len() {
            all.push(Self::Killed(role));
            all.push(Self::Paused(role, Duration::from_millis(random.random_range(500..4_000))));
        }
        all.shuffle(random);
        all
    }
}

struct Site {
    cluster: Cluster,
    roles: Vec<Process>,
    most: Vec<usize>,
    /// Messages that cannot be judged: those the server has acknowledged, and all that were sent.
    hostile: (u64, u64),
}

impl Site {
    async fn start() -> Self {
        let cluster = Cluster::start(Cluster::quick()).await;
        cluster.apply(&every_process()).await;
        cluster.ingest_workloads(NAMESPACES).await;
        File::create(cluster.path("events.ndjson")).unwrap();
        let roles = (0..ROLES.len()).map(|role| Self::role(&cluster, role)).collect();
        Self { cluster, roles, most: vec![0; ROLES.len()], hostile: (0, 0) }
    }

    fn role(cluster: &Cluster, role: usize) -> Process {
        match ROLES[role].0 {
            "evaluator" => cluster.evaluator(),
            "enforcer" => cluster.enforcer(),
            "store" => cluster.store(),
            _ => {
                let file = cluster.path("events.ndjson");
                let args = ["ingest", "--cluster", "test", "--follow", "--events", file.to_str().unwrap()];
                cluster.role("ingest", &args)
            }
        }
    }

    /// Notes what each has had.
    fn measure(&mut self) {
        for (role, process) in self.roles.iter_mut().enumerate() {
            assert!(process.runs(), "{} ended by itself: {}", ROLES[role].0, self.cluster.logs());
            self.most[role] = self.most[role].max(process.most_memory());
        }
    }

    async fn suffer(&mut self, trouble: Trouble, log: &Log) {
        match trouble {
            Trouble::Killed(role) => {
                self.roles[role].kill();
                self.roles[role] = Self::role(&self.cluster, role);
            }
            Trouble::Paused(role, pause) => {
                self.roles[role].signal("STOP");
                sleep(pause).await;
                self.roles[role].signal("CONT");
            }
            Trouble::ServerKilled => {
                self.cluster.nats.server.kill();
                self.cluster.nats.server.restart().await;
            }
            Trouble::Rotated => log.rotate.store(true, Ordering::Relaxed),
            Trouble::Malformed => log.malformed.store(true, Ordering::Relaxed),
            Trouble::Burst => {
                let lines = zstd::bulk::compress(&b"{}\n".repeat(5 << 20), 1).unwrap();
                let headers = [("Content-Type", "application/x-ndjson"), ("Content-Encoding", "zstd")];
                self.attack(&headers, lines).await;
            }
            Trouble::Forged => {
                // Each is another message to the server.
                let id = format!("forged.1.{}", self.hostile.1);
                let acked = u64::MAX.to_string();
                let headers =
                    [("Nats-Msg-Id", id.as_str()), ("Lictor-Acked", acked.as_str()), ("Lictor-Events", "9")];
                self.attack(&headers, b"{}".to_vec()).await;
            }
        }
    }

    async fn attack(&mut self, headers: &[(&'static str, &str)], payload: Vec<u8>) {
        let client = self.cluster.nats.client(Role::Up, async_nats::ConnectOptions::new()).await;
        let jetstream = async_nats::jetstream::new(client);
        let mut map = async_nats::HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        self.hostile.1 += 1;
        let sent = jetstream.publish_with_headers("lictor.events.process.c", map, payload.into()).await;
        self.hostile.0 += u64::from(sent.unwrap().await.is_ok());
    }
}

/// Requests to the writer of the log.
#[derive(Default)]
struct Log {
    rotate: AtomicBool,
    malformed: AtomicBool,
    stop: AtomicBool,
}

/// What was written.
struct Written {
    events: usize,
    malformed: u64,
    rotations: usize,
}

/// Appends events at the rate, as a sensor would, until it is stopped.
fn write_events(path: PathBuf, log: Arc<Log>) -> mpsc::Receiver<Written> {
    let (done, written) = mpsc::channel();
    std::thread::spawn(move || {
        let mut found = Written { events: 0, malformed: 0, rotations: 0 };
        let mut file = File::options().append(true).open(&path).unwrap();
        while !log.stop.load(Ordering::Relaxed) {
            let mut lines = String::new();
            for number in found.events..found.events + RATE / 100 {
                lines.push_str(&process(number, NAMESPACES).to_line().unwrap());
                lines.push('\n');
            }
            found.events += RATE / 100;
            if log.malformed.swap(false, Ordering::Relaxed) {
                found.malformed += 1;
                lines.push_str(&format!("{{\"specversion\":\"1.0\",\"id\":\"{}\n", found.malformed));
            }
            file.write_all(lines.as_bytes()).unwrap();
            if log.rotate.swap(false, Ordering::Relaxed) {
                rotate(&path, found.rotations);
                found.rotations += 1;
                file = File::options().append(true).create(true).open(&path).unwrap();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        done.send(found).unwrap();
    });
    written
}

/// As logrotate does: each file moves one number on, older ones are compressed.
fn rotate(path: &Path, files: usize) {
    let plain = |number: usize| PathBuf::from(format!("{}.{number}", path.display()));
    let compressed = |number: usize| PathBuf::from(format!("{}.{number}.gz", path.display()));
    for number in (1..=files).rev() {
        if number >= COMPRESSED_FROM {
            std::fs::rename(compressed(number), compressed(number + 1)).unwrap();
        } else {
            std::fs::rename(plain(number), plain(number + 1)).unwrap();
        }
    }
    std::fs::rename(path, plain(1)).unwrap();
    if files + 1 >= COMPRESSED_FROM {
        let (from, to) = (plain(COMPRESSED_FROM), compressed(COMPRESSED_FROM));
        let mut encoder =
            GzEncoder::new(File::create(to.with_extension("new")).unwrap(), Compression::fast());
        std::io::copy(&mut File::open(&from).unwrap(), &mut encoder).unwrap();
        encoder.finish().unwrap();
        std::fs::rename(to.with_extension("new"), &to).unwrap();
        std::fs::remove_file(from).unwrap();
    }
}

fn given(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_each_event_is_judged_once_within_bounds() {
    let _machine = MACHINE.lock().await;
    let (seconds, seed) = (given("LICTOR_CHAOS_SECONDS", SECONDS), given("LICTOR_CHAOS_SEED", SEED));
    let mut random = StdRng::seed_from_u64(seed);
    let mut site = Site::start().await;
    let bus = site.cluster.bus().await;
    let log = Arc::new(Log::default());
    let written = write_events(site.cluster.path("events.ndjson"), Arc::clone(&log));

    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut suffered, mut next) = (Vec::new(), Vec::new());
    while Instant::now() < until {
        sleep(Duration::from_millis(random.random_range(300..2_000))).await;
        site.measure();
        if next.is_empty() {
            next = Trouble::all(&mut random);
        }
        let Some(trouble) = next.pop() else { continue };
        site.suffer(trouble, &log).await;
        suffered.push(trouble);
    }
    println!("seed {seed}: {suffered:?}");
    // The last wishes are fulfilled first.
    sleep(Duration::from_millis(500)).await;
    log.stop.store(true, Ordering::Relaxed);
    let written = tokio::task::spawn_blocking(move || written.recv().unwrap()).await.unwrap();
    println!(
        "{} events, {} malformed lines, {} rotations",
        written.events, written.malformed, written.rotations
    );

    let deadline = Instant::now() + CALM_WITHIN;
    let wanted = (written.events + NAMESPACES) as u64;
    while bus.last_sequence(lictor_bus::Stream::Verdicts).await.is_ok_and(|verdicts| verdicts < wanted) {
        assert!(Instant::now() < deadline, "not all judged; {}", site.cluster.logs());
        sleep(Duration::from_millis(200)).await;
    }
    site.cluster.settled(&bus, CALM_WITHIN).await;
    site.measure();
    for (&(role, bound), &most) in ROLES.iter().zip(&site.most) {
        println!("{role}: at most {most} MiB, {bound} stated");
    }
    assert!(ROLES.iter().zip(&site.most).all(|((_, bound), most)| most <= bound));
    let store = site.roles.remove(ROLES.iter().position(|(role, _)| *role == "store").unwrap());
    let ledger = site.cluster.ledger(&bus, store).await;
    compare("chaos", &ledger, (0..written.events).map(|number| violation_read(number, NAMESPACES)));
    let dead = ledger.totals().unwrap().dead_letters;
    let (acknowledged, sent) = site.hostile;
    let range = written.malformed + acknowledged..=written.malformed + sent;
    assert!(range.contains(&dead), "{dead} dead letters, expected {range:?}");
}
