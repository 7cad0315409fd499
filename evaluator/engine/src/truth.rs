//! Three-valued truth: what is not known is neither true nor false, and says which fact is missing.

use crate::input::{Input, Occurrence};

/// Kleene's third value carries the facts that would decide it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Truth<'a> {
    /// It does not hold, whatever the missing facts are.
    False,
    /// It holds, whatever the missing facts are.
    True,
    /// It depends on these facts; each may be named more than once.
    Unknown(Vec<Fact<'a>>),
}

/// A fact that was not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fact<'a> {
    /// The workload.
    Deployment,
    /// A container by name, which the workload's model does not hold.
    Container(&'a str),
    /// Everything about an image, by digest or else by name.
    Image(&'a str),
    /// What the registry says about an image.
    ImageMetadata(&'a str),
    /// What a scanner says about an image.
    ImageScan(&'a str),
    /// The cluster's labels.
    ClusterLabels,
    /// The namespace's labels.
    NamespaceLabels,
    /// The network policies that select the workload's pods.
    NetworkPolicies,
    /// What the workload's service account may do.
    Permissions,
    /// The user id of the process.
    ProcessUser,
    /// The arguments of the process beyond what the sensor sent.
    ProcessArguments,
    /// The process that touched the file.
    FileProcess,
    /// What was done to the file.
    FileOperation,
    /// What the workload usually does.
    Baseline,
}

impl<'a> Truth<'a> {
    /// Unknown because one fact is missing.
    pub(crate) fn unknown(fact: Fact<'a>) -> Self {
        Self::Unknown(vec![fact])
    }

    /// Both hold.
    pub(crate) fn and(self, other: Self) -> Self {
        Self::all([self, other])
    }

    /// It does not hold.
    pub(crate) fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::True => Self::False,
            unknown @ Self::Unknown(_) => unknown,
        }
    }

    /// All hold; stops at the first that does not.
    pub(crate) fn all(truths: impl IntoIterator<Item = Self>) -> Self {
        Self::decided_by(false, truths)
    }

    /// Some holds; stops at the first that does.
    pub(crate) fn any(truths: impl IntoIterator<Item = Self>) -> Self {
        Self::decided_by(true, truths)
    }

    /// `decisive` when one of them is; else what is missing of those that are unknown; else the opposite.
    fn decided_by(decisive: bool, truths: impl IntoIterator<Item = Self>) -> Self {
        let mut missing: Option<Vec<Fact<'a>>> = None;
        for truth in truths {
            match (truth, &mut missing) {
                (Self::True, _) if decisive => return Self::True,
                (Self::False, _) if !decisive => return Self::False,
                (Self::True | Self::False, _) => {}
                (Self::Unknown(facts), Some(missing)) => missing.extend(facts),
                (Self::Unknown(facts), none) => *none = Some(facts),
            }
        }
        missing.map_or(Self::from(!decisive), Self::Unknown)
    }

    /// Whether it surely holds.
    pub(crate) fn is_true(&self) -> bool {
        matches!(self, Self::True)
    }

    /// Whether it surely does not hold.
    pub(crate) fn is_false(&self) -> bool {
        matches!(self, Self::False)
    }
}

impl From<bool> for Truth<'_> {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

impl Fact<'_> {
    /// Names the fact for people: `deployment of pod shop/web-1`.
    pub(crate) fn describe(self, input: &Input<'_>) -> String {
        let absent = || match (input.pod(), input.occurrence) {
            (Some(pod), _) => format!("deployment of pod {}/{}", pod.namespace, pod.name),
            (None, Occurrence::Request(event)) => {
                format!("deployment of pod {}/{}", event.object_ref.namespace, event.object_ref.name)
            }
            (None, _) => "deployment".to_owned(),
        };
        let workload = || match input.deployment {
            Some(deployment) => format!("deployment {}/{}", deployment.namespace, deployment.name),
            None => absent(),
        };
        match self {
            Self::Deployment => absent(),
            Self::Container("") => format!("container of the event in {}", workload()),
            Self::Container(name) => format!("container {name} of {}", workload()),
            Self::Image(image) => format!("facts of image {image}"),
            Self::ImageMetadata(image) => format!("registry facts of image {image}"),
            Self::ImageScan(image) => format!("scan of image {image}"),
            Self::ClusterLabels => format!("labels of cluster {}", input.cluster),
            Self::NamespaceLabels => format!("labels of namespace {}", input.namespace().unwrap_or("")),
            Self::NetworkPolicies => format!("network policies of {}", workload()),
            Self::Permissions => format!("permissions of the service account of {}", workload()),
            Self::ProcessUser => "user id of the process".to_owned(),
            Self::ProcessArguments => "arguments of the process beyond what the sensor sent".to_owned(),
            Self::FileProcess => "process that touched the file".to_owned(),
            Self::FileOperation => "what was done to the file".to_owned(),
            Self::Baseline => format!("baseline of {}", workload()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown() -> Truth<'static> {
        Truth::unknown(Fact::Deployment)
    }

    #[test]
    fn kleene_tables() {
        use Truth::{False, True};
        assert_eq!(False.and(unknown()), False);
        assert_eq!(unknown().and(False), False);
        assert_eq!(True.and(unknown()), unknown());
        assert_eq!(Truth::any([True, unknown()]), True);
        assert_eq!(Truth::any([unknown(), True]), True);
        assert_eq!(Truth::any([False, unknown()]), unknown());
        assert_eq!(unknown().not(), unknown());
        assert_eq!(True.and(True), True);
        assert_eq!(Truth::any([False, False]), False);
    }

    #[test]
    fn empty_lists_are_neutral() {
        assert_eq!(Truth::all([]), Truth::True);
        assert_eq!(Truth::any([]), Truth::False);
    }

    #[test]
    fn missing_facts_add_up() {
        let both = unknown().and(Truth::unknown(Fact::ClusterLabels));
        assert_eq!(both, Truth::Unknown(vec![Fact::Deployment, Fact::ClusterLabels]));
    }
}
