//! What is to be changed about the identity, and when. Pure.
//!
//! The API server believes what it was told last, each of its replicas a moment later than the other; replicas of
//! the webhook learn of a new certificate a moment later, too. So a change goes in steps that are each harmless to
//! whoever is one step behind: a new authority is told beside the old one; only when that was seen for a while is
//! anything signed by it served; and only when that was served for a while is the old authority taken back.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::certificate::{Authority, Bundle, Leaf, MakeError, Names, Validity, certificates, pem_of};

/// How long things last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of an authority.
    pub authority: Duration,
    /// Of a served certificate.
    pub leaf: Duration,
    /// How much earlier than now a validity begins.
    pub backdate: Duration,
    /// How long an authority must have been told before what it signed is served.
    pub told: Duration,
    /// How long a new certificate must have been served before the authority of the old one is taken back.
    pub overlap: Duration,
}

/// The caBundle that the registered webhook has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published<'a> {
    /// In PEM.
    pub bundle: &'a [u8],
    /// Since when it has been seen to be this one.
    pub since: Timestamp,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write this into the Secret, unless somebody else has written since it was read; then ask again.
    Write(Box<Bundle>, Change),
    /// Give the webhook this caBundle; then ask again.
    Publish(Vec<u8>),
    /// Nothing, until then.
    Settled {
        /// The caBundle the webhook has and is to keep.
        publication: Vec<u8>,
        /// When to ask again.
        until: Timestamp,
    },
}

/// What a write is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// There was nothing, or nothing of use.
    Begin,
    /// The authority nears its end, so one that follows it is made.
    AddAuthority,
    /// A new certificate is served.
    ServeLeaf,
    /// The old authority is taken back.
    DropAuthority,
}

impl Default for Lifetimes {
    fn default() -> Self {
        const HOUR: u64 = 3600;
        const DAY: u64 = 24 * HOUR;
        Self {
            // Long, since a change of authority touches the API server; a key that got out ends within the year.
            authority: Duration::from_secs(365 * DAY),
            // Short, since renewal is not seen by anybody; ten days are left when it begins, enough for a long
            // weekend without a cluster.
            leaf: Duration::from_secs(30 * DAY),
            // Clocks of a cluster may differ, and a certificate that is valid only soon is refused.
            backdate: Duration::from_secs(HOUR),
            // Replicas of an API server follow configurations by watch: a second, or ten when they reconnect.
            told: Duration::from_secs(60),
            // Replicas of the webhook follow the Secret by watch, and look by themselves now and then.
            overlap: Duration::from_secs(HOUR),
        }
    }
}

/// Decides what to do next about what lies in the Secret (`None`: nothing of use) and what is published (`None`: no
/// webhook is registered).
///
/// # Errors
/// When a certificate cannot be made.
pub fn plan(
    bundle: Option<&Bundle>,
    published: Option<Published<'_>>,
    now: Timestamp,
    names: &Names,
    lifetimes: &Lifetimes,
) -> Result<Step, MakeError> {
    let write = |bundle, change| Ok(Step::Write(Box::new(bundle), change));
    let Some(bundle) = bundle else {
        let authority = Authority::new(lifetimes.validity(lifetimes.authority, now))?;
        // Where a webhook is registered, replicas may still serve what it was registered with.
        let leaf = match published {
            None => Some(lifetimes.sign(&authority, names, now)?),
            Some(_) => None,
        };
        return write(Bundle { authority, next: None, leaf }, Change::Begin);
    };
    if let Some(changed) = without_expired(bundle, now, lifetimes)? {
        return write(changed, Change::DropAuthority);
    }
    if bundle.next.is_none() && due(bundle.authority.validity()) <= now {
        let next = Some(Authority::new(lifetimes.validity(lifetimes.authority, now))?);
        return write(Bundle { next, ..bundle.clone() }, Change::AddAuthority);
    }

    let served_since = bundle.leaf.as_ref().map(|leaf| lifetimes.made(leaf.validity()));
    let overlap_ends = served_since.map(|since| after(since, lifetimes.overlap));
    let told: Vec<_> = published.map(|published| certificates(published.bundle)).unwrap_or_default();
    let wanted = publication(bundle, &told, overlap_ends.is_none_or(|ends| now < ends), now);
    let is_told = |authority: &Authority| told.iter().any(|(der, _)| *der == authority.der());
    let Some(published) = published.filter(|_| bundle.authorities().all(is_told)) else {
        return Ok(Step::Publish(wanted));
    };

    // The authority whose certificate is to be served.
    let target = bundle.next.as_ref().unwrap_or(&bundle.authority);
    let fits = |leaf: &&Leaf| target.signed(leaf) && due(leaf.validity()) > now && leaf.names() == names;
    let served = bundle.leaf.as_ref().filter(fits);
    let settled = after(published.since, lifetimes.told);
    if served.is_none() && settled <= now {
        let leaf = Some(lifetimes.sign(target, names, now)?);
        return write(Bundle { leaf, ..bundle.clone() }, Change::ServeLeaf);
    }
    if served.is_some()
        && let Some(next) = &bundle.next
        && overlap_ends.is_some_and(|ends| ends <= now)
    {
        let changed = Bundle { authority: next.clone(), next: None, leaf: bundle.leaf.clone() };
        return write(changed, Change::DropAuthority);
    }
    if published.bundle != wanted {
        return Ok(Step::Publish(wanted));
    }
    let moments = [
        Some(due(target.validity())),
        Some(served.map_or(settled, |leaf| due(leaf.validity()))),
        overlap_ends.filter(|ends| now < *ends),
        Some(bundle.authority.validity().until),
    ];
    let until = moments.into_iter().flatten().min().unwrap_or(now);
    Ok(Step::Settled { publication: wanted, until })
}

