//! Detection: joins an event with the state of the cluster and the policies in force into verdicts.
//!
//! Follow one event: [`Target`] says what it is about; the [`ClusterState`] says what is known of that; [`Judge`]
//! evaluates the policies and returns a [`Judgement`], the verdicts and whether the event waits for a fact. A [`Tally`]
//! sums up what a whole history came to.
//!
//! This crate does no I/O and reads no clock: what is known of the cluster is put in, and what time it is comes with
//! each question. It must not know where events come from, who publishes verdicts, or how anything is acknowledged.
//!
//! ```
//! use lictor_detection::{ClusterState, Fact, Target};
//! use lictor_wire::{ClusterId, Deployment, DeploymentId, EventData, PodRef, ProcessEvent, WorkloadRef};
//!
//! let cluster = ClusterId::new("c1");
//! let state = ClusterState::default();
//! state.put(1, Fact::deployment(Deployment {
//!     id: DeploymentId::new("d1"),
//!     name: "web".into(),
//!     kind: "Deployment".into(),
//!     namespace: "shop".into(),
//!     cluster_id: cluster.clone(),
//!     ..Deployment::default()
//! }));
//!
//! let workload = Some(WorkloadRef { kind: "Deployment".into(), name: "web".into() });
//! let pod = PodRef { namespace: "shop".into(), name: "web-1".into(), workload, ..PodRef::default() };
//! let shell = ProcessEvent { name: "sh".into(), pod: Some(pod), ..ProcessEvent::default() };
//! let data = EventData::Process(Box::new(shell));
//! let target = Target::of(&data).expect("it happened in a pod");
//! let mut names = Vec::new();
//! state.join(&cluster, target, &mut |_, entity| names.push(entity.display_name()));
//! assert_eq!(names, ["shop/Deployment/web"]);
//! ```

mod fact;
mod join;
mod judge;
mod packed;
mod packed_map;
mod policies;
mod state;
mod tally;
mod target;

pub use fact::{Fact, FactReader, Unreadable};
pub use judge::{Judge, JudgeContext, Judgement, JudgementStatus};
pub use policies::{Policies, PoliciesInForce, PolicyStatus};
pub use state::{ClusterState, STATE_BUCKETS, Versioned};
pub use tally::{EntityTally, Tally, ViolationTally};
pub use target::Target;
