//! The policies in force: compiled, with their texts, and a copy on disk for a start without the bus.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lictor_engine::{Options, PolicyRevision, PolicySet, validate};
use lictor_wire::policy::EnforcementAction;
use lictor_wire::{Policy, PolicyChange, PolicyDocument, PolicyId};
use serde::{Deserialize, Serialize};

/// The policies in force.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    /// Compiled.
    pub(crate) set: PolicySet,
    /// The last sequence of the policy log that was read.
    pub(crate) revision: u64,
    texts: HashMap<PolicyId, Arc<Policy>>,
}

/// The policies as they are read: the last good revision of each.
#[derive(Debug, Clone, Default)]
pub(crate) struct InForce {
    good: HashMap<String, PolicyRevision>,
    revision: u64,
}

/// A copy that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    /// The file system does not let it.
    #[error("the copy of the policies `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("the copy of the policies `{}` cannot be read: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// What lies on disk.
#[derive(Serialize, Deserialize)]
struct Copy {
    version: u32,
    revision: u64,
    policies: Vec<Held>,
}

#[derive(Serialize, Deserialize)]
struct Held {
    key: String,
    revision: u64,
    policy: Arc<Policy>,
}

/// The version of the copy's form; another is passed over.
const COPY_VERSION: u32 = 1;

// === impl InForce ===

impl InForce {
    /// Takes a document of the policy log. One that cannot be asked leaves the last good revision in force.
    pub(crate) fn take(&mut self, key: &str, revision: u64, value: &[u8]) {
        self.reached(revision);
        let document: PolicyDocument = match serde_json::from_slice(value) {
            Ok(document) => document,
            // Categories stand in the same log.
            Err(_) if key.contains('.') => return,
            Err(error) => {
                tracing::error!(key, revision, %error, "a policy cannot be read; the last good one stays in force");
                return;
            }
        };
        match document.change {
            PolicyChange::Delete { .. } => {
                self.good.remove(key);
            }
            PolicyChange::Put { policy } => match validate(&policy) {
                Ok(()) => {
                    let policy = PolicyRevision { policy: Arc::new(*policy), revision };
                    self.good.insert(key.to_owned(), policy);
                }
                Err(problems) => {
                    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                    let problems = problems.join("; ");
                    tracing::error!(
                        key,
                        revision,
                        problems,
                        "a policy cannot be used; the last good one stays"
                    );
                }
            },
        }
    }

    /// Takes a policy out of force.
    pub(crate) fn remove(&mut self, key: &str, revision: u64) {
        self.good.remove(key);
        self.reached(revision);
    }

    /// Notes how far the log was read.
    pub(crate) fn reached(&mut self, revision: u64) {
        self.revision = self.revision.max(revision);
    }

    /// Compiles what is in force.
    #[must_use]
    pub(crate) fn compile(&self) -> Policies {
        let compiled = PolicySet::compile(self.good.values().cloned(), Options::default());
        for refused in &compiled.refused {
            tracing::error!(policy = refused.name, problems = ?refused.problems, "a policy is not asked");
        }
        let texts = self.good.values().map(|held| (held.policy.id.clone(), held.policy.clone())).collect();
        Policies { set: compiled.set, revision: self.revision, texts }
    }

    /// Reads the copy; `None` when there is none.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, CacheError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CacheError::File { path: path.to_owned(), source }),
        };
        let copy: Copy = serde_json::from_slice(&bytes)
            .map_err(|source| CacheError::Content { path: path.to_owned(), source })?;
        if copy.version != COPY_VERSION {
            return Ok(None);
        }
        let good = copy
            .policies
            .into_iter()
            .map(|held| (held.key, PolicyRevision { policy: held.policy, revision: held.revision }));
        Ok(Some(Self { good: good.collect(), revision: copy.revision }))
    }

    /// Writes the copy: wholly or not at all.
    ///
    /// # Errors
    /// When the file cannot be written; the one before stays.
    pub(crate) fn save(&self, path: &Path) -> Result<(), CacheError> {
        let fail = |source| CacheError::File { path: path.to_owned(), source };
        let policies = self.good.iter().map(|(key, held)| Held {
            key: key.clone(),
            revision: held.revision,
            policy: held.policy.clone(),
        });
        let mut policies: Vec<Held> = policies.collect();
        policies.sort_by(|a, b| a.key.cmp(&b.key));
        let copy = Copy { version: COPY_VERSION, revision: self.revision, policies };
        let bytes = serde_json::to_vec(&copy)
            .map_err(|source| CacheError::Content { path: path.to_owned(), source })?;
        let beside = path.with_extension("new");
        let mut file = std::fs::File::create(&beside).map_err(fail)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(fail)?;
        std::fs::rename(&beside, path).map_err(fail)
    }
}

// === impl Policies ===

impl Policies {
    /// A policy's text.
    #[must_use]
    pub(crate) fn text(&self, id: &PolicyId) -> Option<&Policy> {
        self.texts.get(id).map(|policy| &**policy)
    }

    /// Whether a policy asks for requests that violate it to be denied: workloads at the deploy stage, commands to
    /// pods at runtime.
    #[must_use]
    pub(crate) fn denies(&self, id: &PolicyId) -> bool {
        use EnforcementAction::{FailKubeRequest, ScaleToZero, UnsatisfiableNodeConstraint};
        let asks = |action: &EnforcementAction| {
            matches!(action, FailKubeRequest | ScaleToZero | UnsatisfiableNodeConstraint)
        };
        self.text(id).is_some_and(|policy| policy.enforcement_actions.iter().any(asks))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const POLICY: &str = r#"{"id":"p-1","name":"Latest tag","severity":"LOW_SEVERITY","categories":["x"],
        "lifecycleStages":["DEPLOY"],"policyVersion":"1.1","enforcementActions":["SCALE_TO_ZERO_ENFORCEMENT"],
        "policySections":[{"policyGroups":[{"fieldName":"Image Tag","values":[{"value":"latest"}]}]}]}"#;

    pub(crate) fn document(policy: &str) -> Vec<u8> {
        let policies = lictor_wire::policy::read::read_policies(policy).unwrap().policies;
        let policy = Box::new(policies.into_iter().next().unwrap());
        serde_json::to_vec(&PolicyDocument {
            transaction: lictor_wire::TransactionId::new("t"),
            by: "alice".to_owned(),
            at: jiff::Timestamp::UNIX_EPOCH,
            change: PolicyChange::Put { policy },
        })
        .unwrap()
    }

    #[test]
    fn a_bad_revision_never_replaces_a_good_one() {
        let mut in_force = InForce::default();
        in_force.take("p-1", 1, &document(POLICY));
        in_force.take("p-1", 2, &document(&POLICY.replace("Image Tag", "Image Tagg")));
        in_force.take("p-1", 3, b"{");
        let policies = in_force.compile();
        assert_eq!((policies.set.len(), policies.revision), (1, 3));
        assert!(policies.denies(&PolicyId::new("p-1")));
    }

    #[test]
    fn the_copy_holds_what_is_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policies.json");
        assert!(InForce::load(&path).unwrap().is_none());
        let mut in_force = InForce::default();
        in_force.take("p-1", 7, &document(POLICY));
        in_force.save(&path).unwrap();
        let read = InForce::load(&path).unwrap().unwrap().compile();
        assert_eq!((read.set.len(), read.revision), (1, 7));
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(InForce::load(&path), Err(CacheError::Content { .. })));
    }
}
