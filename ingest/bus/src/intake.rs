//! Taking messages from a shared consumer.
//!
//! Two loops pull, so that one pull is on its way while the other's messages are worked on. Each requests no more
//! messages than may be in flight, so nothing waits unseen in a buffer while its ack wait runs. What is in
//! flight is kept alive by `in progress` signs three times within the consumer's ack wait, until it is settled.

mod memory;
mod puller;

pub(crate) use memory::{Held, MESSAGE_AT_MOST};

use std::sync::Arc;
use std::time::Duration;

use lictor_wire::topology::{Consumer, ConsumerSpec};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::ack::InFlight;
use crate::bus::Bus;
use crate::delivery::Delivery;
use crate::error::BusError;
use crate::topology::ensure_consumer;
use puller::{PULL_AGAIN, Puller};

/// Pulls of one intake on their way at once; the table's bounds on messages in flight count on two.
const PULLS: usize = 2;

/// Batch size and in-flight limit of an intake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntakeOptions {
    /// Messages a pull requests.
    pub batch: usize,
    /// Messages in flight at once, over all pulls; at least `batch`.
    pub max_in_flight: usize,
}

impl Default for IntakeOptions {
    fn default() -> Self {
        // Two pulls of 64: what the table's bounds are made for.
        Self { batch: 64, max_in_flight: 128 }
    }
}

/// Messages of a shared consumer, one after the other.
#[derive(Debug)]
pub struct Intake {
    arrivals: mpsc::Receiver<Result<Box<Delivery>, BusError>>,
    /// Isolated messages of which lines are left.
    returned: mpsc::Receiver<Box<Delivery>>,
    /// One whose turn is waited for; kept here so that [`Intake::next`] may be dropped while it waits.
    beginning: Option<Box<Delivery>>,
    _stop: DropGuard,
}

impl Bus {
    /// Takes messages of a shared consumer. Any number of processes may; each message goes to one of them.
    ///
    /// # Errors
    /// When the consumer is not there and cannot be made.
    pub async fn intake(&self, consumer: Consumer, options: IntakeOptions) -> Result<Intake, BusError> {
        let spec = self.topology().consumer(consumer);
        let info = ensure_consumer(self.jetstream(), self.topology(), &spec).await?;
        Ok(self.start_intake(&spec, info.config.ack_wait, options))
    }

    /// Starts the tasks. They are compiled here once, which an `async fn` would do in each crate that awaits it.
    fn start_intake(&self, spec: &ConsumerSpec, ack_wait: Duration, options: IntakeOptions) -> Intake {
        let batch = options.batch.max(1);
        let max_in_flight = options.max_in_flight.max(batch);
        // As many as can be in flight, so neither ever waits: whoever sends holds one of the permits.
        let (arrivals, arrived) = mpsc::channel(max_in_flight);
        let (returns, returned) = mpsc::channel(max_in_flight);
        let stop = CancellationToken::new();
        let in_flight = Arc::<InFlight>::default();
        let permits = Arc::new(Semaphore::new(max_in_flight));
        for _ in 0..PULLS {
            let puller = Puller {
                bus: self.clone(),
                spec: spec.clone(),
                stream: self.topology().stream_name(spec.stream),
                batch,
                permits: Arc::clone(&permits),
                in_flight: Arc::clone(&in_flight),
                arrivals: arrivals.clone(),
                returns: returns.clone(),
                stop: stop.clone(),
                backoff: PULL_AGAIN,
            };
            tokio::spawn(puller.run());
        }
        tokio::spawn(in_flight.keep_alive(self.clone(), ack_wait / 3, stop.clone()));
        Intake { arrivals: arrived, returned, beginning: None, _stop: stop.drop_guard() }
    }
}

impl Intake {
    /// The next message, or the next line of one that is handed out line by line. Waits for one; may be dropped while
    /// it waits.
    ///
    /// An error gives the reason why no message is available now; call again to continue.
    pub async fn next(&mut self) -> Option<Result<Delivery, BusError>> {
        loop {
            if let Some(delivery) = &mut self.beginning {
                let begun = delivery.begin().await;
                // From here on nothing waits, so nothing is lost.
                let delivery = self.beginning.take()?;
                match begun {
                    Ok(true) => return Some(Ok(*delivery)),
                    Ok(false) => {}
                    // Left to be delivered again.
                    Err(error) => return Some(Err(error)),
                }
            }
            let arrival = tokio::select! {
                biased;
                // Lines of a message in flight already first: it holds up the acknowledgement floor of everybody.
                Some(delivery) = self.returned.recv() => Ok(delivery),
                arrival = self.arrivals.recv() => arrival?,
            };
            match arrival {
                Ok(delivery) => self.beginning = Some(delivery),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
