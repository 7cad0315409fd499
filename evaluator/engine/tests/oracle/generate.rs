//! Policies, and inputs near their values: both are made of the same small pools, so that a match, a near miss and
//! something missing are all common.

use jiff::{SignedDuration, Timestamp};
use lictor_wire::PolicyId;
use lictor_wire::policy::{
    BooleanOperator, EvaluationFilter, EventSource, ExcludedDeployment, ExcludedImage, Exclusion,
    FilteredContainerType, Group, LifecycleStage, Policy, PolicyValue, Scope, ScopeLabel, Section, Severity,
};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

use crate::criteria::About;

/// A criterion as policies write it.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) values: &'static [&'static str],
    /// Negation, several values, AND.
    negation: bool,
    several: bool,
    and: bool,
}

const fn row(name: &'static str, allows: &str, values: &'static [&'static str]) -> Row {
    let allows = allows.as_bytes();
    Row {
        name,
        values,
        negation: contains(allows, b'n'),
        several: contains(allows, b'm'),
        and: !contains(allows, b'o'),
    }
}

const fn contains(allows: &[u8], letter: u8) -> bool {
    let mut i = 0;
    while i < allows.len() {
        if allows[i] == letter {
            return true;
        }
        i += 1;
    }
    false
}

const BOOL: &[&str] = &["true", "false", "TRUE"];
const DAYS: &[&str] = &["0", "10", "30"];
const MAP: &[&str] = &["owner=shop", "owner=", "team=.+", "ow.*=s.*", "tier=web"];
const SCORE: &[&str] = &["7", ">= 7", "<7.1", ">=7.1", "7.1", "> 0", "<= 9.8", "0"];
const AMOUNT: &[&str] = &["0", "> 0", ">= 0.5", "< 1", "0.1", "<= 0.1", "128"];

const IMAGE: &[Row] = &[
    row("Image Registry", "nm", &["docker\\.io", "quay.*", "QUAY\\.IO", ".*"]),
    row("Image Remote", "nm", &["library/nginx", "shop/.*", "c/nginx"]),
    row("Image Tag", "nm", &["latest", "1\\..*", "", "r/latest"]),
    row(
        "Image Signature Verified By",
        "mo",
        &[
            "io.stackrox.signatureintegration.00000000-0000-0000-0000-000000000001",
            "io.stackrox.signatureintegration.00000000-0000-0000-0000-000000000002",
        ],
    ),
    row("Image Age", "", DAYS),
    row("Image User", "nm", &["root", "0|root", "app"]),
    row("Dockerfile Line", "m", &["RUN=.*", "USER=root", "=.*curl.*", "user=ROOT"]),
    row("Image Component", "m", &["openssl=", "openssl=3.*", ".*=1\\..*", "curl="]),
    row("Image OS", "nm", &["debian:12", "alpine.*"]),
    row("Required Image Label", "m", MAP),
    row("Disallowed Image Label", "m", MAP),
    row("Image Scan Age", "", DAYS),
    row("Unscanned Image", "", &["true", "false"]),
    row("CVE", "nm", &["CVE-1", "CVE-2", "cve-.*"]),
    row("CVSS", "m", SCORE),
    row("NVD CVSS", "m", SCORE),
    row("Severity", "m", &["LOW", ">= IMPORTANT", "<MODERATE", "CRITICAL", "<= LOW"]),
    row("Fixable", "", &["true", "false"]),
    row("Fixed By", "nm", &[".*", "1\\.2", "2.*"]),
    row("Days Since CVE Was Published", "", DAYS),
    row("Days Since CVE Fix Was Available", "", DAYS),
    row("Days Since CVE Was First Discovered In Image", "", DAYS),
    row("Days Since CVE Was First Discovered In System", "", DAYS),
];

const WORKLOAD: &[Row] = &[
    row("Environment Variable", "m", &["RAW=A=", "=TOKEN=", "SECRET_KEY==", "==x", "RAW=.*=x"]),
    row("Container CPU Request", "m", AMOUNT),
    row("Container CPU Limit", "m", AMOUNT),
    row("Container Memory Request", "m", AMOUNT),
    row("Container Memory Limit", "m", AMOUNT),
    row("Privileged Container", "", BOOL),
    row("Read-Only Root Filesystem", "", BOOL),
    row("Allow Privilege Escalation", "", BOOL),
    row("Seccomp Profile Type", "n", &["UNCONFINED", "RUNTIME_DEFAULT", "localhost"]),
    row("Drop Capabilities", "m", &["ALL", "NET_RAW", "CHOWN", "chown"]),
    row("Add Capabilities", "m", &["SYS_ADMIN", "CHOWN", "net_raw"]),
    row("Container Name", "nm", &["a", "b", "[ab]"]),
    row("AppArmor Profile", "nm", &["unconfined", "runtime/default", ".+"]),
    row("Liveness Probe Defined", "", BOOL),
    row("Readiness Probe Defined", "n", BOOL),
    row("Disallowed Annotation", "m", &["owner=shop", "owner", "team=", "ow.*=s.*"]),
    row("Required Annotation", "m", MAP),
    row("Required Label", "m", MAP),
    row("Runtime Class", "nm", &["gvisor", "kata|gvisor"]),
    row("Host Network", "", BOOL),
    row("Host PID", "", BOOL),
    row("Host IPC", "", BOOL),
    row("Namespace", "nm", &["shop", "pay", "s.*"]),
    row("Replicas", "nm", &["0", ">= 2", "< 2", "3"]),
    row("Volume Name", "nm", &["x", "y", "[xy]"]),
    row("Volume Source", "nm", &["/run/x\\.sock", "/etc/.*"]),
    row("Volume Destination", "nm", &["/x", "/.*"]),
    row("Volume Type", "nm", &["HostPath", "EmptyDir"]),
    row("Writable Mounted Volume", "", &["true", "false"]),
    row("Writable Host Mount", "", &["true", "false"]),
    row("Mount Propagation", "nm", &["NONE", "HOSTTOCONTAINER", "BIDIRECTIONAL"]),
    row("Exposed Port", "nm", &["22", "80", ">= 80", "<100"]),
    row("Exposed Port Protocol", "nm", &["tcp", "U", "!tcp", "*"]),
    row("Exposed Node Port", "nm", &["0", "> 0", "30000"]),
    row("Port Exposure Method", "nm", &["UNSET", "EXTERNAL", "NODE", "host", "INTERNAL", "ROUTE"]),
    row("Has Ingress Network Policy", "n", BOOL),
    row("Has Egress Network Policy", "n", BOOL),
    row("Service Account", "nm", &["default", "web"]),
    row("Automount Service Account Token", "", BOOL),
    row("Minimum RBAC Permissions", "n", &["DEFAULT", "ELEVATED_CLUSTER_WIDE", "cluster_admin"]),
];

const PROCESS: &[Row] = &[
    row("Process Name", "nm", &["sh", "(ba)?sh", "nginx"]),
    row("Process Ancestor", "nm", &[".*java", "/bin/sh"]),
    row("Process Arguments", "nm", &["curl", "^-c", "x$"]),
    row("Process UID", "nm", &["0", ">=1000", "< 10"]),
];
const PROCESS_BASELINE: &[Row] = &[row("Unexpected Process Executed", "", BOOL)];
const NETWORK: &[Row] = &[row("Unexpected Network Flow Detected", "", BOOL)];
const COMMAND: &[Row] = &[row("Kubernetes Resource", "m", &["PODS_EXEC", "PODS_ATTACH", "pods_portforward"])];
const USER: &[Row] = &[
    row("Kubernetes User Name", "nm", &["bob", "al", "system:serviceaccount:shop"]),
    row("Kubernetes User Groups", "nm", &["dev", "ops"]),
];
const AUDIT: &[Row] = &[
    row("Kubernetes Resource", "m", &["SECRETS", "CONFIGMAPS", "CLUSTER_ROLES", "NETWORK_POLICIES"]),
    row("Kubernetes API Verb", "m", &["GET", "CREATE", "delete", "PATCH"]),
];
const AUDIT_MORE: &[Row] = &[
    row("Kubernetes Resource Name", "nm", &["db", "r/db-.*", "!db", "\"db-1\""]),
    row("User Agent", "nm", &["kubectl", "r/c/curl", "*"]),
    row("Source IP Address", "nm", &["10.0.0.1", "192.0.2.7"]),
    row("Is Impersonated User", "", BOOL),
];
const FILE: &[Row] = &[row("File Path", "m", &["/etc/*", "/etc/**", "/tmp/x"])];
const FILE_MORE: &[Row] =
    &[row("File Operation", "nm", &["OPEN", "RENAME", "PERMISSION_CHANGE", "xattr_change"])];

/// What a policy of this sort may ask beside what it must, and what it must.
fn rows(about: About) -> (&'static [&'static [Row]], &'static [&'static [Row]]) {
    match about {
        About::Image => (&[], &[IMAGE]),
        About::Workload => (&[], &[IMAGE, WORKLOAD, WORKLOAD]),
        About::Process => (&[], &[PROCESS, PROCESS, PROCESS_BASELINE, IMAGE, WORKLOAD]),
        About::Network => (&[NETWORK], &[IMAGE, WORKLOAD]),
        About::Command => (&[COMMAND], &[USER, USER, IMAGE, WORKLOAD]),
        About::File => (&[FILE], &[FILE_MORE, PROCESS, IMAGE, WORKLOAD]),
        About::NodeFile => (&[FILE], &[FILE_MORE, PROCESS]),
        About::Audit => (&[AUDIT], &[USER, AUDIT_MORE]),
    }
}

