//! Criteria as queries, written from the language's reference alone.

use jiff::{SignedDuration, Timestamp};
use lictor_wire::policy::{BooleanOperator, Group, Section};
use regex::Regex;

use crate::linking::Query;
use crate::tree::Leaf;

/// What a section is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    Image,
    Workload,
    Process,
    Network,
    Command,
    File,
    NodeFile,
    Audit,
}

/// How the judge is set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mode {
    pub(crate) about: About,
    pub(crate) parity: bool,
    pub(crate) now: Timestamp,
}

const CONTAINER: &str = "containers";
const VULN: [&str; 6] = [CONTAINER, "image", "scan", "components", "vulns", ""];

/// The queries of a section: those of its groups, and those that only fetch what messages name.
pub(crate) fn queries(section: &Section, mode: Mode) -> Vec<Query> {
    let mut all = own_queries(section, mode);
    for context in section.policy_groups.iter().flat_map(|group| contexts(&group.field_name, mode.about)) {
        let path = place(&context, mode.about);
        if !all.iter().any(|query| query.path == path) {
            all.push(Query { path, test: Box::new(|_| true) });
        }
    }
    all
}

/// The queries of a section's own groups.
pub(crate) fn own_queries(section: &Section, mode: Mode) -> Vec<Query> {
    section.policy_groups.iter().flat_map(|group| of_group(group, mode)).collect()
}

