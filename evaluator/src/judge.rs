//! One event becomes verdicts and a fate. Views and policies are given, and what time it is.
//!
//! | event | judged | verdict |
//! |---|---|---|
//! | deployment | the workload, as the view has it by now | always one, clean or not: that is how alerts resolve |
//! | image | every workload that runs the digest | one each |
//! | process, network, file | the event with its workload | when a policy matched, or a fact stayed missing |
//! | audit | the event alone | when a policy matched |

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use lictor_bus::{Fate, LineOutcome};
use lictor_engine::{Findings, Input, Occurrence, PolicySet};
use lictor_wire::policy::LifecycleStage;
use lictor_wire::{
    AuditEvent, Baseline, Cause, ClusterId, Deployment, DeploymentChange, DeploymentEvent, DeploymentId,
    Entity, Event, EventData, EventRef, FileEvent, Glance, ImageFacts, Kind, PodRef, Revisions, Verdict,
};

use lictor_detection::views::{Known, Views};

/// The policies in force, compiled, and how far the policy log was read for them.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The policies.
    pub set: PolicySet,
    /// The last sequence of the policy log that was read.
    pub revision: u64,
    /// Whether everything that was there at the start was read.
    pub complete: bool,
}

/// Where an event lies and why it is judged.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// The stream that holds its message.
    pub stream: &'a str,
    /// The message's sequence.
    pub sequence: u64,
    /// Why it is judged.
    pub cause: Cause,
    /// Whether it may still wait for a fact.
    pub may_wait: bool,
    /// The evaluator's clock.
    pub now: Timestamp,
    /// W3C trace context of the event.
    pub traceparent: Option<&'a str>,
}

/// What judging reads.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// What is known of the cluster.
    pub views: &'a Views,
    /// The policies in force.
    pub policies: &'a Loaded,
}

/// The annotations lictor itself reads; they travel with the entity, so that the enforcer need not look.
const OWN_ANNOTATIONS: [&str; 3] = [
    "admission.stackrox.io/break-glass",
    "admission.stackrox.io/bypass-kube-event-enforcement",
    "lictor.io/break-glass",
];

