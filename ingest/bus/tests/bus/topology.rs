use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream;
use futures_util::StreamExt as _;
use lictor_bus::{Bucket, Bus, BusError, BusOptions, ConnectError, SetUp, SetUpError, Stream};
use lictor_tests::NatsServer;
use lictor_wire::InstallationDocument;
use lictor_wire::topology::{Sizes, Topology};

use crate::{connect, connect_with, raw, within};

#[tokio::test]
async fn is_made_read_back_and_reported() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let report = within(bus.report()).await.unwrap();
    assert_eq!(report.differences, []);
    assert!(report.streams.iter().all(|stream| stream.exists), "{report:?}");
    assert!(report.consumers.iter().all(|consumer| consumer.exists), "{report:?}");
    let table = bus.topology();
    assert_eq!(report.streams.len(), table.streams().len() + table.buckets().len() + 2);
    assert_eq!(report.consumers.len(), table.consumers().len());
    assert!(report.server.starts_with("2."), "{}", report.server);
    bus.drain().await;
}

#[tokio::test]
async fn is_made_by_many_at_once() {
    let server = NatsServer::start().await;
    let all = (0..6).map(|_| connect(&server));
    let all = within(futures_util::future::join_all(all)).await;
    assert_eq!(all[5].report().await.unwrap().differences, []);
}

#[tokio::test]
async fn a_stream_that_means_something_else_is_refused_by_name() {
    let server = NatsServer::start().await;
    let (_client, jetstream) = raw(&server).await;
    let config = stream::Config {
        name: "LICTOR_POLICIES".to_owned(),
        subjects: vec!["lictor.policies.*".to_owned()],
        max_messages_per_subject: -1,
        ..stream::Config::default()
    };
    jetstream.create_stream(config).await.unwrap();
    let options = BusOptions::new(&server.url(), Topology::default(), "test");
    let refused = within(Bus::connect_new(options)).await.unwrap_err();
    let SetUpError::Connect(ConnectError::Different { differences }) = &refused else {
        panic!("{refused:?}")
    };
    let fields: Vec<_> = differences.iter().map(|difference| difference.field).collect();
    assert_eq!(fields, ["subjects", "deny_delete", "deny_purge", "allow_atomic"]);
    assert!(differences.iter().all(|difference| difference.what == "stream `LICTOR_POLICIES`"));
    assert!(refused.to_string().contains("LICTOR_POLICIES"), "{refused}");
}

#[tokio::test]
async fn a_consumer_that_means_something_else_is_refused_by_name() {
    let server = NatsServer::start().await;
    connect(&server).await;
    let (_client, jetstream) = raw(&server).await;
    jetstream.delete_consumer_from_stream("evaluators", "LICTOR_EVENTS_FILE").await.unwrap();
    let config = pull::Config {
        durable_name: Some("evaluators".to_owned()),
        ack_policy: AckPolicy::All,
        filter_subject: "lictor.events.file.c1".to_owned(),
        ..pull::Config::default()
    };
    jetstream.create_consumer_on_stream(config, "LICTOR_EVENTS_FILE").await.unwrap();
    let options = BusOptions::new(&server.url(), Topology::default(), "test");
    let Err(ConnectError::Different { differences }) = within(Bus::connect(options)).await else { panic!() };
    let fields: Vec<_> = differences.iter().map(|difference| difference.field).collect();
    assert_eq!(fields, ["ack_policy", "filter_subjects"]);
}

#[tokio::test]
async fn only_a_store_creates_streams() {
    let server = NatsServer::start().await;
    let (_client, jetstream) = raw(&server).await;
    let options = BusOptions {
        connect_timeout: Duration::from_millis(600),
        ..BusOptions::new(&server.url(), Topology::default(), "test")
    };
    // A reader says what is missing, and what shows the server to people changes nothing there.
    let refused = within(Bus::connect(options.clone())).await.unwrap_err();
    assert!(matches!(refused, ConnectError::NotSetUp { .. }), "{refused:?}");
    let report = within(within(Bus::open(options.clone())).await.unwrap().report()).await.unwrap();
    assert!(report.streams.iter().all(|stream| !stream.exists));
    assert_eq!(jetstream.stream_names().count().await, 0);
    // Once it is set up, readers that wait go on.
    let patient = BusOptions { connect_timeout: Duration::from_secs(10), ..options.clone() };
    let (reader, store) = tokio::join!(within(Bus::connect(patient)), within(Bus::connect_new(options)));
    assert_eq!(reader.unwrap().report().await.unwrap().differences, []);
    drop(store.unwrap());
}

