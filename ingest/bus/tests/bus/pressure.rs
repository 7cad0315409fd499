use lictor_bus::{Bucket, Consumer, IntakeOptions, Pressure, Publisher, ReadFrom, Stream};
use lictor_tests::NatsServer;
use lictor_wire::topology::Sizes;
use lictor_wire::{CoverageNotice, Event, EventData, Kind};

use crate::intake::next;
use crate::{all, connect, connect_with, event_line, event_line_with, judged, raw, within};

/// A stream of 256 KB, of which some 10 KB messages are not judged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_back_lets_go_and_says_what_fell_out() {
    let server = NatsServer::start().await;
    let bus = connect_with(&server, Sizes { event_bytes: 256 * 1024, ..crate::sizes() }).await;
    let publisher = Publisher::start(bus.clone(), "p").await.unwrap();
    let mut pressure = publisher.pressure();
    assert_eq!(*pressure.borrow(), Pressure::Flow);
    let publish = async |i: usize| {
        // Digits that hardly compress, so that messages have a size.
        let name: String = (0..10_000_u64)
            .map(|j| char::from(b'a' + ((j * j * 7_919 + j / 3 + i as u64) % 25) as u8))
            .collect();
        let name: String = name.chars().zip(rand_letters(i)).flat_map(|(a, b)| [a, b]).collect();
        within(publisher.publish(vec![event_line_with(&format!("e{i}"), &name)])).await.unwrap();
    };
    let mut published = 0;
    let full = |bus: lictor_bus::Bus| async move {
        let report = bus.report().await.unwrap();
        report.streams.iter().find(|stream| stream.name == "LICTOR_EVENTS_PROCESS").unwrap().bytes
    };
    while full(bus.clone()).await < 200 * 1024 {
        publish(published).await;
        published += 1;
    }
    within(pressure.wait_for(|pressure| *pressure == Pressure::Stop)).await.unwrap();
    let mut intake = bus.intake(Consumer::Judge(Kind::Process), IntakeOptions::default()).await.unwrap();
    for _ in 0..published {
        let delivery = next(&mut intake).await;
        let lines = delivery.lines.len();
        within(delivery.settle(judged(lines))).await.unwrap();
    }
    within(pressure.wait_for(|pressure| *pressure == Pressure::Flow)).await.unwrap();
    drop(intake);
    // Nobody judges any more, and more comes than the stream holds.
    let judged_to = published as u64;
    for _ in 0..60 {
        publish(published).await;
        published += 1;
    }
    let coverage = Stream::Events(Kind::Coverage);
    within(async {
        while bus.last_sequence(coverage).await.unwrap() == 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    })
    .await;
    tokio::time::sleep(SEVERAL_LOOKS).await;
    let mut expected_from = judged_to + 1;
    let mut ids = std::collections::BTreeSet::new();
    for entry in all(&bus, coverage).await {
        let event: Event = serde_json::from_slice(&entry.body().unwrap()).unwrap();
        let EventData::Coverage(coverage) = event.data else { panic!() };
        let CoverageNotice::FellOut { kind: Kind::Process, from, to, .. } = coverage.notice else { panic!() };
        assert_eq!(from, expected_from, "each range once, one after the other");
        assert!(to >= from);
        assert!(ids.insert(event.id));
        expected_from = to + 1;
    }
    let said: serde_json::Value = bus.get(Bucket::Presence, "fellout.process").await.unwrap().unwrap().1;
    assert_eq!(said["to"], expected_from - 1);
    publisher.close().await;
}

#[tokio::test]
async fn a_purge_of_what_nobody_judged_is_reported() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let publisher = Publisher::start(bus.clone(), "p").await.unwrap();
    let publish = async |ids: std::ops::Range<usize>| {
        for i in ids {
            within(publisher.publish(vec![event_line(&format!("e{i}"))])).await.unwrap();
        }
    };
    publish(0..30).await;
    let mut intake = bus.intake(Consumer::Judge(Kind::Process), IntakeOptions::default()).await.unwrap();
    for _ in 0..30 {
        let delivery = next(&mut intake).await;
        let lines = delivery.lines.len();
        within(delivery.settle(judged(lines))).await.unwrap();
    }
    drop(intake);
    // What was judged may be purged.
    let (_client, jetstream) = raw(&server).await;
    let stream = jetstream.get_stream("LICTOR_EVENTS_PROCESS").await.unwrap();
    tokio::time::sleep(SEVERAL_LOOKS).await;
    stream.purge().await.unwrap();
    tokio::time::sleep(SEVERAL_LOOKS).await;
    publish(30..70).await;
    stream.purge().await.unwrap();
    let mut coverage = bus.read(Stream::Events(Kind::Coverage), ReadFrom::First, false);
    let entry = within(coverage.next()).await.unwrap().unwrap();
    let event = bus.events(&entry).await.unwrap().remove(0).unwrap();
    let EventData::Coverage(coverage) = event.data else { panic!() };
    let CoverageNotice::FellOut { kind: Kind::Process, from, to, .. } = coverage.notice else { panic!() };
    assert_eq!((from, to), (31, 70));
    publisher.close().await;
}

fn rand_letters(seed: usize) -> impl Iterator<Item = char> {
    let mut state = seed as u64 * 2 + 88_172_645_463_325_253;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + (state % 26) as u8)
    })
}

const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(50);
const SEVERAL_LOOKS: std::time::Duration = std::time::Duration::from_millis(2_500);
