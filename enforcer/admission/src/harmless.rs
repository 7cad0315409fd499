//! Requests that are never denied, whatever the policies say. Pure.
//!
//! A cluster in which nobody can stop pods or delete objects is worse than one that violates a policy.

use lictor_normalize::admission::Review;
use lictor_wire::{Deployment, RequestOperation};

lictor_wire::named_enum! {
    /// Why a request is never denied.
    pub(crate) enum Harmless {
        /// Fewer pods than before, and nothing else.
        ScaleDown = "fewer pods than before",
        /// The object is terminating, and what its pods run is unchanged.
        Terminating = "the object is being deleted",
        /// Every fact that policies judge is unchanged.
        Unchanged = "no judged fact changes",
        /// The object is deleted.
        Deletion = "the object is deleted",
        /// The kind is not a workload.
        NotAWorkload = "not a workload",
    }
}

/// Whether a review is one that is never denied. A scale must have its workload filled in.
pub(crate) fn harmless(review: &Review) -> Option<Harmless> {
    let request = &review.request;
    if request.operation == RequestOperation::Delete {
        return Some(Harmless::Deletion);
    }
    if let Some(scale) = review.scale {
        return (scale.replicas <= scale.before).then_some(Harmless::ScaleDown);
    }
    let Some(new) = &request.deployment else { return Some(Harmless::NotAWorkload) };
    // An update whose old object is missing is judged as if all of it were new.
    let old = request.old_deployment.as_ref().filter(|_| request.operation == RequestOperation::Update)?;
    let (judged, before) = (Facts::of(new), Facts::of(old));
    if judged == before {
        return Some(Harmless::Unchanged);
    }
    if judged == before.clone().with_fewer_pods(new) {
        return Some(Harmless::ScaleDown);
    }
    // Labels and annotations of a terminating object no longer matter; what it runs does, until it is deleted.
    (old.deleting && judged.without_metadata() == before.without_metadata()).then_some(Harmless::Terminating)
}

/// What policies can judge of a workload, and how many pods it makes: the model without the fields that the API server
/// maintains. The engine reads nothing else, so equal facts have equal verdicts; what makes more pods than before is
/// judged whatever was judged before, because a workload that makes none may have been left alone for that.
#[derive(Debug, Clone, PartialEq)]
struct Facts(Deployment);

impl Facts {
    fn of(model: &Deployment) -> Self {
        let mut facts = model.clone();
        facts.resource_version.clear();
        facts.generation = 0;
        facts.deleting = false;
        facts.api_version.clear();
        Self(facts)
    }

    /// These facts with what `new` says of the number of pods, as far as that is not more than before.
    fn with_fewer_pods(mut self, new: &Deployment) -> Self {
        let fewer = |new: Option<i64>, old: Option<i64>| if new <= old { new } else { old };
        // One, where it is not set: the API server's default.
        let at_once = |model: &Deployment| model.parallelism.unwrap_or(1);
        if at_once(new) <= at_once(&self.0) {
            self.0.parallelism = new.parallelism;
        }
        self.0.replicas = fewer(new.replicas, self.0.replicas);
        // Unset, the first success ends a Job.
        self.0.completions = fewer(new.completions, self.0.completions);
        self.0.suspended |= new.suspended;
        self
    }

    fn without_metadata(mut self) -> Self {
        self.0.labels.clear();
        self.0.annotations.clear();
        self.0.owners.clear();
        self
    }
}

#[cfg(test)]
mod tests {
    use lictor_normalize::admission::Scale;
    use lictor_wire::{Container, RequestEvent};

    use super::*;

    fn workload(image: &str, replicas: i64) -> Deployment {
        let mut container = Container { name: "c".to_owned(), ..Container::default() };
        container.image.name = lictor_wire::ImageName::parse(image);
        Deployment { replicas: Some(replicas), containers: vec![container], ..Deployment::default() }
    }

    fn update(old: Deployment, new: Deployment) -> Option<Harmless> {
        harmless(&Review {
            request: RequestEvent {
                operation: RequestOperation::Update,
                deployment: Some(Box::new(new)),
                old_deployment: Some(Box::new(old)),
                ..RequestEvent::default()
            },
            scale: None,
        })
    }

    #[test]
    fn bookkeeping_is_no_change() {
        let new = Deployment { generation: 7, resource_version: "9".to_owned(), ..workload("a", 1) };
        assert_eq!(update(workload("a", 1), new), Some(Harmless::Unchanged));
        assert_eq!(update(workload("a", 1), workload("b", 1)), None);
    }

    #[test]
    fn labels_are_judged_facts() {
        let mut new = workload("a", 1);
        new.labels.insert("team".to_owned(), "x".to_owned());
        assert_eq!(update(workload("a", 1), new), None);
    }

    #[test]
    fn fewer_pods_pass_and_more_do_not() {
        assert_eq!(update(workload("a", 3), workload("a", 0)), Some(Harmless::ScaleDown));
        assert_eq!(update(workload("a", 3), workload("a", 4)), None);
        assert_eq!(update(workload("a", 3), workload("b", 0)), None);
    }

    #[test]
    fn a_job_that_makes_more_pods_is_judged() {
        let job = |suspended, parallelism, completions| Deployment {
            replicas: None,
            suspended,
            parallelism,
            completions,
            ..workload("a", 1)
        };
        let three = || job(false, Some(3), Some(9));
        assert_eq!(update(job(true, Some(3), Some(9)), three()), None);
        assert_eq!(update(three(), job(false, Some(50), Some(9))), None);
        assert_eq!(update(three(), job(false, Some(3), Some(10))), None);
        assert_eq!(update(job(false, None, None), job(false, Some(2), None)), None);
        assert_eq!(update(three(), job(true, Some(3), Some(9))), Some(Harmless::ScaleDown));
        assert_eq!(update(three(), job(true, Some(0), Some(1))), Some(Harmless::ScaleDown));
        assert_eq!(update(job(false, Some(2), None), job(false, None, None)), Some(Harmless::ScaleDown));
        // It frees what was suspended, and says less beside.
        assert_eq!(update(job(true, Some(3), Some(9)), job(false, Some(1), Some(9))), None);
    }

    #[test]
    fn a_finalizer_does_not_shield_a_change_of_what_runs() {
        let leaving = Deployment { deleting: true, ..workload("a", 1) };
        let mut relabelled = leaving.clone();
        relabelled.labels.insert("team".to_owned(), "x".to_owned());
        assert_eq!(update(leaving.clone(), relabelled), Some(Harmless::Terminating));
        let swapped = Deployment { deleting: true, ..workload("evil", 1) };
        assert_eq!(update(leaving, swapped), None);
        // Saying so oneself changes nothing: the old object counts.
        let claims = Deployment { deleting: true, ..workload("evil", 1) };
        assert_eq!(update(workload("a", 1), claims), None);
    }

    #[test]
    fn scales_go_down_freely() {
        let scale = |replicas, before| {
            let request = RequestEvent { operation: RequestOperation::Update, ..RequestEvent::default() };
            harmless(&Review { request, scale: Some(Scale { replicas, before }) })
        };
        assert_eq!(scale(1, 3), Some(Harmless::ScaleDown));
        assert_eq!(scale(3, 3), Some(Harmless::ScaleDown));
        assert_eq!(scale(4, 3), None);
    }

    #[test]
    fn an_update_without_its_old_object_is_judged() {
        let request = RequestEvent {
            operation: RequestOperation::Update,
            deployment: Some(Box::new(workload("a", 1))),
            ..RequestEvent::default()
        };
        assert_eq!(harmless(&Review { request, scale: None }), None);
    }
}