/// Where a field is: an image by itself has no containers; the process of a file event is the event's.
fn place(path: &[&'static str], about: About) -> Vec<&'static str> {
    match (path, about) {
        ([CONTAINER, "image", ..], About::Image) => path[1..].to_vec(),
        ([CONTAINER, "process", rest @ ..], About::File | About::NodeFile) => {
            ["file", "process"].iter().chain(rest).copied().collect()
        }
        _ => path.to_vec(),
    }
}

fn path_of(name: &str) -> Vec<&'static str> {
    let in_container = |rest: &[&'static str]| [&[CONTAINER], rest].concat();
    let image = |rest: &[&'static str]| in_container(&[&["image"], rest].concat());
    let vuln = |field: &'static str| [&VULN[..5], &[field]].concat();
    match name {
        "Image Registry" => image(&["registry"]),
        "Image Remote" => image(&["remote"]),
        "Image Tag" => image(&["tag"]),
        "Image Signature Verified By" => image(&["verifiers"]),
        "Image Age" => image(&["metadata", "created"]),
        "Image User" => image(&["metadata", "user"]),
        "Dockerfile Line" => image(&["metadata", "layers", "line"]),
        "Image Component" => image(&["scan", "components", "line"]),
        "Image OS" => image(&["scan", "os"]),
        "Required Image Label" | "Disallowed Image Label" => image(&["metadata", "labels"]),
        "Image Scan Age" => image(&["scan", "time"]),
        "Unscanned Image" => image(&["unscanned"]),
        "CVE" => vuln("cve"),
        "CVSS" => vuln("cvss"),
        "NVD CVSS" => vuln("nvdCvss"),
        "Severity" => vuln("severity"),
        "Fixable" | "Fixed By" => vuln("fixedBy"),
        "Days Since CVE Was Published" => vuln("published"),
        "Days Since CVE Fix Was Available" => vuln("fixAvailable"),
        "Days Since CVE Was First Discovered In Image" => vuln("firstInImage"),
        "Days Since CVE Was First Discovered In System" => vuln("firstInSystem"),
        "Environment Variable" => in_container(&["env", "line"]),
        "Container CPU Request" => in_container(&["cpuRequest"]),
        "Container CPU Limit" => in_container(&["cpuLimit"]),
        "Container Memory Request" => in_container(&["memoryRequest"]),
        "Container Memory Limit" => in_container(&["memoryLimit"]),
        "Privileged Container" => in_container(&["privileged"]),
        "Read-Only Root Filesystem" => in_container(&["readOnlyRoot"]),
        "Allow Privilege Escalation" => in_container(&["escalation"]),
        "Seccomp Profile Type" => in_container(&["seccomp"]),
        "Drop Capabilities" => in_container(&["drop"]),
        "Add Capabilities" => in_container(&["add"]),
        "Container Name" => in_container(&["name"]),
        "AppArmor Profile" => in_container(&["appArmor"]),
        "Liveness Probe Defined" => in_container(&["liveness"]),
        "Readiness Probe Defined" => in_container(&["readiness"]),
        "Disallowed Annotation" | "Required Annotation" => vec!["annotations"],
        "Required Label" => vec!["labels"],
        "Runtime Class" => vec!["runtimeClass"],
        "Host Network" => vec!["hostNetwork"],
        "Host PID" => vec!["hostPid"],
        "Host IPC" => vec!["hostIpc"],
        "Namespace" => vec!["namespace"],
        "Replicas" => vec!["replicas"],
        "Volume Name" => in_container(&["volumes", "name"]),
        "Volume Source" => in_container(&["volumes", "source"]),
        "Volume Destination" => in_container(&["volumes", "destination"]),
        "Volume Type" => in_container(&["volumes", "type"]),
        "Writable Mounted Volume" | "Writable Host Mount" => in_container(&["volumes", "readOnly"]),
        "Mount Propagation" => in_container(&["volumes", "propagation"]),
        "Exposed Port" => vec!["ports", "containerPort"],
        "Exposed Port Protocol" => vec!["ports", "protocol"],
        "Exposed Node Port" => vec!["ports", "exposures", "nodePort"],
        "Port Exposure Method" => vec!["ports", "exposures", "level"],
        "Has Ingress Network Policy" => vec!["hasIngress"],
        "Has Egress Network Policy" => vec!["hasEgress"],
        "Service Account" => vec!["serviceAccount"],
        "Automount Service Account Token" => vec!["automount"],
        "Minimum RBAC Permissions" => vec!["permissions"],
        "Process Name" => in_container(&["process", "name"]),
        "Process Ancestor" => in_container(&["process", "lineage", "path"]),
        "Process Arguments" => in_container(&["process", "args"]),
        "Process UID" => in_container(&["process", "uid"]),
        "Unexpected Process Executed" => in_container(&["process", "deviates"]),
        "Unexpected Network Flow Detected" => vec!["flow", "deviates"],
        "Kubernetes Resource" => vec!["event", "resource"],
        "Kubernetes API Verb" => vec!["event", "verb"],
        "Kubernetes Resource Name" => vec!["event", "name"],
        "Kubernetes User Name" => vec!["event", "user"],
        "Kubernetes User Groups" => vec!["event", "groups"],
        "User Agent" => vec!["event", "agent"],
        "Source IP Address" => vec!["event", "ips"],
        "Is Impersonated User" => vec!["event", "impersonated"],
        "File Path" => vec!["file", "paths"],
        "File Operation" => vec!["file", "operation"],
        other => panic!("`{other}` has no field"),
    }
}

/// What is fetched beside a criterion, for messages (section 3.5): it takes part in the conjunction all the same.
fn contexts(name: &str, about: About) -> Vec<Vec<&'static str>> {
    let container_name = vec![CONTAINER, "name"];
    let path = path_of(name);
    let of_vulnerability = path.starts_with(&VULN[..5]);
    let of_image = path.starts_with(&[CONTAINER, "image"]);
    let vulnerability: Vec<Vec<&'static str>> = ["cve", "cvss", "severity"]
        .into_iter()
        .map(|field| [&VULN[..5], &[field]].concat())
        .chain([[&VULN[..4], &["line"]].concat()])
        .collect();
    if about == About::Image {
        return if of_vulnerability { vulnerability } else { Vec::new() };
    }
    if matches!(about, About::Audit | About::NodeFile) {
        return Vec::new();
    }
    if of_vulnerability {
        return [vec![container_name], vulnerability].concat();
    }
    if path.starts_with(&[CONTAINER, "volumes"]) {
        let fields = ["name", "source", "destination", "readOnly", "type"];
        let volume = fields.into_iter().map(|field| vec![CONTAINER, "volumes", field]);
        return [container_name].into_iter().chain(volume).collect();
    }
    match name {
        "Exposed Port" | "Exposed Port Protocol" | "Port Exposure Method" => {
            vec![container_name, vec!["ports", "containerPort"], vec!["ports", "protocol"]]
        }
        "Replicas" | "Automount Service Account Token" => vec![container_name],
        "Unexpected Process Executed" => vec![container_name, vec![CONTAINER, "process", "name"]],
        _ if path.starts_with(&[CONTAINER, "process"]) => Vec::new(),
        _ if of_image || path.starts_with(&[CONTAINER]) => vec![container_name],
        _ => Vec::new(),
    }
}

fn of_group(group: &Group, mode: Mode) -> Vec<Query> {
    let name = &*group.field_name;
    let path = place(&path_of(name), mode.about);
    let values: Vec<String> = group.values.iter().map(|value| value.value.clone()).collect();
    let operator = group.boolean_operator;
    if name == "Drop Capabilities" {
        // Two queries on one field: the listed ones, and ALL where it is not listed.
        let all = values.iter().any(|value| value == "ALL");
        let listed = query(path.clone(), tests(name, &values, mode), operator, true);
        let not_all =
            (!all).then(|| query(path, tests(name, &["ALL".to_owned()], mode), BooleanOperator::Or, true));
        return std::iter::once(listed).chain(not_all).collect();
    }
    let required = name.starts_with("Required");
    let unsigned = name == "Image Signature Verified By";
    let operator = if required || unsigned { BooleanOperator::Or } else { operator };
    let negate = group.negate || required || unsigned;
    let mut all = vec![query(path, tests(name, &values, mode), operator, negate)];
    let vulnerability = |field: &'static str| place(&[&VULN[..5], &[field]].concat(), mode.about);
    if matches!(name, "CVE" | "CVSS" | "NVD CVSS" | "Severity" | "Fixable" | "Fixed By") {
        all.push(Query { path: vulnerability("suppressed"), test: Box::new(|leaf| is(leaf, false)) });
        all.push(Query { path: vulnerability("observed"), test: Box::new(|leaf| is(leaf, true)) });
    }
    if name == "Writable Host Mount" {
        let prefix =
            |leaf: &Leaf| matches!(leaf, Leaf::Text(text) if text.to_lowercase().starts_with("hostpath"));
        all.push(Query { path: vec![CONTAINER, "volumes", "type"], test: Box::new(prefix) });
    }
    all
}

fn is(leaf: &Leaf, wanted: bool) -> bool {
    matches!(leaf, Leaf::Bool(found) if *found == wanted)
}

type Test = Box<dyn Fn(&Leaf) -> bool>;

fn query(path: Vec<&'static str>, tests: Vec<Test>, operator: BooleanOperator, negate: bool) -> Query {
    let test = move |leaf: &Leaf| {
        // An enum that is unset has no value, negated or not.
        if matches!(leaf, Leaf::Enum(0, name) if name.starts_with("unset")) {
            return false;
        }
        let met = match operator {
            BooleanOperator::Or => tests.iter().any(|test| test(leaf)),
            BooleanOperator::And => tests.iter().all(|test| test(leaf)),
        };
        met != negate
    };
    Query { path, test: Box::new(test) }
}

fn tests(name: &str, values: &[String], mode: Mode) -> Vec<Test> {
    values.iter().map(|value| test(name, value, mode)).collect()
}

fn test(name: &str, value: &str, mode: Mode) -> Test {
    let value = value.to_owned();
    match name {
        "Image Age" | "Image Scan Age" => older(&value, mode.now),
        _ if name.starts_with("Days Since") => older(&value, mode.now),
        "Fixable" => {
            let wanted = value.eq_ignore_ascii_case("true");
            Box::new(move |leaf| matches!(leaf, Leaf::Text(version) if version.is_empty() != wanted))
        }
        "Writable Mounted Volume" | "Writable Host Mount" => {
            let read_only = !value.eq_ignore_ascii_case("true");
            Box::new(move |leaf| is(leaf, read_only))
        }
        "Required Image Label"
        | "Disallowed Image Label"
        | "Required Label"
        | "Required Annotation"
        | "Disallowed Annotation" => {
            let (key, wanted) = value.split_once('=').unwrap_or((&value, ""));
            let (key, wanted) = (whole(key), whole(wanted));
            Box::new(
                move |leaf| matches!(leaf, Leaf::Map(map) if map.iter().any(|(k, v)| key(k) && wanted(v))),
            )
        }
        "Environment Variable" => parts(&value, 3),
        "Dockerfile Line" | "Image Component" => parts(&value, 2),
        "Add Capabilities" | "Drop Capabilities" => some(move |item| item.eq_ignore_ascii_case(&value)),
        "File Path" => {
            // `/**` at the end means the folder itself, too.
            let escaped = regex::escape(&value);
            let escaped =
                escaped.strip_suffix(r"/\*\*").map_or(escaped.clone(), |folder| format!("{folder}(?:/.*)?"));
            let glob =
                Regex::new(&format!("^{}$", escaped.replace(r"\*\*", ".*").replace(r"\*", "[^/]*"))).unwrap();
            some(move |item| glob.is_match(item))
        }
        "CVSS"
        | "NVD CVSS"
        | "Container CPU Request"
        | "Container CPU Limit"
        | "Container Memory Request"
        | "Container Memory Limit" => {
            let (comparator, number) = comparison(&value);
            let number: f64 = number.parse().unwrap();
            Box::new(move |leaf| match leaf {
                Leaf::Float(found) if comparator.is_empty() => (found - number).abs() < 1e-4,
                Leaf::Float(found) => compare(comparator, *found, number),
                _ => false,
            })
        }
        "Replicas" | "Exposed Port" | "Exposed Node Port" => {
            let (comparator, number) = comparison(&value);
            let number: i64 = number.parse().unwrap();
            Box::new(move |leaf| matches!(leaf, Leaf::Int(found) if compare(comparator, *found, number)))
        }
        "Process UID" => {
            let (comparator, number) = comparison(&value);
            let number: u64 = number.parse().unwrap();
            Box::new(move |leaf| matches!(leaf, Leaf::Uint(found) if compare(comparator, *found, number)))
        }
        "Severity" => named(&value, &["unknown", "low", "moderate", "important", "critical"], 0),
        "Seccomp Profile Type" => named(&value, &["unconfined", "runtime_default", "localhost"], 0),
        "Mount Propagation" => {
            let mended = !mode.parity && value == "HOSTTOCONTAINER";
            let value = if mended { "HOST_TO_CONTAINER" } else { &value };
            named(value, &["none", "host_to_container", "bidirectional"], 0)
        }
        "Port Exposure Method" => {
            named(&value, &["unset", "external", "node", "internal", "host", "route"], 0)
        }
        "Minimum RBAC Permissions" => {
            let names = [
                "unset",
                "none",
                "default",
                "elevated_in_namespace",
                "elevated_cluster_wide",
                "cluster_admin",
            ];
            named(&format!(">={value}"), &names, 0)
        }
        "Kubernetes Resource" => same_name(&value),
        "Kubernetes API Verb" => same_name(&value),
        "Image Signature Verified By" | "Kubernetes User Groups" | "Source IP Address" => {
            let matcher = matcher(&value);
            some(move |item| matcher(item))
        }
        "Kubernetes User Name" | "Kubernetes Resource Name" | "User Agent" | "File Operation" => {
            let matcher = matcher(&value);
            Box::new(move |leaf| matches!(leaf, Leaf::Text(found) if matcher(found)))
        }
        "Exposed Port Protocol" => {
            let matcher = matcher(&value.to_uppercase());
            Box::new(move |leaf| matches!(leaf, Leaf::Text(found) if matcher(found)))
        }
        "Process Arguments" => {
            let pattern = Regex::new(&format!("(?i){value}")).unwrap();
            Box::new(move |leaf| matches!(leaf, Leaf::Text(found) if pattern.is_match(found)))
        }
        "Fixed By" => pattern(if value == ".*" { ".+" } else { &value }),
        _ if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") => {
            let wanted = value.eq_ignore_ascii_case("true");
            Box::new(move |leaf| is(leaf, wanted))
        }
        _ => pattern(&value),
    }
}

fn some(test: impl Fn(&str) -> bool + 'static) -> Test {
    Box::new(move |leaf| matches!(leaf, Leaf::Texts(items) if items.iter().any(|item| test(item))))
}

/// A whole-string pattern in any case; empty means anything.
fn whole(value: &str) -> impl Fn(&str) -> bool + 'static {
    let value = if value.is_empty() { ".*" } else { value.strip_prefix("r/").unwrap_or(value) };
    let source = match value.strip_prefix("c/") {
        Some(part) => format!("(?i){part}"),
        None => format!(r"(?i)\A(?:{value})\z"),
    };
    let pattern = Regex::new(&source).unwrap();
    move |text| pattern.is_match(text)
}

