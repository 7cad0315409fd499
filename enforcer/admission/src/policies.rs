//! The policies that reviews are judged by: from the policy log while the bus is there, and from a copy on disk when
//! admission starts without it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lictor_bus::Bus;
use lictor_detection::{Policies, PoliciesInForce, PolicyStatus};
use lictor_wire::policy::{EnforcementAction, Policy};
use lictor_wire::{PolicyId, PolicyLogReader};
use tokio::sync::watch;

use crate::follow::ready;

/// A copy that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    /// The file system refused it.
    #[error("the policy copy `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a copy.
    #[error("the policy copy `{}` cannot be read: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// Whether a policy wants requests that violate it to be denied: workloads at the deploy stage, commands to pods at
/// runtime.
pub(crate) fn denies(policies: &Policies, id: &PolicyId) -> bool {
    policies.text(id).is_some_and(may_deny)
}

/// Whether any policy does.
pub(crate) fn any_denies(policies: &Policies) -> bool {
    policies.all().any(|policy| !policy.disabled && may_deny(policy))
}

fn may_deny(policy: &Policy) -> bool {
    use EnforcementAction::{FailKubeRequest, ScaleToZero, UnsatisfiableNodeConstraint};
    let denies = |action: &EnforcementAction| {
        matches!(action, FailKubeRequest | ScaleToZero | UnsatisfiableNodeConstraint)
    };
    policy.enforcement_actions.iter().any(denies)
}

/// Follows the policy log. `copy` is the file that keeps what is in force for a start without the bus.
pub(crate) async fn follow(
    mut bus: watch::Receiver<Option<Bus>>,
    copy: Option<PathBuf>,
    status: watch::Sender<PolicyStatus>,
) {
    let mut reader = PoliciesInForce::default();
    if let Some(path) = &copy {
        match load(path) {
            Ok(Some(copied)) => {
                reader = copied;
                let (copied, compiled) = reader.snapshot();
                if let Err(error) = compiled {
                    tracing::error!(error, "the policy copy does not compile");
                }
                status.send_replace(copied);
                tracing::info!("the policy copy is in force");
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "starting without policies until the bus is reachable"),
        }
    }
    let keeping = keep(copy, status.subscribe());
    let Some(bus) = ready(&mut bus).await else { return };
    tokio::join!(bus.follow_policies(reader, status), keeping);
}

/// Keeps the copy as what is in force. What cannot be used never comes to be in force, so a good copy stays good.
async fn keep(copy: Option<PathBuf>, mut status: watch::Receiver<PolicyStatus>) {
    while status.changed().await.is_ok() {
        let Some(policies) = status.borrow_and_update().in_force.clone() else { continue };
        tracing::info!(policies = policies.set.len(), revision = policies.revision, "policies are in force");
        let Some(path) = copy.clone() else { continue };
        let saved = tokio::task::spawn_blocking(move || save(&path, &policies)).await;
        if let Ok(Err(error)) = saved {
            tracing::error!(%error, "cannot write the policy copy; a start without the bus would use older policies");
        }
    }
}

/// Reads the copy; `None` when there is none.
fn load(path: &Path) -> Result<Option<PoliciesInForce>, CopyError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(CopyError::File { path: path.to_owned(), source }),
    };
    PoliciesInForce::from_copy(&bytes).map_err(|source| CopyError::Content { path: path.to_owned(), source })
}

