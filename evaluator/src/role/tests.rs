//! The role against a real server, with policies that cannot be used or do not compile.

use std::collections::BTreeMap;

use lictor_bus::{Bucket, BusOptions, FeedItem, PolicyState, PolicyWrite, ReadFrom};
use lictor_engine::PolicySet;
use lictor_tests::NatsServer;
use lictor_wire::policy::read::read_policies;
use lictor_wire::topology::Topology;
use lictor_wire::{
    ClusterId, Container, ContainerImage, DeadLetter, DeploymentChange, DeploymentEvent, DeploymentId,
    EventData, ImageName, NotCompiled, PolicyChange, PolicyLogKey, TransactionId,
};

use super::*;

/// Nothing here takes nearly as long; what does, hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A reader whose sets do not compile from a sequence of the log on.
#[derive(Debug)]
struct Breaking {
    reader: PoliciesInForce,
    from: u64,
    read: u64,
}

impl PolicyLogReader for Breaking {
    type Snapshot = PolicyStatus;

    fn take(&mut self, key: &str, sequence: u64, document: Result<&[u8], &str>) -> Result<(), String> {
        self.read = self.read.max(sequence);
        self.reader.take(key, sequence, document)
    }

    fn read_up_to(&mut self, sequence: u64) {
        self.reader.read_up_to(sequence);
    }

    fn history_needed(&self) -> Option<(PolicyLogKey, u64)> {
        self.reader.history_needed()
    }

    fn take_history<B: AsRef<[u8]>>(&mut self, key: &PolicyLogKey, documents: &[(u64, B)]) {
        self.reader.take_history(key, documents);
    }

    fn start_over(&mut self) {
        self.reader.start_over();
    }

    fn snapshot(&mut self) -> (PolicyStatus, Result<(), String>) {
        let (read, from) = (self.read, self.from);
        self.reader.snapshot_with(|policies| {
            assert!(read < from, "too many literals");
            PolicySet::assemble(policies)
        })
    }
}

fn breaking_from(from: u64) -> Breaking {
    Breaking { reader: PoliciesInForce::default(), from, read: 0 }
}

async fn connect(server: &NatsServer) -> Bus {
    Bus::connect_new(BusOptions::new(&server.url(), Topology::default(), "test")).await.unwrap()
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("took too long")
}

/// A change that may follow any state of the log.
struct Unchecked([PolicyChange; 1]);

impl PolicyWrite for Unchecked {
    type Refusal = String;

    fn changes(&self) -> &[PolicyChange] {
        &self.0
    }

    fn check(&self, _: &PolicyState) -> Result<(), String> {
        Ok(())
    }
}

/// Writes a policy about a tag, valid or not.
async fn write(bus: &Bus, id: &str, field: &str) {
    let policy = format!(
        r#"{{"id":"{id}","name":"Policy {id}","severity":"LOW_SEVERITY","categories":["x"],"lifecycleStages":["DEPLOY"],
            "policySections":[{{"policyGroups":[{{"fieldName":"{field}","values":[{{"value":"latest"}}]}}]}}]}}"#
    );
    let policy = Box::new(read_policies(&policy).unwrap().policies.remove(0));
    let transaction = TransactionId::new(format!("{id} {field}"));
    let change = Unchecked([PolicyChange::Put { policy }]);
    bus.policy_log().write(&change, "test", &transaction).await.unwrap();
}

async fn deploy(bus: &Bus, id: &str) {
    let name = ImageName { tag: "latest".to_owned(), ..ImageName::default() };
    let image = ContainerImage { name, ..ContainerImage::default() };
    let deployment = Deployment {
        id: DeploymentId::new("d"),
        cluster_id: ClusterId::new("c1"),
        containers: vec![Container { image, ..Container::default() }],
        ..Deployment::default()
    };
    let body = DeploymentEvent { change: DeploymentChange::Created, deployment, revision: 1 };
    let event = Event {
        id: EventId::new(id),
        source: "/test".to_owned(),
        time: Timestamp::now(),
        cluster: ClusterId::new("c1"),
        traceparent: None,
        extensions: BTreeMap::new(),
        data: EventData::Deployment(Box::new(body)),
    };
    bus.publish_event(&event).await.unwrap();
}

