use std::collections::BTreeSet;

use bytes::Bytes;
use lictor_tests::NatsServer;
use lictor_wire::{
    Policy, PolicyChange, PolicyDocument, PolicyId, PolicyLogKey, PolicyLogReader, TransactionId,
};
use tokio::sync::watch;

use crate::{connect, raw, within};

/// Writes down what it is handed. What is not a policy document it cannot use.
#[derive(Clone, Default)]
struct Notes {
    said: Vec<String>,
    usable: BTreeSet<String>,
    wanted: Option<(PolicyLogKey, u64)>,
}

impl PolicyLogReader for Notes {
    type Snapshot = Vec<String>;

    fn take(&mut self, key: &str, sequence: u64, document: Result<&[u8], &str>) -> Result<(), String> {
        let document = document.map_err(ToOwned::to_owned);
        if key == "installation" {
            return Ok(());
        }
        let read = document.and_then(|document| {
            serde_json::from_slice::<PolicyDocument>(document).map_err(|error| error.to_string())
        });
        self.said.push(format!("{sequence} {}", if read.is_ok() { "usable" } else { "unusable" }));
        if read.is_ok() {
            self.usable.insert(key.to_owned());
        } else if !self.usable.contains(key) {
            self.wanted = Some((PolicyLogKey::parse(key).unwrap(), sequence));
        }
        read.map(|_| ())
    }

    fn read_up_to(&mut self, sequence: u64) {
        self.said.push(format!("up to {sequence}"));
    }

    fn history_needed(&self) -> Option<(PolicyLogKey, u64)> {
        self.wanted.clone()
    }

    fn take_history<B: AsRef<[u8]>>(&mut self, key: &PolicyLogKey, documents: &[(u64, B)]) {
        let sequences: Vec<u64> = documents.iter().map(|(sequence, _)| *sequence).collect();
        self.said.push(format!("before {sequences:?}"));
        self.usable.insert(key.to_string());
        self.wanted = None;
    }

    fn start_over(&mut self) {
        *self = Self { said: vec!["start".to_owned()], ..Self::default() };
    }

    fn snapshot(&mut self) -> (Vec<String>, Result<(), String>) {
        self.said.push("snapshot".to_owned());
        (self.said.clone(), Ok(()))
    }
}

fn put(id: &str) -> PolicyChange {
    PolicyChange::Put { policy: Box::new(Policy { id: PolicyId::new(id), ..Policy::default() }) }
}

fn document(change: PolicyChange) -> Vec<u8> {
    let (transaction, by) = (TransactionId::new("t"), "test".to_owned());
    let at = jiff::Timestamp::UNIX_EPOCH;
    serde_json::to_vec(&PolicyDocument { transaction, by, at, change }).unwrap()
}

#[tokio::test]
async fn a_reader_is_handed_the_log_and_the_history_it_asks_for() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let (_client, jetstream) = raw(&server).await;
    let subject = bus.topology().policy(&PolicyId::new("a"));
    let write = async |body: Vec<u8>, encoding: Option<&str>| {
        let mut headers = async_nats::HeaderMap::new();
        if let Some(encoding) = encoding {
            headers.insert("Content-Encoding", encoding);
        }
        let sent = jetstream.publish_with_headers(subject.clone(), headers, Bytes::from(body)).await;
        sent.unwrap().await.unwrap();
    };
    write(document(put("a")), None).await;
    write(b"{}".to_vec(), None).await;
    // It says that it is compressed, and is not.
    write(document(put("a")), Some("zstd")).await;
    write(document(put("a")), Some("zstd")).await;

    let (sender, mut published) = watch::channel(Vec::new());
    let following = tokio::spawn(bus.clone().follow_policies(Notes::default(), sender));
    let first = within(published.wait_for(|said| !said.is_empty())).await.unwrap().clone();
    assert_eq!(first, ["start", "5 unusable", "up to 5", "before [2, 3]", "snapshot"]);
    // A usable one is kept, and nothing is looked up for it any more.
    write(document(put("a")), None).await;
    let second = within(published.wait_for(|said| said.len() > first.len())).await.unwrap().clone();
    assert_eq!(second[first.len()..], ["6 usable", "snapshot"]);
    write(b"{".to_vec(), None).await;
    let third = within(published.wait_for(|said| said.len() > second.len())).await.unwrap().clone();
    assert_eq!(third[second.len()..], ["7 unusable", "snapshot"]);
    // Another log: everything anew.
    jetstream.delete_stream("LICTOR_POLICIES").await.unwrap();
    let _another = connect(&server).await;
    let anew = within(published.wait_for(|said| said.len() < third.len())).await.unwrap().clone();
    assert_eq!(anew, ["start", "up to 1", "snapshot"]);
    following.abort();
}

#[tokio::test]
async fn documents_written_together_are_one_change() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let (sender, mut published) = watch::channel(Vec::new());
    let following = tokio::spawn(bus.clone().follow_policies(Notes::default(), sender));
    within(published.wait_for(|said| !said.is_empty())).await.unwrap();
    let (_client, jetstream) = raw(&server).await;
    let mut sent = Vec::new();
    for i in 0..200 {
        let subject = bus.topology().policy(&PolicyId::new(i.to_string()));
        sent.push(jetstream.publish(subject, document(put("a")).into()).await.unwrap());
    }
    for sent in sent {
        within(async { sent.await }).await.unwrap();
    }
    let read = |said: &Vec<String>| said.iter().any(|said| said == "201 usable");
    let said = within(published.wait_for(read)).await.unwrap().clone();
    let snapshots = said.iter().filter(|said| *said == "snapshot").count();
    assert!(snapshots < 100, "{snapshots} snapshots for 200 documents");
    following.abort();
}
