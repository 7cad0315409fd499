//! The policies in force: the last good revision of each, compiled.
//!
//! [`PoliciesInForce`] is handed the documents of the policy log and says what is in force by them. A revision that
//! cannot be used never replaces one that can; a set that cannot be compiled never replaces one that was. Each policy
//! is compiled once, when its document is checked; a change of one assembles the set from what is there. What readers
//! share is the [`PolicyStatus`]: what is in force, how far the log was read, and what of it is not in force.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use lictor_engine::{PolicyRevision, PolicySet, Problem, ValidPolicy};
use lictor_wire::{
    InstallationDocument, InstallationId, NotCompiled, Policy, PolicyChange, PolicyDocument, PolicyId,
    PolicyLogKey, PolicyLogReader, PolicyProblems, Presence, RefusedRevision,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest reason for a refusal that is passed on, in bytes: some ten problems.
const REASON_AT_MOST: usize = 1_000;

/// The version of the copy's form; one of another version is ignored.
const COPY_VERSION: u32 = 1;

/// The policies in force. Immutable; readers share it.
#[derive(Debug, Default)]
pub struct Policies {
    /// Compiled.
    pub set: PolicySet,
    /// The sequence of the policy log up to which they are in force; 0 for policies of no log.
    pub revision: u64,
    /// The installation whose log they are from; `None` for policies of no log, and for a copy of a release that did
    /// not write it.
    installation: Option<InstallationId>,
    good: BTreeMap<PolicyLogKey, ValidPolicy>,
    texts: HashMap<PolicyId, Arc<Policy>>,
}

/// What is known of the policy log at a moment. The default is nothing.
#[derive(Debug, Clone, Default)]
pub struct PolicyStatus {
    /// What is in force. `None` until the log was read, and compiled, for the first time: nothing can be judged then,
    /// which differs from a log without policies.
    pub in_force: Option<Arc<Policies>>,
    /// The sequence up to which the log was read. Beyond the revision in force while the newest do not compile.
    pub read: u64,
    /// What was read and is not in force.
    pub problems: Arc<PolicyProblems>,
}

/// The reader of the policy log that keeps what is in force. The default has read nothing.
#[derive(Debug, Default)]
pub struct PoliciesInForce {
    good: BTreeMap<PolicyLogKey, ValidPolicy>,
    refused: BTreeMap<PolicyLogKey, Refused>,
    /// Refused keys whose last good revision, before a sequence, was not looked for yet.
    history: BTreeMap<PolicyLogKey, u64>,
    source: Source,
    read: u64,
    /// The last set that compiled.
    in_force: Option<Arc<Policies>>,
}

/// Where what was read comes from.
#[derive(Debug)]
enum Source {
    /// The policy log, which belongs to the installation that its document names, here with its revision.
    Log(Option<(u64, InstallationDocument)>),
    /// A copy of what was in force.
    Copy(Option<InstallationId>),
}

/// A document that cannot be used.
#[derive(Debug)]
struct Refused {
    revision: u64,
    refusal: Refusal,
}

#[derive(Debug)]
struct Refusal {
    name: Option<String>,
    reason: String,
}

/// What a usable document says.
enum Change {
    Put(ValidPolicy),
    Deleted,
}

/// The copy that admission keeps for a start without the bus.
#[derive(Serialize, Deserialize)]
struct Copy {
    version: u32,
    revision: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    installation: Option<InstallationId>,
    policies: Vec<CopiedPolicy>,
}

#[derive(Serialize, Deserialize)]
struct CopiedPolicy {
    key: String,
    revision: u64,
    policy: Arc<Policy>,
}

// === impl Policies ===

impl Policies {
    /// A policy as it is written; disabled ones, too.
    pub fn text(&self, id: &PolicyId) -> Option<&Policy> {
        self.texts.get(id).map(|policy| &**policy)
    }

    /// Every policy as it is written; disabled ones, too.
    pub fn all(&self) -> impl Iterator<Item = &Policy> {
        self.texts.values().map(|policy| &**policy)
    }

    /// Everything in force as JSON, to be kept for a start without the bus; [`PoliciesInForce::from_copy`] reads it.
    ///
    /// # Errors
    /// Never for policies that were read from JSON.
    pub fn to_copy(&self) -> Result<Vec<u8>, serde_json::Error> {
        let policies = self.good.iter().map(|(key, valid)| {
            let PolicyRevision { policy, revision } = valid.revision();
            CopiedPolicy { key: key.to_string(), revision: *revision, policy: policy.clone() }
        });
        let copy = Copy {
            version: COPY_VERSION,
            revision: self.revision,
            installation: self.installation.clone(),
            policies: policies.collect(),
        };
        serde_json::to_vec(&copy)
    }
}

// === impl PolicyStatus ===

impl PolicyStatus {
    /// Whether the log was read to its end, whether or not its policies compiled, and whether or not it is followed.
    pub fn is_read(&self) -> bool {
        self.in_force.is_some()
            || self.problems.not_compiled.is_some()
            || self.problems.not_followed.is_some()
    }

    /// Reports in a role's presence (heartbeat) which policies are in force, and what is not.
    pub fn report(&self, who: &mut Presence) {
        who.policies = self.in_force.as_ref().map_or(0, |policies| policies.revision);
        who.policy_problems = (*self.problems).clone();
    }
}

// === impl PoliciesInForce ===

impl Default for Source {
    fn default() -> Self {
        Self::Log(None)
    }
}

impl PoliciesInForce {
    /// A reader that has read what is in a copy. Its snapshot puts that in force, and it stays so while the log is
    /// read. `None` for a copy of another version.
    ///
    /// # Errors
    /// When it is not a copy.
    pub fn from_copy(copy: &[u8]) -> Result<Option<Self>, serde_json::Error> {
        let copy: Copy = serde_json::from_slice(copy)?;
        if copy.version != COPY_VERSION {
            return Ok(None);
        }
        let source = Source::Copy(copy.installation);
        let mut reader = Self { read: copy.revision, source, ..Self::default() };
        for CopiedPolicy { key, revision, policy } in copy.policies {
            let Some(key) = PolicyLogKey::parse(&key) else { continue };
            let policy = PolicyRevision { policy, revision };
            match compiled(policy, ValidPolicy::new) {
                Ok(valid) => drop(reader.good.insert(key, valid)),
                Err(refusal) => drop(reader.refused.insert(key, Refused { revision, refusal })),
            }
        }
        Ok(Some(reader))
    }

    fn take_with(
        &mut self,
        key: &str,
        revision: u64,
        document: Result<&[u8], &str>,
        validate: impl FnOnce(PolicyRevision) -> Result<ValidPolicy, Vec<Problem>>,
    ) -> Result<(), String> {
        self.read_up_to(revision);
        let Some(key) = PolicyLogKey::parse(key) else { return Ok(()) };
        let taken = match &key {
            PolicyLogKey::Policy(_) => read(document, revision, validate).map(|change| match change {
                Change::Put(policy) => drop(self.good.insert(key.clone(), policy)),
                Change::Deleted => drop(self.good.remove(&key)),
            }),
            // One that cannot be read takes nothing back: the log goes on being the installation's it was.
            PolicyLogKey::Installation => {
                parsed(document).map(|document| self.source = Source::Log(Some((revision, document))))
            }
            PolicyLogKey::Category(_) => Ok(()),
        };
        self.history.remove(&key);
        self.refused.remove(&key);
        let Err(refusal) = taken else { return Ok(()) };
        let reason = refusal.reason.clone();
        if self.good_revision(&key).is_none() {
            self.history.insert(key.clone(), revision);
        }
        self.refused.insert(key, Refused { revision, refusal });
        Err(reason)
    }

    /// The revision of the last good document of a key.
    fn good_revision(&self, key: &PolicyLogKey) -> Option<u64> {
        match (key, &self.source) {
            (PolicyLogKey::Installation, Source::Log(document)) => {
                document.as_ref().map(|(revision, _)| *revision)
            }
            _ => self.good.get(key).map(|valid| valid.revision().revision),
        }
    }

    /// The installation of what was read, if it may take the place of what is in force. An empty log after a loss,
    /// or the log of another installation, must not: that policies are absent there does not say that somebody
    /// deleted them.
    fn installation(&self) -> Result<Option<InstallationId>, String> {
        let document = match &self.source {
            Source::Copy(installation) => return Ok(installation.clone()),
            Source::Log(document) => document.as_ref().map(|(_, document)| document),
        };
        let Some(document) = document else {
            return Err("the policy log does not name an installation: it is new or was lost; \
                        only `lictor store` sets an installation up"
                .to_owned());
        };
        let in_force = self.in_force.as_ref();
        match in_force.map(|policies| (policies.revision, policies.installation.as_ref())) {
            // Sequences never go back: a log that ends before them is not the one that they are from.
            Some((revision, None)) if revision > self.read => Err(format!(
                "the policy log ends at {}, and the policies in force are those up to {revision} of a log that did not \
                 name an installation; if that log is lost for good, delete the policy copy and start again",
                self.read
            )),
            Some((_, Some(known))) if !document.continues(known) => Err(format!(
                "the policy log belongs to installation {}, and the policies in force to {known}; if the log of \
                 {known} is lost for good, run `lictor store --replace-installation {known}`",
                document.installation
            )),
            _ => Ok(Some(document.installation.clone())),
        }
    }

    /// As [`PolicyLogReader::snapshot`], with the set assembled by the caller's function. While that panics, the last
    /// set that did not stays in force.
    ///
    /// # Errors
    /// In addition to the snapshot, the panic's message.
    pub fn snapshot_with(
        &mut self,
        assemble: impl FnOnce(Vec<&ValidPolicy>) -> PolicySet,
    ) -> (PolicyStatus, Result<(), String>) {
        let installation = match self.installation() {
            Ok(installation) => installation,
            Err(reason) => {
                let problems = PolicyProblems { not_followed: Some(reason.clone()), ..self.problems(None) };
                return (self.status(problems), Err(format!("not following the policy log: {reason}")));
            }
        };
        let outcome = caught(|| assemble(self.good.values().collect())).map(|set| {
            let texts = self.good.values().map(|valid| {
                let policy = &valid.revision().policy;
                (policy.id.clone(), policy.clone())
            });
            let texts = texts.collect();
            let (revision, good) = (self.read, self.good.clone());
            self.in_force = Some(Arc::new(Policies { set, revision, installation, good, texts }));
        });
        let not_compiled = outcome
            .as_ref()
            .err()
            .map(|reason| NotCompiled { revision: self.read, reason: shortened(reason.clone()) });
        let status = self.status(self.problems(not_compiled));
        (status, outcome.map_err(|reason| format!("the newest policies do not compile: {reason}")))
    }

    fn status(&self, problems: PolicyProblems) -> PolicyStatus {
        PolicyStatus { in_force: self.in_force.clone(), read: self.read, problems: Arc::new(problems) }
    }

    fn problems(&self, not_compiled: Option<NotCompiled>) -> PolicyProblems {
        let refused = self.refused.iter().map(|(key, Refused { revision, refusal })| RefusedRevision {
            key: key.to_string(),
            name: refusal.name.clone(),
            revision: *revision,
            reason: shortened(refusal.reason.clone()),
            in_force: self.good_revision(key),
        });
        let more_refused = self.refused.len().saturating_sub(PolicyProblems::AT_MOST);
        PolicyProblems {
            refused: refused.take(PolicyProblems::AT_MOST).collect(),
            more_refused: more_refused as u64,
            not_compiled,
            not_followed: None,
        }
    }
}

impl PolicyLogReader for PoliciesInForce {
    type Snapshot = PolicyStatus;

    fn take(&mut self, key: &str, sequence: u64, document: Result<&[u8], &str>) -> Result<(), String> {
        self.take_with(key, sequence, document, ValidPolicy::new)
    }

    fn read_up_to(&mut self, sequence: u64) {
        self.read = self.read.max(sequence);
    }

    fn history_needed(&self) -> Option<(PolicyLogKey, u64)> {
        self.history.first_key_value().map(|(key, before)| (key.clone(), *before))
    }

    fn take_history<B: AsRef<[u8]>>(&mut self, key: &PolicyLogKey, documents: &[(u64, B)]) {
        self.history.remove(key);
        let mut newest =
            documents.iter().rev().map(|(revision, document)| (*revision, Ok(document.as_ref())));
        if *key == PolicyLogKey::Installation {
            let usable = newest.find_map(|(revision, document)| Some((revision, parsed(document).ok()?)));
            self.source = Source::Log(usable);
        } else if let Some(Change::Put(policy)) =
            newest.find_map(|(revision, document)| read(document, revision, ValidPolicy::new).ok())
        {
            self.good.insert(key.clone(), policy);
        }
    }

    fn start_over(&mut self) {
        *self = Self { in_force: self.in_force.take(), ..Self::default() };
    }

    fn snapshot(&mut self) -> (PolicyStatus, Result<(), String>) {
        self.snapshot_with(|policies| PolicySet::assemble(policies))
    }
}

// --- reading -----------------------------------------------------------------------------------------------------

fn read(
    document: Result<&[u8], &str>,
    revision: u64,
    validate: impl FnOnce(PolicyRevision) -> Result<ValidPolicy, Vec<Problem>>,
) -> Result<Change, Refusal> {
    let document: PolicyDocument = parsed(document)?;
    match document.change {
        PolicyChange::Delete { .. } => Ok(Change::Deleted),
        PolicyChange::Put { policy } => {
            compiled(PolicyRevision { policy: Arc::new(*policy), revision }, validate).map(Change::Put)
        }
    }
}

fn parsed<T: DeserializeOwned>(document: Result<&[u8], &str>) -> Result<T, Refusal> {
    let text = document.map_err(ToOwned::to_owned);
    let parsed = text.and_then(|text| serde_json::from_slice(text).map_err(|error| error.to_string()));
    parsed.map_err(|reason| Refusal { name: None, reason })
}

fn compiled(
    policy: PolicyRevision,
    validate: impl FnOnce(PolicyRevision) -> Result<ValidPolicy, Vec<Problem>>,
) -> Result<ValidPolicy, Refusal> {
    let name = Some(policy.policy.name.clone());
    let reason = match caught(|| validate(policy)) {
        Ok(Ok(valid)) => return Ok(valid),
        Ok(Err(problems)) => problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        Err(panic) => format!("compiling it panicked: {panic}"),
    };
    Err(Refusal { name, reason })
}

/// Runs what compiles. A policy that stops its own compilation must not stop that of the others, nor take out of
/// force what was compiled before.
fn caught<T>(compile: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(compile)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
    })
}

