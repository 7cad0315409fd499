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
    fake: Fake,
}

impl Files {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), fake: Fake::default() }
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
            path: self.path("log"),
            format: Format::Events,
            follow,
            cluster: ClusterId::new("c1"),
            node: None,
        };
        // A new process remembers nothing of what was folded.
        let forward = Forward::new(self.fake.clone());
        AbortOnDropHandle::new(tokio::spawn(run(source, forward, stop.clone())))
    }

    async fn read(&self) {
        self.start(false, &CancellationToken::new()).await.unwrap().unwrap();
    }

    fn numbers(&self) -> Vec<usize> {
        let number = |event: Event| match event.data {
            EventData::Process(process) => process.name.strip_prefix('e')?.parse().ok(),
            _ => None,
        };
        self.fake.events().into_iter().map(|event| number(event).unwrap()).collect()
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
    let stop = CancellationToken::new();
    let reading = files.start(true, &stop);
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
    stop.cancel();
    reading.await.unwrap().unwrap();
    assert!(files.fake.letters().is_empty());
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
    let chunk = CHUNK / line(0).len() + 1;
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
    let stop = CancellationToken::new();
    let reading = files.start(true, &stop);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(files.numbers().is_empty());
    files.fake.press(false);
    files.until(0..3).await;
    stop.cancel();
    reading.await.unwrap().unwrap();
}