fn pattern(value: &str) -> Test {
    let matches = whole(value);
    Box::new(move |leaf| matches!(leaf, Leaf::Text(text) if matches(text)))
}

fn parts(value: &str, count: usize) -> Test {
    let parts: Vec<String> = value
        .splitn(count, '=')
        .map(|part| format!("({})", if part.is_empty() { ".*" } else { part }))
        .collect();
    assert_eq!(parts.len(), count, "{value}");
    pattern(&parts.join("\t"))
}

fn older(days: &str, now: Timestamp) -> Test {
    let limit = now - SignedDuration::from_hours(24 * days.parse::<i64>().unwrap());
    Box::new(move |leaf| matches!(leaf, Leaf::Time(at) if *at < limit))
}

fn comparison(value: &str) -> (&'static str, &str) {
    for comparator in [">=", "<=", ">", "<"] {
        if let Some(rest) = value.strip_prefix(comparator) {
            return (comparator, rest.trim());
        }
    }
    ("", value)
}

fn compare<T: PartialOrd + Copy>(comparator: &str, found: T, wanted: T) -> bool {
    match comparator {
        ">=" => found >= wanted,
        "<=" => found <= wanted,
        ">" => found > wanted,
        "<" => found < wanted,
        _ => found == wanted,
    }
}

