//! Evaluating a set skips policies that cannot match; its findings are those of evaluating every policy.

// `cfg(test)` is always so here; it tells clippy that helpers are test code too.
#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use lictor_engine::{Findings, Input, Occurrence, Options, PolicyRevision, PolicySet};
use lictor_wire::policy::{
    BooleanOperator, EvaluationFilter, EventSource, ExcludedDeployment, Exclusion, FilteredContainerType,
    Group, LifecycleStage, Policy, PolicyValue, Scope, Section,
};
use lictor_wire::{
    Ancestor, AuditEvent, AuditStage, ClusterId, Container, ContainerRef, Deployment, EnvSource, EnvVar,
    Event, EventData, EventId, FileEvent, FileOperation, FilePaths, ObjectReference, PodRef, PolicyId, Port,
    ProcessEvent, Projection, UserInfo, Volume,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

// === policies ===

/// Words that are in patterns and in events, so that they meet.
const WORDS: [&str; 14] = [
    "kill",
    "Kill",
    "\u{212a}ill",
    "bash",
    "baſh",
    "sh",
    "k",
    "",
    "curl",
    "cur",
    "passwd",
    "straße",
    "ΣΑΣ",
    "0",
];

fn word() -> impl Strategy<Value = String> {
    select(&WORDS[..]).prop_map(str::to_owned)
}

/// Patterns of all kinds. Some are none; their policies are refused, by both ways alike.
fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        6 => word(),
        1 => select(&[".*", ".+", "[a-z]+", "[kK]", "[0-9]{1,2}", r"\w", "^", "$", r"\b", "(?-i:Kill)", "[^k]", "s{2}"][..])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}{b}")),
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}|{b}")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}|{b})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}.*{b}")),
            1 => inner.clone().prop_map(|a| format!("({a})?")),
            1 => inner.clone().prop_map(|a| format!("({a})+")),
            1 => inner.clone().prop_map(|a| format!("({a})*")),
            1 => inner.clone().prop_map(|a| format!("(?m:^{a}$)")),
            1 => inner.prop_map(|a| format!("{a})|(?:kill")),
        ]
    })
}

/// Values of criteria that take a regular expression.
fn regex() -> impl Strategy<Value = String> {
    prop_oneof![8 => pattern(), 1 => pattern().prop_map(|p| format!("r/{p}")), 1 => word().prop_map(|p| format!("c/{p}"))]
}

/// Values of criteria that compare plain texts.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => word(),
        1 => Just("*".to_owned()),
        2 => pattern().prop_map(|p| format!("r/{p}")),
        2 => word().prop_map(|w| format!("\"{w}\"")),
        2 => word().prop_map(|w| format!("!{w}")),
        1 => word().prop_map(|w| format!("g/{w}*")),
    ]
}

/// Values of criteria that accept names of users and groups: some line has to be such a name, the others may be anything.
fn name() -> impl Strategy<Value = String> {
    let plain = select(&["k", "kill", "KILL", "bash", "sh", "curl", "cur", "0", "system:kill"][..]);
    prop_oneof![
        6 => plain.prop_map(str::to_owned),
        1 => text().prop_map(|value| format!("{value}\nkill")),
        1 => pattern().prop_map(|p| format!("r/(?:{p})|(?:\nk\n)")),
        1 => word().prop_map(|w| format!("!{w}|\nk")),
    ]
}

fn group_of(
    field: &'static str,
    values: impl Strategy<Value = String>,
    many: bool,
    negated: bool,
) -> impl Strategy<Value = Group> {
    let values = prop::collection::vec(values, 1..if many { 4 } else { 2 });
    (values, prop::bool::weighted(0.2), prop::bool::weighted(0.2)).prop_map(move |(values, and, negate)| {
        Group {
            field_name: field.to_owned(),
            boolean_operator: if and && many { BooleanOperator::And } else { BooleanOperator::Or },
            negate: negate && negated,
            values: values.into_iter().map(|value| PolicyValue { value }).collect(),
        }
    })
}