impl Judge<'_> {
    /// Judges an event.
    #[must_use]
    pub fn event(&self, event: &Event, occasion: Occasion<'_>) -> LineOutcome {
        match &event.data {
            EventData::Deployment(body) => done(vec![self.deployment_event(event, body, occasion)]),
            EventData::Image(body) => done(self.image_event(event, &body.digest, occasion)),
            EventData::Process(body) => {
                let occurrence = Occurrence::Process(body);
                body.pod.as_ref().map_or_else(judged, |pod| self.in_pod(event, pod, occurrence, occasion))
            }
            EventData::Network(body) => {
                let occurrence = Occurrence::Network(body);
                body.pod.as_ref().map_or_else(judged, |pod| self.in_pod(event, pod, occurrence, occasion))
            }
            EventData::File(body) => match &body.pod {
                Some(pod) => self.in_pod(event, pod, Occurrence::File(body), occasion),
                None => self.on_node(event, body, occasion),
            },
            EventData::Audit(body) => self.audit(event, body, occasion),
            // Requests are judged where they were asked, and a gap cannot be judged; neither has a consumer here.
            EventData::Request(_) | EventData::Coverage(_) => judged(),
        }
    }

    /// Whether no policy has anything to say about an event that was only looked at: judging all of it would end
    /// without a verdict, whatever its workload is. Most events are so, and nothing more is read or looked up for them.
    #[must_use]
    pub fn concerns_nobody(&self, glance: &Glance, now: Timestamp) -> bool {
        let Some(occurrence) = Occurrence::of(&glance.data) else { return false };
        let subject = Input {
            cluster: &glance.cluster,
            occurrence,
            deployment: None,
            images: &[],
            cluster_labels: None,
            namespace_labels: None,
            deviates: None,
        };
        !self.policies.set.may_concern(&subject, now)
    }

    /// Hands on what an event is about, joined with everything that is known: one subject for most events, one for
    /// each user of an image, none for what no policy can be about.
    pub fn subjects(&self, event: &Event, each: &mut dyn FnMut(&Input<'_>, Entity)) {
        let mut about =
            |known: Option<&Known<Deployment>>, namespace: &str, occurrence: Occurrence<'_>, entity| {
                let read = self.read(known, &event.cluster, namespace);
                read.with_subject(occurrence, |subject| each(subject, entity));
            };
        let mut in_pod = |pod: &PodRef, occurrence: Occurrence<'_>| {
            let known = self.views.deployment_of(event.cluster.as_str(), pod);
            let entity = entity_in_pod(known.as_ref(), &event.cluster, pod);
            about(known.as_ref(), &pod.namespace, occurrence, entity);
        };
        match (&event.data, event_pod(event)) {
            (EventData::Process(body), Some(pod)) => in_pod(pod, Occurrence::Process(body)),
            (EventData::Network(body), Some(pod)) => in_pod(pod, Occurrence::Network(body)),
            (EventData::File(body), Some(pod)) => in_pod(pod, Occurrence::File(body)),
            (EventData::File(body), None) => {
                let entity = Entity::Node { name: body.node.clone(), cluster: event.cluster.clone() };
                about(None, "", Occurrence::File(body), entity);
            }
            (EventData::Audit(body), _) => {
                let namespace = body.object_ref.as_ref().map_or("", |object| &*object.namespace);
                about(None, namespace, Occurrence::Audit(body), entity_of_audit(&event.cluster, body));
            }
            (EventData::Request(body), _) => {
                let namespace = &*body.object_ref.namespace;
                let pod = PodRef {
                    namespace: namespace.to_owned(),
                    name: body.object_ref.name.clone(),
                    ..PodRef::default()
                };
                let known = match &body.deployment {
                    Some(model) => Some(Known { revision: 0, value: Arc::new((**model).clone()) }),
                    None => self.views.deployment_of(event.cluster.as_str(), &pod),
                };
                let entity = match &known {
                    Some(known) => entity_of(&known.value, None),
                    None => entity_of_unknown(&event.cluster, &pod),
                };
                about(known.as_ref(), namespace, Occurrence::Request(body), entity);
            }
            (EventData::Deployment(body), _) => {
                let known = self.views.deployment(&body.deployment.id).unwrap_or_else(|| Known {
                    revision: body.revision,
                    value: Arc::new(body.deployment.clone()),
                });
                let entity = entity_of(&known.value, None);
                about(Some(&known), &known.value.namespace, Occurrence::Deployment, entity);
            }
            (EventData::Image(body), _) => {
                for id in self.views.users_of(&body.digest) {
                    let Some(known) = self.views.deployment(&id) else { continue };
                    let entity = entity_of(&known.value, None);
                    about(Some(&known), &known.value.namespace, Occurrence::Deployment, entity);
                }
            }
            (EventData::Process(_) | EventData::Network(_), None) | (EventData::Coverage(_), _) => {}
        }
    }

    // --- workloads -----------------------------------------------------------------------------------------------

    fn deployment_event(&self, event: &Event, body: &DeploymentEvent, occasion: Occasion<'_>) -> Verdict {
        let event_ref = event_ref(event, occasion);
        match self.views.deployment(&body.deployment.id) {
            Some(known) => self.workload(&known, &event_ref, occasion),
            None if body.change == DeploymentChange::Deleted => self.gone(body, &event_ref, occasion),
            // The bucket lost it, or the event came without: the event's own model is what there is.
            None => {
                let known = Known { revision: body.revision, value: Arc::new(body.deployment.clone()) };
                self.workload(&known, &event_ref, occasion)
            }
        }
    }

    /// Judges a workload against the policies of the deploy stage.
    #[must_use]
    pub fn workload(&self, known: &Known<Deployment>, event: &EventRef, occasion: Occasion<'_>) -> Verdict {
        let deployment = &*known.value;
        let read = self.read(Some(known), &deployment.cluster_id, &deployment.namespace);
        let findings = read.judge(self.policies, Occurrence::Deployment, occasion.now);
        let revisions = Revisions { policies: self.policies.revision, ..read.revisions };
        verdict(event.clone(), occasion, entity_of(deployment, None), revisions, findings)
    }

    fn gone(&self, body: &DeploymentEvent, event: &EventRef, occasion: Occasion<'_>) -> Verdict {
        let revisions = Revisions { deployment: body.revision, images: 0, policies: self.policies.revision };
        let findings = Findings { stage: LifecycleStage::Deploy, ..Findings::default() };
        let entity = entity_of(&body.deployment, None);
        Verdict { gone: true, ..verdict(event.clone(), occasion, entity, revisions, findings) }
    }

    fn image_event(&self, event: &Event, digest: &str, occasion: Occasion<'_>) -> Vec<Verdict> {
        let occasion = Occasion { cause: Cause::Facts, ..occasion };
        let event_ref = event_ref(event, occasion);
        self.workloads(&self.views.users_of(digest), &event_ref, occasion)
    }

    /// Judges workloads; those that went meanwhile are left to the event that says so.
    #[must_use]
    pub fn workloads(&self, ids: &[DeploymentId], event: &EventRef, occasion: Occasion<'_>) -> Vec<Verdict> {
        let known = ids.iter().filter_map(|id| self.views.deployment(id));
        known.map(|known| self.workload(&known, event, occasion)).collect()
    }

    // --- runtime -------------------------------------------------------------------------------------------------

    fn in_pod(
        &self,
        event: &Event,
        pod: &PodRef,
        occurrence: Occurrence<'_>,
        occasion: Occasion<'_>,
    ) -> LineOutcome {
        let known = self.views.deployment_of(event.cluster.as_str(), pod);
        let read = self.read(known.as_ref(), &event.cluster, &pod.namespace);
        let findings = read.judge(self.policies, occurrence, occasion.now);
        let conclusive = findings.violations.is_empty() && findings.undecided.is_empty();
        if known.is_none() && occasion.may_wait && !conclusive {
            let missing = format!("workload of pod {}/{}", pod.namespace, pod.name);
            return LineOutcome { verdicts: Vec::new(), fate: Fate::Parked { missing: vec![missing] } };
        }
        // Undecided for want of a workload after all the waiting is worth saying; for want of an image's facts,
        // which may never come, it would be said about every event.
        let tell = !findings.violations.is_empty()
            || !findings.failures.is_empty()
            || (known.is_none() && !findings.undecided.is_empty());
        if !tell {
            return judged();
        }
        let entity = entity_in_pod(known.as_ref(), &event.cluster, pod);
        let revisions = Revisions { policies: self.policies.revision, ..read.revisions };
        done(vec![verdict(event_ref(event, occasion), occasion, entity, revisions, findings)])
    }

    fn on_node(&self, event: &Event, body: &FileEvent, occasion: Occasion<'_>) -> LineOutcome {
        let read = self.read(None, &event.cluster, "");
        let findings = read.judge(self.policies, Occurrence::File(body), occasion.now);
        let entity = Entity::Node { name: body.node.clone(), cluster: event.cluster.clone() };
        self.told(event, entity, read.revisions, findings, occasion)
    }

    fn audit(&self, event: &Event, body: &AuditEvent, occasion: Occasion<'_>) -> LineOutcome {
        let namespace = body.object_ref.as_ref().map_or("", |object| &*object.namespace);
        let read = self.read(None, &event.cluster, namespace);
        let findings = read.judge(self.policies, Occurrence::Audit(body), occasion.now);
        let entity = entity_of_audit(&event.cluster, body);
        self.told(event, entity, read.revisions, findings, occasion)
    }

    fn told(
        &self,
        event: &Event,
        entity: Entity,
        revisions: Revisions,
        findings: Findings,
        occasion: Occasion<'_>,
    ) -> LineOutcome {
        if findings.violations.is_empty() && findings.failures.is_empty() {
            return judged();
        }
        let revisions = Revisions { policies: self.policies.revision, ..revisions };
        done(vec![verdict(event_ref(event, occasion), occasion, entity, revisions, findings)])
    }

    fn read<'b>(
        &self,
        known: Option<&'b Known<Deployment>>,
        cluster: &'b ClusterId,
        namespace: &str,
    ) -> Read<'b> {
        let (images, newest) = known.map(|known| self.views.images_of(&known.value)).unwrap_or_default();
        Read {
            deployment: known.map(|known| &*known.value),
            images,
            cluster,
            cluster_record: self.views.cluster(cluster.as_str()),
            namespace_record: self.views.namespace(cluster.as_str(), namespace),
            baseline: known.and_then(|known| self.views.baseline(&known.value.id)),
            revisions: Revisions {
                deployment: known.map_or(0, |known| known.revision),
                images: newest,
                policies: 0,
            },
        }
    }
}

