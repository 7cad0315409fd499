use bytes::Bytes;
use lictor_bus::{
    Bus, BusError, LogEntry, LogState, PolicyLog, PolicyState, PolicyWrite, ReadFrom, Record, Stream,
    WriteError,
};
use lictor_tests::NatsServer;
use lictor_wire::{Policy, PolicyChange, PolicyId, TransactionId};

use crate::{all, connect, raw, within};

fn put(id: &str, name: &str) -> PolicyChange {
    let policy = Policy { id: PolicyId::new(id), name: name.to_owned(), ..Policy::default() };
    PolicyChange::Put { policy: Box::new(policy) }
}

fn tx(text: &str) -> TransactionId {
    TransactionId::new(text)
}

#[derive(Debug, PartialEq)]
pub(crate) struct Taken;

/// Changes and the rule they obey.
struct Write<F> {
    changes: Vec<PolicyChange>,
    rule: F,
}

impl<F: Fn(&PolicyState) -> Result<(), Taken>> PolicyWrite for Write<F> {
    type Refusal = Taken;

    fn changes(&self) -> &[PolicyChange] {
        &self.changes
    }

    fn check(&self, in_force: &PolicyState) -> Result<(), Taken> {
        (self.rule)(in_force)
    }
}

pub(crate) fn always(changes: Vec<PolicyChange>) -> impl PolicyWrite<Refusal = Taken> {
    Write { changes, rule: |_: &PolicyState| Ok(()) }
}

fn never(changes: Vec<PolicyChange>) -> impl PolicyWrite<Refusal = Taken> {
    Write { changes, rule: |_: &PolicyState| Err(Taken) }
}

/// Writes unless another policy has the name.
async fn write_unique(
    log: &PolicyLog,
    id: &str,
    name: &str,
    transaction: &str,
) -> Result<(), WriteError<Taken>> {
    let unique = |state: &PolicyState| {
        let taken = state.policies().any(|(_, policy)| policy.name == name && policy.id.as_str() != id);
        if taken { Err(Taken) } else { Ok(()) }
    };
    let write = Write { changes: vec![put(id, name)], rule: unique };
    log.write(&write, "test", &tx(transaction)).await.map(|_| ())
}

async fn names(bus: &Bus) -> Vec<String> {
    let (_, state) = bus.policy_log().state().await.unwrap();
    let mut names: Vec<String> = state.policies().map(|(_, policy)| policy.name.clone()).collect();
    names.sort();
    names
}

