use std::fs;
use std::io::Write as _;
use std::time::Instant;

use lictor_wire::{Event, EventData};
use tempfile::TempDir;

use super::*;
use crate::fake::Fake;

fn line(id: usize) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"e{id}","source":"/x","type":"io.lictor.process.v1","time":"2026-01-02T03:04:05Z","cluster":"c1","data":{{"name":"e{id}"}}}}"#
    ) + "\n"
}

fn lines(ids: std::ops::Range<usize>) -> String {
    ids.map(line).collect()
}

struct Files {
    folder: TempDir,
    name: &'static str,
    fake: Fake,
}

impl Files {
    fn new() -> Self {
        Self::named("log")
    }

    fn named(name: &'static str) -> Self {
        Self { folder: TempDir::new().unwrap(), name, fake: Fake::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(name))
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    fn start(&self, follow: bool, stop: &CancellationToken) -> AbortOnDropHandle<Result<(), IngestError>> {
        let source = FileSource {
            path: self.path(self.name),
            format: Format::Events,
            follow,
            cluster: ClusterId::new("c1"),
            node: None,
        };
        // A new process remembers nothing of what was folded.
        let forward = Forward::new(self.fake.clone());
        AbortOnDropHandle::new(tokio::spawn(run(source, forward, stop.clone())))
    }

    /// Reads until [`Running::end`].
    fn running(&self, follow: bool) -> Running {
        let stop = CancellationToken::new();
        Running { task: self.start(follow, &stop), stop }
    }

    async fn read(&self) {
        self.start(false, &CancellationToken::new()).await.unwrap().unwrap();
    }

    fn numbers(&self) -> Vec<usize> {
        let number = |event: Event| match event.data {
            EventData::Process(process) => process.name.strip_prefix('e')?.parse().ok(),
            _ => None,
        };
        self.fake.events().into_iter().filter_map(number).collect()
    }

    /// What was said of records that may be missing.
    fn gaps(&self) -> Vec<String> {
        let gap = |event: Event| match event.data {
            EventData::Coverage(coverage) => Some(coverage.detail),
            _ => None,
        };
        self.fake.events().into_iter().filter_map(gap).collect()
    }

    /// Renames `log`, and what it was renamed to before, as logrotate does; a new one is not made.
    fn rotate(&self) {
        for number in (1..9).rev() {
            let from = self.path(&format!("log.{number}"));
            if from.exists() {
                fs::rename(from, self.path(&format!("log.{}", number + 1))).unwrap();
            }
        }
        fs::rename(self.path("log"), self.path("log.1")).unwrap();
    }

    fn compress(&self, name: &str) {
        let packed = fs::File::create(self.path(&format!("{name}.gz"))).unwrap();
        let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::default());
        packed.write_all(&fs::read(self.path(name)).unwrap()).unwrap();
        packed.finish().unwrap();
        fs::remove_file(self.path(name)).unwrap();
    }