/// Writes the copy: wholly or not at all.
fn save(path: &Path, policies: &Arc<Policies>) -> Result<(), CopyError> {
    let fail = |source| CopyError::File { path: path.to_owned(), source };
    let bytes = policies.to_copy().map_err(|source| CopyError::Content { path: path.to_owned(), source })?;
    let beside = path.with_extension("new");
    let mut file = std::fs::File::create(&beside).map_err(fail)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(fail)?;
    std::fs::rename(&beside, path).map_err(fail)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use lictor_bus::{BusOptions, PolicyState, PolicyWrite};
    use lictor_tests::NatsServer;
    use lictor_wire::topology::Topology;
    use lictor_wire::{PolicyChange, PolicyDocument, TransactionId};
    use tokio::time::{sleep, timeout};

    use super::*;

    const POLICY: &str = r#"{"id":"p-1","name":"Latest tag","severity":"LOW_SEVERITY","categories":["x"],
        "lifecycleStages":["DEPLOY"],"policyVersion":"1.1","enforcementActions":["SCALE_TO_ZERO_ENFORCEMENT"],
        "policySections":[{"policyGroups":[{"fieldName":"Image Tag","values":[{"value":"latest"}]}]}]}"#;

    fn put(policy: &str) -> PolicyChange {
        let policies = lictor_wire::policy::read::read_policies(policy).unwrap().policies;
        PolicyChange::Put { policy: Box::new(policies.into_iter().next().unwrap()) }
    }

    /// A change that may follow any state of the log.
    struct Unchecked([PolicyChange; 1]);

    impl PolicyWrite for Unchecked {
        type Refusal = String;

        fn changes(&self) -> &[PolicyChange] {
            &self.0
        }

        fn check(&self, _: &PolicyState) -> Result<(), String> {
            Ok(())
        }
    }

    /// The status when the log holds one policy.
    pub(crate) fn with_policy(policy: &str) -> PolicyStatus {
        let document = PolicyDocument {
            transaction: TransactionId::new("t"),
            by: "alice".to_owned(),
            at: jiff::Timestamp::UNIX_EPOCH,
            change: put(policy),
        };
        let mut reader = PoliciesInForce::default();
        let installation =
            br#"{"transaction":"t","by":"store","at":"2026-01-02T03:04:05Z","installation":"a"}"#;
        reader.take("installation", 1, Ok(installation)).unwrap();
        reader.take("p-1", 7, Ok(&serde_json::to_vec(&document).unwrap())).unwrap();
        reader.snapshot().0
    }

    /// The number of policies in the copy, and the revision it was written at.
    fn kept(path: &Path) -> Option<(usize, u64)> {
        let (status, _) = load(path).unwrap()?.snapshot();
        let policies = status.in_force.unwrap();
        Some((policies.set.len(), policies.revision))
    }

    #[test]
    fn the_copy_holds_what_is_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policies.json");
        assert!(load(&path).unwrap().is_none());
        let policies = with_policy(POLICY).in_force.unwrap();
        assert!(denies(&policies, &PolicyId::new("p-1")));
        save(&path, &policies).unwrap();
        assert_eq!(kept(&path), Some((1, 7)));
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(load(&path), Err(CopyError::Content { .. })));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_restart_finds_the_last_good_revision_and_keeps_it_in_the_copy() {
        let server = NatsServer::start().await;
        let options = BusOptions::new(&server.url(), Topology::default(), "test");
        let bus = Bus::connect_new(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policies.json");
        // What the n-th start has in force, and has kept, once it has read the log up to its n-th document.
        let start = async |document: &str, revision: u64| {
            let transaction = TransactionId::new(revision.to_string());
            let change = Unchecked([put(document)]);
            bus.policy_log().write(&change, "test", &transaction).await.unwrap();
            let (sender, mut status) = watch::channel(PolicyStatus::default());
            let there = watch::Sender::new(Some(bus.clone())).subscribe();
            let following = tokio::spawn(follow(there, Some(path.clone()), sender));
            let read = timeout(Duration::from_secs(30), async {
                let read = status.wait_for(|status| status.read == revision).await.unwrap().clone();
                while kept(&path).is_none_or(|(_, kept)| kept < revision) {
                    sleep(Duration::from_millis(10)).await;
                }
                read
            });
            let read = read.await.unwrap();
            following.abort();
            let policies = read.in_force.unwrap();
            assert_eq!(denies(&policies, &PolicyId::new("p-1")), policies.set.len() == 1);
            (policies.set.len(), kept(&path).unwrap().0)
        };
        assert_eq!(start(POLICY, 2).await, (1, 1));
        let unusable = POLICY.replace("Image Tag", "Image Tagg");
        assert_eq!(start(&unusable, 3).await, (1, 1), "with a copy of the good revision");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(start(&unusable, 4).await, (1, 1), "without a copy");
    }
}
