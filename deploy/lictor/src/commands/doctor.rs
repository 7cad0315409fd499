//! `lictor doctor`: what is there, who runs, what lags, and what is wrong.

use comfy_table::{ContentArrangement, Table, presets};
use jiff::{SignedDuration, Timestamp};
use lictor_bus::{Bus, BusError, ConsumerReport, Difference, Feed, FeedItem, StreamReport, TopologyReport};
use lictor_wire::topology::{Bucket, Role, Stream};
use lictor_wire::{NotCompiled, PolicyLogKey, PolicyProblems, Presence, RefusedRevision};
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
    /// What is wrong.
    findings: Vec<String>,
    /// What may be in order, and explains what people see.
    notes: Vec<String>,
}

pub(super) async fn run(nats: Nats, output: Output) -> Result<Exit, Failure> {
    let bus = super::open(&nats.nats_url, &nats.bus, Role::Viewer, "lictor-doctor").await?;
    let diagnosis = diagnose(&bus).await?;
    match output {
        Output::Json => {
            text::line(&serde_json::to_string_pretty(&diagnosis).map_err(Failure::unreachable)?);
        }
        Output::Table => show(&diagnosis),
    }
    Ok(if diagnosis.findings.is_empty() { Exit::Fine } else { Exit::Violated })
}

fn is_alive(who: &Presence, now: Timestamp) -> bool {
    now.duration_since(who.seen) < SILENT_AFTER
}

async fn diagnose(bus: &Bus) -> Result<Diagnosis, Failure> {
    let topology = bus.report().await.map_err(Failure::unreachable)?;
    let exists = |name: &str| topology.streams.iter().any(|stream| stream.name == name && stream.exists);
    let policies = match bus.last_sequence(Stream::Policies).await {
        Ok(last) => last,
        Err(BusError::Missing { .. }) => 0,
        Err(error) => return Err(Failure::unreachable(error)),
    };
    let mut presence = if exists(&bus.topology().bucket(Bucket::Presence).stream_name()) {
        presence(bus.watch_bucket(Bucket::Presence)).await
    } else {
        // Following a bucket would wait until a store creates it.
        Vec::new()
    };
    presence.sort_by(|a, b| (&a.role, &a.instance).cmp(&(&b.role, &b.instance)));
    let now = Timestamp::now();
    let findings = findings(&topology, &presence, policies, now);
    let notes = notes(&topology, &presence, now);
    Ok(Diagnosis { topology, presence, policies, findings, notes })
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
    let mut findings = differences(topology, true);
    let missing = || topology.streams.iter().filter(|stream| !stream.exists);
    if !topology.streams.is_empty() && missing().count() == topology.streams.len() {
        findings.push(
            "lictor's streams and buckets do not exist here: start `lictor store`, which creates them"
                .to_owned(),
        );
    } else {
        let name = |stream: &StreamReport| {
            format!("stream {} does not exist: restart `lictor store`, which creates it", stream.name)
        };
        findings.extend(missing().map(name));
    }
    let alive: Vec<&Presence> = presence.iter().filter(|who| is_alive(who, now)).collect();
    if !alive.iter().any(|who| who.role == "evaluator") {
        findings.push("no evaluator runs: events are kept and not judged".to_owned());
    }
    for who in &alive {
        let Presence { role, instance, problems, .. } = who;
        findings.extend(problems.iter().map(|problem| format!("{role} {instance}: {problem}")));
        findings.extend(policy_findings(who));
    }
    let behind = |who: &&&Presence| {
        who.role == "evaluator" && who.policies < policies && who.policy_problems.not_compiled.is_none()
    };
    for who in alive.iter().filter(behind) {
        findings.push(format!(
            "evaluator {} has policies up to {}, the log is at {policies}",
            who.instance, who.policies
        ));
    }
    findings
}

/// What on the server differs from the topology: what changes its meaning, or limits that somebody chose.
fn differences(topology: &TopologyReport, changes_meaning: bool) -> Vec<String> {
    let of = topology.differences.iter().filter(|difference| difference.changes_meaning == changes_meaning);
    let text = |difference: &Difference| {
        let Difference { what, field, wanted, found, .. } = difference;
        format!("{what}: {field} is `{found}`, expected `{wanted}`")
    };
    of.map(text).collect()
}

/// What people may want to know.
fn notes(topology: &TopologyReport, presence: &[Presence], now: Timestamp) -> Vec<String> {
    let silent = presence.iter().filter(|who| !is_alive(who, now));
    let silent =
        silent.map(|who| format!("no heartbeat from {} {} since {}", who.role, who.instance, who.seen));
    let waiting = topology.consumers.iter().filter(|consumer| consumer.pending > 0);
    let waiting = waiting.map(|consumer| {
        let ConsumerReport { pending, stream, name, .. } = consumer;
        format!("{pending} messages of stream {stream} wait for consumer {name}")
    });
    differences(topology, false).into_iter().chain(silent).chain(waiting).collect()
}