fn process_section() -> impl Strategy<Value = Section> {
    let groups = (
        prop::option::weighted(0.5, group_of("Process Name", regex(), true, true)),
        prop::option::weighted(0.4, group_of("Process Arguments", pattern(), true, true)),
        prop::option::weighted(0.2, group_of("Process Ancestor", regex(), true, true)),
        prop::option::weighted(
            0.2,
            group_of(
                "Process UID",
                select(&["0", "5", ">= 5", "< 1", "00"][..]).prop_map(str::to_owned),
                true,
                true,
            ),
        ),
        prop::option::weighted(0.2, group_of("Namespace", regex(), true, true)),
        prop::option::weighted(
            0.2,
            group_of(
                "Privileged Container",
                select(&["true", "false"][..]).prop_map(str::to_owned),
                false,
                false,
            ),
        ),
    );
    groups.prop_map(|(a, b, c, d, e, f)| section([a, b, c, d, e, f]))
}

fn names(names: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    subsequence(names, 1..=names.len()).prop_map(|names| names.into_iter().map(str::to_owned).collect())
}

fn listed(field: &'static str, values: &'static [&'static str]) -> impl Strategy<Value = Group> {
    names(values).prop_map(move |values| Group {
        field_name: field.to_owned(),
        values: values.into_iter().map(|value| PolicyValue { value }).collect(),
        ..Group::default()
    })
}

fn audit_section() -> impl Strategy<Value = Section> {
    let groups = (
        listed("Kubernetes Resource", &["SECRETS", "CONFIGMAPS", "CLUSTER_ROLES"]).prop_map(Some),
        listed("Kubernetes API Verb", &["GET", "CREATE", "DELETE"]).prop_map(Some),
        prop::option::weighted(0.5, group_of("Kubernetes User Name", name(), true, true)),
        prop::option::weighted(0.3, group_of("Kubernetes User Groups", name(), true, true)),
        prop::option::weighted(0.3, group_of("Kubernetes Resource Name", text(), true, true)),
        prop::option::weighted(0.3, group_of("User Agent", text(), true, true)),
        prop::option::weighted(
            0.1,
            group_of(
                "Source IP Address",
                select(&["10.1.1.1", "::1"][..]).prop_map(str::to_owned),
                true,
                true,
            ),
        ),
    );
    groups.prop_map(|(a, b, c, d, e, f, g)| section([a, b, c, d, e, f, g]))
}

fn file_section() -> impl Strategy<Value = Section> {
    let globs = select(&["/etc/passwd", "/etc/**", "/etc/*", "/{etc,var}/*", "/var/k?ll", "**/kill"][..]);
    let groups = (
        group_of("File Path", globs.prop_map(str::to_owned), true, false).prop_map(Some),
        prop::option::weighted(0.5, listed("File Operation", &["OPEN", "RENAME"])),
        prop::option::weighted(0.2, group_of("Process Name", regex(), true, true)),
    );
    groups.prop_map(|(a, b, c)| section([a, b, c]))
}

fn one_of(values: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(values).prop_map(str::to_owned)
}

fn workload_section() -> impl Strategy<Value = Section> {
    let environment = (pattern(), pattern()).prop_map(|(key, value)| format!("RAW={key}={value}"));
    let of_containers = (
        prop::option::weighted(0.3, group_of("Image Registry", regex(), true, true)),
        prop::option::weighted(0.3, group_of("Image Tag", regex(), true, true)),
        prop::option::weighted(0.3, group_of("Container Name", regex(), true, true)),
        prop::option::weighted(0.3, group_of("Environment Variable", environment, true, false)),
        prop::option::weighted(
            0.2,
            group_of("Privileged Container", one_of(&["true", "false"]), false, false),
        ),
        prop::option::weighted(0.2, group_of("Volume Source", regex(), true, true)),
        prop::option::weighted(
            0.2,
            group_of("Container CPU Limit", one_of(&["> 1", "< 1", "0"]), true, false),
        ),
    );
    let others = (
        prop::option::weighted(
            0.1,
            group_of("Add Capabilities", one_of(&["SYS_ADMIN", "NET_RAW"]), true, false),
        ),
        prop::option::weighted(0.1, group_of("Drop Capabilities", one_of(&["ALL", "NET_RAW"]), true, false)),
        prop::option::weighted(0.1, group_of("CVE", pattern(), true, true)),
        prop::option::weighted(0.1, group_of("Image Age", one_of(&["30"]), false, false)),
        prop::option::weighted(
            0.2,
            group_of("Required Label", pattern().prop_map(|p| format!("team={p}")), true, false),
        ),
        prop::option::weighted(
            0.2,
            group_of("Disallowed Annotation", pattern().prop_map(|p| format!("a={p}")), true, false),
        ),
        prop::option::weighted(0.2, group_of("Namespace", regex(), true, true)),
        prop::option::weighted(0.2, group_of("Replicas", one_of(&["> 2", "0", "<= 2"]), true, true)),
        prop::option::weighted(0.1, group_of("Exposed Port", one_of(&["22", "> 1000"]), true, true)),
    );
    (of_containers, others).prop_map(|((a, b, c, d, e, f, g), (h, i, j, k, l, m, n, o, p))| {
        section([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
    })
}

fn section<const N: usize>(groups: [Option<Group>; N]) -> Section {
    Section { section_name: String::new(), policy_groups: groups.into_iter().flatten().collect() }
}

fn policy(source: EventSource, sections: impl Strategy<Value = Section>) -> impl Strategy<Value = Policy> {
    let scope = prop::option::weighted(0.2, select(&["shop", "other", "s.*"][..]));
    let excluded = prop::option::weighted(0.2, select(&["web", "api"][..]));
    let sections = prop::collection::vec(sections, 1..4);
    (sections, scope, excluded, prop::bool::weighted(0.1)).prop_map(
        move |(sections, scope, excluded, skips)| Policy {
            name: "generated".to_owned(),
            lifecycle_stages: vec![match source {
                EventSource::NotApplicable => LifecycleStage::Deploy,
                _ => LifecycleStage::Runtime,
            }],
            event_source: source,
            policy_sections: sections,
            scope: scope
                .map(|namespace| Scope { namespace: namespace.to_owned(), ..Scope::default() })
                .into_iter()
                .collect(),
            exclusions: excluded
                .map(|name| Exclusion {
                    deployment: Some(ExcludedDeployment {
                        name: name.to_owned(),
                        ..ExcludedDeployment::default()
                    }),
                    ..Exclusion::default()
                })
                .into_iter()
                .collect(),
            evaluation_filter: skips
                .then(|| EvaluationFilter { skip_container_types: vec![FilteredContainerType::Regular] }),
            policy_version: "1.1".to_owned(),
            ..Policy::default()
        },
    )
}

fn compile(policies: Vec<Policy>, parity: bool) -> PolicySet {
    let revisions = policies.into_iter().enumerate().map(|(index, mut policy)| {
        policy.id = PolicyId::new(format!("{index:03}"));
        PolicyRevision { policy: Arc::new(policy), revision: 1 }
    });
    PolicySet::compile(revisions, Options { parity }).set
}

// === events ===

/// Texts of events: words, words in words, words in a row.
fn found() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => word(),
        2 => (word(), word()).prop_map(|(a, b)| format!("{a}{b}")),
        2 => (word(), word(), word()).prop_map(|(a, b, c)| format!("{a} {b}\n{c}")),
        1 => "\\PC{0,6}",
        1 => word().prop_map(|word| word.to_uppercase()),
    ]
}

fn process_event() -> impl Strategy<Value = ProcessEvent> {
    let ancestors = prop::collection::vec(found(), 0..3);
    let home = select(&["main", "stray", ""][..]);
    (found(), found(), prop::option::of(select(&[0_u32, 5, 7][..])), any::<bool>(), ancestors, home).prop_map(
        |(name, args, uid, truncated, ancestors, home)| ProcessEvent {
            name,
            args,
            uid,
            truncated,
            ancestors: ancestors
                .into_iter()
                .map(|exec_file_path| Ancestor { exec_file_path, ..Ancestor::default() })
                .collect(),
            pod: Some(PodRef { namespace: "shop".to_owned(), name: "web-1".to_owned(), ..PodRef::default() }),
            container: Some(ContainerRef { name: home.to_owned(), ..ContainerRef::default() }),
            ..ProcessEvent::default()
        },
    )
}

fn audit_event() -> impl Strategy<Value = AuditEvent> {
    let object = (select(&["secrets", "configmaps", "clusterroles"][..]), found(), select(&["shop", ""][..]));
    let lists = (
        prop::collection::vec(found(), 0..3),
        prop::collection::vec(select(&["10.1.1.10", "::1"][..]), 0..3),
    );
    (select(&["get", "create", "DELETE"][..]), found(), found(), object, lists).prop_map(
        |(verb, username, user_agent, (resource, name, namespace), (groups, ips))| AuditEvent {
            stage: AuditStage::ResponseComplete,
            verb: verb.to_owned(),
            user: UserInfo { username, groups, ..UserInfo::default() },
            user_agent,
            source_ips: ips.into_iter().map(str::to_owned).collect(),
            object_ref: Some(ObjectReference {
                resource: resource.to_owned(),
                namespace: namespace.to_owned(),
                name,
                ..ObjectReference::default()
            }),
            ..AuditEvent::default()
        },
    )
}

fn file_event() -> impl Strategy<Value = FileEvent> {
    let path = select(&["/etc/passwd", "/etc", "/ETC/passwd", "/var/kill", "/etc/a/b", ""][..]);
    let operation = select(&[FileOperation::Open, FileOperation::Rename, FileOperation::Unknown][..]);
    let process = prop::option::of(found());
    (path.clone(), path, operation, any::<bool>(), process).prop_map(
        |(path, moved, operation, in_pod, process)| {
            let at = |path: &str| FilePaths { actual: path.to_owned(), ..FilePaths::default() };
            FileEvent {
                file: at(path),
                moved: (operation == FileOperation::Rename).then(|| at(moved)),
                operation,
                process: process.map(|name| Box::new(ProcessEvent { name, ..ProcessEvent::default() })),
                pod: in_pod.then(|| PodRef { namespace: "shop".to_owned(), ..PodRef::default() }),
                ..FileEvent::default()
            }
        },
    )
}

fn workload() -> impl Strategy<Value = Deployment> {
    let container = (
        found(),
        (word(), word()),
        prop::collection::vec((found(), found()), 0..3),
        (any::<bool>(), prop::option::of(found())),
        (select(&[0.0_f32, 0.5, 2.0][..]), names(&["SYS_ADMIN", "NET_RAW", "ALL"])),
    );
    let container =
        container.prop_map(|(name, (registry, tag), env, (privileged, source), (cpu, capabilities))| {
            let mut container = Container { name, ..Container::default() };
            container.image.name.registry = registry;
            container.image.name.tag = tag;
            let variable = |(key, value)| EnvVar { key, value, env_var_source: EnvSource::Raw };
            container.config.env = env.into_iter().map(variable).collect();
            container.security_context.privileged = privileged;
            container.security_context.add_capabilities = capabilities.clone();
            container.security_context.drop_capabilities = capabilities;
            container.resources.cpu_cores_limit = cpu;
            container.volumes =
                source.into_iter().map(|source| Volume { source, ..Volume::default() }).collect();
            container
        });
    let labels = prop::option::of(found());
    let ports = prop::collection::vec(select(&[22, 8080][..]), 0..2);
    (prop::collection::vec(container, 0..3), labels, select(&["shop", "kill"][..]), 0_i64..4, ports).prop_map(
        |(containers, label, namespace, replicas, ports)| {
            let map = |key: &str| label.clone().map(|value| (key.to_owned(), value)).into_iter().collect();
            let port = |container_port| Port { container_port, ..Port::default() };
            Deployment {
                name: "web".to_owned(),
                namespace: namespace.to_owned(),
                labels: map("team"),
                annotations: map("a"),
                replicas: Some(replicas),
                ports: ports.into_iter().map(port).collect(),
                containers,
                ..Deployment::default()
            }
        },
    )
}

fn deployment() -> Deployment {
    let container = |name: &str| Container { name: name.to_owned(), ..Container::default() };
    Deployment {
        name: "web".to_owned(),
        namespace: "shop".to_owned(),
        containers: vec![container("side"), container("main")],
        ..Deployment::default()
    }
}

/// The event on its way: written as a line, and looked at.
fn projection(occurrence: Occurrence<'_>) -> Option<Projection> {
    let data = match occurrence {
        Occurrence::Process(body) => EventData::Process(Box::new(body.clone())),
        Occurrence::File(body) => EventData::File(Box::new(body.clone())),
        Occurrence::Audit(body) => EventData::Audit(Box::new(body.clone())),
        _ => return None,
    };
    let event = Event {
        id: EventId::new("e"),
        source: "/test".to_owned(),
        time: now(),
        cluster: ClusterId::new("c1"),
        traceparent: None,
        extensions: BTreeMap::new(),
        data,
    };
    Some(Projection::of(&event.to_line().unwrap()).expect("an event that is looked at"))
}

/// Judges both ways, and says how often something was found.
#[track_caller]
fn both_agree(set: &PolicySet, occurrence: Occurrence<'_>, deployment: Option<&Deployment>) -> Findings {
    let cluster = ClusterId::new("c1");
    let input = Input {
        cluster: &cluster,
        occurrence,
        deployment,
        images: &[],
        cluster_labels: None,
        namespace_labels: None,
        deviates: None,
    };
    let fast = set.evaluate(&input, now());
    assert_eq!(fast, set.evaluate_unfiltered(&input, now()));
    let alone = Input { deployment: None, ..input };
    let may_concern = set.may_concern(&alone, now());
    // A first look at the event sees as much of it as reading all of it.
    if let Some(projection) = projection(occurrence) {
        let occurrence = Occurrence::of(&projection.data).unwrap();
        assert_eq!(set.may_concern(&Input { occurrence, ..alone }, now()), may_concern);
    }
    // What concerns no policy by itself concerns none with its workload either.
    if !may_concern {
        let nothing = fast.violations.is_empty() && fast.undecided.is_empty() && fast.failures.is_empty();
        assert!(nothing, "{fast:?}");
    }
    fast
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn processes(
        policies in prop::collection::vec(policy(EventSource::DeploymentEvent, process_section()), 1..12),
        events in prop::collection::vec(process_event(), 1..6),
        known in any::<bool>(),
        parity in prop::bool::weighted(0.3),
    ) {
        let set = compile(policies, parity);
        let deployment = known.then(deployment);
        for event in &events {
            both_agree(&set, Occurrence::Process(event), deployment.as_ref());
        }
    }

    #[test]
    fn workloads(
        policies in prop::collection::vec(policy(EventSource::NotApplicable, workload_section()), 1..12),
        workloads in prop::collection::vec(workload(), 1..6),
        known in prop::bool::weighted(0.9),
        parity in prop::bool::weighted(0.2),
    ) {
        let set = compile(policies, parity);
        for workload in &workloads {
            both_agree(&set, Occurrence::Deployment, known.then_some(workload));
        }
    }

    #[test]
    fn audit_log(
        policies in prop::collection::vec(policy(EventSource::AuditLogEvent, audit_section()), 1..12),
        events in prop::collection::vec(audit_event(), 1..6),
        parity in prop::bool::weighted(0.3),
    ) {
        let set = compile(policies, parity);
        for event in &events {
            both_agree(&set, Occurrence::Audit(event), None);
        }
    }

    #[test]
    fn files(
        pods in prop::collection::vec(policy(EventSource::DeploymentEvent, file_section()), 1..8),
        nodes in prop::collection::vec(policy(EventSource::NodeEvent, file_section()), 1..8),
        events in prop::collection::vec(file_event(), 1..6),
        parity in prop::bool::weighted(0.3),
    ) {
        let set = compile(pods.into_iter().chain(nodes).collect(), parity);
        for event in &events {
            both_agree(&set, Occurrence::File(event), None);
        }
    }
}

// === cases by hand ===

fn process_policy(field: &str, value: &str) -> Policy {
    let group = Group {
        field_name: field.to_owned(),
        values: vec![PolicyValue { value: value.to_owned() }],
        ..Group::default()
    };
    Policy {
        name: value.to_owned(),
        lifecycle_stages: vec![LifecycleStage::Runtime],
        event_source: EventSource::DeploymentEvent,
        policy_sections: vec![section([Some(group)])],
        policy_version: "1.1".to_owned(),
        ..Policy::default()
    }
}

/// The names of the policies that match.
fn matching(set: &PolicySet, event: &ProcessEvent) -> Vec<String> {
    let findings = both_agree(set, Occurrence::Process(event), None);
    findings.violations.into_iter().map(|finding| finding.policy.name).collect()
}

fn named(name: &str, args: &str) -> ProcessEvent {
    let pod = Some(PodRef::default());
    ProcessEvent { name: name.to_owned(), args: args.to_owned(), pod, ..ProcessEvent::default() }
}

#[test]
fn letters_that_fold_beyond_ascii_are_found() {
    let names = ["kill", "bash", "ΣΑΣ"];
    let set = compile(names.map(|name| process_policy("Process Name", name)).into(), false);
    assert_eq!(matching(&set, &named("\u{212a}ill", "")), ["kill"]);
    assert_eq!(matching(&set, &named("baſh", "")), ["bash"]);
    assert_eq!(matching(&set, &named("σας", "")), ["ΣΑΣ"]);
    let set = compile(names.map(|name| process_policy("Process Arguments", name)).into(), false);
    assert_eq!(matching(&set, &named("", "x \u{212a}ILL σασ baſh")), ["kill", "bash", "ΣΑΣ"]);
}

#[test]
fn literals_inside_literals_are_all_found() {
    let parts = ["abcd", "bcd", "abcdef", "cde", "xyz"];
    let set = compile(parts.map(|part| process_policy("Process Arguments", part)).into(), false);
    assert_eq!(matching(&set, &named("", "--abcdef")), ["abcd", "bcd", "abcdef", "cde"]);
}

#[test]
fn arguments_that_were_cut_off_stay_undecided() {
    let set = compile(vec![process_policy("Process Arguments", "secret")], false);
    let event = ProcessEvent { truncated: true, ..named("cat", "/etc/") };
    let findings = both_agree(&set, Occurrence::Process(&event), None);
    assert_eq!(findings.undecided.len(), 1);
}

#[test]
fn users_nobody_knows_stay_undecided() {
    let set = compile(vec![process_policy("Process UID", "0"), process_policy("Process UID", ">= 5")], false);
    let findings = both_agree(&set, Occurrence::Process(&named("cat", "")), None);
    assert_eq!(findings.undecided.len(), 2);
    let event = ProcessEvent { uid: Some(0), ..named("cat", "") };
    assert_eq!(matching(&set, &event), ["0"]);
}

#[test]
fn predicates_that_only_read_alike_are_kept_apart() {
    let one = process_policy("Process Name", "[a-z]+|k or [0-9]+");
    let mut two = process_policy("Process Name", "[a-z]+|k");
    two.name = "two".to_owned();
    two.policy_sections[0].policy_groups[0].values.push(PolicyValue { value: "[0-9]+".to_owned() });
    let set = compile(vec![one, two], false);
    assert_eq!(matching(&set, &named("7", "")), ["two"]);
    assert_eq!(matching(&set, &named("k or 7", "")), ["[a-z]+|k or [0-9]+"]);
}
