//! Answers a review: exempt, harmless, or judged.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use lictor_detection::{Policies, PolicyStatus, Target};
use lictor_engine::{Findings, Input, Occurrence};
use lictor_normalize::Origin;
use lictor_normalize::admission::{self, Review, ReviewError, Scale};
use lictor_normalize::manifest::controller;
use lictor_wire::{
    Admission, Cause, ClusterId, Deployment, EventRef, ImageFacts, Kind, RequestAnswer, RequestEvent,
    Revisions, Verdict,
};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::answer::{self, Answer};
use crate::break_glass::{self, BreakGlass};
use crate::decide::{Assessment, WhenUnknown};
use crate::exempt::Exclusions;
use crate::harmless::{Harmless, harmless};
use crate::images::Images;
use crate::lookup::{Lookup, LookupError};
use crate::owner::{as_made_by, beyond};
use crate::policies::any_denies;
use crate::recorder::{Record, Recorder};

/// How requests are answered in this installation.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Which requests are not judged.
    pub(crate) exclusions: Exclusions,
    /// What is answered when a fact is missing.
    pub(crate) when_unknown: WhenUnknown,
    /// How far in the future a break-glass exception may end.
    pub(crate) break_glass_longest: Duration,
}

/// Answers reviews. Share it behind an `Arc`.
pub(crate) struct Reviewer {
    /// How requests are answered.
    pub(crate) rules: Rules,
    /// The policies in force.
    pub(crate) policies: watch::Receiver<PolicyStatus>,
    /// Reads from the cluster.
    pub(crate) lookup: Lookup,
    /// Facts about images.
    pub(crate) images: Images,
    /// Labels of the cluster; `None` until they are read.
    pub(crate) cluster_labels: watch::Receiver<Option<Arc<BTreeMap<String, String>>>>,
    /// Publishes what was judged.
    pub(crate) recorder: Recorder,
    /// Counts the answers.
    pub(crate) counts: Counts,
}

/// Counts answers.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    reviews: AtomicU64,
    denied: AtomicU64,
}

/// What an admission webhook did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Reviews answered.
    pub reviews: u64,
    /// Of these, denied.
    pub denied: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} reviews answered, {} denied", self.reviews, self.denied)
    }
}

/// An answer, and the review it is for.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The review's uid.
    pub(crate) uid: String,
    /// The answer.
    pub(crate) answer: Answer,
}

/// The workload a request is about, and its namespace's labels.
#[derive(Clone, Copy)]
struct Context<'a> {
    workload: Option<&'a Deployment>,
    namespace_labels: Option<&'a BTreeMap<String, String>>,
}

