use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use lictor_bus::{
    Bus, BusError, Consumer, Delivery, Intake, IntakeOptions, Line, LineOutcome, LineText, Publisher, Stream,
};
use lictor_tests::{NatsOptions, NatsServer};
use lictor_wire::policy::LifecycleStage;
use lictor_wire::{Cause, ClusterId, DeadLetter, Entity, Event, EventRef, Kind, Revisions, Verdict};

use crate::{all, connect, event_line, event_lines, judged, raw, set, within};

const JUDGE: Consumer = Consumer::Judge(Kind::Process);

async fn intake(bus: &Bus) -> Intake {
    bus.intake(JUDGE, IntakeOptions::default()).await.unwrap()
}

pub async fn next(intake: &mut Intake) -> Delivery {
    within(async {
        loop {
            // An error says why nothing comes for now.
            if let Ok(delivery) = intake.next().await.unwrap() {
                return delivery;
            }
        }
    })
    .await
}

pub fn event(line: &LineText) -> Event {
    let read = line.read();
    let Ok(Line::Event(event)) = read else { panic!("{read:?}") };
    *event
}

fn verdict(event: &Event) -> Verdict {
    let entity = Entity::Node { name: "n".to_owned(), cluster: ClusterId::new("c1") };
    let revisions = Revisions::default();
    Verdict {
        id: Verdict::id_of(&event.id, &entity, Cause::Observed, revisions),
        event: EventRef {
            id: event.id.clone(),
            kind: event.kind(),
            time: event.time,
            stream: String::new(),
            sequence: 0,
        },
        cause: Cause::Observed,
        stage: LifecycleStage::Runtime,
        entity,
        revisions,
        judged_at: Timestamp::UNIX_EPOCH,
        violations: Vec::new(),
        undecided: Vec::new(),
        failures: Vec::new(),
        gone: false,
        admission: None,
        traceparent: None,
    }
}

async fn publish(server: &NatsServer, payload: &'static [u8], content_type: &str) {
    let (_client, jetstream) = raw(server).await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Content-Type", content_type);
    let payload = Bytes::from_static(payload);
    jetstream
        .publish_with_headers("lictor.events.process.c1", headers, payload)
        .await
        .unwrap()
        .await
        .unwrap();
}

async fn letters(bus: &Bus) -> Vec<DeadLetter> {
    let entries = all(bus, Stream::DeadLetters).await;
    entries.iter().map(|entry| serde_json::from_slice(&entry.body().unwrap()).unwrap()).collect()
}

async fn floor(bus: &Bus, wanted: u64) {
    within(async {
        loop {
            let report = bus.report().await.unwrap();
            let stream = bus.topology().stream_name(Stream::Events(Kind::Process));
            let consumer = report.consumers.iter().find(|consumer| consumer.stream == stream).unwrap();
            if consumer.ack_floor == wanted && consumer.in_flight == 0 {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    })
    .await;
}

const LOOK_EVERY: Duration = Duration::from_millis(20);

#[tokio::test]
async fn verdicts_are_written_before_the_message_is_done() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let publisher = Publisher::start(bus.clone(), "p").await.unwrap();
    within(publisher.publish(event_lines("e", 0..10))).await.unwrap();
    let mut intake = intake(&bus).await;
    let delivery = next(&mut intake).await;
    assert_eq!((delivery.message.sequence, delivery.message.delivered, delivery.first_line), (1, 1, 0));
    assert_eq!(delivery.message.stream, "LICTOR_EVENTS_PROCESS");
    assert_eq!(delivery.message.subject, "lictor.events.process.c1");
    assert_eq!(delivery.message.origin(), ("LICTOR_EVENTS_PROCESS", 1));
    assert_eq!(delivery.lines.len(), 10);
    let outcomes =
        delivery.lines.iter().map(|line| LineOutcome::judged(vec![verdict(&event(line))])).collect();
    within(delivery.settle(outcomes)).await.unwrap();
    assert_eq!(bus.last_sequence(Stream::Verdicts).await.unwrap(), 10);
    floor(&bus, 1).await;
}

#[tokio::test]
async fn one_bad_line_goes_alone() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let good = event_line("good").line;
    let payload = [good.as_bytes(), b"\n{\"half\":\n\xff\xfe\n", good.as_bytes(), b"\n"].concat();
    publish(&server, payload.leak(), "application/x-ndjson").await;
    let mut intake = intake(&bus).await;
    let delivery = next(&mut intake).await;
    let read: Vec<_> = delivery.lines.iter().map(LineText::read).collect();
    let bad: Vec<bool> = read.iter().map(Result::is_err).collect();
    assert_eq!(bad, [false, true, true, false]);
    let outcomes = read.into_iter().map(|line| line.map_or_else(LineOutcome::from, |_| judged(1).remove(0)));
    let outcomes = outcomes.collect();
    within(delivery.settle(outcomes)).await.unwrap();
    let letters = letters(&bus).await;
    assert_eq!(letters.len(), 2);
    assert_eq!((letters[0].line, letters[0].lossy, letters[0].original.as_str()), (1, false, "{\"half\":"));
    assert_eq!((letters[1].line, letters[1].lossy), (2, true));
    assert_eq!(
        (letters[1].role.as_str(), letters[1].origin.as_str(), letters[1].position),
        ("evaluator", "LICTOR_EVENTS_PROCESS", 1)
    );
    floor(&bus, 1).await;
}