fn shortened(mut reason: String) -> String {
    if reason.len() > REASON_AT_MOST {
        reason.truncate(reason.floor_char_boundary(REASON_AT_MOST));
        reason.push('…');
    }
    reason
}

#[cfg(test)]
mod tests {
    use lictor_wire::TransactionId;

    use super::*;

    const POLICY: &str = r#"{"id":"p-1","name":"Latest tag","severity":"LOW_SEVERITY","categories":["x"],
        "lifecycleStages":["DEPLOY"],"policyVersion":"1.1","enforcementActions":["SCALE_TO_ZERO_ENFORCEMENT"],
        "policySections":[{"policyGroups":[{"fieldName":"Image Tag","values":[{"value":"latest"}]}]}]}"#;

    fn document(change: PolicyChange) -> Vec<u8> {
        let document = PolicyDocument {
            transaction: TransactionId::new("t"),
            by: "alice".to_owned(),
            at: jiff::Timestamp::UNIX_EPOCH,
            change,
        };
        serde_json::to_vec(&document).unwrap()
    }

    fn put(policy: &str) -> Vec<u8> {
        let policies = lictor_wire::policy::read::read_policies(policy).unwrap().policies;
        document(PolicyChange::Put { policy: Box::new(policies.into_iter().next().unwrap()) })
    }

    fn good() -> Vec<u8> {
        put(POLICY)
    }

    fn bad() -> Vec<u8> {
        put(&POLICY.replace("Image Tag", "Image Tagg"))
    }

    fn deleted() -> Vec<u8> {
        document(PolicyChange::Delete { id: PolicyId::new("p-1") })
    }

    fn key() -> PolicyLogKey {
        PolicyLogKey::parse("p-1").unwrap()
    }

    fn installation(id: &str, replaces: &[&str]) -> Vec<u8> {
        let document = InstallationDocument {
            transaction: TransactionId::new("t"),
            by: "store".to_owned(),
            at: jiff::Timestamp::UNIX_EPOCH,
            installation: InstallationId::new(id),
            replaces: replaces.iter().map(|id| InstallationId::new(*id)).collect(),
        };
        serde_json::to_vec(&document).unwrap()
    }

    /// A reader of a log that names its installation.
    fn reader() -> PoliciesInForce {
        let mut reader = PoliciesInForce::default();
        reader.take("installation", 0, Ok(&installation("a", &[]))).unwrap();
        reader
    }

    fn status(reader: &mut PoliciesInForce) -> PolicyStatus {
        let (status, compiled) = reader.snapshot();
        assert_eq!(compiled, Ok(()));
        status
    }

    /// The policies in force, and up to which revision.
    fn in_force(reader: &mut PoliciesInForce) -> (usize, u64) {
        let policies = status(reader).in_force.unwrap();
        (policies.set.len(), policies.revision)
    }

    #[test]
    fn a_bad_revision_never_replaces_a_good_one() {
        let mut reader = reader();
        reader.take("p-1", 1, Ok(&good())).unwrap();
        let problem = reader.take("p-1", 2, Ok(&bad())).unwrap_err();
        assert!(problem.contains("there is no criterion `Image Tagg`"), "{problem}");
        assert_eq!(in_force(&mut reader), (1, 2));
        assert_eq!(reader.history_needed(), None);
        let refused = &status(&mut reader).problems.refused;
        let [RefusedRevision { key, name, revision: 2, reason, in_force: Some(1) }] = refused.as_slice()
        else {
            panic!("{refused:?}")
        };
        assert_eq!((key.as_str(), name.as_deref(), reason), ("p-1", Some("Latest tag"), &problem));
        reader.take("p-1", 3, Ok(b"{")).unwrap_err();
        reader.take("p-1", 4, Err("damaged")).unwrap_err();
        assert_eq!(in_force(&mut reader), (1, 4));
        let id = PolicyId::new("p-1");
        assert_eq!(status(&mut reader).in_force.unwrap().text(&id).unwrap().name, "Latest tag");
        reader.take("p-1", 5, Ok(&good())).unwrap();
        assert!(status(&mut reader).problems.is_empty());
        reader.take("p-1", 6, Ok(&deleted())).unwrap();
        assert_eq!(in_force(&mut reader), (0, 6));
    }

    #[test]
    fn categories_are_no_policies_whatever_they_hold() {
        let mut reader = reader();
        for (sequence, document) in [(1, good()), (2, b"{}".to_vec()), (3, deleted())] {
            reader.take("category.x", sequence, Ok(&document)).unwrap();
        }
        assert_eq!(in_force(&mut reader), (0, 3));
        assert!(status(&mut reader).problems.is_empty());
    }

    #[test]
    fn the_last_good_revision_is_looked_for_after_a_start() {
        let unusable = |documents: &[(u64, Vec<u8>)]| {
            let mut reader = reader();
            reader.take("p-1", 9, Ok(&bad())).unwrap_err();
            assert_eq!(reader.history_needed(), Some((key(), 9)));
            reader.take_history(&key(), documents);
            assert_eq!(reader.history_needed(), None);
            let status = status(&mut reader);
            let policies = status.in_force.unwrap();
            assert_eq!(policies.revision, 9);
            assert_eq!(status.problems.refused[0].in_force.is_some(), policies.set.len() == 1);
            status.problems.refused[0].in_force
        };
        assert_eq!(unusable(&[(1, good()), (2, good()), (3, bad()), (4, b"{".to_vec())]), Some(2));
        assert_eq!(unusable(&[(1, good()), (2, deleted()), (3, bad())]), None);
        assert_eq!(unusable(&[(1, bad())]), None);
        assert_eq!(unusable(&[]), None);
        // A usable one that comes first makes the search needless.
        let mut reader = reader();
        reader.take("p-1", 9, Ok(&bad())).unwrap_err();
        reader.take("p-1", 10, Ok(&deleted())).unwrap();
        assert_eq!(reader.history_needed(), None);
    }

    #[test]
    fn a_set_that_does_not_compile_leaves_the_one_before_in_force() {
        let mut reader = reader();
        // Nothing was in force: then nothing is, which is not the same as no policies.
        reader.take("p-1", 1, Ok(&good())).unwrap();
        let (status, compiled) = reader.snapshot_with(|_| panic!("too many"));
        assert_eq!(compiled, Err("the newest policies do not compile: too many".to_owned()));
        assert!(status.in_force.is_none() && status.is_read());
        assert_eq!(in_force(&mut reader), (1, 1));
        reader.take("p-2", 2, Ok(&good())).unwrap();
        let (status, _) = reader.snapshot_with(|_| panic!("too {}", "many"));
        let policies = status.in_force.as_ref().unwrap();
        assert_eq!((policies.set.len(), policies.revision, status.read), (1, 1, 2));
        let not_compiled = NotCompiled { revision: 2, reason: "too many".to_owned() };
        assert_eq!(status.problems.not_compiled, Some(not_compiled));
        let mut who = Presence {
            role: String::new(),
            instance: String::new(),
            version: String::new(),
            started: jiff::Timestamp::UNIX_EPOCH,
            seen: jiff::Timestamp::UNIX_EPOCH,
            policies: 9,
            policy_problems: PolicyProblems::default(),
            problems: Vec::new(),
            counts: BTreeMap::new(),
            settings: BTreeMap::new(),
        };
        status.report(&mut who);
        assert_eq!((who.policies, &who.policy_problems), (1, &*status.problems));
        // It stays so while another log is read, and ends with the next set that compiles.
        reader.start_over();
        reader.take("installation", 0, Ok(&installation("a", &[]))).unwrap();
        let (status, _) = reader.snapshot_with(|_| panic!("again"));
        assert_eq!(status.in_force.unwrap().set.len(), 1);
        assert_eq!(in_force(&mut reader), (0, 0));
    }

    #[test]
    fn a_policy_whose_compilation_panics_is_refused_alone() {
        let mut reader = reader();
        reader.take("p-1", 1, Ok(&good())).unwrap();
        reader.take_with("p-1", 2, Ok(&good()), |_| panic!("stack")).unwrap_err();
        reader.take("p-2", 3, Ok(&good())).unwrap();
        assert_eq!(in_force(&mut reader), (2, 3));
        assert_eq!(status(&mut reader).problems.refused[0].reason, "compiling it panicked: stack");
    }

    #[test]
    fn problems_have_a_bound() {
        let mut reader = reader();
        let long = "ä".repeat(REASON_AT_MOST);
        for i in 0..PolicyProblems::AT_MOST as u64 + 2 {
            reader.take(&format!("p-{i}"), i + 1, Err(&long)).unwrap_err();
        }
        let problems = &status(&mut reader).problems;
        assert_eq!((problems.refused.len(), problems.more_refused), (PolicyProblems::AT_MOST, 2));
        assert!(problems.refused.iter().all(|refused| refused.reason.len() < REASON_AT_MOST + 4));
    }

    #[test]
    fn the_copy_holds_what_is_in_force() {
        let mut reader = reader();
        reader.take("p-1", 7, Ok(&good())).unwrap();
        reader.take("p-1", 8, Ok(&bad())).unwrap_err();
        let copy = status(&mut reader).in_force.unwrap().to_copy().unwrap();
        let mut copied = PoliciesInForce::from_copy(&copy).unwrap().unwrap();
        assert_eq!(in_force(&mut copied), (1, 8));
        assert_eq!(status(&mut copied).in_force.unwrap().to_copy().unwrap(), copy);
        assert!(PoliciesInForce::from_copy(b"{").is_err());
        let newer = String::from_utf8(copy).unwrap().replace(r#""version":1"#, r#""version":2"#);
        assert!(PoliciesInForce::from_copy(newer.as_bytes()).unwrap().is_none());
    }

    #[test]
    fn a_log_that_was_lost_takes_nothing_out_of_force() {
        let mut reader = reader();
        reader.take("p-1", 7, Ok(&good())).unwrap();
        assert_eq!(in_force(&mut reader), (1, 7));
        let copy = status(&mut reader).in_force.unwrap().to_copy().unwrap();
        let not_followed = |reader: &mut PoliciesInForce| {
            let (status, followed) = reader.snapshot();
            let reason = status.problems.not_followed.clone().unwrap();
            assert!(followed.unwrap_err().ends_with(&reason));
            (status.in_force.map(|policies| (policies.set.len(), policies.revision)), reason)
        };
        // Running, and started from the copy: the log is empty, holds policies without a name, is another's.
        for mut reader in [reader, PoliciesInForce::from_copy(&copy).unwrap().unwrap()] {
            assert_eq!(in_force(&mut reader), (1, 7));
            reader.start_over();
            assert_eq!(not_followed(&mut reader).0, Some((1, 7)));
            reader.take("p-1", 1, Ok(&deleted())).unwrap();
            assert_eq!(not_followed(&mut reader).0, Some((1, 7)));
            reader.take("installation", 2, Ok(&installation("b", &[]))).unwrap();
            let (kept, reason) = not_followed(&mut reader);
            assert_eq!(kept, Some((1, 7)));
            assert!(reason.contains("--replace-installation a"), "{reason}");
            // A document that cannot be read names nothing, where the log holds none before it that can.
            reader.start_over();
            reader.take("installation", 1, Ok(b"{")).unwrap_err();
            assert_eq!(reader.history_needed(), Some((PolicyLogKey::Installation, 1)));
            reader.take_history::<&[u8]>(&PolicyLogKey::Installation, &[]);
            assert_eq!((reader.history_needed(), not_followed(&mut reader).0), (None, Some((1, 7))));
            // A person's word: another installation takes the lost one's place.
            reader.take("installation", 3, Ok(&installation("c", &["b", "a"]))).unwrap();
            assert_eq!(in_force(&mut reader), (0, 3));
            reader.start_over();
            assert_eq!(not_followed(&mut reader).0, Some((0, 3)));
        }
        // Who has nothing is not ready, and says so.
        let mut new = PoliciesInForce::default();
        assert!(!PolicyStatus::default().is_read());
        assert_eq!(not_followed(&mut new).0, None);
        assert!(new.snapshot().0.is_read());
    }

    #[test]
    fn an_unreadable_name_leaves_the_log_to_the_installation_it_was() {
        let mut running = reader();
        let mut started = PoliciesInForce::default();
        started.take("installation", 9, Ok(b"{")).unwrap_err();
        assert_eq!(started.history_needed(), Some((PolicyLogKey::Installation, 9)));
        let before = [(1, installation("z", &[])), (2, installation("a", &[])), (3, b"{".to_vec())];
        started.take_history(&PolicyLogKey::Installation, &before);
        running.take("installation", 9, Ok(b"{")).unwrap_err();
        for (mut reader, good) in [(running, 0), (started, 2)] {
            assert_eq!(reader.history_needed(), None);
            assert_eq!(in_force(&mut reader), (0, 9));
            let status = status(&mut reader);
            assert_eq!(status.in_force.as_ref().unwrap().installation, Some(InstallationId::new("a")));
            let [RefusedRevision { key, revision: 9, in_force, .. }] = status.problems.refused.as_slice()
            else {
                panic!("{status:?}")
            };
            assert_eq!((key.as_str(), *in_force), ("installation", Some(good)));
            // A store writes it again.
            reader.take("installation", 10, Ok(&installation("a", &[]))).unwrap();
            assert!(self::status(&mut reader).problems.is_empty());
        }
    }

    #[test]
    fn a_copy_of_an_earlier_release_is_read_and_written_alike() {
        let copy = include_str!("../tests/policy-copy.v1.json").trim_end();
        let mut copied = PoliciesInForce::from_copy(copy.as_bytes()).unwrap().unwrap();
        assert_eq!(in_force(&mut copied), (1, 7));
        let policies = status(&mut copied).in_force.unwrap();
        assert!(policies.text(&PolicyId::new("p-1")).is_some());
        assert_eq!(String::from_utf8(policies.to_copy().unwrap()).unwrap(), copy);
        // The log it is from goes on, and gets its name then; a new one ends before.
        for (last, followed) in [(3, None), (8, Some(InstallationId::new("a")))] {
            copied.start_over();
            copied.take("installation", last, Ok(&installation("a", &[]))).unwrap();
            let (status, _) = copied.snapshot();
            assert_eq!(status.problems.not_followed.is_none(), followed.is_some());
            assert_eq!(status.in_force.unwrap().installation, followed);
        }
    }
}