/// The bundle without authorities whose time is over, when there is one. What they signed is worth nothing.
fn without_expired(
    bundle: &Bundle,
    now: Timestamp,
    lifetimes: &Lifetimes,
) -> Result<Option<Bundle>, MakeError> {
    let lives = |authority: &Authority| now < authority.validity().until;
    let next = bundle.next.clone().filter(lives);
    if lives(&bundle.authority) {
        let stays = bundle.next.is_some() == next.is_some();
        let leaf =
            bundle.leaf.clone().filter(|leaf| bundle.authorities().any(|a| lives(a) && a.signed(leaf)));
        return Ok((!stays).then(|| Bundle { authority: bundle.authority.clone(), next, leaf }));
    }
    let authority = match next {
        Some(next) => next,
        None => Authority::new(lifetimes.validity(lifetimes.authority, now))?,
    };
    let leaf = bundle.leaf.clone().filter(|leaf| authority.signed(leaf));
    Ok(Some(Bundle { authority, next: None, leaf }))
}

/// What is to be published: our authorities, and, while replicas may serve something older, what was.
fn publication(bundle: &Bundle, told: &[(Vec<u8>, Timestamp)], keep: bool, now: Timestamp) -> Vec<u8> {
    let mut pem: String = bundle.authorities().map(Authority::certificate).collect();
    let ours = |der: &Vec<u8>| bundle.authorities().any(|authority| authority.der() == der);
    for (der, until) in told {
        if keep && now < *until && !ours(der) {
            pem.push_str(&pem_of(der));
        }
    }
    pem.into_bytes()
}

/// Two thirds of a life: late enough to be rare, early enough for a third of it to go wrong.
fn due(validity: Validity) -> Timestamp {
    let life = validity.until.duration_since(validity.from);
    validity.from.checked_add(life / 3 * 2).unwrap_or(validity.until)
}

fn after(moment: Timestamp, duration: Duration) -> Timestamp {
    let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    moment.checked_add(duration).unwrap_or(Timestamp::MAX)
}

impl Lifetimes {
    fn validity(&self, life: Duration, now: Timestamp) -> Validity {
        let backdate = SignedDuration::try_from(self.backdate).unwrap_or(SignedDuration::MAX);
        // Certificates know whole seconds.
        let whole = |moment: Timestamp| Timestamp::from_second(moment.as_second()).unwrap_or(moment);
        let from = now.checked_sub(backdate).unwrap_or(now);
        Validity { from: whole(from), until: whole(after(now, life)) }
    }

    fn sign(&self, authority: &Authority, names: &Names, now: Timestamp) -> Result<Leaf, MakeError> {
        authority.sign(names, self.validity(self.leaf, now))
    }

