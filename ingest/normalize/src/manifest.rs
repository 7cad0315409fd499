//! Kubernetes objects as people and `kubectl get` write them: YAML or JSON, one or many, lists of lists.
//!
//! All texts are read before anything is concluded, because objects explain each other: a pod belongs to the
//! workload its owner references lead to, a service exposes what its selector finds, a network policy applies to
//! whom it selects, a running pod knows the digest its workload's tag became.
//!
//! An owner exempts an object from being judged by itself only when it is there: same UID, kind, name and namespace
//! in the same input, a workload, and not finished. Whoever merely claims an owner is judged.
//!
//! ```
//! use lictor_normalize::manifest::{self, Text};
//! use lictor_wire::ClusterId;
//!
//! let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: nginx}]}\n";
//! let found = manifest::read([Text { name: "a.yaml", text }], &ClusterId::new("c1"));
//! assert_eq!(found.deployments[0].containers[0].image.name.remote, "library/nginx");
//! assert!(found.errors.is_empty());
//! ```

mod container;
mod document;
mod exposure;
mod object;
mod owners;
mod permissions;
mod pod;
mod policies;
mod quantity;
mod selector;
mod single;
mod volume;
mod workload;

use std::fmt;

use lictor_wire::{ClusterId, Deployment, NamespaceRecord, PodRecord};

use object::Objects;

pub use owners::{controller, is_controller};
pub use single::one;

/// A text to read, under the name that errors give.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// A file's path, say.
    pub name: &'a str,
    /// YAML or JSON.
    pub text: &'a str,
}

/// What the texts hold.
#[derive(Debug, Default)]
pub struct Manifests {
    /// Top-level workloads.
    pub deployments: Vec<Deployment>,
    /// Where each of them begins, in the same order.
    pub places: Vec<Place>,
    /// Pods that have a UID, with the workload each belongs to.
    pub pods: Vec<PodRecord>,
    /// Namespaces.
    pub namespaces: Vec<NamespaceRecord>,
    /// Objects of kinds that do not describe workloads.
    pub ignored: Vec<Ignored>,
    /// Workloads that have ended and are not judged: finished pods and jobs.
    pub ended: Vec<Ignored>,
    /// What could not be read; everything else was.
    pub errors: Vec<ManifestError>,
}

/// Where an object begins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The text's name.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// An object from which no workload or record was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Where it begins.
    pub place: Place,
    /// API group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name; empty when it has none.
    pub name: String,
}

/// A document or object that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ManifestError {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub problem: ObjectProblem,
}

/// What is wrong with a document or an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectProblem {
    /// Neither YAML nor JSON.
    #[error("cannot be read: {0}")]
    Syntax(String),
    /// Not a Kubernetes object.
    #[error("the document has no `{missing}`")]
    NoObject {
        /// The field every object has.
        missing: &'static str,
    },
    /// An object has a key twice; which of the two counts depends on who reads it.
    #[error("duplicate key `{key}`")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A field does not fit the object's kind.
    #[error("{kind} cannot be read: {message}")]
    Field {
        /// The object's kind.
        kind: String,
        /// Which field, and what does not fit.
        message: String,
    },
    /// Lists nest deeper than anybody writes them.
    #[error("lists nest deeper than {0} levels")]
    TooDeep(usize),
}

impl ManifestError {
    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self.problem {
            ObjectProblem::Syntax(_) => {
                "templates must be rendered first, with `helm template` or `kubectl kustomize`"
            }
            ObjectProblem::DuplicateKey { .. } => "keep one of the two",
            ObjectProblem::NoObject { .. } => {
                "expected Kubernetes objects, each with `apiVersion` and `kind`"
            }
            ObjectProblem::Field { .. } => {
                "`kubectl apply --dry-run=server` shows what the API server says of it"
            }
            ObjectProblem::TooDeep(_) => "write the objects as documents of their own",
        }
    }
}

/// Reads texts and links what they hold.
pub fn read<'a>(texts: impl IntoIterator<Item = Text<'a>>, cluster: &ClusterId) -> Manifests {
    let mut manifests = Manifests::default();
    let mut objects = Objects::default();
    for text in texts {
        document::each(text, &mut |found| {
            if let Err(error) = found.and_then(|document| objects.take(&document, &mut manifests)) {
                manifests.errors.push(error);
            }
        });
    }
    objects.link(cluster, &mut manifests);
    manifests
}
