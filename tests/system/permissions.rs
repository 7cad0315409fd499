//! What each role's user may do on a server as `lictor nats config` sets it up, tried out on the server: every role
//! with every stream, bucket, consumer and verb. What it let through equals a list that people review; all else was
//! refused.
//!
//! That each role may do enough is what the other system tests show: their servers are set up like this.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream;
use lictor_bus::Bus;
use lictor_wire::topology::{Bucket, Role, Stream, Topology};
use tokio::time::{Instant, sleep};

use crate::support::SecureNats;

const PATIENCE: Duration = Duration::from_secs(30);
/// Nobody may publish here: that this was refused says that all before was answered.
const LAST: &str = "nobody.may";
/// How many subjects are tried before it is waited for the answers.
const AT_ONCE: usize = 32;

/// JetStream requests about a stream.
const STREAM_VERBS: [&str; 10] = [
    "STREAM.CREATE.{}",
    "STREAM.UPDATE.{}",
    "STREAM.DELETE.{}",
    "STREAM.PURGE.{}",
    "STREAM.INFO.{}",
    "STREAM.MSG.GET.{}",
    "STREAM.MSG.DELETE.{}",
    "STREAM.SNAPSHOT.{}",
    "STREAM.RESTORE.{}",
    "STREAM.LEADER.STEPDOWN.{}",
];
/// Requests to read it: directly, and by a consumer of one's own.
const READ_VERBS: [&str; 9] = [
    "DIRECT.GET.{}",
    "DIRECT.GET.{}.some.subject",
    "CONSUMER.CREATE.{}",
    "CONSUMER.CREATE.{}.own",
    "CONSUMER.DURABLE.CREATE.{}.own",
    "CONSUMER.INFO.{}.own",
    "CONSUMER.LIST.{}",
    "CONSUMER.NAMES.{}",
    "CONSUMER.MSG.NEXT.{}.own",
];
/// Requests about the consumer that processes share, on a stream that has one.
const SHARED_VERBS: [&str; 9] = [
    "CONSUMER.CREATE.{}.shared",
    "CONSUMER.DURABLE.CREATE.{}.shared",
    "CONSUMER.DELETE.{}.shared",
    "CONSUMER.INFO.{}.shared",
    "CONSUMER.MSG.NEXT.{}.shared",
    "CONSUMER.PAUSE.{}.shared",
    "CONSUMER.RESET.{}.shared",
    "CONSUMER.UNPIN.{}.shared",
    "CONSUMER.LEADER.STEPDOWN.{}.shared",
];
/// Where its messages are acknowledged, by older and newer servers.
const ACKS: [&str; 2] = ["$JS.ACK.{}.shared.1.1.1.1.0", "$JS.ACK.domain.account.{}.shared.1.1.1.1.0.r"];
/// What is no stream's.
const OTHERS: [&str; 12] = [
    "$JS.API.INFO",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.CREATE.ANOTHER",
    "$JS.API.ACCOUNT.PURGE.LICTOR",
    "$JS.API.META.LEADER.STEPDOWN",
    "$JS.API.SERVER.REMOVE",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.ACCOUNT.LICTOR.CLAIMS.UPDATE",
    "_INBOX.evaluator.x",
    "_INBOX.viewer.x",
    "somewhere",
];

/// Subject by subject, with what a list calls it: one line for all streams of a verb.
fn probes(topology: &Topology) -> Vec<(String, String, String)> {
    let mut streams: Vec<String> = topology.streams().into_iter().map(|stream| stream.name).collect();
    streams.extend(topology.buckets().into_iter().map(|bucket| bucket.stream_name()));
    streams.extend([topology.object_store(), topology.snapshot_store()].map(|name| format!("OBJ_{name}")));
    let mut probes = Vec::new();
    for stream in &streams {
        let mut probe = |verb: &str, subject: String| {
            probes.push((subject.replace("{}", stream), verb.to_owned(), stream.clone()));
        };
        for verb in STREAM_VERBS.iter().chain(&READ_VERBS) {
            probe(verb, format!("$JS.API.{verb}"));
        }
        probe("$JS.FC.{}.own.x", "$JS.FC.{}.own.x".to_owned());
        let mut consumers = topology.consumers().into_iter();
        let Some(shared) = consumers.find(|spec| topology.stream_name(spec.stream) == *stream) else {
            continue;
        };
        let shared = |verb: &str| verb.replace("shared", &shared.name);
        for verb in SHARED_VERBS {
            probe(verb, shared(&format!("$JS.API.{verb}")));
        }
        for ack in ACKS {
            probe(ack, shared(ack));
        }
    }
    let roles = ["ingest", "evaluator", "enforcer", "store"];
    let mut publish = |subject: String| probes.push((subject.clone(), "publish".to_owned(), subject));
    for stream in topology.streams() {
        for subject in &stream.subjects {
            publish(subject.replace('*', "x"));
        }
    }
    for role in roles {
        publish(topology.dead_letters(role));
    }
    for bucket in topology.buckets() {
        publish(format!("$KV.{}.x", bucket.name));
        for role in roles.iter().filter(|_| bucket.bucket == Bucket::Presence) {
            publish(format!("$KV.{}.role.{role}.x", bucket.name));
        }
        for key in ["source.x", "fellout.x"].iter().filter(|_| bucket.bucket == Bucket::Presence) {
            publish(format!("$KV.{}.{key}", bucket.name));
        }
    }
    for name in [topology.object_store(), topology.snapshot_store()] {
        for part in ["C.x", "M.x"] {
            publish(format!("$O.{name}.{part}"));
        }
    }
    probes.extend(OTHERS.map(|subject| (subject.to_owned(), "other".to_owned(), subject.to_owned())));
    probes
}