fn named(value: &str, names: &[&str], first: i64) -> Test {
    let (comparator, name) = comparison(value);
    let name = name.to_lowercase();
    match names.iter().position(|known| *known == name) {
        Some(position) => {
            let number = first + i64::try_from(position).unwrap();
            Box::new(move |leaf| matches!(leaf, Leaf::Enum(found, _) if compare(comparator, *found, number)))
        }
        // A name that is none is a prefix of one, or nothing.
        None => Box::new(move |leaf| matches!(leaf, Leaf::Enum(_, found) if found.starts_with(&name))),
    }
}

fn same_name(value: &str) -> Test {
    let value = value.to_lowercase();
    Box::new(move |leaf| matches!(leaf, Leaf::Enum(_, found) if *found == value))
}

/// The little language of plain strings.
fn matcher(value: &str) -> Box<dyn Fn(&str) -> bool> {
    if let Some(rest) = value.strip_prefix('!') {
        let inner = matcher(rest);
        return Box::new(move |text| !inner(text));
    }
    if value.starts_with("r/") {
        return Box::new(whole(value));
    }
    if value.len() > 3 && value.starts_with('"') && value.ends_with('"') {
        let wanted = value.trim_matches('"').to_lowercase();
        return Box::new(move |text| text.to_lowercase() == wanted);
    }
    if value == "*" {
        return Box::new(|_| true);
    }
    let prefix = value.trim_start_matches('"').to_lowercase();
    Box::new(move |text| text.to_lowercase().starts_with(&prefix))
}
