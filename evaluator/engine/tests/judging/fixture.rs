//! Small policies and workloads to change and judge.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use lictor_engine::{Explanation, Findings, Input, Occurrence, Options, PolicyRevision, PolicySet};
use lictor_wire::policy::{
    BooleanOperator, EventSource, Group, LifecycleStage, Policy, PolicyValue, Section, Severity,
};
use lictor_wire::{
    ClusterId, Container, ContainerRef, Deployment, ImageFacts, ImageName, PodRef, PolicyId, ProcessEvent,
};

/// The present of every test.
pub(crate) fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

/// A group with one value.
pub(crate) fn group(name: &str, value: &str) -> Group {
    any(name, &[value])
}

/// A group of which one value must hold.
pub(crate) fn any(name: &str, values: &[&str]) -> Group {
    let values = values.iter().map(|value| PolicyValue { value: (*value).to_owned() }).collect();
    Group { field_name: name.to_owned(), values, ..Group::default() }
}

/// A group of which all values must hold.
pub(crate) fn all(name: &str, values: &[&str]) -> Group {
    Group { boolean_operator: BooleanOperator::And, ..any(name, values) }
}

/// A negated group.
pub(crate) fn not(group: Group) -> Group {
    Group { negate: true, ..group }
}

/// A section.
pub(crate) fn section(groups: impl IntoIterator<Item = Group>) -> Section {
    Section { section_name: String::new(), policy_groups: groups.into_iter().collect() }
}

/// A policy about workloads.
pub(crate) fn deploy_policy(sections: impl IntoIterator<Item = Section>) -> Policy {
    Policy {
        id: PolicyId::new("p1"),
        name: "test policy".to_owned(),
        categories: vec!["Tests".to_owned()],
        severity: Severity::Low,
        lifecycle_stages: vec![LifecycleStage::Deploy],
        policy_sections: sections.into_iter().collect(),
        policy_version: "1.1".to_owned(),
        ..Policy::default()
    }
}

/// A policy about what happens in workloads.
pub(crate) fn runtime_policy(sections: impl IntoIterator<Item = Section>) -> Policy {
    Policy {
        lifecycle_stages: vec![LifecycleStage::Runtime],
        event_source: EventSource::DeploymentEvent,
        ..deploy_policy(sections)
    }
}

/// A policy about images.
pub(crate) fn build_policy(sections: impl IntoIterator<Item = Section>) -> Policy {
    Policy { lifecycle_stages: vec![LifecycleStage::Build], ..deploy_policy(sections) }
}

/// A set of one policy, which must compile.
pub(crate) fn set(policy: Policy) -> PolicySet {
    set_with(policy, Options::default())
}

/// A set of one policy that judges as StackRox does.
pub(crate) fn parity_set(policy: Policy) -> PolicySet {
    set_with(policy, Options { parity: true })
}

fn set_with(policy: Policy, options: Options) -> PolicySet {
    let revision = PolicyRevision { policy: Arc::new(policy), revision: 7 };
    let compiled = PolicySet::compile([revision], options);
    assert_eq!(compiled.refused, []);
    compiled.set
}

/// A container that runs an image.
pub(crate) fn container(name: &str, image: &str) -> Container {
    let mut container = Container { name: name.to_owned(), ..Container::default() };
    container.image.name = ImageName::parse(image);
    container
}

/// A workload `shop/web` of some containers.
pub(crate) fn deployment(containers: impl IntoIterator<Item = Container>) -> Deployment {
    Deployment {
        name: "web".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: "shop".to_owned(),
        service_account: "default".to_owned(),
        containers: containers.into_iter().collect(),
        ..Deployment::default()
    }
}

/// A process in a container of pod `shop/web-1`.
pub(crate) fn process(container: &str, name: &str) -> ProcessEvent {
    ProcessEvent {
        name: name.to_owned(),
        exec_file_path: format!("/bin/{name}"),
        uid: Some(0),
        pod: Some(pod()),
        container: Some(ContainerRef { name: container.to_owned(), ..ContainerRef::default() }),
        ..ProcessEvent::default()
    }
}

/// Pod `shop/web-1`.
pub(crate) fn pod() -> PodRef {
    PodRef { namespace: "shop".to_owned(), name: "web-1".to_owned(), ..PodRef::default() }
}

/// Something to judge, with everything around it.
#[derive(Default)]
pub(crate) struct Scene {
    pub(crate) deployment: Option<Deployment>,
    pub(crate) images: Vec<Option<ImageFacts>>,
    pub(crate) cluster_labels: Option<BTreeMap<String, String>>,
    pub(crate) namespace_labels: Option<BTreeMap<String, String>>,
    pub(crate) deviates: Option<bool>,
}

impl Scene {
    /// A known workload.
    pub(crate) fn of(deployment: Deployment) -> Self {
        Self { deployment: Some(deployment), ..Self::default() }
    }

    /// A workload nobody knows yet.
    pub(crate) fn unknown() -> Self {
        Self::default()
    }

    /// Facts for the containers' images, in order.
    pub(crate) fn images(mut self, images: impl IntoIterator<Item = ImageFacts>) -> Self {
        self.images = images.into_iter().map(Some).collect();
        self
    }

    /// Judges the workload itself.
    pub(crate) fn judge(&self, set: &PolicySet) -> Findings {
        self.judge_event(set, Occurrence::Deployment)
    }

    /// Judges something that happened in it.
    pub(crate) fn judge_event(&self, set: &PolicySet, occurrence: Occurrence<'_>) -> Findings {
        self.with_input(occurrence, |input| set.evaluate(input, now()))
    }

    /// Explains what the one policy makes of something that happened in it.
    pub(crate) fn explain(&self, set: &PolicySet, occurrence: Occurrence<'_>) -> Explanation {
        self.with_input(occurrence, |input| set.explain(&PolicyId::new("p1"), input, now())).unwrap()
    }

    fn with_input<T>(&self, occurrence: Occurrence<'_>, ask: impl FnOnce(&Input<'_>) -> T) -> T {
        let cluster = ClusterId::new("c1");
        let images: Vec<Option<&ImageFacts>> = self.images.iter().map(Option::as_ref).collect();
        ask(&Input {
            cluster: &cluster,
            occurrence,
            deployment: self.deployment.as_ref(),
            images: &images,
            cluster_labels: self.cluster_labels.as_ref(),
            namespace_labels: self.namespace_labels.as_ref(),
            deviates: self.deviates,
        })
    }
}

/// What findings come to, when at most one policy was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Clean,
    Violated,
    Undecided(Vec<String>),
    Failed,
}

/// The outcome for the one policy asked.
pub(crate) fn outcome(findings: &Findings) -> Outcome {
    match (&*findings.violations, &*findings.undecided, &*findings.failures) {
        ([], [], []) => Outcome::Clean,
        ([_], [], []) => Outcome::Violated,
        ([], [undecided], []) => Outcome::Undecided(undecided.missing.clone()),
        ([], [], [_]) => Outcome::Failed,
        _ => panic!("one policy, several outcomes: {findings:?}"),
    }
}

/// Undecided because one fact is missing.
pub(crate) fn undecided(missing: &str) -> Outcome {
    Outcome::Undecided(vec![missing.to_owned()])
}

/// Labels.
pub(crate) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
