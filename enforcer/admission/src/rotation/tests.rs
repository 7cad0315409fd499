//! Whole lives of an identity, with a clock that is turned by hand. What is served is checked as a client does.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::*;

/// A cluster: the Secret, the registered webhook, replicas that serve, and the time.
struct World {
    secret: Option<Bundle>,
    published: Option<(Vec<u8>, Timestamp)>,
    /// What was published before; an API server may be one step behind.
    published_before: Option<Vec<u8>>,
    /// What replicas serve; they keep it while the Secret has nothing to serve.
    served: Option<Leaf>,
    /// What they served before; a replica may be one step behind.
    served_before: Option<(Leaf, Timestamp)>,
    now: Timestamp,
    names: Names,
    changes: Vec<Change>,
}

const NAME: &str = "lictor.lictor.svc";

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 3600)
}

impl World {
    fn new() -> Self {
        Self {
            secret: None,
            published: None,
            published_before: None,
            served: None,
            served_before: None,
            now: "2026-01-01T00:00:00.5Z".parse().unwrap(),
            names: [NAME.to_owned()].into(),
            changes: Vec::new(),
        }
    }

    /// Takes one step; whether there was something to do.
    fn step(&mut self) -> Option<Timestamp> {
        let published = self.published.as_ref().map(|(bundle, since)| Published { bundle, since: *since });
        match plan(self.secret.as_ref(), published, self.now, &self.names, &Lifetimes::default()).unwrap() {
            Step::Write(bundle, change) => {
                // What is written is what others read.
                let bundle = Bundle::read(&bundle.data()).unwrap();
                self.changes.push(change);
                if let Some(leaf) = bundle.leaf.clone().filter(|leaf| self.served.as_ref() != Some(leaf)) {
                    self.served_before = self.served.replace(leaf).map(|leaf| (leaf, self.now));
                }
                self.secret = Some(bundle);
                None
            }
            Step::Publish(bundle) => {
                self.published_before = self.published.take().map(|(bundle, _)| bundle);
                self.published = Some((bundle, self.now));
                None
            }
            Step::Settled { until, publication } => {
                assert_eq!(self.published.as_ref().unwrap().0, publication);
                Some(until)
            }
        }
    }

    /// Lives until then, and asks after each step whether everybody understands each other.
    fn live_until(&mut self, end: Timestamp) {
        let mut steps = 0;
        while self.now < end {
            match self.step() {
                Some(until) => {
                    assert!(until > self.now, "it is settled until a moment that is over");
                    self.now = until.min(end);
                    // Both sides have caught up.
                    self.published_before = None;
                }
                None => {
                    steps += 1;
                    self.now = after(self.now, Duration::from_millis(20));
                }
            }
            self.check();
            assert!(steps < 400, "steps without end: {:?}", self.changes);
        }
    }

    fn live(&mut self, duration: Duration) {
        self.live_until(after(self.now, duration));
    }

    fn check(&self) {
        let Some(served) = &self.served else { return };
        let bundles = [self.published.as_ref().map(|(bundle, _)| bundle), self.published_before.as_ref()];
        let late = self.served_before.as_ref();
        let late = late.filter(|(_, until)| self.now < after(*until, Duration::from_secs(3000)));
        for bundle in bundles.into_iter().flatten() {
            for leaf in [Some(served), late.map(|(leaf, _)| leaf)].into_iter().flatten() {
                assert!(verifies(leaf, bundle, self.now), "at {} after {:?}", self.now, self.changes);
            }
        }
    }

    fn count(&self, change: Change) -> usize {
        self.changes.iter().filter(|found| **found == change).count()
    }
}

/// Whether a client accepts it that knows these authorities only, and refuses those whose time is over.
fn verifies(leaf: &Leaf, bundle: &[u8], now: Timestamp) -> bool {
    let mut roots = RootCertStore::empty();
    for (der, _) in certificates(bundle).into_iter().filter(|(_, until)| now <= *until) {
        roots.add(CertificateDer::from(der)).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build() else {
        return false;
    };
    let time = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().try_into().unwrap()));
    let name = ServerName::try_from(NAME).unwrap();
    let der = CertificateDer::from(leaf.der().to_vec());
    verifier.verify_server_cert(&der, &[], &name, &[], time).is_ok()
}

#[test]
fn at_the_start_there_is_one_authority_and_one_certificate() {
    let mut world = World::new();
    world.live(Duration::from_secs(10));
    assert_eq!(world.changes, [Change::Begin]);
    let bundle = world.secret.unwrap();
    assert_eq!(world.published.unwrap().0, bundle.authority.certificate().as_bytes());
    assert_eq!(bundle.leaf, world.served);
}

