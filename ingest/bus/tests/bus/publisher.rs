use std::time::Duration;

use lictor_bus::{
    ACKED, CONTENT_ENCODING, CONTENT_TYPE, EVENTS, MESSAGE_ID, PublishError, Publisher, Stream,
};
use lictor_tests::{NatsOptions, NatsServer};
use lictor_wire::Kind;

use crate::{all, connect, event_line, event_line_with, event_lines, ids, set, within};

const PROCESS: Stream = Stream::Events(Kind::Process);

#[tokio::test]
async fn packs_numbers_and_comes_back() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let publisher = Publisher::start(bus.clone(), "node.1").await.unwrap();
    let one = within(publisher.publish(vec![event_line("alone")])).await.unwrap();
    assert_eq!((one.events, one.messages), (1, 1));
    let many = within(publisher.publish(event_lines("e", 0..500))).await.unwrap();
    assert_eq!(many.events, 500);
    assert!(many.messages < 10, "{many:?}");
    assert_eq!(within(publisher.publish(Vec::<lictor_wire::Event>::new())).await.unwrap().events, 0);

    let entries = all(&bus, PROCESS).await;
    assert_eq!(entries[0].headers.get(CONTENT_TYPE), Some("application/cloudevents+json"));
    assert_eq!(entries[0].headers.get(EVENTS), Some("1"));
    assert_eq!(entries[0].headers.get(ACKED), Some("0"));
    assert_eq!(entries[1].headers.get(CONTENT_TYPE), Some("application/x-ndjson"));
    assert_eq!(entries[1].headers.get(CONTENT_ENCODING), Some("zstd"));
    assert_eq!(entries[1].headers.get(ACKED), Some("1"));
    for (i, entry) in entries.iter().enumerate() {
        let id = format!("{}.{}", publisher.identity(), i + 1);
        assert_eq!(entry.headers.get(MESSAGE_ID), Some(id.as_str()));
    }
    let wanted: Vec<String> =
        std::iter::once("alone".to_owned()).chain((0..500).map(|i| format!("e{i}"))).collect();
    assert_eq!(ids(&bus, PROCESS).await, wanted);
    let events = bus.events(&entries[1]).await.unwrap();
    assert!(events.iter().all(|line| matches!(line, Ok(event) if event.kind() == Kind::Process)));
    publisher.close().await;
}

#[tokio::test]
async fn refuses_what_would_come_out_as_something_else() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let publisher = Publisher::start(bus.clone(), "p").await.unwrap();
    let mut broken = event_line("broken");
    broken.line.insert(1, '\n');
    let refused = within(publisher.publish(vec![event_line("fine"), broken])).await;
    assert!(matches!(refused, Err(PublishError::NotOneLine { .. })), "{refused:?}");
    // Of a refused call nothing is sent.
    assert_eq!(bus.last_sequence(PROCESS).await.unwrap(), 0);
    publisher.clone().close().await;
    let closed = within(publisher.publish(vec![event_line("late")])).await;
    assert!(matches!(closed, Err(PublishError::Closed)), "{closed:?}");
}

/// Text that does not compress.
fn noise(bytes: usize) -> String {
    let mut state = 88_172_645_463_325_252_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + 2 + (state % 90) as u8).to_string().replace('\\', "x")
    })
    .take(bytes)
    .collect()
}

#[tokio::test]
async fn a_large_event_lies_elsewhere_and_comes_back_whole() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let publisher = Publisher::start(bus.clone(), "p").await.unwrap();
    let name = noise(3_000_000);
    let lines = vec![event_line("small"), event_line_with("large", &name), event_line("other")];
    within(publisher.publish(lines)).await.unwrap();
    let entries = all(&bus, PROCESS).await;
    assert!(entries.iter().all(|entry| entry.payload.len() < 100_000));
    let mut names = Vec::new();
    for entry in &entries {
        for line in bus.events(entry).await.unwrap() {
            let lictor_wire::EventData::Process(process) = line.unwrap().data else { panic!() };
            names.push(process.name.clone());
        }
    }
    assert_eq!(names.len(), 3);
    assert!(names.contains(&name));
    // Three megabytes that compress stay in the message.
    within(publisher.publish(vec![event_line_with("long", &"a".repeat(3_000_000))])).await.unwrap();
    let entries = all(&bus, PROCESS).await;
    let last = entries.last().unwrap();
    assert_eq!(last.headers.get(CONTENT_ENCODING), Some("zstd"));
    assert!(matches!(&bus.events(last).await.unwrap()[..], [Ok(event)] if event.id.as_str() == "long"));
}

/// Several servers' deaths while several sources publish: what was acknowledged is there, and nothing twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_and_doubles_nothing() {
    let options = NatsOptions { sync_interval: Some("always".to_owned()), ..NatsOptions::default() };
    let mut server = NatsServer::start_with(options).await;
    let bus = connect(&server).await;
    let publisher = Publisher::start(bus.clone(), "p").await.unwrap();
    let sources: Vec<_> = (0..4)
        .map(|source| {
            let publisher = publisher.clone();
            tokio::spawn(async move {
                let mut published = Vec::new();
                for round in 0..60 {
                    let prefix = format!("s{source}.r{round}.");
                    let lines = event_lines(&prefix, 0..5);
                    published.extend(lines.iter().map(|line| line.id.to_string()));
                    publisher.publish(lines).await.unwrap();
                    tokio::time::sleep(BETWEEN_ROUNDS).await;
                }
                published
            })
        })
        .collect();
    for _ in 0..2 {
        tokio::time::sleep(UNDER_WAY).await;
        server.kill();
        tokio::time::sleep(AWAY).await;
        server.restart().await;
    }
    let mut wanted = Vec::new();
    for source in sources {
        wanted.extend(within(source).await.unwrap());
    }
    publisher.close().await;
    let found = ids(&bus, PROCESS).await;
    assert_eq!(set(&found), set(&wanted));
    assert_eq!(found.len(), wanted.len(), "nothing twice");
}

const BETWEEN_ROUNDS: Duration = Duration::from_millis(10);
const UNDER_WAY: Duration = Duration::from_millis(200);
const AWAY: Duration = Duration::from_millis(300);