/// Everything one judgement read.
struct Read<'a> {
    deployment: Option<&'a Deployment>,
    images: Vec<Option<Arc<ImageFacts>>>,
    cluster: &'a ClusterId,
    cluster_record: Option<Arc<lictor_wire::ClusterRecord>>,
    namespace_record: Option<Arc<lictor_wire::NamespaceRecord>>,
    baseline: Option<Arc<Baseline>>,
    revisions: Revisions,
}

impl Read<'_> {
    fn judge(&self, policies: &Loaded, occurrence: Occurrence<'_>, now: Timestamp) -> Findings {
        self.with_subject(occurrence, |subject| policies.set.judge(subject, now))
    }

    fn with_subject<T>(&self, occurrence: Occurrence<'_>, ask: impl FnOnce(&Input<'_>) -> T) -> T {
        let images: Vec<Option<&ImageFacts>> = self.images.iter().map(|facts| facts.as_deref()).collect();
        ask(&Input {
            cluster: self.cluster,
            occurrence,
            deployment: self.deployment,
            images: &images,
            cluster_labels: self.cluster_record.as_ref().map(|record| &record.labels),
            namespace_labels: self.namespace_record.as_ref().map(|record| &record.labels),
            deviates: self.deviates(occurrence),
        })
    }

    /// Whether what happened departs from the baseline; not known while the workload is not.
    fn deviates(&self, occurrence: Occurrence<'_>) -> Option<bool> {
        self.deployment?;
        let baseline = self.baseline.as_deref();
        Some(match occurrence {
            Occurrence::Process(process) => baseline.is_some_and(|usual| usual.process_deviates(process)),
            Occurrence::Network(event) => baseline.is_some_and(|usual| usual.connection_deviates(event)),
            _ => false,
        })
    }
}

