//! Turns policies and one event into a verdict: no clock, no I/O, no panic.
//!
//! Policies are compiled once into a [`PolicySet`], which every task shares. What is evaluated is a
//! [`Input`]: something that happened, borrowed together with the facts it was joined with. The answer,
//! [`Findings`], holds the policies that matched with their evidence, those that depend on a fact that is not known yet,
//! and those that failed.
//!
//! - **One row per criterion.** It says where in the tree of elements (workload, container, volume, …) the criterion
//!   looks, what it takes there, how that is compared, and what a violation says.
//! - **Linking is exact.** A section holds when one container, one vulnerability, one volume meets all criteria
//!   about it. StackRox's own linking leaks in corners: `deploy/docs/policies.md` lists every such place, and
//!   [`Options::parity`] goes back to it.
//! - **Unknown is not false.** Where a fact is missing the answer is neither yes nor no unless it is the same for
//!   every value the fact could have, and the finding names the fact.
//! - **Evaluating is plain, choosing what to evaluate is fast.** Predicates are data; each policy is evaluated by
//!   itself, element by element, which is easy to trust. Before that a prefilter skips policies that cannot match an
//!   event because a text is missing in it; the findings are the same as without that step.
//!
//! ```
//! use std::sync::Arc;
//!
//! use lictor_engine::{Input, Occurrence, Options, PolicyRevision, PolicySet};
//! use lictor_wire::{ClusterId, PodRef, ProcessEvent, policy::read::read_policies};
//!
//! let policies = read_policies(
//!     r#"{"id": "1", "name": "Shell in a pod", "lifecycleStages": ["RUNTIME"], "eventSource": "DEPLOYMENT_EVENT",
//!         "policySections": [{"policyGroups": [
//!             {"fieldName": "Process Name", "values": [{"value": "(ba|z)?sh"}]}]}]}"#,
//! )?
//! .policies;
//! let revisions = policies.into_iter().map(|policy| PolicyRevision { policy: Arc::new(policy), revision: 1 });
//! let compiled = PolicySet::compile(revisions, Options::default());
//! assert!(compiled.refused.is_empty());
//!
//! let process = ProcessEvent { name: "bash".into(), pod: Some(PodRef::default()), ..Default::default() };
//! let input = Input {
//!     cluster: &ClusterId::new("c1"),
//!     occurrence: Occurrence::Process(&process),
//!     deployment: None,
//!     images: &[],
//!     cluster_labels: None,
//!     namespace_labels: None,
//!     deviates: None,
//! };
//! let findings = compiled.set.evaluate(&input, "2026-01-31T00:00:00Z".parse()?);
//! assert_eq!(findings.violations[0].policy.name, "Shell in a pod");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod audit;
mod compile;
mod criterion;
mod evidence;
mod explain;
mod findings;
mod go_regex;
mod input;
mod matcher;
mod message;
mod parity;
mod policy;
mod predicate;
mod prefilter;
mod problem;
mod scope;
mod section;
mod set;
mod truth;
mod view;

pub use criterion::reference::{CriterionReference, criteria};
pub use explain::{CriterionExplanation, Explanation, Found, Outcome, SectionExplanation};
pub use findings::{Finding, Findings};
pub use input::{Input, Occurrence};
pub use problem::{Problem, ProblemCode, nearest};
pub use set::{Compiled, Options, PolicyRevision, PolicySet, Refused, ValidPolicy, validate};
