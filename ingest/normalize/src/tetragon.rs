//! Tetragon's JSON export: one object per line, one kind of event per object.
//!
//! | line | becomes |
//! |---|---|
//! | `process_exec`, `process_exit` | process |
//! | `process_kprobe`, `process_lsm` with a socket among its arguments; `process_connect`, `_accept`, `_close`, `_listen` | network |
//! | `process_kprobe`, `process_lsm` with a file or path among its arguments | file |
//! | `rate_limit_info`, `process_throttle` | coverage: what the sensor reports as dropped |
//! | everything else that Tetragon writes | coverage, with the line kept whole |
//!
//! Ids come from the sensor's own: `exec_id` names a process execution by node, start and pid; node, times, pid and
//! binary are added to it, because a cluster may hold nodes of equal names one after the other.

mod coverage;
mod file;
mod network;
mod process;
mod raw;

use jiff::Timestamp;
use lictor_wire::{Event, EventData, EventId, Fingerprint};

use crate::{Format, FormatError, Origin};
use raw::{Call, Line};

/// Reads one line of the export.
pub(crate) fn read(text: &str, origin: &Origin) -> Result<Event, FormatError> {
    // serde takes an array for a struct with its fields in order; nobody means that.
    if text.trim_start().starts_with('[') {
        return Err(other_kind());
    }
    let line: Line = serde_json::from_str(text).map_err(syntax)?;
    let node = line.node_name.clone().unwrap_or_default();
    let time = line.time;
    let identity = Identity { origin, text, node: &node, time };

    if let Some(exec) = line.process_exec {
        let id = identity.of_process(&exec.process).into();
        return Ok(origin.event(id, time, EventData::Process(Box::new(process::exec(&exec, &node)))));
    }
    if let Some(exit) = line.process_exit {
        let id = identity.of_process(&exit.process).part("exit").into();
        let time = exit.time.or(time);
        return Ok(origin.event(id, time, EventData::Process(Box::new(process::exit(&exit, &node)))));
    }
    if let Some(probe) = line.process_kprobe.or(line.process_lsm) {
        let network = || network::probe(&probe, &node).map(|data| EventData::Network(Box::new(data)));
        let file = || file::probe(&probe, &node).map(|data| EventData::File(Box::new(data)));
        if let Some(data) = network().or_else(file) {
            return Ok(origin.event(identity.of_probe(&probe), time, data));
        }
    }
    let sockets = [
        (line.process_connect, Call::Connect),
        (line.process_accept, Call::Accept),
        (line.process_close, Call::Close),
        (line.process_listen, Call::Listen),
    ];
    for (socket, call) in sockets {
        if let Some(socket) = socket {
            let data = EventData::Network(Box::new(network::socket(&socket, call, &node)));
            return Ok(origin.event(identity.of_line(), time, data));
        }
    }
    let id = identity.of_line();
    let event = if let Some(info) = line.rate_limit_info {
        coverage::rate_limit(&info, node)
    } else if let Some(throttle) = line.process_throttle {
        coverage::throttle(&throttle, node)
    } else if line.node_name.is_some() || line.time.is_some() {
        coverage::unrecognised(text, node).map_err(syntax)?
    } else {
        return Err(other_kind());
    };
    Ok(origin.event(id, time, EventData::Coverage(Box::new(event))))
}

fn syntax(error: serde_json::Error) -> FormatError {
    FormatError::Syntax { format: Format::Tetragon, error }
}

fn other_kind() -> FormatError {
    let message = "no event with `node_name` and `time`: not a line of Tetragon's export".to_owned();
    FormatError::OtherKind { format: Format::Tetragon, message }
}

/// What a line's identity is made of.
struct Identity<'a> {
    origin: &'a Origin,
    text: &'a str,
    node: &'a str,
    time: Option<Timestamp>,
}

impl Identity<'_> {
    fn of_process(&self, process: &raw::Process) -> Fingerprint {
        if process.exec_id.is_empty() {
            // Without the sensor's id the line itself is the only identity there is.
            return self.line();
        }
        Fingerprint::new("tetragon")
            .part(&self.origin.cluster)
            .part(self.node)
            .part(nanoseconds(self.time))
            .part(&process.exec_id)
            .part(nanoseconds(process.start_time))
            .number(process.pid)
            .part(&process.binary)
    }

    fn of_probe(&self, probe: &raw::Probe) -> EventId {
        let arguments = probe.args.as_deref().map_or("", |args| args.get());
        self.of_process(&probe.process).part(&probe.function_name).part(arguments).into()
    }

    fn of_line(&self) -> EventId {
        self.line().into()
    }

    fn line(&self) -> Fingerprint {
        Fingerprint::new("tetragon-line").part(&self.origin.cluster).part(self.text.trim())
    }
}

/// Nothing where there is no time, so that it is no time of its own.
fn nanoseconds(time: Option<Timestamp>) -> Vec<u8> {
    time.map(|time| time.as_nanosecond().to_le_bytes().to_vec()).unwrap_or_default()
}
