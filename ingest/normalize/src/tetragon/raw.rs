//! The export's own shapes, with only the fields that are used. Everything may be absent: the export leaves out
//! what is zero.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct Line {
    pub(super) process_exec: Option<Execution>,
    pub(super) process_exit: Option<Execution>,
    pub(super) process_kprobe: Option<Probe>,
    pub(super) process_lsm: Option<Probe>,
    pub(super) process_connect: Option<Socket>,
    pub(super) process_accept: Option<Socket>,
    pub(super) process_close: Option<Socket>,
    pub(super) process_listen: Option<Socket>,
    pub(super) rate_limit_info: Option<RateLimit>,
    pub(super) process_throttle: Option<Throttle>,
    pub(super) node_name: Option<String>,
    pub(super) time: Option<Timestamp>,
}

/// What was done with a socket, by the older kinds of line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Connect,
    Accept,
    Close,
    Listen,
}

/// An execution's beginning, or its end, which adds the signal, the status and the time.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Execution {
    pub(super) process: Process,
    pub(super) parent: Option<Process>,
    #[serde(deserialize_with = "nullable")]
    pub(super) ancestors: Vec<Process>,
    pub(super) signal: String,
    #[serde(deserialize_with = "number")]
    pub(super) status: u64,
    pub(super) time: Option<Timestamp>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Probe {
    pub(super) process: Process,
    pub(super) parent: Option<Process>,
    #[serde(deserialize_with = "nullable")]
    pub(super) ancestors: Vec<Process>,
    pub(super) function_name: String,
    /// Kept as text: its hash is part of the event's identity.
    pub(super) args: Option<Box<RawValue>>,
    #[serde(rename = "return")]
    pub(super) returned: Option<Argument>,
}

impl Probe {
    /// The arguments; none when they are of a shape not known here.
    pub(super) fn arguments(&self) -> Vec<Argument> {
        let text = self.args.as_deref().map_or("[]", RawValue::get);
        serde_json::from_str::<Option<Vec<Argument>>>(text).ok().flatten().unwrap_or_default()
    }
}

/// One argument: an object with one key for its type, and perhaps a label.
#[derive(Deserialize, Default, Clone)]
#[serde(default)]
pub(super) struct Argument {
    pub(super) sock_arg: Option<SockArg>,
    pub(super) file_arg: Option<PathArg>,
    pub(super) path_arg: Option<PathArg>,
    pub(super) string_arg: Option<String>,
    #[serde(deserialize_with = "integer")]
    pub(super) int_arg: Option<i64>,
    #[serde(deserialize_with = "integer")]
    pub(super) uint_arg: Option<i64>,
    #[serde(deserialize_with = "integer")]
    pub(super) size_arg: Option<i64>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(default)]
pub(super) struct SockArg {
    pub(super) protocol: String,
    pub(super) saddr: String,
    pub(super) daddr: String,
    #[serde(deserialize_with = "number")]
    pub(super) sport: u64,
    #[serde(deserialize_with = "number")]
    pub(super) dport: u64,
}

#[derive(Deserialize, Default, Clone)]
#[serde(default)]
pub(super) struct PathArg {
    pub(super) mount: String,
    pub(super) path: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Socket {
    pub(super) process: Process,
    pub(super) parent: Option<Process>,
    #[serde(deserialize_with = "nullable")]
    pub(super) ancestors: Vec<Process>,
    pub(super) source_ip: String,
    #[serde(deserialize_with = "number")]
    pub(super) source_port: u64,
    pub(super) destination_ip: String,
    #[serde(deserialize_with = "number")]
    pub(super) destination_port: u64,
    #[serde(deserialize_with = "nullable")]
    pub(super) destination_names: Vec<String>,
    /// A listening socket has one end only.
    pub(super) ip: String,
    #[serde(deserialize_with = "number")]
    pub(super) port: u64,
    pub(super) protocol: String,
    #[serde(alias = "socket_stats")]
    pub(super) stats: Option<Stats>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Stats {
    #[serde(deserialize_with = "number")]
    pub(super) bytes_sent: u64,
    #[serde(deserialize_with = "number")]
    pub(super) bytes_received: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RateLimit {
    #[serde(deserialize_with = "number")]
    pub(super) number_of_dropped_process_events: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Throttle {
    #[serde(rename = "type")]
    pub(super) throttle_type: String,
    pub(super) cgroup: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Process {
    pub(super) exec_id: String,
    pub(super) parent_exec_id: String,
    #[serde(deserialize_with = "number")]
    pub(super) pid: u64,
    pub(super) uid: Option<u32>,
    pub(super) cwd: String,
    pub(super) binary: String,
    pub(super) arguments: String,
    pub(super) flags: String,
    pub(super) start_time: Option<Timestamp>,
    pub(super) auid: Option<u32>,
    pub(super) pod: Option<Pod>,
    pub(super) docker: String,
    pub(super) cap: Option<Capabilities>,
    pub(super) process_credentials: Option<Credentials>,
    pub(super) user: Option<User>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Capabilities {
    #[serde(deserialize_with = "nullable")]
    pub(super) effective: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Credentials {
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) euid: Option<u32>,
    pub(super) egid: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct User {
    pub(super) name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) container: Option<Container>,
    #[serde(deserialize_with = "nullable")]
    pub(super) pod_labels: BTreeMap<String, String>,
    pub(super) workload: String,
    pub(super) workload_kind: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) image: Option<Image>,
    pub(super) start_time: Option<Timestamp>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Image {
    pub(super) id: String,
    pub(super) name: String,
}

fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// JSON of protocol buffers writes 64-bit numbers as texts; older versions of the export write numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Unsigned(u64),
    Signed(i64),
    Text(String),
}

fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let number = integer(from)?.unwrap_or_default();
    u64::try_from(number).map_err(serde::de::Error::custom)
}

fn integer<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    use serde::de::Error;
    Ok(match Option::<Number>::deserialize(from)? {
        None => None,
        Some(Number::Signed(number)) => Some(number),
        Some(Number::Unsigned(number)) => Some(i64::try_from(number).map_err(D::Error::custom)?),
        Some(Number::Text(text)) => Some(text.parse().map_err(D::Error::custom)?),
    })
}
