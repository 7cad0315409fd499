//! `lictor events tail`, `verdicts tail`, `receipts tail`: what passes, as it passes.

use lictor_bus::{LogEntry, ReadFrom};
use lictor_wire::topology::{Role, Stream};
use lictor_wire::{Event, EventData, Kind, Receipt, Verdict};
use tokio::sync::mpsc;

use crate::cli::{Events, Nats, Output, Receipts, TailArgs, Verdicts};
use crate::exit::{Exit, Failure};
use crate::{shutdown, text};

pub(super) async fn events(command: Events) -> Result<Exit, Failure> {
    let Events::Tail { nats, tail, kind: kinds } = command;
    let stop = shutdown::on_signal();
    let bus = super::connect(&nats, Role::Auditor, "lictor-tail").await?;
    let kinds = if kinds.is_empty() { Kind::ALL.to_vec() } else { kinds };
    // One reader per stream; what they read comes together here. As many wait as are shown in an instant.
    let (sender, mut entries) = mpsc::channel(64);
    for kind in kinds {
        let mut reader = bus.read(Stream::Events(kind), from(&tail), false);
        let sender = sender.clone();
        tokio::spawn(async move {
            while let Some(Ok(entry)) = reader.next().await {
                if sender.send(entry).await.is_err() {
                    break;
                }
            }
        });
    }
    drop(sender);
    if tail.output == Output::Table {
        text::event_head();
    }
    let mut left = tail.limit.unwrap_or(u64::MAX);
    while left > 0 && text::flush() {
        let entry = tokio::select! {
            () = stop.cancelled() => break,
            entry = entries.recv() => entry,
        };
        let Some(entry) = entry else { break };
        for line in lines(&entry) {
            if left > 0 && show_event(&line, &tail) {
                left -= 1;
            }
        }
    }
    Ok(Exit::Fine)
}

fn lines(entry: &LogEntry) -> Vec<String> {
    match entry.lines() {
        Ok(lines) => lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect(),
        Err(error) => {
            text::note(&format!("message {} cannot be unpacked: {error}", entry.sequence));
            Vec::new()
        }
    }
}

/// Shows one line; whether it was wanted.
fn show_event(line: &str, tail: &TailArgs) -> bool {
    let event = match Event::parse(line) {
        Ok(event) => event,
        Err(error) => {
            text::note(&format!("a line is not an event: {error}"));
            return false;
        }
    };
    let (namespace, what) = about(&event);
    if tail.namespace.as_ref().is_some_and(|wanted| *wanted != namespace) {
        return false;
    }
    match tail.output {
        Output::Json => text::line(line),
        Output::Table => text::line(&format!(
            "{} {:<10} {:<20} {}",
            event.time.strftime("%H:%M:%S%.3f"),
            event.kind(),
            text::plain(&namespace),
            text::plain(&what)
        )),
    }
    true
}

/// An event's namespace, and what it says in a line.
fn about(event: &Event) -> (String, String) {
    let pod = |pod: &Option<lictor_wire::PodRef>| {
        pod.as_ref().map(|pod| (pod.namespace.clone(), pod.name.clone())).unwrap_or_default()
    };
    match &event.data {
        EventData::Process(body) => {
            let (namespace, name) = pod(&body.pod);
            (namespace, format!("{name} {:?} {} {}", body.action, body.exec_file_path, body.args))
        }
        EventData::Network(body) => {
            let (namespace, name) = pod(&body.pod);
            let remote = &body.remote;
            (namespace, format!("{name} {:?} {}:{}", body.direction, remote.address, remote.port))
        }
        EventData::File(body) => {
            let (namespace, name) = pod(&body.pod);
            (namespace, format!("{name} {:?} {}", body.operation, body.file.effective))
        }
        EventData::Deployment(body) => {
            let workload = &body.deployment;
            (workload.namespace.clone(), format!("{:?} {}/{}", body.change, workload.kind, workload.name))
        }
        EventData::Audit(body) => {
            let object = body.object_ref.clone().unwrap_or_default();
            let what = format!(
                "{} {} {}/{} {:?}",
                body.user.username, body.verb, object.resource, object.name, body.stage
            );
            (object.namespace, what)
        }
        EventData::Request(body) => {
            let object = &body.object_ref;
            let what =
                format!("{} {:?} {}/{}", body.user.username, body.operation, object.resource, object.name);
            (object.namespace.clone(), what)
        }
        EventData::Image(body) => (String::new(), body.digest.clone()),
        EventData::Coverage(body) => {
            (String::new(), format!("{:?} lost {} {}", body.notice, body.lost, body.detail))
        }
    }
}

pub(super) async fn verdicts(command: Verdicts) -> Result<Exit, Failure> {
    let Verdicts::Tail { nats, tail, clean } = command;
    follow(&nats, Stream::Verdicts, &tail, |payload| {
        let verdict: Verdict = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        let wanted = tail.namespace.as_ref().is_none_or(|wanted| *wanted == verdict.entity.namespace());
        let wanted = wanted && (clean || !verdict.violations.is_empty());
        if wanted && tail.output == Output::Table {
            for violation in &verdict.violations {
                text::violation_row(&verdict, violation);
            }
            if verdict.violations.is_empty() {
                let time = verdict.event.time.strftime("%H:%M:%S");
                text::line(&format!("{time} {:<9} {}", "clean", text::plain(&verdict.entity.display_name())));
            }
        }
        Ok(wanted)
    })
    .await
}

pub(super) async fn receipts(command: Receipts) -> Result<Exit, Failure> {
    let Receipts::Tail { nats, tail } = command;
    follow(&nats, Stream::Receipts, &tail, |payload| {
        let receipt: Receipt = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        let wanted = tail.namespace.as_ref().is_none_or(|wanted| *wanted == receipt.entity.namespace());
        if wanted && tail.output == Output::Table {
            text::receipt_row(&receipt);
        }
        Ok(wanted)
    })
    .await
}

/// Follows a stream of JSON documents; `show` says whether one was wanted.
async fn follow(
    nats: &Nats,
    stream: Stream,
    tail: &TailArgs,
    show: impl Fn(&[u8]) -> Result<bool, String>,
) -> Result<Exit, Failure> {
    let stop = shutdown::on_signal();
    let bus = super::connect(nats, Role::Viewer, "lictor-tail").await?;
    if tail.output == Output::Table {
        text::table_head();
    }
    let mut reader = bus.read(stream, from(tail), false);
    let mut left = tail.limit.unwrap_or(u64::MAX);
    while left > 0 && text::flush() {
        let entry = tokio::select! {
            () = stop.cancelled() => break,
            entry = reader.next() => entry,
        };
        let entry = match entry {
            Some(Ok(entry)) => entry,
            Some(Err(error)) => return Err(Failure::unreachable(error)),
            None => break,
        };
        let body = entry.body().map_err(Failure::invalid_input)?;
        match show(&body) {
            Ok(true) => {
                left -= 1;
                if tail.output == Output::Json {
                    text::line(&String::from_utf8_lossy(&body));
                }
            }
            Ok(false) => {}
            Err(error) => text::note(&format!("message {} is not understood: {error}", entry.sequence)),
        }
    }
    Ok(Exit::Fine)
}

fn from(tail: &TailArgs) -> ReadFrom {
    if tail.all { ReadFrom::First } else { ReadFrom::New }
}
