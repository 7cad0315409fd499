//! What is to be changed about authority and certificate, and when. Pure.
//!
//! Replicas of the API server read a new caBundle at different moments, and so do replicas of the webhook a new
//! certificate. So a rotation goes in steps that are each harmless to whoever is one step behind: a new authority is
//! published beside the old one; only when it has been published for a while, a certificate that it signed is served;
//! and only when that has been served for a while, the old authority is removed.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::certificate::{Authority, Bundle, Leaf, MakeError, Names, Validity, certificates, pem_of};

/// How long things last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifetimes {
    /// Of an authority.
    pub(crate) authority: Duration,
    /// Of a served certificate.
    pub(crate) leaf: Duration,
    /// How much earlier than now a validity begins.
    pub(crate) backdate: Duration,
    /// How long an authority must have been published before a certificate that it signed is served.
    pub(crate) propagation: Duration,
    /// How long a new certificate must have been served before the authority of the old one is removed.
    pub(crate) overlap: Duration,
}

/// The caBundle of the webhook configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published<'a> {
    /// In PEM.
    pub(crate) bundle: &'a [u8],
    /// Since when it has been seen to be this one.
    pub(crate) since: Timestamp,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Write this into the Secret, unless another replica has written it since it was read; then plan again.
    Write(Box<Bundle>, Change),
    /// Write this caBundle into the webhook configuration; then plan again.
    Publish(Vec<u8>),
    /// Nothing, for now.
    Settled {
        /// The caBundle that the webhook configuration has, and is to keep.
        publication: Vec<u8>,
        /// When to plan again.
        until: Timestamp,
    },
}

/// What a write is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// There was no Secret, or an unusable one.
    Begin,
    /// The authority expires before long, so its successor is made.
    AddAuthority,
    /// A new certificate is to be served.
    ServeLeaf,
    /// An authority has expired, or no replica serves a certificate of it any more.
    DropAuthority,
}

impl Default for Lifetimes {
    fn default() -> Self {
        const HOUR: u64 = 3600;
        const DAY: u64 = 24 * HOUR;
        Self {
            // Long, since a change of authority changes the webhook configuration; a leaked key expires within a year.
            authority: Duration::from_secs(365 * DAY),
            // Short, since nobody notices a renewal; ten days are left when it begins, enough for a cluster that is
            // switched off over a long weekend.
            leaf: Duration::from_secs(30 * DAY),
            // Clocks of a cluster may differ, and a certificate that is not valid yet is rejected.
            backdate: Duration::from_secs(HOUR),
            // Replicas of an API server follow configurations by watch: a second, or ten when they reconnect.
            propagation: Duration::from_secs(60),
            // Replicas of the webhook follow the Secret by watch, and read it every few seconds.
            overlap: Duration::from_secs(HOUR),
        }
    }
}

/// Decides what to do next about the Secret (`None`: there is none, or it is unusable) and the published caBundle
/// (`None`: no webhook is registered).
///
/// # Errors
/// When a certificate cannot be made.
pub(crate) fn plan(
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
        let (leaf, retired) = match published {
            None => (Some(lifetimes.sign(&authority, names, now)?), String::new()),
            Some(published) => (None, living(published.bundle, now)),
        };
        return write(Bundle { authority, next: None, leaf, retired }, Change::Begin);
    };
    if let Some(changed) = without_expired(bundle, now, lifetimes)? {
        return write(changed, Change::DropAuthority);
    }
    if bundle.next.is_none() && due(bundle.authority.validity()) <= now {
        let next = Some(Authority::new(lifetimes.validity(lifetimes.authority, now))?);
        return write(Bundle { next, ..bundle.clone() }, Change::AddAuthority);
    }

    // The Secret alone says what is trusted: what other clients add to the caBundle is removed again.
    let wanted = publication(bundle);
    let Some(published) = published.filter(|published| published.bundle == wanted) else {
        return Ok(Step::Publish(wanted));
    };

    // The authority whose certificate is to be served.
    let target = bundle.next.as_ref().unwrap_or(&bundle.authority);
    let fits = |leaf: &&Leaf| target.signed(leaf) && due(leaf.validity()) > now && leaf.names() == names;
    let settled = after(published.since, lifetimes.propagation);
    let Some(served) = bundle.leaf.as_ref().filter(fits) else {
        if settled <= now {
            let leaf = Some(lifetimes.sign(target, names, now)?);
            return write(Bundle { leaf, ..bundle.clone() }, Change::ServeLeaf);
        }
        return Ok(Step::Settled { publication: wanted, until: settled });
    };
    let overlap_ends = after(lifetimes.made(served.validity()), lifetimes.overlap);
    let overlaps = bundle.next.is_some() || !bundle.retired.is_empty();
    if overlaps && overlap_ends <= now {
        let (authority, leaf) = (target.clone(), bundle.leaf.clone());
        let changed = Bundle { authority, next: None, leaf, retired: String::new() };
        return write(changed, Change::DropAuthority);
    }
    let renewal = due(target.validity()).min(due(served.validity()));
    let until =
        if overlaps { renewal.min(overlap_ends).min(bundle.authority.validity().until) } else { renewal };
    Ok(Step::Settled { publication: wanted, until })
}

/// The bundle without expired authorities, if it has one. No client accepts what they signed.
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
        return Ok((!stays).then(|| Bundle { next, leaf, ..bundle.clone() }));
    }
    let authority = match next {
        Some(next) => next,
        None => Authority::new(lifetimes.validity(lifetimes.authority, now))?,
    };
    let leaf = bundle.leaf.clone().filter(|leaf| authority.signed(leaf));
    Ok(Some(Bundle { authority, next: None, leaf, ..bundle.clone() }))
}

/// What is to be published: every authority whose certificate a replica may serve.
fn publication(bundle: &Bundle) -> Vec<u8> {
    let mut pem: String = bundle.authorities().map(|authority| authority.certificate()).collect();
    pem.push_str(&bundle.retired);
    pem.into_bytes()
}

/// The certificates of a PEM bundle that have not expired.
fn living(bundle: &[u8], now: Timestamp) -> String {
    let living = certificates(bundle).into_iter().filter(|(_, until)| now < *until);
    living.map(|(der, _)| pem_of(&der)).collect()
}

/// Two thirds of a life: late enough to be rare, and a third is left to retry in.
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
mod tests;
