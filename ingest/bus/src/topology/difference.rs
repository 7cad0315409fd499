//! Compares what is on the server with the table. Pure.

use std::fmt;

use async_nats::jetstream::{consumer, stream};
use lictor_wire::topology::{ConsumerSpec, Topology};
use serde::Serialize;

use super::config::consumer_config;

/// Something on the server that is not as the table says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is: ``stream `LICTOR_VERDICTS` ``.
    pub what: String,
    /// Which of its fields.
    pub field: &'static str,
    /// What the table says.
    pub wanted: String,
    /// What is there.
    pub found: String,
    /// Whether it changes what the thing means; then nothing starts.
    pub changes_meaning: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, field, wanted, found, .. } = self;
        write!(f, "{what} has {field} `{found}` where lictor needs `{wanted}`")
    }
}

pub(super) fn stream_differences(wanted: &stream::Config, found: &stream::Info) -> Vec<Difference> {
    let found = &found.config;
    let sorted = |subjects: &[String]| {
        let mut subjects = subjects.to_vec();
        subjects.sort();
        subjects
    };
    let mut compare = Compare::new(format!("stream `{}`", wanted.name));
    compare.meaning("subjects", &sorted(&wanted.subjects), &sorted(&found.subjects));
    compare.meaning("retention", &wanted.retention, &found.retention);
    compare.meaning("discard", &wanted.discard, &found.discard);
    compare.meaning("deny_delete", &wanted.deny_delete, &found.deny_delete);
    compare.meaning("deny_purge", &wanted.deny_purge, &found.deny_purge);
    compare.meaning("allow_rollup_hdrs", &wanted.allow_rollup, &found.allow_rollup);
    compare.meaning("allow_atomic", &wanted.allow_atomic_publish, &found.allow_atomic_publish);
    compare.meaning(
        "max_msgs_per_subject",
        &wanted.max_messages_per_subject,
        &found.max_messages_per_subject,
    );
    compare.meaning("no_ack", &wanted.no_ack, &found.no_ack);
    compare.meaning("sealed", &wanted.sealed, &found.sealed);
    compare.limit("storage", &wanted.storage, &found.storage);
    compare.limit("max_bytes", &wanted.max_bytes, &found.max_bytes);
    compare.limit("max_age", &wanted.max_age, &found.max_age);
    compare.limit("duplicate_window", &wanted.duplicate_window, &found.duplicate_window);
    compare.limit("num_replicas", &wanted.num_replicas, &found.num_replicas);
    compare.differences
}

pub(super) fn consumer_differences(
    topology: &Topology,
    spec: &ConsumerSpec,
    found: &consumer::Info,
) -> Vec<Difference> {
    let wanted = consumer_config(spec);
    let found = &found.config;
    let stream = topology.stream_name(spec.stream);
    let filters = |one: &str, many: &[String]| {
        let mut filters = many.to_vec();
        filters.extend((!one.is_empty()).then(|| one.to_owned()));
        filters.sort();
        filters
    };
    let mut compare = Compare::new(format!("consumer `{}` of stream `{stream}`", spec.name));
    compare.meaning("ack_policy", &wanted.ack_policy, &found.ack_policy);
    compare.meaning("deliver_policy", &wanted.deliver_policy, &found.deliver_policy);
    compare.meaning("deliver_subject", &None, &found.deliver_subject);
    compare.meaning(
        "filter_subjects",
        &filters(&wanted.filter_subject, &[]),
        &filters(&found.filter_subject, &found.filter_subjects),
    );
    compare.meaning("max_deliver", &wanted.max_deliver, &found.max_deliver);
    compare.meaning("headers_only", &wanted.headers_only, &found.headers_only);
    compare.limit("ack_wait", &wanted.ack_wait, &found.ack_wait);
    compare.limit("max_ack_pending", &wanted.max_ack_pending, &found.max_ack_pending);
    compare.differences
}

struct Compare {
    what: String,
    differences: Vec<Difference>,
}

impl Compare {
    const fn new(what: String) -> Self {
        Self { what, differences: Vec::new() }
    }

    fn meaning<T: PartialEq + fmt::Debug>(&mut self, field: &'static str, wanted: &T, found: &T) {
        self.add(field, wanted, found, true);
    }

    fn limit<T: PartialEq + fmt::Debug>(&mut self, field: &'static str, wanted: &T, found: &T) {
        self.add(field, wanted, found, false);
    }

    fn add<T: PartialEq + fmt::Debug>(
        &mut self,
        field: &'static str,
        wanted: &T,
        found: &T,
        changes_meaning: bool,
    ) {
        if wanted != found {
            self.differences.push(Difference {
                what: self.what.clone(),
                field,
                wanted: format!("{wanted:?}"),
                found: format!("{found:?}"),
                changes_meaning,
            });
        }
    }
}