fn judged() -> LineOutcome {
    done(Vec::new())
}

fn done(verdicts: Vec<Verdict>) -> LineOutcome {
    LineOutcome { verdicts, fate: Fate::Judged }
}

fn event_pod(event: &Event) -> Option<&PodRef> {
    match &event.data {
        EventData::Process(body) => body.pod.as_ref(),
        EventData::Network(body) => body.pod.as_ref(),
        EventData::File(body) => body.pod.as_ref(),
        _ => None,
    }
}

fn event_ref(event: &Event, occasion: Occasion<'_>) -> EventRef {
    EventRef {
        id: event.id.clone(),
        kind: event.kind(),
        time: event.time,
        stream: occasion.stream.to_owned(),
        sequence: occasion.sequence,
    }
}

fn verdict(
    event: EventRef,
    occasion: Occasion<'_>,
    entity: Entity,
    revisions: Revisions,
    findings: Findings,
) -> Verdict {
    let Occasion { cause, now, traceparent, .. } = occasion;
    Verdict {
        traceparent: traceparent.map(ToOwned::to_owned),
        ..findings.into_verdict(event, cause, entity, revisions, now)
    }
}

fn entity_of(deployment: &Deployment, pod: Option<&PodRef>) -> Entity {
    let own = |name: &str| deployment.annotations.get(name).map(|value| (name.to_owned(), value.clone()));
    Entity::Deployment {
        id: deployment.id.clone(),
        name: deployment.name.clone(),
        kind: deployment.kind.clone(),
        namespace: deployment.namespace.clone(),
        cluster: deployment.cluster_id.clone(),
        pod: pod.map(without_labels),
        annotations: OWN_ANNOTATIONS.into_iter().filter_map(own).collect(),
    }
}

/// The entity of an event in a pod.
fn entity_in_pod(known: Option<&Known<Deployment>>, cluster: &ClusterId, pod: &PodRef) -> Entity {
    match known {
        Some(known) => entity_of(&known.value, Some(pod)),
        None => entity_of_unknown(cluster, pod),
    }
}

/// The entity of an event whose workload never came to be known: what the sensor says of it.
fn entity_of_unknown(cluster: &ClusterId, pod: &PodRef) -> Entity {
    let (kind, name) = match &pod.workload {
        Some(workload) => (workload.kind.clone(), workload.name.clone()),
        None => ("Pod".to_owned(), pod.name.clone()),
    };
    let id = if pod.workload.is_none() && !pod.uid.is_empty() {
        DeploymentId::new(pod.uid.as_str())
    } else {
        Deployment::id_without_uid(cluster, &pod.namespace, &kind, &name)
    };
    Entity::Deployment {
        id,
        name,
        kind,
        namespace: pod.namespace.clone(),
        cluster: cluster.clone(),
        pod: Some(without_labels(pod)),
        annotations: BTreeMap::new(),
    }
}

fn without_labels(pod: &PodRef) -> PodRef {
    PodRef { labels: BTreeMap::new(), ..pod.clone() }
}

fn entity_of_audit(cluster: &ClusterId, body: &AuditEvent) -> Entity {
    let object = body.object_ref.clone().unwrap_or_default();
    Entity::Resource {
        resource: object.resource,
        name: object.name,
        namespace: object.namespace,
        cluster: cluster.clone(),
    }
}

/// A reference to something that is no event: a change of a policy, or a command. Workloads are judged because of it.
#[must_use]
pub fn change_ref(id: lictor_wire::EventId, time: Timestamp, stream: &str, sequence: u64) -> EventRef {
    EventRef { id, kind: Kind::Deployment, time, stream: stream.to_owned(), sequence }
}