/// Four stores at once, all with the same names in mind: each name is taken once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_stay_unique_among_many_writers() {
    let server = NatsServer::start().await;
    let writers: Vec<_> = futures_util::future::join_all((0..4).map(|_| connect(&server))).await;
    let tasks: Vec<_> = writers
        .iter()
        .enumerate()
        .map(|(writer, bus)| {
            let log = bus.policy_log();
            tokio::spawn(async move {
                let mut won = 0;
                for round in 0..12 {
                    let id = format!("w{writer}-r{round}");
                    match write_unique(&log, &id, &format!("name {round}"), &id).await {
                        Ok(()) => won += 1,
                        Err(WriteError::Invalid(Taken)) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                }
                won
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        won += within(task).await.unwrap();
    }
    assert_eq!(won, 12);
    let mut wanted: Vec<String> = (0..12).map(|round| format!("name {round}")).collect();
    wanted.sort();
    assert_eq!(names(&writers[0]).await, wanted);
    assert_eq!(
        all(&writers[0], Stream::Policies).await.len(),
        1 + 12,
        "the installation, and a policy a round"
    );
}

#[tokio::test]
async fn a_batch_is_all_or_nothing() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let other = connect(&server).await;
    let log = bus.policy_log();
    let changes = (0..30).map(|i| put(&format!("p{i}"), &format!("policy {i}"))).collect();
    let written = within(log.write(&always(changes), "test", &tx("import"))).await.unwrap();
    assert_eq!((written.first, written.last), (2, 31));
    // Somebody else writes in between: the batch is checked again and still whole.
    write_unique(&other.policy_log(), "x", "between", "between").await.unwrap();
    let changes =
        vec![PolicyChange::Delete { id: PolicyId::new("p0") }, put("p1", "renamed"), put("p2", "also")];
    let written = within(log.write(&always(changes), "test", &tx("edit"))).await.unwrap();
    assert_eq!((written.first, written.last), (33, 35));
    let (sequence, state) = log.state().await.unwrap();
    assert_eq!((sequence, state.policies().count()), (35, 30));
    assert_eq!(state.policy(&PolicyId::new("p0")), None);
    assert_eq!(
        state.policy(&PolicyId::new("p1")).map(|(at, policy)| (at, policy.name.as_str())),
        Some((34, "renamed"))
    );
    // Refused by the caller's own rule, with nothing written.
    let refused = within(log.write(&never(vec![put("a", "a"), put("b", "b")]), "test", &tx("no"))).await;
    assert!(matches!(refused, Err(WriteError::Invalid(Taken))), "{refused:?}");
    assert_eq!(bus.last_sequence(Stream::Policies).await.unwrap(), 35);
    let many = (0..1_001).map(|i| put(&format!("m{i}"), "many")).collect();
    let refused = within(log.write(&always(many), "test", &tx("many"))).await;
    assert!(matches!(refused, Err(WriteError::TooMany { found: 1_001, .. })), "{refused:?}");
}

#[tokio::test]
async fn the_same_transaction_is_written_once() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let changes = vec![put("a", "a"), put("b", "b")];
    let first = within(bus.policy_log().write(&always(changes.clone()), "t", &tx("t1"))).await.unwrap();
    // Another process repeats it, not knowing how it ended; by then it would not even be valid.
    let again = within(bus.policy_log().write(&never(changes), "t", &tx("t1"))).await;
    assert_eq!(again.unwrap(), first);
    assert_eq!(all(&bus, Stream::Policies).await.len(), 1 + 2);
}

/// Somebody else always writes between the check and the write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_always_comes_second_gives_up_and_writes_nothing() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let other = connect(&server).await.policy_log();
    let times = std::sync::atomic::AtomicUsize::new(0);
    let overtaken = |_: &PolicyState| {
        let time = times.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (name, transaction) = (format!("name {time}"), format!("t{time}"));
        let wrote = write_unique(&other, "fast", &name, &transaction);
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(wrote)).unwrap();
        Ok(())
    };
    let write = Write { changes: vec![put("slow", "slow")], rule: overtaken };
    let lost = within(bus.policy_log().write(&write, "test", &tx("slow"))).await;
    let Err(WriteError::Conflict { attempts }) = lost else { panic!("{lost:?}") };
    assert_eq!(attempts, times.load(std::sync::atomic::Ordering::Relaxed));
    assert_eq!(names(&bus).await, [format!("name {}", attempts - 1)]);
    // Alone it is written.
    within(bus.policy_log().write(&always(write.changes), "test", &tx("slow"))).await.unwrap();
    assert_eq!(names(&bus).await.len(), 2);
}

#[tokio::test]
async fn a_document_that_cannot_be_read_leaves_the_one_before_in_force() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let log = bus.policy_log();
    write_unique(&log, "a", "first", "t1").await.unwrap();
    let (_client, jetstream) = raw(&server).await;
    let subject = bus.topology().policy(&PolicyId::new("a"));
    jetstream.publish(subject, Bytes::from_static(b"{}")).await.unwrap().await.unwrap();
    let (_, state) = log.state().await.unwrap();
    assert_eq!(state.policy(&PolicyId::new("a")).unwrap().1.name, "first");
    // What was written stays: the server refuses to forget.
    let stream = jetstream.get_stream("LICTOR_POLICIES").await.unwrap();
    assert!(stream.delete_message(1).await.is_err());
    assert!(stream.purge().await.is_err());
}

/// The sum of what the entries say.
#[derive(Clone, Default)]
struct Sum(u64);

impl LogState for Sum {
    fn apply(&mut self, entry: &LogEntry) {
        let entry: serde_json::Value = serde_json::from_slice(&entry.body().unwrap()).unwrap();
        self.0 += entry["add"].as_u64().unwrap();
    }
}

#[tokio::test]
async fn the_admin_log_is_guarded_the_same_way() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let entry = |add: u64| {
        vec![Record { subject: bus.topology().admin("comment"), body: serde_json::json!({ "add": add }) }]
    };
    let below = |limit: u64| move |sum: &Sum| if sum.0 < limit { Ok(()) } else { Err(Taken) };
    let log = bus.admin_log(Sum::default(), 0);
    for i in 0..40 {
        within(log.write(&tx(&format!("t{i}")), entry(1), below(40))).await.unwrap();
    }
    let refused = within(log.write(&tx("t40"), entry(1), below(40))).await;
    assert!(matches!(refused, Err(WriteError::Invalid(Taken))));
    let refused = within(log.write(&tx("t41"), Vec::new(), below(99))).await;
    assert!(matches!(refused, Err(WriteError::NotRecords)));
    // One that begins with what an index holds, and one that begins with nothing.
    assert_eq!(bus.admin_log(Sum(30), 30).state().await.unwrap().1.0, 40);
    assert_eq!(bus.admin_log(Sum::default(), 0).state().await.unwrap().1.0, 40);
    let beyond = bus.admin_log(Sum::default(), 41).state().await;
    assert!(matches!(beyond.map(|_| ()), Err(BusError::PositionLost { position: 41, last: 40, .. })));
}

