//! `lictor doctor`: what is there, who runs, what lags, and what is wrong.

use comfy_table::{ContentArrangement, Table, presets};
use jiff::{SignedDuration, Timestamp};
use lictor_bus::{Bus, Feed, FeedItem, TopologyReport};
use lictor_wire::Presence;
use lictor_wire::topology::{Bucket, Stream};
use serde::Serialize;

use crate::cli::{Nats, Output};
use crate::exit::{Exit, Failure};
use crate::text;

/// A role that has not been heard of for longer is taken for gone.
const SILENT_AFTER: SignedDuration = SignedDuration::from_secs(20);

/// Everything doctor says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Diagnosis {
    topology: TopologyReport,
    presence: Vec<Presence>,
    policies: u64,
    findings: Vec<String>,
}

pub(super) async fn run(nats: Nats, output: Output) -> Result<Exit, Failure> {
    let bus = super::connect(&nats, "lictor-doctor").await?;
    let diagnosis = diagnose(&bus).await?;
    match output {
        Output::Json => {
            text::line(&serde_json::to_string_pretty(&diagnosis).map_err(Failure::unreachable)?);
        }
        Output::Table => show(&diagnosis),
    }
    Ok(Exit::Fine)
}

async fn diagnose(bus: &Bus) -> Result<Diagnosis, Failure> {
    let topology = bus.report().await.map_err(Failure::unreachable)?;
    let policies = bus.last_sequence(Stream::Policies).await.map_err(Failure::unreachable)?;
    let mut presence = presence(bus.watch_bucket(Bucket::Presence)).await;
    presence.sort_by(|a, b| (&a.role, &a.instance).cmp(&(&b.role, &b.instance)));
    let findings = findings(&topology, &presence, policies, Timestamp::now());
    Ok(Diagnosis { topology, presence, policies, findings })
}

async fn presence(mut feed: Feed) -> Vec<Presence> {
    let mut found = Vec::new();
    while let Some(item) = feed.next().await {
        match item {
            FeedItem::Put { key, value, .. } if key.starts_with("role.") => {
                found.extend(serde_json::from_slice::<Presence>(&value));
            }
            FeedItem::Complete { .. } => break,
            _ => {}
        }
    }
    found
}

/// What a person should look at.
fn findings(topology: &TopologyReport, presence: &[Presence], policies: u64, now: Timestamp) -> Vec<String> {
    let mut findings: Vec<String> = topology
        .differences
        .iter()
        .map(|difference| {
            let lictor_bus::Difference { what, field, wanted, found, .. } = difference;
            format!("{what} has {field} `{found}`, the table says `{wanted}`")
        })
        .collect();
    let alive: Vec<&Presence> =
        presence.iter().filter(|who| now.duration_since(who.seen) < SILENT_AFTER).collect();
    if !alive.iter().any(|who| who.role == "evaluator") {
        findings.push("no evaluator runs: events are kept and not judged".to_owned());
    }
    for who in alive.iter().filter(|who| who.role == "evaluator" && who.policies < policies) {
        findings.push(format!(
            "evaluator {} has policies up to {}, the log is at {policies}",
            who.instance, who.policies
        ));
    }
    for who in presence.iter().filter(|who| now.duration_since(who.seen) >= SILENT_AFTER) {
        findings.push(format!("{} {} has been silent since {}", who.role, who.instance, who.seen));
    }
    for consumer in &topology.consumers {
        if consumer.pending > 0 {
            findings.push(format!(
                "{} messages of {} wait for {}",
                consumer.pending, consumer.stream, consumer.name
            ));
        }
    }
    findings
}

fn show(diagnosis: &Diagnosis) {
    text::line(&format!("nats-server {}", text::plain(&diagnosis.topology.server)));
    let mut streams = table(["stream", "messages", "bytes", "first", "last"]);
    for stream in &diagnosis.topology.streams {
        streams.add_row([
            stream.name.clone(),
            stream.messages.to_string(),
            stream.bytes.to_string(),
            stream.first_sequence.to_string(),
            stream.last_sequence.to_string(),
        ]);
    }
    text::line(&streams.to_string());
    let mut consumers = table(["consumer", "of", "waiting", "in flight", "judged up to"]);
    for consumer in &diagnosis.topology.consumers {
        consumers.add_row([
            consumer.name.clone(),
            consumer.stream.clone(),
            consumer.pending.to_string(),
            consumer.in_flight.to_string(),
            consumer.ack_floor.to_string(),
        ]);
    }
    text::line(&consumers.to_string());
    let mut roles = table(["role", "instance", "version", "since", "policies"]);
    for who in &diagnosis.presence {
        roles.add_row([
            text::plain(&who.role),
            text::plain(&who.instance),
            text::plain(&who.version),
            who.started.to_string(),
            who.policies.to_string(),
        ]);
    }
    text::line(&roles.to_string());
    for who in &diagnosis.presence {
        for (name, values) in &who.settings {
            let values = values.iter().map(|value| text::plain(value)).collect::<Vec<_>>().join(", ");
            text::line(&format!(
                "{} {}: {}: {values}",
                text::plain(&who.role),
                text::plain(&who.instance),
                text::plain(name)
            ));
        }
    }
    text::line(&format!(
        "never acted on by default: namespaces {} and lictor's own",
        lictor_cluster::PROTECTED_NAMESPACES.join(", ")
    ));
    if diagnosis.findings.is_empty() {
        text::line("nothing to worry about");
    }
    for finding in &diagnosis.findings {
        text::line(&format!("! {}", text::plain(finding)));
    }
}

fn table<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(head);
    table
}