/// A client names what it likes: a request for a namespace of 5,000 letters is refused, and audited.
#[tokio::test]
async fn a_verdict_about_a_name_of_any_length_is_written() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let publisher = Publisher::start(bus.clone(), "p").await.unwrap();
    within(publisher.publish(event_lines("e", 0..2))).await.unwrap();
    let mut intake = intake(&bus).await;
    let delivery = next(&mut intake).await;
    let long = |i: usize| Entity::Resource {
        resource: "secrets".to_owned(),
        name: "x".to_owned(),
        namespace: format!("{}{i}", "n".repeat(5_000)),
        cluster: ClusterId::new("c".repeat(5_000)),
    };
    let outcomes = delivery.lines.iter().enumerate();
    let outcomes = outcomes
        .map(|(i, line)| LineOutcome::judged(vec![Verdict { entity: long(i), ..verdict(&event(line)) }]));
    let outcomes = outcomes.collect();
    within(delivery.settle(outcomes)).await.unwrap();
    floor(&bus, 1).await;
    let entries = all(&bus, Stream::Verdicts).await;
    let subjects: std::collections::BTreeSet<_> = entries.iter().map(|entry| entry.subject.clone()).collect();
    assert_eq!(subjects.len(), 2, "{subjects:?}");
    assert!(subjects.iter().all(|subject| subject.len() < 200), "{subjects:?}");
    let first: Verdict = serde_json::from_slice(&entries[0].body().unwrap()).unwrap();
    assert_eq!(first.entity.namespace().len(), 5_001);
}

/// It is kept with the reason, its neighbour is judged, and nothing is tried for ever.
#[tokio::test]
async fn a_line_whose_verdict_can_never_be_written_goes_alone() {
    let server =
        NatsServer::start_with(NatsOptions { max_payload: Some(64 * 1024), ..NatsOptions::default() }).await;
    let bus = connect(&server).await;
    let publisher = Publisher::start(bus.clone(), "p").await.unwrap();
    within(publisher.publish(event_lines("e", 0..3))).await.unwrap();
    let mut intake = intake(&bus).await;
    let delivery = next(&mut intake).await;
    let outcomes = delivery.lines.iter().enumerate().map(|(i, line)| {
        let mut verdict = verdict(&event(line));
        if i == 1 {
            // Hashes do not compress.
            let hashes = (0..8_000_u64).map(|i| lictor_wire::Fingerprint::new("x").number(i).finish());
            verdict.traceparent = Some(hashes.collect());
        }
        LineOutcome::judged(vec![verdict])
    });
    let outcomes = outcomes.collect();
    within(delivery.settle(outcomes)).await.unwrap();
    floor(&bus, 1).await;
    assert_eq!(bus.last_sequence(Stream::Verdicts).await.unwrap(), 2);
    let letters = letters(&bus).await;
    assert_eq!((letters.len(), letters[0].line), (1, 1));
    assert!(
        letters[0].reason.starts_with("the result of judging it cannot be published"),
        "{}",
        letters[0].reason
    );
    assert!(letters[0].original.contains("\"e1\""));
}

#[tokio::test]
async fn a_message_that_cannot_be_unpacked_is_dead_as_a_whole() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    publish(&server, b"no list", "application/cloudevents-batch+json").await;
    let mut intake = intake(&bus).await;
    let delivery = next(&mut intake).await;
    assert_eq!(delivery.lines.len(), 1);
    let bad = delivery.lines[0].read().unwrap_err();
    within(delivery.settle(vec![bad.into()])).await.unwrap();
    assert_eq!(letters(&bus).await[0].original, "no list");
}

