//! Drains the filled streams by plain consuming, and watches how far anybody's consumers are.

use std::hint::black_box;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, Info, pull};
use async_nats::jetstream::stream::Stream as Handle;
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt;
use lictor_bus::CONTENT_ENCODING;
use lictor_wire::Kind;
use lictor_wire::topology::{Consumer, Stream, Topology};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use zstd::bulk::Decompressor;

use crate::fill::Filled;

/// The durable of plain consuming.
const RAW: &str = "raw";
/// How often the start is looked for, and how often the end.
const WATCH_START: Duration = Duration::from_millis(5);
const WATCH_END: Duration = Duration::from_millis(20);
/// What does not move for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(120);
/// A measurement of plain consuming lasts at least this long: the streams are read again until then.
const LASTS: Duration = Duration::from_secs(2);
/// Messages of a pull.
const BATCH: usize = 256;
/// The largest message, decompressed: a pack is closed at 64 KB, and one more event fits into it.
const MAX_PAYLOAD: usize = 128 * 1024;

/// A connection of its own, beside the bus.
pub(crate) struct Drainer {
    pub(crate) jetstream: Context,
    pub(crate) topology: Topology,
}

impl Drainer {
    pub(crate) async fn connect(url: &str, topology: Topology) -> Self {
        let client = async_nats::connect(url).await.expect("a connection");
        Self { jetstream: jetstream::new(client), topology }
    }

    /// Consumes and acknowledges everything, again and again for a while; events a second. With `lines` each message is
    /// unpacked first.
    pub(crate) async fn raw(&self, filled: &Filled, lines: bool) -> f64 {
        let mut spent = Duration::ZERO;
        let mut events = 0.0;
        while spent < LASTS {
            let mut tasks = JoinSet::new();
            for kind in Kind::JUDGED {
                let stream = self.stream(Stream::Events(kind)).await;
                let _ = stream.delete_consumer(RAW).await;
                let table = self.topology.consumer(Consumer::Judge(kind));
                let config = pull::Config {
                    durable_name: Some(RAW.to_owned()),
                    deliver_policy: DeliverPolicy::All,
                    ack_policy: AckPolicy::Explicit,
                    ack_wait: table.ack_wait,
                    max_ack_pending: i64::from(table.max_ack_pending),
                    ..pull::Config::default()
                };
                let consumer = stream.create_consumer(config).await.expect("a consumer");
                let mut messages =
                    consumer.stream().max_messages_per_batch(BATCH).messages().await.expect("messages");
                tasks.spawn(async move {
                    let mut decompressor = Decompressor::new().expect("a decompressor");
                    while let Some(message) = messages.next().await {
                        let message = message.expect("a message");
                        if lines {
                            black_box(find_lines(&mut decompressor, &message));
                        }
                        message.ack().await.expect("an acknowledgement");
                    }
                });
            }
            let (taken, share) = self.drained(RAW, filled).await;
            tasks.shutdown().await;
            spent += taken;
            events += share;
        }
        for kind in Kind::JUDGED {
            let _ = self.stream(Stream::Events(kind)).await.delete_consumer(RAW).await;
        }
        events / spent.as_secs_f64()
    }

    /// Waits while a running evaluator judges everything; events a second.
    pub(crate) async fn evaluator(&self, filled: &Filled) -> f64 {
        let name = self.topology.consumer(Consumer::Judge(Kind::Process)).name;
        let (taken, events) = self.drained(&name, filled).await;
        events / taken.as_secs_f64()
    }

    /// From the first message delivered until everything is acknowledged: how long it took, and how many events.
    async fn drained(&self, name: &str, filled: &Filled) -> (Duration, f64) {
        let mut handles = Vec::new();
        for kind in Kind::JUDGED {
            handles.push(self.stream(Stream::Events(kind)).await);
        }
        let process = self.stream(Stream::Events(Kind::Process)).await;
        let begun = Instant::now();
        let (start, before) = loop {
            let info = process.consumer_info(name).await.expect("a consumer");
            if info.delivered.consumer_sequence > 0 {
                // What went before it was seen is not counted.
                break (Instant::now(), info.ack_floor.consumer_sequence);
            }
            assert!(begun.elapsed() < STUCK_AFTER, "nobody consumes");
            sleep(WATCH_START).await;
        };
        loop {
            let mut left = 0;
            for handle in &handles {
                left += waiting(&handle.consumer_info(name).await.expect("a consumer"));
            }
            if left == 0 {
                break;
            }
            assert!(start.elapsed() < STUCK_AFTER, "{left} messages are not consumed");
            sleep(WATCH_END).await;
        }
        (start.elapsed(), filled.events_after(before))
    }

    /// Waits until nobody has had anything to do for this long.
    pub(crate) async fn calm(&self, lasting: Duration) {
        let consumers: Vec<_> =
            self.topology.consumers().into_iter().filter(|spec| spec.consumer != Consumer::Enforce).collect();
        let (begun, mut since) = (Instant::now(), Instant::now());
        while since.elapsed() < lasting {
            for spec in &consumers {
                let stream = self.stream(spec.stream).await;
                if stream.consumer_info(&spec.name).await.map_or(1, |info| waiting(&info)) > 0 {
                    since = Instant::now();
                }
            }
            assert!(begun.elapsed() < STUCK_AFTER, "the evaluator does not come to rest");
            sleep(WATCH_END).await;
        }
    }

    /// Removes what a round leaves behind: how far evaluators were, and the verdicts, since a repeated one is
    /// recognised and costs less.
    pub(crate) async fn forget_rounds(&self) {
        for kind in Kind::JUDGED {
            let spec = self.topology.consumer(Consumer::Judge(kind));
            let _ = self.stream(spec.stream).await.delete_consumer(&spec.name).await;
        }
        let _ = self.jetstream.delete_stream(self.topology.stream_name(Stream::Verdicts)).await;
    }

    /// Removes all events too.
    pub(crate) async fn empty(&self) {
        self.forget_rounds().await;
        for kind in Kind::JUDGED {
            self.stream(Stream::Events(kind)).await.purge().await.expect("an empty stream");
        }
    }

    async fn stream(&self, stream: Stream) -> Handle<()> {
        let name = self.topology.stream_name(stream);
        self.jetstream.get_stream_no_info(name).await.expect("a stream of the table")
    }
}

/// How many lines a message has.
fn find_lines(decompressor: &mut Decompressor<'_>, message: &jetstream::Message) -> usize {
    let compressed = message.headers.as_ref().is_some_and(|headers| headers.get(CONTENT_ENCODING).is_some());
    let line_ends = |text: &[u8]| memchr::memchr_iter(b'\n', text).count();
    if compressed {
        line_ends(&decompressor.decompress(&message.payload, MAX_PAYLOAD).expect("a compressed message"))
    } else {
        line_ends(&message.payload)
    }
}

fn waiting(info: &Info) -> u64 {
    info.num_pending + info.num_ack_pending as u64
}
