use std::time::Duration;

use lictor_bus::{Publisher, ReadFrom};
use lictor_tests::NatsServer;
use lictor_wire::{CoverageNotice, EventData, Kind};

use crate::{connect, event_line, raw, within};

#[tokio::test]
async fn a_message_taken_out_of_the_stream_is_missed() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let publisher = Publisher::start(bus.clone(), "p").await.unwrap();
    for i in 0..6 {
        within(publisher.publish(vec![event_line(&format!("e{i}"))])).await.unwrap();
    }
    let (_client, jetstream) = raw(&server).await;
    let stream = jetstream.get_stream("LICTOR_EVENTS_PROCESS").await.unwrap();
    stream.delete_message(3).await.unwrap();
    let mut watch = bus.watch_continuity(ReadFrom::First);
    let gap = within(watch.next()).await.unwrap().unwrap();
    assert_eq!((gap.kind, gap.first, gap.producer.as_str()), (Kind::Process, 3, "p"));
    assert_eq!(format!("{}.{}", gap.producer, gap.epoch), publisher.identity());
    let event = gap.to_event(jiff::Timestamp::now());
    let EventData::Coverage(coverage) = &event.data else { panic!() };
    assert!(matches!(coverage.notice, CoverageNotice::MissingMessage { number: 3, .. }));
    bus.publish_event(&event).await.unwrap();
    // The same from the middle, and nothing else.
    stream.delete_message(5).await.unwrap();
    let mut watch = bus.watch_continuity(ReadFrom::Sequence(2));
    for i in 6..9 {
        within(publisher.publish(vec![event_line(&format!("e{i}"))])).await.unwrap();
    }
    let mut found = Vec::new();
    while let Ok(gap) = tokio::time::timeout(Duration::from_millis(700), watch.next()).await {
        found.extend(gap.unwrap().ok().map(|gap| gap.first));
    }
    assert_eq!(
        found,
        [5],
        "3 was frozen before the first one seen was acknowledged, for all anybody can tell"
    );
}

/// What the stream's own limits took is nobody's loss.
#[tokio::test]
async fn what_grew_too_old_is_not_missed() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let publisher = Publisher::start(bus.clone(), "p").await.unwrap();
    for i in 0..6 {
        within(publisher.publish(vec![event_line(&format!("e{i}"))])).await.unwrap();
    }
    let (_client, jetstream) = raw(&server).await;
    let stream = jetstream.get_stream("LICTOR_EVENTS_PROCESS").await.unwrap();
    stream.purge().sequence(4).await.unwrap();
    let mut watch = bus.watch_continuity(ReadFrom::First);
    let nothing = tokio::time::timeout(Duration::from_millis(700), watch.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}