    async fn until(&self, numbers: std::ops::Range<usize>) {
        let wanted: Vec<usize> = numbers.collect();
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.numbers() != wanted {
            assert!(Instant::now() < deadline, "{:?} is not {wanted:?}", self.numbers());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

struct Running {
    task: AbortOnDropHandle<Result<(), IngestError>>,
    stop: CancellationToken,
}

impl Running {
    /// Stops it; it must not have failed.
    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_bad_line_becomes_a_dead_letter_with_its_number() {
    let files = Files::new();
    files.append("log", &format!("{}not json\n\n{}{}", line(0), line(1), line(2).trim_end()));
    files.read().await;
    assert_eq!(files.numbers(), [0, 1, 2]);
    let letters = files.fake.letters();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].position, letters[0].original.as_str()), (2, "not json"));
    assert!(letters[0].origin.ends_with("/log"));
}

#[tokio::test]
async fn bytes_that_are_no_text_are_kept_as_far_as_they_are() {
    let files = Files::new();
    fs::write(files.path("log"), b"\xff{}\n").unwrap();
    files.read().await;
    let letters = files.fake.letters();
    assert!(letters[0].lossy);
    assert_eq!(letters[0].original, "\u{fffd}{}");
}

#[tokio::test]
async fn what_the_bus_refuses_does_not_hold_up_the_rest() {
    let files = Files::new();
    files.fake.refuse(r#""name":"e1""#);
    files.append("log", &lines(0..3));
    files.read().await;
    assert_eq!(files.numbers(), [0, 2]);
    assert_eq!(files.fake.letters().len(), 1);
}

/// Whoever writes events chooses their ids; what says something else is another event all the same.
#[tokio::test]
async fn an_id_that_is_used_twice_hides_nothing() {
    let files = Files::new();
    let other = line(0).replace(r#""name":"e0""#, r#""name":"e7""#);
    files.append("log", &format!("{}{other}{}", line(0), line(0)));
    files.read().await;
    assert_eq!(files.numbers(), [0, 7]);
}

#[tokio::test]
async fn reading_again_goes_on_where_it_ended() {
    let files = Files::new();
    files.append("log", &lines(0..3));
    files.read().await;
    files.read().await;
    assert_eq!(files.numbers(), [0, 1, 2]);
    files.append("log", &lines(3..5));
    files.append("log", "bad");
    files.read().await;
    assert_eq!(files.numbers(), [0, 1, 2, 3, 4]);
    assert_eq!(files.fake.letters()[0].position, 6);
}

#[tokio::test]
async fn followed_through_appending_renaming_and_cutting() {
    let files = Files::new();
    let reading = files.running(true);
    // It may come later, and grow in the middle of a line.
    let text = line(0);
    let (begin, rest) = text.split_at(20);
    files.append("log", begin);
    tokio::time::sleep(POLL_EVERY * 2).await;
    files.append("log", rest);
    files.until(0..1).await;
    // Renamed, with lines written just before, and another in its place.
    files.append("log", &lines(1..3));
    fs::rename(files.path("log"), files.path("log.1")).unwrap();
    files.append("log.1", &line(3));
    files.append("log", &lines(4..6));
    files.until(0..6).await;
    // Cut, and written again from the beginning.
    fs::write(files.path("log"), line(6)).unwrap();
    files.until(0..7).await;
    files.append("log", &line(7));
    files.until(0..8).await;
    reading.end().await;
    assert!(files.fake.letters().is_empty());
    let [gap] = &files.gaps()[..] else { panic!("{:?}", files.gaps()) };
    assert!(gap.contains("truncated"), "{gap}");
}

/// Any number of rotations between two looks at the folder, of which one file is compressed at once.
#[tokio::test]
async fn nothing_is_lost_by_rotations_between_two_looks() {
    let files = Files::new();
    files.append("log", &lines(0..10));
    let reading = files.running(true);
    files.until(0..10).await;
    for round in 1..5 {
        for rotation in 0..3 {
            let from = 40 * round - 30 + 10 * rotation;
            files.append("log", &lines(from..from + 10));
            files.rotate();
        }
        files.compress("log.2");
        files.append("log", &lines(40 * round..40 * round + 10));
        files.until(0..40 * round + 10).await;
    }
    reading.end().await;
    assert_eq!(files.gaps(), Vec::<String>::new());
}

#[tokio::test]
async fn nothing_is_lost_by_rotations_under_back_pressure() {
    let files = Files::new();
    files.append("log", &lines(0..10));
    let reading = files.running(true);
    files.until(0..10).await;
    files.fake.press(true);
    for round in 1..=5 {
        files.append("log", &lines(10 * round..10 * round + 10));
        tokio::time::sleep(POLL_EVERY * 2).await;
        files.rotate();
        // The third is deleted before anybody could read it.
        if round > 2 {
            fs::remove_file(files.path("log.3")).unwrap();
        }
    }
    files.append("log", &lines(60..70));
    files.fake.press(false);
    files.until(0..70).await;
    reading.end().await;
    assert_eq!(files.gaps(), Vec::<String>::new());
}

/// By logrotate with and without gzip, and as the API server does it.
#[tokio::test]
async fn nothing_is_lost_by_rotations_while_nobody_reads() {
    for (compressed, follow) in [(false, false), (true, false), (true, true)] {
        let files = Files::new();
        files.append("log", &lines(0..10));
        files.read().await;
        files.append("log", &lines(10..20));
        for rotation in 2..5 {
            files.rotate();
            files.append("log", &lines(10 * rotation..10 * rotation + 10));
        }
        if compressed {
            files.compress("log.3");
            files.compress("log.2");
        }
        let reading = files.running(follow);
        files.until(0..50).await;
        reading.end().await;
        assert_eq!(files.gaps(), Vec::<String>::new());
    }

    let files = Files::named("audit.log");
    files.append("audit.log", &lines(0..10));
    files.read().await;
    for (rotation, time) in ["2026-11-27T10-00-00.000", "2026-11-27T10-00-01.000"].into_iter().enumerate() {
        let from = 20 * rotation + 10;
        files.append("audit.log", &lines(from..from + 20));
        fs::rename(files.path("audit.log"), files.path(&format!("audit-{time}.log"))).unwrap();
    }
    files.compress("audit-2026-11-27T10-00-01.000.log");
    files.append("audit.log", &lines(50..60));
    files.append("audit-policy.yaml", "no log");
    files.read().await;
    assert_eq!(files.numbers(), (0..60).collect::<Vec<_>>());
    assert!(files.gaps().is_empty() && files.fake.letters().is_empty());
}

#[tokio::test]
async fn what_was_deleted_unread_is_reported() {
    let files = Files::new();
    files.append("log", &lines(0..10));
    files.read().await;
    // So that the next file is newer by the clock of any file system.
    tokio::time::sleep(Duration::from_millis(20)).await;
    files.append("log", &lines(10..20));
    files.rotate();
    files.append("log", &lines(20..30));
    files.rotate();
    files.append("log", &lines(30..40));
    fs::remove_file(files.path("log.2")).unwrap();
    files.read().await;
    assert_eq!(files.numbers(), (0..10).chain(20..40).collect::<Vec<_>>());
    let [gap] = &files.gaps()[..] else { panic!("{:?}", files.gaps()) };
    assert!(gap.contains("no longer exists"), "{gap}");
}

/// A writer that goes on for a while with the file that was renamed.
#[tokio::test]
async fn what_is_written_to_a_rotated_file_is_read() {
    let files = Files::new();
    files.append("log", &lines(0..10));
    let reading = files.running(true);
    files.until(0..10).await;
    files.rotate();
    files.append("log", "");
    tokio::time::sleep(POLL_EVERY * 3).await;
    files.append("log.1", &lines(10..20));
    files.until(0..20).await;
    files.append("log", &lines(20..30));
    files.until(0..30).await;
    // Even when somebody writes to both.
    files.append("log.1", &lines(30..35));
    files.until(0..35).await;
    files.append("log", &lines(35..40));
    files.until(0..40).await;
    reading.end().await;
    assert_eq!(files.gaps(), Vec::<String>::new());
}

#[tokio::test]
async fn a_banner_does_not_make_two_files_one() {
    let banner = format!("{}\n", " ".repeat(600));
    let files = Files::new();
    files.append("log", &(banner.clone() + &lines(0..10)));
    let reading = files.running(true);
    files.until(0..10).await;
    fs::write(files.path("log"), banner.clone() + &lines(10..50)).unwrap();
    files.until(0..50).await;
    files.rotate();
    files.append("log", &(banner + &lines(50..60)));
    files.until(0..60).await;
    reading.end().await;
}

/// It is waited for, and the role and its other sources go on.
#[tokio::test]
async fn a_path_may_be_something_else_for_a_while() {
    let files = Files::new();
    files.append("log", &lines(0..10));
    let reading = files.running(true);
    files.until(0..10).await;
    files.rotate();
    fs::create_dir(files.path("log")).unwrap();
    tokio::time::sleep(POLL_EVERY * 3).await;
    fs::remove_dir(files.path("log")).unwrap();
    std::os::unix::fs::symlink(files.path("log"), files.path("log")).unwrap();
    tokio::time::sleep(POLL_EVERY * 3).await;
    fs::remove_file(files.path("log")).unwrap();
    files.append("log", &lines(10..20));
    files.until(0..20).await;
    reading.end().await;
}

#[tokio::test]
async fn a_fifo_is_refused() {
    let files = Files::new();
    let made = std::process::Command::new("mkfifo").arg(files.path("log")).status().unwrap();
    assert!(made.success());
    for follow in [false, true] {
        let ended =
            tokio::time::timeout(Duration::from_secs(10), files.start(follow, &CancellationToken::new()));
        let error = ended.await.unwrap().unwrap().unwrap_err().to_string();
        assert!(error.contains("FIFO"), "{error}");
    }
}

#[tokio::test]
async fn a_byte_order_mark_spoils_no_record() {
    let files = Files::new();
    files.append("log", &format!("\u{feff}{}", lines(0..2)));
    files.read().await;
    assert_eq!(files.numbers(), [0, 1]);
    assert!(files.fake.letters().is_empty());
}

#[tokio::test]
async fn a_damaged_compressed_file_is_reported_and_the_others_are_read() {
    let files = Files::new();
    files.append("log", &lines(0..10));
    files.read().await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    files.rotate();
    files.append("log", &lines(10..20));
    files.rotate();
    files.compress("log.1");
    let packed = fs::read(files.path("log.1.gz")).unwrap();
    fs::write(files.path("log.1.gz"), &packed[..packed.len() - 12]).unwrap();
    files.append("log", &lines(20..30));
    let reading = files.running(true);
    let deadline = Instant::now() + Duration::from_secs(10);
    while files.numbers().last() != Some(&29) {
        assert!(Instant::now() < deadline, "{:?}", files.numbers());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    reading.end().await;
    let [gap] = &files.gaps()[..] else { panic!("{:?}", files.gaps()) };
    assert!(gap.contains("log.1.gz"), "{gap}");
}

#[tokio::test]
async fn the_rest_of_a_file_rotated_while_nobody_read_is_read_first() {
    let files = Files::new();
    files.append("log", &lines(0..2));
    files.read().await;
    files.append("log", &lines(2..4));
    fs::rename(files.path("log"), files.path("log-2026")).unwrap();
    files.append("log", &lines(4..6));
    files.read().await;
    assert_eq!(files.numbers(), (0..6).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_crash_repeats_only_what_was_not_acknowledged() {
    const ALL: usize = 20_000;
    let files = Files::new();
    files.append("log", &lines(0..ALL));
    let stop = CancellationToken::new();
    for crash in 1..=5 {
        let reading = files.start(true, &stop);
        while files.numbers().len() < ALL * crash / 7 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(reading);
        tokio::task::yield_now().await;
    }
    files.read().await;
    let numbers = files.numbers();
    let distinct: std::collections::BTreeSet<usize> = numbers.iter().copied().collect();
    assert_eq!(distinct, (0..ALL).collect());
    // At most what five crashes found in flight.
    let chunk = usize::try_from(CHUNK).unwrap() / line(0).len() + 1;
    assert!(numbers.len() - ALL <= 5 * (IN_FLIGHT + 1) * chunk, "{} repeated", numbers.len() - ALL);
}

#[tokio::test]
async fn the_checkpoint_waits_for_the_acknowledgement() {
    let files = Files::new();
    files.append("log", &lines(0..3));
    files.fake.hold(true);
    let reading = files.start(true, &CancellationToken::new());
    files.fake.waiting(3).await;
    assert!(files.fake.keys().is_empty());
    drop(reading);
    // What was in flight ends with it, but not at once.
    tokio::time::sleep(Duration::from_millis(20)).await;
    files.fake.hold(false);
    files.read().await;
    assert_eq!(files.numbers(), [0, 1, 2]);
    assert_eq!(files.fake.keys().len(), 1);
}

#[tokio::test]
async fn pressure_stops_reading() {
    let files = Files::new();
    files.fake.press(true);
    files.append("log", &lines(0..3));
    let reading = files.running(true);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(files.numbers().is_empty());
    files.fake.press(false);
    files.until(0..3).await;
    reading.end().await;
}