impl Reviewer {
    /// Answers a review.
    ///
    /// # Errors
    /// When it is not one: then there is no uid to answer.
    pub(crate) async fn review(
        &self,
        review: Result<Review, ReviewError>,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Reply, ReviewError> {
        let (uid, answer) = match review {
            Ok(review) => {
                let uid = review.request.uid.clone();
                (uid, self.answer(review, now, deadline).await)
            }
            Err(ReviewError::Object { uid, problem }) => (uid, self.not_judged(&problem.to_string())),
            Err(error) => return Err(error),
        };
        Ok(self.counted(uid, answer))
    }

    /// Answers a review that exceeds a bound: it is denied if any policy could deny it, because whoever wants to evade
    /// one would only have to make it larger.
    pub(crate) fn refuse(&self, head: &RequestEvent, reason: &str) -> Reply {
        let exemption =
            self.rules.exclusions.of_user(head).or_else(|| self.rules.exclusions.of_namespace(head));
        let policies = self.policies.borrow().in_force.clone();
        let answer = match (exemption, policies) {
            (Some(exemption), _) => Answer::allow(&exemption.to_string()),
            (None, None) => self.not_judged("no policies have been read yet"),
            (None, Some(policies)) if any_denies(&policies) => {
                Answer::deny(413, format!("lictor denied this review without judging it: {reason}"))
            }
            (None, Some(_)) => {
                Answer::allow("no policy is enforced").warning(&format!("not judged: {reason}"))
            }
        };
        tracing::warn!(uid = head.uid, user = head.user.username, reason, "a review exceeds a limit");
        self.counted(head.uid.clone(), answer)
    }

    fn counted(&self, uid: String, answer: Answer) -> Reply {
        self.counts.reviews.fetch_add(1, Ordering::Relaxed);
        self.counts.denied.fetch_add(u64::from(!answer.allowed), Ordering::Relaxed);
        Reply { uid, answer }
    }

    async fn answer(&self, review: Review, now: Timestamp, deadline: Instant) -> Answer {
        let command = review.request.operation.is_command();
        let exempt = self.rules.exclusions.of_user(&review.request);
        // Commands to pods of excluded namespaces are judged, because no other source shows them, but never denied.
        let exempt =
            exempt.or_else(|| self.rules.exclusions.of_namespace(&review.request).filter(|_| !command));
        if let Some(exemption) = exempt {
            return Answer::allow(&exemption.to_string());
        }
        if !command && let Some(reason) = harmless(&review) {
            return Answer::allow(&reason.to_string());
        }
        let Some(policies) = self.policies.borrow().in_force.clone() else {
            return self.not_judged("no policies have been read yet");
        };
        if policies.set.is_empty() {
            return Answer::allow("no policies are in force");
        }
        let Review { mut request, scale, .. } = review;
        if let Err(error) = self.resolve_workload(&mut request, scale, deadline).await {
            return self.not_judged(&error.to_string());
        }
        // The object of a scale may have been deleted meanwhile, or be of a kind that has no model.
        if !command && request.deployment.is_none() {
            return Answer::allow(&Harmless::NotAWorkload.to_string());
        }
        self.judge(request, &policies, now, deadline).await
    }

    /// Fills in what the review leaves out: the workload of a scale, and the one that a command's pod belongs to.
    async fn resolve_workload(
        &self,
        request: &mut RequestEvent,
        scale: Option<Scale>,
        deadline: Instant,
    ) -> Result<(), LookupError> {
        if let Some(scale) = scale {
            let found = self.lookup.workload(&request.object_ref, deadline).await?;
            request.old_deployment = found.clone().map(|model| replicas(model, scale.before));
            request.deployment = found.map(|model| replicas(model, scale.replicas));
        }
        if request.operation.is_command()
            && let Some(pod) = self.lookup.workload(&request.object_ref, deadline).await?
        {
            request.deployment = Some(Box::new(self.lookup.top(pod, deadline).await?));
        }
        Ok(())
    }

    /// An object as its owner's controller makes it, if the owner is real. One that cannot be read exempts nobody.
    async fn made_by_owner(&self, workload: &Deployment, deadline: Instant) -> Option<Deployment> {
        let reference = controller(workload)?;
        let owner = self.lookup.owner(reference, &workload.namespace, deadline).await;
        let owner =
            owner.inspect_err(|error| tracing::debug!(%error, "cannot read an owner; its object is judged"));
        let owner = owner.ok()??;
        as_made_by(&owner, reference, workload)
    }

    async fn judge(
        &self,
        request: RequestEvent,
        policies: &Policies,
        now: Timestamp,
        deadline: Instant,
    ) -> Answer {
        let namespace = &request.object_ref.namespace;
        let labels = self.lookup.namespace_labels(namespace, deadline).await;
        let namespace_labels =
            labels.inspect_err(|error| tracing::debug!(%error, "cannot read the labels of a namespace")).ok();
        let context =
            Context { workload: request.deployment.as_deref(), namespace_labels: namespace_labels.as_ref() };
        let Some((mut judged, images_revision)) =
            self.find(&request, &context, policies, now, deadline).await
        else {
            return self.not_judged("judging failed");
        };
        // What the owner's template says was decided when the owner was judged.
        let something = !judged.violations.is_empty() || !judged.undecided.is_empty();
        if something
            && !request.operation.is_command()
            && let Some(workload) = context.workload
            && let Some(made) = self.made_by_owner(workload, deadline).await
        {
            let made = Context { workload: Some(&made), ..context };
            match self.find(&request, &made, policies, now, deadline).await {
                Some((explained, _)) => judged = beyond(judged, &explained),
                None => return self.not_judged("judging failed"),
            }
        }
        let revisions = Revisions { deployment: 0, images: images_revision, policies: policies.revision };
        let mut verdict = verdict(self.lookup.cluster(), &request, judged, revisions, now);
        let (answer, given) = self.decide(&request, &context, &verdict, policies, now, deadline).await;
        if !request.dry_run {
            let broke_glass = matches!(given, RequestAnswer::BrokeGlass { .. });
            let user = request.user.username.clone();
            verdict.admission = Some(Admission { operation: request.operation, user, answer: given });
            let worth_publishing = broke_glass
                || !verdict.violations.is_empty()
                || !verdict.failures.is_empty()
                || !verdict.undecided.is_empty() && !answer.allowed;
            let (cluster, source) = (self.lookup.cluster().clone(), "/admission".to_owned());
            let event = admission::event(request, &Origin { cluster, source, received: now });
            self.recorder.record(Record { event, verdict: worth_publishing.then_some(verdict) });
        }
        answer
    }

    /// Evaluates the policies, with facts about images where one depends on them: the findings, and the newest revision
    /// of these facts. `None` as for [`Reviewer::evaluate`].
    async fn find(
        &self,
        request: &RequestEvent,
        context: &Context<'_>,
        policies: &Policies,
        now: Timestamp,
        deadline: Instant,
    ) -> Option<(Findings, u64)> {
        let found = self.evaluate(request, context, &[], policies, now)?;
        let workload = match context.workload {
            Some(workload) if !found.undecided.is_empty() => workload,
            _ => return Some((found, 0)),
        };
        let images = self.images.of(workload, deadline).await;
        let revision = images.iter().flatten().map(|(revision, _)| *revision).max().unwrap_or_default();
        let facts: Vec<Option<&ImageFacts>> =
            images.iter().map(|image| image.as_ref().map(|(_, facts)| &**facts)).collect();
        if !facts.iter().any(Option::is_some) {
            return Some((found, revision));
        }
        Some((self.evaluate(request, context, &facts, policies, now)?, revision))
    }

    /// Evaluates the policies; `None` when that panicked: a policy that makes its own evaluation panic must not stop
    /// the webhook.
    fn evaluate(
        &self,
        request: &RequestEvent,
        context: &Context<'_>,
        images: &[Option<&ImageFacts>],
        policies: &Policies,
        now: Timestamp,
    ) -> Option<Findings> {
        let cluster_labels = self.cluster_labels.borrow().clone();
        let subject = Input {
            cluster: self.lookup.cluster(),
            occurrence: Occurrence::Request(request),
            deployment: context.workload,
            images,
            cluster_labels: cluster_labels.as_deref(),
            namespace_labels: context.namespace_labels,
            deviates: None,
        };
        let judged = catch_unwind(AssertUnwindSafe(|| policies.set.evaluate(&subject, now)));
        judged.inspect_err(|_| tracing::error!(uid = request.uid, "judging a request panicked")).ok()
    }

    async fn decide(
        &self,
        request: &RequestEvent,
        context: &Context<'_>,
        verdict: &Verdict,
        policies: &Policies,
        now: Timestamp,
        deadline: Instant,
    ) -> (Answer, RequestAnswer) {
        let assessment = Assessment::of(verdict, policies);
        let warned = |answer: Answer| {
            let warnings = answer::warnings(&assessment, policies);
            warnings.iter().fold(answer, |answer, text| answer.warning(text)).about(verdict)
        };
        if !assessment.denies(self.rules.when_unknown) {
            return (warned(Answer::allow("judged")), RequestAnswer::Allowed);
        }
        if let Some(exemption) = self.rules.exclusions.of_namespace(request) {
            return (warned(Answer::allow(&exemption.to_string())), RequestAnswer::Allowed);
        }
        let denied = |problem: Option<&str>| {
            let message = answer::denial(&assessment, verdict, policies, problem);
            (Answer::deny(403, message).about(verdict), RequestAnswer::Denied)
        };
        match self.break_glass(request, context, now, deadline).await {
            BreakGlass::Absent => denied(None),
            BreakGlass::Invalid(problem) => denied(Some(&problem)),
            BreakGlass::Valid { reason, until } => {
                let user = &request.user.username;
                let names: Vec<&str> =
                    assessment.enforced.iter().map(|violation| &*violation.policy.name).collect();
                tracing::warn!(user, reason, %until, policies = ?names, "break-glass was used");
                let warning =
                    format!("break-glass is used until {until} ({reason}); violated: {}", names.join(", "));
                let answer = warned(Answer::allow("break-glass was used").warning(&warning))
                    .decided(&format!("break-glass was used: {reason}"));
                (answer, RequestAnswer::BrokeGlass { reason, until })
            }
        }
    }

    /// The exception that the workload's annotations ask for, if the user has the permission.
    async fn break_glass(
        &self,
        request: &RequestEvent,
        context: &Context<'_>,
        now: Timestamp,
        deadline: Instant,
    ) -> BreakGlass {
        let Some(workload) = context.workload else { return BreakGlass::Absent };
        let requested = break_glass::requested(&workload.annotations, now, self.rules.break_glass_longest);
        if !matches!(requested, BreakGlass::Valid { .. }) {
            return requested;
        }
        let permitted =
            self.lookup.may_break_glass(&request.user, &request.object_ref.namespace, deadline).await;
        match permitted {
            Ok(true) => requested,
            Ok(false) => {
                let user = &request.user.username;
                BreakGlass::Invalid(format!(
                    "{user} does not have the verb `break-glass` on `workloads.lictor.io` in this namespace"
                ))
            }
            Err(error) => BreakGlass::Invalid(error.to_string()),
        }
    }

    /// The answer when a request cannot be judged at all.
    fn not_judged(&self, problem: &str) -> Answer {
        match self.rules.when_unknown {
            WhenUnknown::Allow => {
                Answer::allow("not judged").warning(&format!("lictor could not judge this: {problem}"))
            }
            WhenUnknown::Deny => Answer::deny(503, format!("lictor could not judge this: {problem}")),
        }
    }
}

impl Counts {
    /// The counts so far.
    pub(crate) fn summary(&self) -> Summary {
        Summary { reviews: self.reviews.load(Ordering::Relaxed), denied: self.denied.load(Ordering::Relaxed) }
    }
}

fn replicas(model: Deployment, replicas: i64) -> Box<Deployment> {
    Box::new(Deployment { replicas: Some(replicas), ..model })
}

fn verdict(
    cluster: &ClusterId,
    request: &RequestEvent,
    judged: Findings,
    revisions: Revisions,
    now: Timestamp,
) -> Verdict {
    let event = EventRef {
        id: admission::id(request, cluster),
        kind: Kind::Request,
        time: request.received.unwrap_or(now),
        stream: String::new(),
        sequence: 0,
    };
    judged.into_verdict(
        event,
        Cause::Observed,
        Target::Request(request).entity(cluster, request.deployment.as_deref()),
        revisions,
        now,
    )
}