/// Every row, with what it can be asked about.
pub(crate) fn all_rows() -> Vec<(About, &'static Row)> {
    let abouts = [
        (About::Image, IMAGE),
        (About::Workload, IMAGE),
        (About::Workload, WORKLOAD),
        (About::Process, PROCESS),
        (About::Process, PROCESS_BASELINE),
        (About::Network, NETWORK),
        (About::Command, COMMAND),
        (About::Command, USER),
        (About::File, FILE),
        (About::File, FILE_MORE),
        (About::File, PROCESS),
        (About::NodeFile, FILE),
        (About::NodeFile, FILE_MORE),
        (About::NodeFile, PROCESS),
        (About::Audit, AUDIT),
        (About::Audit, AUDIT_MORE),
        (About::Audit, USER),
    ];
    abouts.into_iter().flat_map(|(about, rows)| rows.iter().map(move |row| (about, row))).collect()
}

impl Row {
    /// The ways in which a group of the row can be formed: AND or OR, negated or not.
    pub(crate) fn forms(&self) -> Vec<(BooleanOperator, bool)> {
        let operators: &[BooleanOperator] = if self.several && self.and {
            &[BooleanOperator::Or, BooleanOperator::And]
        } else {
            &[BooleanOperator::Or]
        };
        let negations: &[bool] = if self.negation { &[false, true] } else { &[false] };
        operators.iter().flat_map(|operator| negations.iter().map(|negate| (*operator, *negate))).collect()
    }