    /// When something of this validity was made.
    fn made(&self, validity: Validity) -> Timestamp {
        after(validity.from, self.backdate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cluster with one Secret and one registration, as one keeper after another sees it.
    struct World {
        now: Timestamp,
        bundle: Option<Bundle>,
        published: Option<(Vec<u8>, Timestamp)>,
        /// Of every step: what is served and what is published.
        history: Vec<(Option<Leaf>, Vec<u8>)>,
        changes: Vec<Change>,
    }

    fn names() -> Names {
        ["lictor.lictor.svc".to_owned()].into()
    }

    impl World {
        fn new() -> Self {
            let now = "2026-01-01T00:00:00Z".parse().unwrap();
            Self { now, bundle: None, published: None, history: Vec::new(), changes: Vec::new() }
        }

        /// Takes steps until nothing is to be done; when to look again.
        fn settle(&mut self) -> Timestamp {
            for _ in 0..8 {
                let published =
                    self.published.as_ref().map(|(bundle, since)| Published { bundle, since: *since });
                match plan(self.bundle.as_ref(), published, self.now, &names(), &Lifetimes::default())
                    .unwrap()
                {
                    Step::Write(bundle, change) => {
                        // What is written is what others read.
                        self.bundle = Some(Bundle::read(&bundle.data()).unwrap());
                        self.changes.push(change);
                    }
                    Step::Publish(bundle) => self.published = Some((bundle, self.now)),
                    Step::Settled { publication, until } => {
                        assert_eq!(self.published.as_ref().unwrap().0, publication);
                        assert!(until > self.now, "{until} is not later than {}", self.now);
                        return until;
                    }
                }
                self.note();
            }
            panic!("no rest");
        }

        /// Replicas serve what the Secret holds, or what they served before when it holds nothing to serve.
        fn note(&mut self) {
            let before = self.history.last().and_then(|(leaf, _)| leaf.clone());
            let leaf = self.bundle.as_ref().and_then(|bundle| bundle.leaf.clone()).or(before);
            let told = self.published.as_ref().map(|(bundle, _)| bundle.clone()).unwrap_or_default();
            self.history.push((leaf, told));
        }

        /// Whoever is one step behind, API server or replica, still agrees with the others.
        fn assert_no_gap(&self) {
            let trusted = |leaf: &Option<Leaf>, told: &[u8]| {
                let Some(leaf) = leaf else { return true };
                certificates(told).iter().any(|(der, _)| signed_by(der, leaf))
            };
            for pair in self.history.windows(2) {
                let [(leaf_before, told_before), (leaf, told)] = pair else { unreachable!() };
                if told_before.is_empty() {
                    continue;
                }
                assert!(trusted(leaf, told), "served and not trusted");
                assert!(trusted(leaf, told_before), "served before the API server knew its authority");
                assert!(trusted(leaf_before, told), "taken back while a replica still served it");
            }
        }
    }

    fn signed_by(authority: &[u8], leaf: &Leaf) -> bool {
        let (_, authority) = x509_parser::parse_x509_certificate(authority).unwrap();
        let (_, leaf) = x509_parser::parse_x509_certificate(leaf.der()).unwrap();
        leaf.verify_signature(Some(authority.public_key())).is_ok()
    }

    #[test]
    fn three_years_without_a_gap() {
        let mut world = World::new();
        let end: Timestamp = "2029-01-01T00:00:00Z".parse().unwrap();
        while world.now < end {
            world.now = world.settle();
            let leaf = world.bundle.as_ref().unwrap().leaf.as_ref();
            assert!(leaf.is_none_or(|leaf| leaf.validity().until > world.now), "served beyond its end");
        }
        world.assert_no_gap();
        let count = |wanted| world.changes.iter().filter(|change| **change == wanted).count();
        assert_eq!(count(Change::Begin), 1);
        // Every eight months an authority, every twenty days a certificate.
        assert!((3..=6).contains(&count(Change::AddAuthority)), "{}", count(Change::AddAuthority));
        assert_eq!(count(Change::AddAuthority), count(Change::DropAuthority));
        assert!((50..=70).contains(&count(Change::ServeLeaf)), "{}", count(Change::ServeLeaf));
    }

    #[test]
    fn a_lost_secret_is_replaced_without_a_gap() {
        let mut world = World::new();
        world.settle();
        world.now = after(world.now, Duration::from_secs(3600));
        world.bundle = None;
        for _ in 0..4 {
            world.now = world.settle();
        }
        world.assert_no_gap();
        assert_eq!(world.changes.iter().filter(|change| **change == Change::Begin).count(), 2);
        assert!(world.bundle.unwrap().leaf.is_some());
    }

    #[test]
    fn a_lost_registration_is_told_at_once() {
        let mut world = World::new();
        world.settle();
        let told = world.published.take().unwrap().0;
        world.settle();
        assert_eq!(world.published.unwrap().0, told);
    }

    #[test]
    fn a_cluster_that_slept_for_years_wakes_up() {
        let mut world = World::new();
        world.settle();
        world.now = "2035-01-01T00:00:00Z".parse().unwrap();
        world.settle();
        world.now = after(world.now, Duration::from_secs(120));
        world.settle();
        let bundle = world.bundle.unwrap();
        assert!(bundle.leaf.unwrap().validity().until > world.now);
        assert!(bundle.authority.validity().until > world.now);
    }
}