#[tokio::test]
async fn a_server_that_lost_its_data_is_not_a_new_one() {
    let server = NatsServer::start().await;
    let bus = Bus::open(BusOptions::new(&server.url(), Topology::default(), "test")).await.unwrap();
    let set_up = |known: Option<&InstallationDocument>, replace: Option<&InstallationDocument>| {
        let id = |of: Option<&InstallationDocument>| of.map(|document| document.installation.clone());
        let of = SetUp { known: id(known), replace: id(replace) };
        let bus = bus.clone();
        async move { within(bus.set_up(&of, "test")).await }
    };
    let first = set_up(None, None).await.unwrap();
    assert_eq!(set_up(Some(&first), None).await.unwrap(), first);
    // Ten new stores at once agree.
    let all = futures_util::future::join_all((0..10).map(|_| set_up(None, None))).await;
    assert!(all.into_iter().all(|document| document.unwrap() == first));

    let (_client, jetstream) = raw(&server).await;
    for name in jetstream.stream_names().map(Result::unwrap).collect::<Vec<_>>().await {
        jetstream.delete_stream(name).await.unwrap();
    }
    let refused = set_up(Some(&first), None).await.unwrap_err();
    assert!(matches!(&refused, SetUpError::Lost { known } if *known == first.installation), "{refused:?}");
    assert_eq!(jetstream.stream_names().count().await, 0);
    let second = set_up(Some(&first), Some(&first)).await.unwrap();
    assert_eq!(second.replaces, std::slice::from_ref(&first.installation));
    // Another store of the lost one follows, with the order and without.
    assert_eq!(set_up(Some(&first), Some(&first)).await.unwrap(), second);
    assert_eq!(set_up(Some(&first), None).await.unwrap(), second);
    assert!(matches!(set_up(None, Some(&second)).await, Err(SetUpError::NotLost { .. })));
}

#[tokio::test]
async fn other_limits_are_only_shown() {
    let server = NatsServer::start().await;
    connect(&server).await;
    let bus = connect_with(&server, Sizes { event_bytes: 1 << 20, ..crate::sizes() }).await;
    let report = within(bus.report()).await.unwrap();
    assert!(!report.differences.is_empty());
    for difference in &report.differences {
        assert_eq!((difference.field, difference.changes_meaning), ("max_bytes", false), "{difference}");
    }
}

#[tokio::test]
async fn too_little_storage_is_told_from_other_refusals() {
    let server = NatsServer::start().await;
    let topology = Topology::new("lictor", Sizes { event_bytes: 1 << 40, ..crate::sizes() }).unwrap();
    let options = BusOptions::new(&server.url(), topology, "test");
    let refused = within(Bus::connect_new(options)).await.unwrap_err();
    let SetUpError::Connect(ConnectError::Topology(BusError::InsufficientStorage { what, .. })) = refused
    else {
        panic!("{refused:?}")
    };
    assert!(what.starts_with("stream `LICTOR_EVENTS_"), "{what}");
}

#[tokio::test]
async fn no_server_is_an_error_in_time() {
    let options = BusOptions {
        connect_timeout: Duration::from_millis(600),
        ..BusOptions::new("nats://127.0.0.1:1", Topology::default(), "test")
    };
    let error = within(Bus::connect(options)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn facts_are_written_read_and_removed() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let read = async |key: &str| bus.get::<Vec<u32>>(Bucket::Images, key).await;
    assert_eq!(read("sha256.ab").await.unwrap(), None);
    let first = bus.put(Bucket::Images, "sha256.ab", &vec![1, 2]).await.unwrap();
    let second = bus.put(Bucket::Images, "sha256.ab", &vec![3]).await.unwrap();
    assert!(second > first);
    assert_eq!(read("sha256.ab").await.unwrap(), Some((second, vec![3])));
    assert_eq!(bus.last_revision(Bucket::Images).await.unwrap(), second);
    bus.delete(Bucket::Images, "sha256.ab").await.unwrap();
    assert_eq!(read("sha256.ab").await.unwrap(), None);

    // Larger than a message: compressed where that helps, refused where it does not.
    let long = vec![7_u32; 1_000_000];
    bus.put(Bucket::Images, "long", &long).await.unwrap();
    assert_eq!(read("long").await.unwrap().unwrap().1, long);
    let noise: Vec<u32> = (0..1_000_000_u32).map(|i| i.wrapping_mul(2_654_435_761)).collect();
    let refused = bus.put(Bucket::Images, "noise", &noise).await;
    assert!(matches!(refused, Err(BusError::TooLarge { .. })), "{refused:?}");
    let unreadable = bus.get::<String>(Bucket::Images, "long").await;
    assert!(matches!(unreadable, Err(BusError::Unreadable { .. })), "{unreadable:?}");
    assert_eq!(bus.last_sequence(Stream::Verdicts).await.unwrap(), 0);
}