    pub(crate) fn group(&self, rng: &mut StdRng, operator: BooleanOperator, negate: bool) -> Group {
        let count = if self.several { *[1, 1, 2, 2, 3].choose(rng).unwrap() } else { 1 };
        let blank = |value: &&&str| !value.is_empty();
        let mut values: Vec<&str> = self.values.iter().filter(blank).copied().collect();
        values.shuffle(rng);
        values.truncate(count);
        Group {
            field_name: self.name.to_owned(),
            boolean_operator: operator,
            negate,
            values: values.into_iter().map(|value| PolicyValue { value: value.to_owned() }).collect(),
        }
    }
}

pub(crate) fn policy(about: About, now: Timestamp, rng: &mut StdRng) -> Policy {
    let (must, may) = rows(about);
    let count = rng.random_range(1..=2);
    let sections: Vec<Section> = (0..count).map(|_| section(about, must, may, rng)).collect();
    let (stage, source) = match about {
        About::Image => (LifecycleStage::Build, EventSource::NotApplicable),
        About::Workload => (LifecycleStage::Deploy, EventSource::NotApplicable),
        About::Audit => (LifecycleStage::Runtime, EventSource::AuditLogEvent),
        About::NodeFile => (LifecycleStage::Runtime, EventSource::NodeEvent),
        _ => (LifecycleStage::Runtime, EventSource::DeploymentEvent),
    };
    let both = about == About::Image && rng.random_bool(0.3);
    let mut stages = vec![stage];
    if both || (about == About::Workload && only_images(&sections)) {
        stages = vec![LifecycleStage::Build, LifecycleStage::Deploy];
    }
    let filtered = !matches!(about, About::Image | About::Audit | About::NodeFile) && rng.random_bool(0.15);
    let skip = *[FilteredContainerType::Init, FilteredContainerType::Regular].choose(rng).unwrap();
    Policy {
        id: PolicyId::new("p"),
        name: "generated".to_owned(),
        categories: vec!["Tests".to_owned()],
        severity: Severity::Low,
        policy_version: "1.1".to_owned(),
        event_source: source,
        scope: if rng.random_bool(0.2) { scopes(about, rng) } else { Vec::new() },
        exclusions: if rng.random_bool(0.2) { exclusions(about, &stages, now, rng) } else { Vec::new() },
        lifecycle_stages: stages,
        policy_sections: sections,
        evaluation_filter: filtered.then(|| EvaluationFilter { skip_container_types: vec![skip] }),
        ..Policy::default()
    }
}