#[test]
fn years_pass_without_a_moment_of_mistrust() {
    let mut world = World::new();
    world.live(days(1100));
    // An authority serves for 243 days, a certificate for 20.
    assert_eq!(world.count(Change::Begin), 1);
    assert_eq!(world.count(Change::AddAuthority), 4);
    assert_eq!(world.count(Change::DropAuthority), 4);
    assert!((50..=65).contains(&world.count(Change::ServeLeaf)), "{:?}", world.changes);
}

#[test]
fn a_change_of_authority_goes_step_by_step() {
    let mut world = World::new();
    world.live(days(240));
    let old = world.secret.clone().unwrap();
    world.changes.clear();
    world.now = due(old.authority.validity());
    assert_eq!(world.step(), None);
    // It is made, and neither published nor served yet.
    let new = world.secret.clone().unwrap().next.unwrap();
    assert_eq!(certificates(&world.published.as_ref().unwrap().0).len(), 1);
    assert_eq!(world.step(), None);
    assert_eq!(certificates(&world.published.as_ref().unwrap().0).len(), 2);
    assert_eq!(world.served, old.leaf);
    let settled = world.step().unwrap();
    assert_eq!(settled, after(world.now, Lifetimes::default().propagation));
    world.now = settled;
    assert_eq!(world.step(), None);
    assert!(new.signed(world.served.as_ref().unwrap()));
    let overlap = world.step().unwrap();
    assert!(overlap >= after(world.now, Duration::from_secs(3599)));
    world.now = overlap;
    assert_eq!((world.step(), world.step()), (None, None));
    assert_eq!(world.published.as_ref().unwrap().0, new.certificate().as_bytes());
    assert_eq!(world.changes, [Change::AddAuthority, Change::ServeLeaf, Change::DropAuthority]);
}

#[test]
fn a_lost_secret_is_replaced_carefully() {
    let mut world = World::new();
    world.live(days(3));
    let old = world.secret.take().unwrap();
    world.changes.clear();
    world.live(Duration::from_secs(30));
    // Replicas still serve what they have, and the API server trusts both.
    assert_eq!(world.changes, [Change::Begin]);
    assert_eq!((&world.secret.as_ref().unwrap().leaf, &world.served), (&None, &old.leaf));
    assert_eq!(certificates(&world.published.as_ref().unwrap().0).len(), 2);
    world.live(Duration::from_secs(60));
    assert_eq!(world.changes, [Change::Begin, Change::ServeLeaf]);
    world.live(Duration::from_secs(7200));
    assert_eq!(certificates(&world.published.as_ref().unwrap().0).len(), 1);
}

#[test]
fn a_lost_secret_is_replaced_while_another_change_is_under_way() {
    let mut world = World::new();
    world.live(days(240));
    world.now = due(world.secret.as_ref().unwrap().authority.validity());
    for _ in 0..2 {
        assert_eq!(world.step(), None);
    }
    world.secret = None;
    world.live(days(40));
    assert_eq!(certificates(&world.published.as_ref().unwrap().0).len(), 1);
}

#[test]
fn what_is_published_is_put_right() {
    let mut world = World::new();
    world.live(Duration::from_secs(10));
    let right = world.published.clone().unwrap().0;
    let stranger = Authority::new(world.secret.as_ref().unwrap().authority.validity()).unwrap();
    let added = [&right[..], stranger.certificate().as_bytes()].concat();
    let replaced = stranger.certificate().as_bytes().to_vec();
    for wrong in [None, Some(Vec::new()), Some(b"junk".to_vec()), Some(added), Some(replaced)] {
        world.published = wrong.map(|bundle| (bundle, world.now));
        assert_eq!(world.step(), None);
        assert_eq!(world.published.as_ref().unwrap().0, right);
        assert!(world.step().is_some());
    }
    assert_eq!(world.changes, [Change::Begin]);
}

#[test]
fn other_names_take_another_certificate_of_the_same_authority() {
    let mut world = World::new();
    world.live(days(1));
    let authority = world.secret.clone().unwrap().authority;
    world.names.insert("192.0.2.7".to_owned());
    world.live(Duration::from_secs(90));
    assert_eq!(world.changes, [Change::Begin, Change::ServeLeaf]);
    assert_eq!(world.secret.as_ref().unwrap().authority, authority);
    assert_eq!(world.served.as_ref().unwrap().names(), &world.names);
}

#[test]
fn after_a_year_alone_it_begins_anew() {
    let mut world = World::new();
    world.live(days(1));
    world.now = after(world.now, days(400));
    // Nothing can be trusted until it has settled.
    for _ in 0..4 {
        world.step();
    }
    world.now = after(world.now, Duration::from_secs(61));
    world.step();
    world.live(days(30));
    assert_eq!(certificates(&world.published.as_ref().unwrap().0).len(), 1);
}
