//! Writing policies to a real log.

use lictor_bus::{Bus, BusOptions, PolicyLog, Stream, WriteError};
use lictor_policies::{ChangeSet, NameTaken, Set};
use lictor_store::write_policies;
use lictor_tests::NatsServer;
use lictor_wire::topology::Topology;
use lictor_wire::{Policy, PolicyChange, PolicyId, TransactionId};

async fn bus(server: &NatsServer) -> Bus {
    Bus::connect_new(BusOptions::new(&server.url(), Topology::default(), "store-test")).await.unwrap()
}

/// Three policies that ship, under other ids.
fn policies() -> [Policy; 3] {
    let mut files = Set::Default.files();
    [1, 2, 3].map(|number| {
        let (name, text) = files.next().unwrap();
        let policy = lictor_policies::read(&name, text).policies[0].policy.clone();
        Policy { id: PolicyId::new(format!("p{number}")), ..policy }
    })
}

async fn write(log: &PolicyLog, set: &ChangeSet, transaction: &str) -> u64 {
    write_policies(log, set, "somebody", &TransactionId::new(transaction)).await.unwrap()
}

#[tokio::test]
async fn a_set_is_in_force_at_the_sequence_of_its_last_document() {
    let server = NatsServer::start().await;
    let bus = bus(&server).await;
    let log = bus.policy_log();
    let set = ChangeSet::put(policies()).unwrap();
    assert_eq!(write(&log, &set, "t1").await, 4, "the first is the installation's");
    let (_, state) = log.state().await.unwrap();
    let in_force: Vec<&Policy> = state.policies().map(|(_, policy)| policy).collect();
    assert_eq!(in_force, policies().iter().collect::<Vec<_>>());
    let (_, document) = state.document(&PolicyId::new("p1")).unwrap();
    assert_eq!(document.by, "somebody");
    // What changes nothing is not written.
    let nothing = set.without_unchanged(in_force);
    assert_eq!(write(&log, &nothing, "t2").await, 4);
    let gone = ChangeSet::new([PolicyChange::Delete { id: PolicyId::new("p2") }]).unwrap();
    assert_eq!(write(&log, &gone, "t3").await, 5);
    assert_eq!(log.state().await.unwrap().1.policies().count(), 2);
}

#[tokio::test]
async fn a_name_of_another_writer_is_refused_whole_with_both_policies() {
    let server = NatsServer::start().await;
    let bus = bus(&server).await;
    let [first, second, third] = policies();
    write(&bus.policy_log(), &ChangeSet::put([first.clone()]).unwrap(), "t1").await;
    let renamed = Policy { name: first.name.clone(), ..second };
    let set = ChangeSet::put([third, renamed]).unwrap();
    let refused = write_policies(&bus.policy_log(), &set, "other", &TransactionId::new("t2")).await;
    let Err(WriteError::Invalid(taken)) = refused else { panic!("{refused:?}") };
    let both = NameTaken { name: first.name, owner: PolicyId::new("p1"), claimant: PolicyId::new("p2") };
    assert_eq!(taken.0, [both]);
    assert_eq!(bus.last_sequence(Stream::Policies).await.unwrap(), 2, "nothing was written");
}
