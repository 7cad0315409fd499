//! What all requests in flight may hold together, and what one client may hold of it.
//!
//! A bound on one request alone is no bound: forty of them hold forty times as much. A [`Budget`] counts requests and
//! bytes over all of them. Bytes are taken as they arrive, not as they are announced, and are given back as soon as
//! they are no longer held; so a client that announces much and sends little holds little. No client can have all of
//! it, so one that floods leaves room for the others.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The bounds of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetLimits {
    /// Requests in flight.
    pub requests: usize,
    /// Requests in flight of one client.
    pub requests_per_client: usize,
    /// Bytes held.
    pub bytes: usize,
    /// Bytes held by one client.
    pub bytes_per_client: usize,
}

/// Requests and bytes that may be held at the same time. Clones are the same budget.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: BudgetLimits,
    held: Mutex<Held>,
    released: Notify,
}

#[derive(Debug, Default)]
struct Held {
    all: Amount,
    /// Only clients that hold something.
    clients: HashMap<Arc<str>, Amount>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Amount {
    requests: usize,
    bytes: usize,
}

/// What one request holds of a budget; given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    client: Arc<str>,
    bytes: usize,
}

/// A bound that would have been exceeded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{bound}, and {limit} is the limit")]
pub struct Exceeded {
    /// Which one.
    pub bound: Bound,
    /// Its value.
    pub limit: usize,
}

/// Which bound of a [`BudgetLimits`] it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// [`BudgetLimits::requests`].
    Requests,
    /// [`BudgetLimits::requests_per_client`].
    RequestsPerClient,
    /// [`BudgetLimits::bytes`].
    Bytes,
    /// [`BudgetLimits::bytes_per_client`].
    BytesPerClient,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "too many requests are in flight",
            Self::RequestsPerClient => "too many requests of this client are in flight",
            Self::Bytes => "the requests in flight hold too many bytes",
            Self::BytesPerClient => "the requests of this client in flight hold too many bytes",
        })
    }
}

impl Budget {
    /// A budget of which nothing is held.
    pub fn new(limits: BudgetLimits) -> Self {
        Self(Arc::new(Shared { limits, held: Mutex::default(), released: Notify::new() }))
    }

    /// Counts a request of a client, which is an address or a user.
    ///
    /// # Errors
    /// When too many are in flight.
    pub fn enter(&self, client: &str) -> Result<Share, Exceeded> {
        let limits = &self.0.limits;
        let mut held = self.held();
        let of_client = held.clients.get(client).copied().unwrap_or_default();
        check(Bound::Requests, held.all.requests + 1, limits.requests)?;
        check(Bound::RequestsPerClient, of_client.requests + 1, limits.requests_per_client)?;
        held.all.requests += 1;
        let client: Arc<str> = client.into();
        held.clients.entry(client.clone()).or_default().requests += 1;
        drop(held);
        Ok(Share { budget: self.clone(), client, bytes: 0 })
    }

    /// As [`Budget::enter`], and waits while too many are in flight.
    ///
    /// # Errors
    /// When too many still are at the deadline.
    pub async fn enter_before(&self, client: &str, deadline: Instant) -> Result<Share, Exceeded> {
        self.retry_before(deadline, || self.enter(client)).await
    }

    /// Tries again whenever something was given back.
    async fn retry_before<T>(
        &self,
        deadline: Instant,
        mut attempt: impl FnMut() -> Result<T, Exceeded>,
    ) -> Result<T, Exceeded> {
        loop {
            let mut released = std::pin::pin!(self.0.released.notified());
            // From here on nothing that is given back is missed.
            released.as_mut().enable();
            let exceeded = match attempt() {
                Ok(done) => return Ok(done),
                Err(exceeded) => exceeded,
            };
            if timeout_at(deadline, released).await.is_err() {
                return Err(exceeded);
            }
        }
    }