/// What a user may not, of what it tries.
async fn refused(
    nats: &SecureNats,
    role: Role,
    subjects: &[String],
    subscriptions: &[&str],
) -> BTreeSet<String> {
    let refusals = Arc::new(Mutex::new(BTreeSet::new()));
    let heard = Arc::clone(&refusals);
    let options = async_nats::ConnectOptions::new().event_callback(move |event| {
        let heard = Arc::clone(&heard);
        async move {
            let said = event.to_string();
            if let Some((_, rest)) = said.split_once("Permissions Violation for ") {
                let subject = rest.split('"').nth(1).unwrap().to_owned();
                let kind = if rest.starts_with("Subscription") { "subscribe " } else { "" };
                heard.lock().unwrap().insert(format!("{kind}{subject}"));
            }
        }
    });
    let client = nats.client(role, options).await;
    for subscription in subscriptions {
        client.subscribe((*subscription).to_owned()).await.unwrap();
    }
    // The client forgets events that come faster than they are taken.
    for (i, some) in subjects.chunks(AT_ONCE).enumerate() {
        for subject in some {
            client.publish(subject.clone(), "{}".into()).await.unwrap();
        }
        let last = format!("{LAST}.{i}");
        client.publish(last.clone(), "".into()).await.unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !refusals.lock().unwrap().contains(&last) {
            assert!(Instant::now() < deadline, "{role:?} has no answer to {last}");
            sleep(Duration::from_millis(1)).await;
        }
    }
    let refusals = refusals.lock().unwrap();
    refusals.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_do_what_is_listed_and_nothing_else() {
    let nats = SecureNats::start().await;
    let topology = Topology::default();
    let probes = probes(&topology);
    let subjects: Vec<String> = probes.iter().map(|(subject, ..)| subject.clone()).collect();
    let inboxes: Vec<String> = Role::ALL.iter().map(|role| format!("{}.>", role.inbox())).collect();
    let mut subscriptions = vec![
        ">",
        "_INBOX.>",
        "_INBOX.*",
        "lictor.>",
        "lictor.events.process.c",
        "$JS.>",
        "$KV.>",
        "$O.>",
        "$SYS.>",
    ];
    subscriptions.extend(inboxes.iter().map(String::as_str));
    let mut list = String::new();
    for role in Role::ALL {
        let refused = refused(&nats, role, &subjects, &subscriptions).await;
        let mut allowed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (subject, verb, of) in &probes {
            if !refused.contains(subject) {
                allowed.entry(verb).or_default().insert(of);
            }
        }
        for subscription in &subscriptions {
            if !refused.contains(&format!("subscribe {subscription}")) {
                allowed.entry("subscribe").or_default().insert(subscription);
            }
        }
        list.push_str(&format!("{}\n", role.as_str()));
        for (verb, of) in allowed {
            let all = of.len() == topology.streams().len() + topology.buckets().len() + 2;
            let of = if all { "all".to_owned() } else { of.into_iter().collect::<Vec<_>>().join(" ") };
            list.push_str(&format!("  {verb}: {of}\n"));
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/system/permissions.txt");
    if std::env::var_os("LICTOR_WRITE_GOLDEN").is_some() {
        std::fs::write(&file, &list).unwrap();
    }
    let reviewed = std::fs::read_to_string(&file).unwrap();
    assert!(list == reviewed, "differs from {}:\n{list}", file.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_around_the_permissions() {
    let nats = SecureNats::start().await;
    let ca = || async_nats::ConnectOptions::new().add_root_certificates(nats.ca());
    let refused = ca().connect(nats.url()).await.unwrap_err();
    assert!(refused.to_string().contains("authorization violation"), "{refused}");
    let refused = async_nats::ConnectOptions::new().connect(nats.url()).await.unwrap_err();
    assert!(format!("{refused:?}").contains("UnknownIssuer"), "{refused:?}");

    let store = Bus::connect_new(nats.options(Role::Store, Topology::default())).await.unwrap();
    let client = nats.client(Role::Auditor, async_nats::ConnectOptions::new()).await;
    let reader = jetstream::new(client);
    // Whoever may make consumers of their own cannot make the one that others share theirs.
    for config in [
        serde_json::json!({"durable_name": "evaluators", "ack_policy": "explicit"}),
        serde_json::json!({"name": "evaluators", "ack_policy": "explicit"}),
    ] {
        let request = serde_json::json!({"stream_name": "LICTOR_EVENTS_AUDIT", "config": config});
        let _: jetstream::response::Response<serde_json::Value> =
            reader.request("CONSUMER.CREATE.LICTOR_EVENTS_AUDIT.own", &request).await.unwrap();
    }
    assert_eq!(store.report().await.unwrap().differences, []);

    // The server itself publishes to where a consumer delivers. Nobody gets another one's subject written like that.
    let enforcer = jetstream::new(nats.client(Role::Enforcer, async_nats::ConnectOptions::new()).await);
    let config =
        serde_json::json!({"name": "own", "deliver_subject": "lictor.policies.forged", "ack_policy": "none"});
    let request = serde_json::json!({"stream_name": "LICTOR_RECEIPTS", "config": config});
    let _: jetstream::response::Response<serde_json::Value> =
        enforcer.request("CONSUMER.CREATE.LICTOR_RECEIPTS.own", &request).await.unwrap();
    let before = store.last_sequence(Stream::Policies).await.unwrap();
    enforcer.publish("lictor.receipts.x.x.x", "{}".into()).await.unwrap().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(store.last_sequence(Stream::Policies).await.unwrap(), before);
}