/// What a role read of the policy log and cannot put in force.
fn policy_findings(who: &Presence) -> Vec<String> {
    let Presence { role, instance, policies, policy_problems, .. } = who;
    let PolicyProblems { refused, more_refused, not_compiled, not_followed } = policy_problems;
    let mut findings = Vec::new();
    if let Some(reason) = not_followed {
        let in_force = match policies {
            0 => "no policies are in force".to_owned(),
            policies => format!("the policies up to revision {policies} stay in force"),
        };
        findings.push(format!("{role} {instance}: {reason}; {in_force}"));
    }
    if let Some(NotCompiled { revision, reason }) = not_compiled {
        let in_force = match policies {
            0 => "no policies are in force, and nothing is judged".to_owned(),
            policies => format!("those up to revision {policies} stay in force"),
        };
        findings.push(format!(
            "{role} {instance}: the policies up to revision {revision} do not compile ({reason}); {in_force} \
             (undo the last change with `lictor policy apply` or `lictor policy delete`, and report the policy)"
        ));
    }
    for RefusedRevision { key, name, revision, reason, in_force } in refused {
        if PolicyLogKey::parse(key) == Some(PolicyLogKey::Installation) {
            findings.push(format!(
                "{role} {instance}: revision {revision} of the installation's document cannot be read: {reason} \
                 (restart the store, which writes it again)"
            ));
            continue;
        }
        let policy = name.as_ref().map_or_else(|| key.clone(), |name| format!("`{name}` ({key})"));
        let in_force = match in_force {
            Some(good) => format!("its revision {good} stays in force"),
            None => "it is not in force".to_owned(),
        };
        findings.push(format!(
            "{role} {instance}: revision {revision} of policy {policy} cannot be used: {reason}; {in_force} \
             (correct it, and `lictor policy apply` it)"
        ));
    }
    if *more_refused > 0 {
        findings.push(format!("{role} {instance}: {more_refused} more policy revisions cannot be used"));
    }
    findings
}

fn show(diagnosis: &Diagnosis) {
    text::line(&format!("nats-server {}", text::plain(&diagnosis.topology.server)));
    let mut streams = table(["stream", "messages", "bytes", "first", "last"]);
    for stream in diagnosis.topology.streams.iter().filter(|stream| stream.exists) {
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
    for consumer in diagnosis.topology.consumers.iter().filter(|consumer| consumer.exists) {
        consumers.add_row([
            consumer.name.clone(),
            consumer.stream.clone(),
            consumer.pending.to_string(),
            consumer.in_flight.to_string(),
            consumer.ack_floor.to_string(),
        ]);
    }
    text::line(&consumers.to_string());
    let mut roles = table(["role", "instance", "version", "since", "policies up to"]);
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
        "excluded from enforcement by default: namespaces {} and lictor's own",
        lictor_cluster::PROTECTED_NAMESPACES.join(", ")
    ));
    for note in &diagnosis.notes {
        text::line(&text::plain(note));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluator(policies: u64, policy_problems: PolicyProblems) -> Presence {
        Presence { policies, policy_problems, ..lictor_bus::new_presence("evaluator") }
    }

    fn found(who: Presence) -> Vec<String> {
        let instance = who.instance.clone();
        let findings = findings(&TopologyReport::default(), &[who], 7, Timestamp::now());
        findings.into_iter().map(|finding| finding.replace(&instance, "E")).collect()
    }

    #[test]
    fn says_that_the_newest_policies_do_not_compile() {
        let not_compiled = Some(NotCompiled { revision: 7, reason: "too many".to_owned() });
        let problems = PolicyProblems { not_compiled, ..PolicyProblems::default() };
        let [finding] = &found(evaluator(5, problems.clone()))[..] else { panic!() };
        let said = "evaluator E: the policies up to revision 7 do not compile (too many); those up to revision 5 \
                    stay in force (undo";
        assert!(finding.starts_with(said), "{finding}");
        let [finding] = &found(evaluator(0, problems))[..] else { panic!() };
        assert!(finding.contains("no policies are in force"), "{finding}");
    }

    #[test]
    fn says_which_revisions_are_refused_and_what_is_in_force_instead() {
        let refused = |name: Option<&str>, in_force| RefusedRevision {
            key: "p-1".to_owned(),
            name: name.map(ToOwned::to_owned),
            revision: 7,
            reason: "name: the name has 2 characters (5 to 128 characters)".to_owned(),
            in_force,
        };
        let refused = vec![refused(Some("ab"), Some(3)), refused(None, None)];
        let problems = PolicyProblems { refused, more_refused: 4, ..PolicyProblems::default() };
        let [first, second, more] = &found(evaluator(7, problems))[..] else { panic!() };
        let reason = "cannot be used: name: the name has 2 characters (5 to 128 characters)";
        let said =
            format!("evaluator E: revision 7 of policy `ab` (p-1) {reason}; its revision 3 stays in force (");
        assert!(first.starts_with(&said), "{first}");
        assert!(second.contains(&format!("policy p-1 {reason}; it is not in force (")), "{second}");
        assert!(more.contains("4 more"), "{more}");
    }

    #[test]
    fn says_that_an_evaluator_is_behind() {
        let [finding] = &found(evaluator(5, PolicyProblems::default()))[..] else { panic!() };
        assert_eq!(finding, "evaluator E has policies up to 5, the log is at 7");
        assert_eq!(found(evaluator(7, PolicyProblems::default())), Vec::<String>::new());
    }
}