fn only_images(sections: &[Section]) -> bool {
    let is_image = |group: &Group| IMAGE.iter().any(|row| row.name == group.field_name);
    sections.iter().all(|section| section.policy_groups.iter().all(is_image))
}

fn section(
    about: About,
    must: &'static [&'static [Row]],
    may: &'static [&'static [Row]],
    rng: &mut StdRng,
) -> Section {
    let mut chosen: Vec<&Row> = must.iter().flat_map(|rows| rows.iter()).collect();
    if about == About::Process {
        chosen.push(if rng.random_bool(0.8) { PROCESS.choose(rng).unwrap() } else { &PROCESS_BASELINE[0] });
    }
    let more = rng.random_range(if chosen.is_empty() { 1..=3 } else { 0..=3 });
    // Criteria about one list often come together: that is where linking matters.
    let favourite = [
        &["Volume", "Writable", "Mount"][..],
        &["CVE", "CVSS", "Fix", "Severity", "Days"],
        &["Exposed", "Port"],
    ];
    let favourite = favourite.choose(rng).unwrap();
    for _ in 0..more {
        let rows = may.choose(rng).unwrap();
        let near: Vec<&Row> =
            rows.iter().filter(|row| favourite.iter().any(|part| row.name.contains(part))).collect();
        let row = if !near.is_empty() && rng.random_bool(0.5) {
            near.choose(rng).unwrap()
        } else {
            rows.choose(rng).unwrap()
        };
        if chosen.iter().all(|before| before.name != row.name) {
            chosen.push(row);
        }
    }
    chosen.shuffle(rng);
    let groups = chosen.into_iter().map(|row| {
        let (operator, negate) = *row.forms().choose(rng).unwrap();
        let negate = negate && rng.random_bool(0.6);
        row.group(rng, operator, negate)
    });
    Section { section_name: String::new(), policy_groups: groups.collect() }
}

fn label(rng: &mut StdRng) -> ScopeLabel {
    let part = |rng: &mut StdRng, all: &[&str]| (*all.choose(rng).unwrap()).to_owned();
    ScopeLabel { key: part(rng, &["owner", "team", "o.*", ""]), value: part(rng, &["shop", "pay", ""]) }
}

fn scopes(about: About, rng: &mut StdRng) -> Vec<Scope> {
    let count = rng.random_range(1..=2);
    (0..count)
        .map(|_| match rng.random_range(0..5) {
            0 => Scope { cluster: (*["c1", "c2"].choose(rng).unwrap()).to_owned(), ..Scope::default() },
            1 if about != About::Audit => Scope { label: Some(label(rng)), ..Scope::default() },
            2 => Scope { cluster_label: Some(label(rng)), ..Scope::default() },
            3 => Scope { namespace_label: Some(label(rng)), ..Scope::default() },
            _ => Scope { namespace: (*["shop", "p.*"].choose(rng).unwrap()).to_owned(), ..Scope::default() },
        })
        .collect()
}

fn exclusions(about: About, stages: &[LifecycleStage], now: Timestamp, rng: &mut StdRng) -> Vec<Exclusion> {
    let expiration =
        *[None, Some(now - SignedDuration::from_hours(1)), Some(now + SignedDuration::from_hours(1))]
            .choose(rng)
            .unwrap();
    let builds = stages.contains(&LifecycleStage::Build);
    let deploys = stages.iter().any(|stage| *stage != LifecycleStage::Build);
    if builds && (!deploys || rng.random_bool(0.5)) {
        let name = (*["docker.io", "quay.io/shop"].choose(rng).unwrap()).to_owned();
        return vec![Exclusion { image: Some(ExcludedImage { name }), expiration, ..Exclusion::default() }];
    }
    let name = match about {
        About::Audit => String::new(),
        _ => (*["web", "w.*", "api", "", "("].choose(rng).unwrap()).to_owned(),
    };
    let namespace = (*["shop", "pay"].choose(rng).unwrap()).to_owned();
    let scope = (name.is_empty() || rng.random_bool(0.4)).then(|| Scope { namespace, ..Scope::default() });
    vec![Exclusion {
        deployment: Some(ExcludedDeployment { name, scope }),
        expiration,
        ..Exclusion::default()
    }]
}