    /// Bytes held by all requests in flight.
    pub fn bytes_held(&self) -> usize {
        self.held().all.bytes
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(bound: Bound, wanted: usize, limit: usize) -> Result<(), Exceeded> {
    if wanted <= limit { Ok(()) } else { Err(Exceeded { bound, limit }) }
}

impl Share {
    /// Takes more bytes.
    ///
    /// # Errors
    /// When they are not there; then nothing was taken.
    pub fn take(&mut self, bytes: usize) -> Result<(), Exceeded> {
        let limits = &self.budget.0.limits;
        let mut held = self.budget.held();
        let of_client = held.clients.get(&self.client).copied().unwrap_or_default();
        check(Bound::Bytes, held.all.bytes.saturating_add(bytes), limits.bytes)?;
        check(Bound::BytesPerClient, of_client.bytes.saturating_add(bytes), limits.bytes_per_client)?;
        held.all.bytes += bytes;
        held.clients.entry(self.client.clone()).or_default().bytes += bytes;
        self.bytes += bytes;
        Ok(())
    }

    /// Takes more bytes, and waits for them while others hold them.
    ///
    /// # Errors
    /// When they are not there by the deadline, or are more than there ever will be.
    pub async fn take_before(&mut self, bytes: usize, deadline: Instant) -> Result<(), Exceeded> {
        let limits = self.budget.0.limits;
        check(Bound::Bytes, bytes, limits.bytes)?;
        check(Bound::BytesPerClient, bytes, limits.bytes_per_client)?;
        let budget = self.budget.clone();
        budget.retry_before(deadline, || self.take(bytes)).await
    }

    /// Gives bytes back, at most those that are held.
    pub fn give_back(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.release(Amount { requests: 0, bytes });
    }

    /// Bytes held.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    fn release(&self, amount: Amount) {
        let mut held = self.budget.held();
        held.all = held.all.less(amount);
        if let Some(of_client) = held.clients.get_mut(&self.client) {
            *of_client = of_client.less(amount);
            if *of_client == Amount::default() {
                held.clients.remove(&self.client);
            }
        }
        drop(held);
        self.budget.0.released.notify_waiters();
    }
}

impl Amount {
    const fn less(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(other.requests),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.release(Amount { requests: 1, bytes: self.bytes });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn budget() -> Budget {
        Budget::new(BudgetLimits { requests: 3, requests_per_client: 2, bytes: 100, bytes_per_client: 60 })
    }

    fn bound<T>(result: Result<T, Exceeded>) -> Option<Bound> {
        result.err().map(|exceeded| exceeded.bound)
    }

    #[test]
    fn each_bound_is_kept_and_named() {
        let budget = budget();
        let mut a = budget.enter("a").unwrap();
        let second = budget.enter("a").unwrap();
        assert_eq!(bound(budget.enter("a")), Some(Bound::RequestsPerClient));
        let mut b = budget.enter("b").unwrap();
        assert_eq!(bound(budget.enter("c")), Some(Bound::Requests));
        a.take(60).unwrap();
        assert_eq!(bound(a.take(1)), Some(Bound::BytesPerClient));
        b.take(40).unwrap();
        assert_eq!(bound(b.take(1)), Some(Bound::Bytes));
        assert_eq!(
            a.take(1).unwrap_err().to_string(),
            "the requests in flight hold too many bytes, and 100 is the limit"
        );
        drop((a, second, b));
        assert_eq!(budget.bytes_held(), 0);
        assert!(budget.held().clients.is_empty());
    }

    #[test]
    fn bytes_that_are_given_back_are_there_for_others() {
        let budget = budget();
        let (mut a, mut b) = (budget.enter("a").unwrap(), budget.enter("b").unwrap());
        a.take(60).unwrap();
        b.take(40).unwrap();
        a.give_back(1_000);
        assert_eq!(a.bytes(), 0);
        b.take(20).unwrap();
        assert_eq!(budget.bytes_held(), 60);
    }

    #[tokio::test]
    async fn waits_for_what_others_hold() {
        let budget = budget();
        let (mut a, mut b) = (budget.enter("a").unwrap(), budget.enter("b").unwrap());
        a.take(60).unwrap();
        let soon = Instant::now() + Duration::from_millis(20);
        assert_eq!(bound(b.take_before(50, soon).await), Some(Bound::Bytes));
        assert_eq!(bound(b.take_before(61, soon).await), Some(Bound::BytesPerClient));
        let later = Instant::now() + Duration::from_secs(10);
        let waiting = tokio::spawn(async move { b.take_before(50, later).await.map(|()| b.bytes()) });
        tokio::task::yield_now().await;
        drop(a);
        assert_eq!(waiting.await.unwrap().unwrap(), 50);
    }
}