/// The n-th verdict: the event, the revision it was judged by, and the violated policies with their revisions.
async fn verdict(bus: &Bus, number: u64) -> (String, u64, Vec<(String, u64)>) {
    let mut reader = bus.read(Stream::Verdicts, ReadFrom::Sequence(number), false);
    let body = within(reader.next()).await.unwrap().unwrap().body().unwrap();
    let verdict: Verdict = serde_json::from_slice(&body).unwrap();
    let policies = verdict.violations.iter().map(|violation| &violation.policy);
    let violated = policies.map(|policy| (policy.id.to_string(), policy.revision)).collect();
    (verdict.event.id.to_string(), verdict.revisions.policies, violated)
}

/// Waits until the evaluator says something of itself.
async fn presence(bus: &Bus, wanted: impl Fn(&Presence) -> bool) -> Presence {
    let mut feed = bus.watch_bucket(Bucket::Presence);
    within(async {
        loop {
            if let Some(FeedItem::Put { value, .. }) = feed.next().await
                && let Ok(who) = serde_json::from_slice::<Presence>(&value)
                && wanted(&who)
            {
                return who;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_that_do_not_compile_leave_those_before_in_force() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    write(&bus, "p-1", "Image Tag").await;
    // The installation's document is the first of the log.
    let evaluator =
        tokio::spawn(run_with(Config::default(), bus.clone(), CancellationToken::new(), breaking_from(3)));
    deploy(&bus, "e-1").await;
    let violated = vec![("p-1".to_owned(), 2)];
    assert_eq!(verdict(&bus, 1).await, ("e-1".to_owned(), 2, violated.clone()));

    write(&bus, "p-2", "Image Tag").await;
    // Workloads were not judged by the change, and it says so instead of being done with.
    let mut letters = bus.read(Stream::DeadLetters, ReadFrom::First, false);
    let letter = within(letters.next()).await.unwrap().unwrap().body().unwrap();
    let letter: DeadLetter = serde_json::from_slice(&letter).unwrap();
    assert_eq!((letter.origin.as_str(), letter.position), ("LICTOR_POLICIES", 3));
    assert!(letter.reason.contains("do not compile"), "{}", letter.reason);
    // What happens next is judged by the policies before, not by none.
    deploy(&bus, "e-2").await;
    assert_eq!(verdict(&bus, 2).await, ("e-2".to_owned(), 2, violated));
    let who = presence(&bus, |who| who.policy_problems.not_compiled.is_some()).await;
    let not_compiled = NotCompiled { revision: 3, reason: "too many literals".to_owned() };
    assert_eq!((who.policies, who.policy_problems.not_compiled), (2, Some(not_compiled)));
    evaluator.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_policies_that_compile_nothing_is_judged() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    write(&bus, "p-1", "Image Tag").await;
    deploy(&bus, "e-1").await;
    let stop = CancellationToken::new();
    let config = Config::default();
    let evaluator = tokio::spawn(run_with(config, bus.clone(), stop.clone(), breaking_from(2)));
    let who = presence(&bus, |who| who.policy_problems.not_compiled.is_some()).await;
    assert_eq!(who.policies, 0);
    let report = bus.report().await.unwrap();
    let waiting = report.consumers.iter().find(|it| it.stream == "LICTOR_EVENTS_DEPLOYMENT").unwrap();
    assert_eq!((waiting.pending, waiting.in_flight, waiting.ack_floor), (1, 0, 0));
    stop.cancel();
    assert_eq!(within(evaluator).await.unwrap().unwrap(), Summary::default());
    assert_eq!(bus.last_sequence(Stream::Verdicts).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_finds_the_last_good_revision() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    write(&bus, "p-1", "Image Tag").await;
    write(&bus, "p-1", "Image Tagg").await;
    let evaluator = tokio::spawn(run(Config::default(), bus.clone(), CancellationToken::new()));
    deploy(&bus, "e-1").await;
    assert_eq!(verdict(&bus, 1).await, ("e-1".to_owned(), 3, vec![("p-1".to_owned(), 2)]));
    let who = presence(&bus, |who| who.policies == 3).await;
    let [refused] = who.policy_problems.refused.as_slice() else { panic!("{who:?}") };
    assert_eq!((refused.revision, refused.in_force), (3, Some(2)));
    assert!(refused.reason.contains("`Image Tagg`"), "{}", refused.reason);
    evaluator.abort();
}