#[tokio::test]
async fn a_reader_begins_where_it_likes_and_survives_a_restart() {
    let mut server = NatsServer::start().await;
    let bus = connect(&server).await;
    let log = bus.policy_log();
    // Behind the installation's document.
    for i in 0..4 {
        write_unique(&log, &format!("p{i}"), &format!("n{i}"), &format!("t{i}")).await.unwrap();
    }
    let mut first = bus.read(Stream::Policies, ReadFrom::First, false);
    let mut middle = bus.read(Stream::Policies, ReadFrom::Sequence(4), true);
    let mut new = bus.read(Stream::Policies, ReadFrom::New, false);
    for sequence in 1..=5 {
        assert_eq!(within(first.next()).await.unwrap().unwrap().sequence, sequence);
    }
    let entry = within(middle.next()).await.unwrap().unwrap();
    assert_eq!((entry.sequence, entry.payload.len()), (4, 0));
    assert_eq!(within(middle.next()).await.unwrap().unwrap().sequence, 5);
    let mut since = bus.read(Stream::Policies, ReadFrom::Time(entry.time), false);
    assert_eq!(within(since.next()).await.unwrap().unwrap().sequence, 4);
    // It begins when it is first asked.
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(300), new.next()).await;
    assert!(waiting.is_err());
    server.restart().await;
    write_unique(&log, "p5", "n5", "t5").await.unwrap();
    for reader in [&mut first, &mut middle, &mut new] {
        assert_eq!(within(reader.next()).await.unwrap().unwrap().sequence, 6);
    }
}

#[tokio::test]
async fn a_position_beyond_the_end_stops_the_reader() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let mut reader = bus.read(Stream::Verdicts, ReadFrom::Sequence(8), false);
    let lost = within(reader.next()).await.unwrap();
    assert!(matches!(lost, Err(BusError::PositionLost { position: 7, last: 0, .. })), "{lost:?}");
    assert!(within(reader.next()).await.is_none());
}

/// A reader says when it has handed out what was there at the start, whatever comes meanwhile.
#[tokio::test]
async fn a_backlog_ends() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let (client, jetstream) = raw(&server).await;
    let publish = async |number: usize| {
        let subject = format!("lictor.receipts.none.c1.n{number}");
        jetstream.publish(subject, number.to_string().into()).await.unwrap().await.unwrap();
    };
    let backlog = async |reader: &mut lictor_bus::LogReader| {
        let mut sequences = Vec::new();
        while let Some(entry) = within(reader.next_of_backlog()).await {
            sequences.push(entry.unwrap().sequence);
        }
        sequences
    };
    let mut empty = bus.read(Stream::Receipts, ReadFrom::First, false);
    assert_eq!(backlog(&mut empty).await, [0_u64; 0]);
    for number in 0..300 {
        publish(number).await;
    }
    assert_eq!(within(empty.next()).await.unwrap().unwrap().sequence, 1);
    assert_eq!(backlog(&mut empty).await, [0_u64; 0], "what came later does not belong to the backlog");

    let mut later = bus.read(Stream::Receipts, ReadFrom::Time(jiff::Timestamp::now()), false);
    assert_eq!(backlog(&mut later).await, [0_u64; 0], "all are older");

    let mut reader = bus.read(Stream::Receipts, ReadFrom::First, false);
    let first = within(reader.next_of_backlog()).await.unwrap().unwrap();
    assert_eq!(first.sequence, 1);
    publish(300).await;
    assert_eq!(backlog(&mut reader).await, (2..=300).collect::<Vec<_>>());
    assert_eq!(within(reader.next()).await.unwrap().unwrap().sequence, 301);

    // The last of the backlog leave the stream before they are sent: a batch of the reader is smaller than this.
    let mut reader = bus.read(Stream::Receipts, ReadFrom::First, false);
    assert_eq!(within(reader.next_of_backlog()).await.unwrap().unwrap().sequence, 1);
    let stream = jetstream.get_stream("LICTOR_RECEIPTS").await.unwrap();
    stream.purge().await.unwrap();
    let read = backlog(&mut reader).await;
    assert!(read.last().is_some_and(|last| *last < 301), "{read:?}");
    client.flush().await.unwrap();
}