#[tokio::test]
async fn what_was_not_settled_comes_again() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let publisher = Publisher::start(bus.clone(), "p").await.unwrap();
    within(publisher.publish(vec![event_line("e")])).await.unwrap();
    let mut intake = intake(&bus).await;
    let delivery = next(&mut intake).await;
    let wrong = delivery.settle(Vec::new()).await;
    assert!(matches!(wrong, Err(BusError::Outcomes { wanted: 1, found: 0 })), "{wrong:?}");
    let again = next(&mut intake).await;
    assert_eq!(again.message.delivered, 2);
    within(again.settle(judged(1))).await.unwrap();
    floor(&bus, 1).await;
}

/// Work that takes three times the server's patience is not given to anybody else meanwhile.
#[tokio::test]
async fn slow_work_is_kept_alive() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let publisher = Publisher::start(bus.clone(), "p").await.unwrap();
    within(publisher.publish(vec![event_line("e")])).await.unwrap();
    let mut intake = intake(&bus).await;
    let delivery = next(&mut intake).await;
    let nothing = tokio::time::timeout(Duration::from_secs(3), intake.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    within(delivery.settle(judged(1))).await.unwrap();
    floor(&bus, 1).await;
}

#[tokio::test]
async fn a_parked_line_moves_waits_and_comes_again() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let publisher = Publisher::start(bus.clone(), "p").await.unwrap();
    within(publisher.publish(event_lines("e", 0..3))).await.unwrap();
    let mut intake = intake(&bus).await;
    let delivery = next(&mut intake).await;
    assert!(!delivery.message.expired(Timestamp::MAX));
    let mut outcomes = judged(3);
    outcomes[1] = LineOutcome::parked(vec!["deployment of pod shop/wéb-1\n".to_owned()]);
    outcomes[2] = LineOutcome::dead("not today");
    within(delivery.settle(outcomes)).await.unwrap();
    floor(&bus, 1).await;
    assert_eq!(letters(&bus).await[0].reason, "not today");

    let mut retry = bus.intake(Consumer::Retry, IntakeOptions::default()).await.unwrap();
    for delivered in 1..=4 {
        let delivery = next(&mut retry).await;
        assert_eq!(delivery.message.delivered, delivered);
        assert_eq!(event(&delivery.lines[0]).id.as_str(), "e1");
        assert_eq!(delivery.message.origin(), ("LICTOR_EVENTS_PROCESS", 1));
        let parked = delivery.message.parked.clone().unwrap();
        assert_eq!((parked.line, parked.missing), (1, vec!["deployment of pod shop/wéb-1\n".to_owned()]));
        assert!(!delivery.message.expired(Timestamp::now()));
        assert!(delivery.message.expired(delivery.message.published + lictor_wire::topology::PARKED_FOR));
        let outcome = if delivered < 4 { LineOutcome::parked(vec![]) } else { LineOutcome::judged(vec![]) };
        within(delivery.settle(vec![outcome])).await.unwrap();
    }
}

/// Two evaluators share the work; a third of it is done while the server dies and comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_server_is_read_on_by_all() {
    let mut server = NatsServer::start().await;
    let bus = connect(&server).await;
    let publisher = Publisher::start(bus.clone(), "p").await.unwrap();
    let (judged_ids, mut seen) = tokio::sync::mpsc::channel(1_000);
    for _ in 0..2 {
        let mut intake = bus.intake(JUDGE, IntakeOptions { batch: 4, max_in_flight: 8 }).await.unwrap();
        let judged_ids = judged_ids.clone();
        tokio::spawn(async move {
            while let Some(delivery) = intake.next().await {
                let Ok(delivery) = delivery else { continue };
                let ids: Vec<_> = delivery.lines.iter().map(|line| event(line).id.to_string()).collect();
                let lines = ids.len();
                if delivery.settle(judged(lines)).await.is_ok() {
                    for id in ids {
                        judged_ids.send(id).await.unwrap();
                    }
                }
            }
        });
    }
    let wanted: Vec<String> = event_lines("e", 0..90).iter().map(|line| line.id.to_string()).collect();
    for range in [0..30, 30..60, 60..90] {
        for line in event_lines("e", range) {
            within(publisher.publish(vec![line])).await.unwrap();
        }
        server.restart().await;
    }
    let mut found = std::collections::BTreeSet::new();
    while found != set(&wanted) {
        found.insert(within(seen.recv()).await.unwrap());
    }
}
