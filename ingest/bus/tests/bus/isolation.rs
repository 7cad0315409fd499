use lictor_bus::{Bucket, Consumer, IntakeOptions, LineOutcome, Publisher, Stream};
use lictor_tests::NatsServer;
use lictor_wire::{DeadLetter, Kind};

use crate::intake::{event, next};
use crate::{all, connect, event_lines, judged, within};

/// An evaluator that dies of one event judges all others and gives that one up.
#[tokio::test]
async fn the_line_that_crashes_is_found_and_the_others_are_judged() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let publisher = Publisher::start(bus.clone(), "p").await.unwrap();
    within(publisher.publish(event_lines("e", 0..4))).await.unwrap();
    let mut judged_lines = Vec::new();
    let mut crashes = 0;
    let mut in_wholes = 0;
    while judged_lines.len() < 3 {
        // Every crash is a process of its own.
        let mut intake = bus.intake(Consumer::Judge(Kind::Process), IntakeOptions::default()).await.unwrap();
        loop {
            if judged_lines.len() == 3 {
                break;
            }
            let delivery = next(&mut intake).await;
            let ids: Vec<String> = delivery.lines.iter().map(|line| event(line).id.to_string()).collect();
            if ids.contains(&"e2".to_owned()) {
                crashes += 1;
                in_wholes += usize::from(ids.len() == 4);
                break;
            }
            assert_eq!(ids.len(), 1);
            assert_eq!(ids[0], format!("e{}", delivery.first_line));
            within(delivery.settle(judged(1))).await.unwrap();
            judged_lines.extend(ids);
        }
    }
    assert_eq!(judged_lines, ["e0", "e1", "e3"]);
    assert_eq!((in_wholes, crashes), (3, 5), "three times with its neighbours, twice by itself");
    let letters = all(&bus, Stream::DeadLetters).await;
    let letter: DeadLetter = serde_json::from_slice(&letters[0].body().unwrap()).unwrap();
    assert_eq!((letters.len(), letter.line), (1, 2));
    assert!(letter.reason.starts_with("crashed the evaluator"), "{}", letter.reason);
    assert!(letter.original.contains("\"e2\""));
    // Nothing is left of it.
    let left = bus.get::<serde_json::Value>(Bucket::Isolation, "LICTOR_EVENTS_PROCESS.1").await.unwrap();
    assert_eq!(left, None);
}

/// What was only in hand when something else crashed is done at once, as a whole.
#[tokio::test]
async fn a_third_delivery_that_is_settled_is_done() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let publisher = Publisher::start(bus.clone(), "p").await.unwrap();
    within(publisher.publish(event_lines("e", 0..2))).await.unwrap();
    let mut intake = bus.intake(Consumer::Judge(Kind::Process), IntakeOptions::default()).await.unwrap();
    for _ in 1..=2 {
        drop(next(&mut intake).await);
    }
    let delivery = next(&mut intake).await;
    assert_eq!((delivery.message.delivered, delivery.lines.len()), (3, 2));
    within(delivery.settle(judged(2))).await.unwrap();
    let left = bus.get::<serde_json::Value>(Bucket::Isolation, "LICTOR_EVENTS_PROCESS.1").await.unwrap();
    assert_eq!(left, None);
    assert!(all(&bus, Stream::DeadLetters).await.is_empty());
}

#[tokio::test]
async fn a_line_that_is_parked_alone_is_parked_as_always() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let publisher = Publisher::start(bus.clone(), "p").await.unwrap();
    within(publisher.publish(event_lines("e", 0..2))).await.unwrap();
    let mut intake = bus.intake(Consumer::Judge(Kind::Process), IntakeOptions::default()).await.unwrap();
    for delivered in 1..=3 {
        let delivery = next(&mut intake).await;
        assert_eq!((delivery.message.delivered, delivery.lines.len()), (delivered, 2));
    }
    for line in 0..2 {
        let delivery = next(&mut intake).await;
        assert_eq!((delivery.message.delivered, delivery.first_line, delivery.lines.len()), (4, line, 1));
        within(delivery.settle(vec![LineOutcome::parked(vec!["x".to_owned()])])).await.unwrap();
    }
    let parked = all(&bus, Stream::Parked).await;
    let origins: Vec<_> = parked.iter().map(|entry| entry.headers.get(lictor_bus::ORIGIN).unwrap()).collect();
    assert_eq!(origins, ["LICTOR_EVENTS_PROCESS/1/0", "LICTOR_EVENTS_PROCESS/1/1"]);
}
