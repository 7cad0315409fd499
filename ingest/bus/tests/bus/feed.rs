use lictor_bus::{Bucket, Feed, FeedItem};
use lictor_tests::NatsServer;

use crate::{connect, raw, within};

async fn next(feed: &mut Feed) -> FeedItem {
    within(feed.next()).await.unwrap()
}

/// Key and value, or what else it is.
fn brief(item: &FeedItem) -> String {
    match item {
        FeedItem::Put { key, value, .. } => format!("{key}={}", String::from_utf8_lossy(value)),
        FeedItem::Removed { key, .. } => format!("{key} removed"),
        FeedItem::Unreadable { key, .. } => format!("{key} unreadable"),
        FeedItem::Complete { revision } => format!("complete at {revision}"),
        FeedItem::Reset => "reset".to_owned(),
    }
}

#[tokio::test]
async fn says_what_is_there_that_this_is_all_and_what_changes() {
    let mut server = NatsServer::start().await;
    let bus = connect(&server).await;
    let mut empty = bus.watch_bucket(Bucket::Jobs);
    assert_eq!(next(&mut empty).await, FeedItem::Complete { revision: 0 });
    for (key, value) in [("a", 1), ("b", 2), ("a", 3), ("c.d", 4)] {
        bus.put(Bucket::Pods, key, &value).await.unwrap();
    }
    bus.delete(Bucket::Pods, "b").await.unwrap();
    let mut feed = bus.watch_bucket(Bucket::Pods);
    let mut said = Vec::new();
    while !said.last().is_some_and(|last: &String| last.starts_with("complete")) {
        said.push(brief(&next(&mut feed).await));
    }
    assert_eq!(said, ["a=3", "c.d=4", "b removed", "complete at 5"]);
    assert_eq!(bus.last_revision(Bucket::Pods).await.unwrap(), 5);
    bus.put(Bucket::Pods, "e", &5).await.unwrap();
    assert_eq!(brief(&next(&mut feed).await), "e=5");
    // The server goes and comes back: nothing is said twice, nothing is left out, and it is not complete again.
    server.restart().await;
    bus.put(Bucket::Pods, "f", &6).await.unwrap();
    assert_eq!(brief(&next(&mut feed).await), "f=6");
    bus.put(Bucket::Jobs, "j", &7).await.unwrap();
    assert_eq!(brief(&next(&mut empty).await), "j=7");
}

#[tokio::test]
async fn starts_over_when_the_bucket_was_made_anew() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    for key in ["a", "b"] {
        bus.put(Bucket::Pods, key, &1).await.unwrap();
    }
    let mut feed = bus.watch_bucket(Bucket::Pods);
    for said in ["a=1", "b=1", "complete at 2"] {
        assert_eq!(brief(&next(&mut feed).await), said);
    }
    let (_client, jetstream) = raw(&server).await;
    jetstream.delete_stream("KV_lictor-pods").await.unwrap();
    let another = connect(&server).await;
    another.put(Bucket::Pods, "c", &2).await.unwrap();
    for said in ["reset", "c=2", "complete at 1"] {
        assert_eq!(brief(&next(&mut feed).await), said);
    }
}
