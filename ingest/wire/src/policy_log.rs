//! The policy log as its readers see it: what its documents are about, and what a reader is handed of them.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::topology::is_uuid;
use crate::{Fingerprint, InstallationId, PolicyId, TransactionId};

/// What is between the prefix and the key in a subject of the policy log.
const LOG: &str = "policies";

/// What is before the token of a category.
const CATEGORY: &str = "category.";

/// The key of the document that names the installation. No policy has it: ids that are not UUIDs are hashed.
const INSTALLATION: &str = "installation";

/// What a document of the policy log is about. The last document of each key is in force.
///
/// Written, it is the part of the document's subject after `<prefix>.policies.`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PolicyLogKey {
    /// One policy: its revisions and its deletion.
    Policy(SubjectToken),
    /// One category, which policies name.
    Category(SubjectToken),
    /// The installation that the log belongs to.
    Installation,
}

/// The document that names the installation a policy log belongs to. Written by a store when neither its ledger nor
/// the log knows an installation, and by a person's order after the log was lost; see [`InstallationDocument::continues`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallationDocument {
    /// Id of this write.
    pub transaction: TransactionId,
    /// Who wrote it.
    pub by: String,
    /// When, by the writer's clock.
    pub at: Timestamp,
    /// The installation.
    pub installation: InstallationId,
    /// The installations it takes the place of, newest first; their logs were lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<InstallationId>,
}

impl InstallationDocument {
    /// Whether a reader that has followed `known` may follow this log: it is the same installation, or one that
    /// replaces it.
    pub fn continues(&self, known: &InstallationId) -> bool {
        self.installation == *known || self.replaces.contains(known)
    }
}

/// One token of a subject as it is written there: not empty, and without dots, wildcards and white space.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectToken(String);

/// Follows the policy log, and keeps what is in force. `lictor-bus` reads the log for it; see `Bus::follow_policies`.
///
/// A reader is first handed the last document of each key, then each document as it is written. It holds on to the
/// last good revision of each policy. After a start it may not have seen that one: it then says where to look for it
/// ([`PolicyLogReader::history_needed`]) and is handed what the log holds there.
///
/// Every method may take as long as compiling policies takes, and none may panic: if a reader panics, it is lost and
/// the log is no longer followed.
pub trait PolicyLogReader: Send + 'static {
    /// What the reader makes of the log, shared with everybody who judges by it.
    type Snapshot: Send + Sync + 'static;

    /// Takes the latest document of a key: its text, or why it has none.
    ///
    /// # Errors
    /// Why the document cannot be used, for the log file. The last good revision stays in force.
    fn take(&mut self, key: &str, sequence: u64, document: Result<&[u8], &str>) -> Result<(), String>;

    /// Notes that every document up to a sequence was handed over.
    fn read_up_to(&mut self, sequence: u64);

    /// A key whose last good revision is to be looked for among its documents before a sequence.
    fn history_needed(&self) -> Option<(PolicyLogKey, u64)>;

    /// Takes all documents of a key before the sequence it asked for, oldest first, with their sequences.
    fn take_history<B: AsRef<[u8]>>(&mut self, key: &PolicyLogKey, documents: &[(u64, B)]);

    /// Forgets what was handed over: reading begins, or starts over in another log. What the last snapshot put in
    /// force stays so until the next one.
    fn start_over(&mut self);

    /// What is in force. Called once everything that was there at the start was handed over, and after each change.
    ///
    /// # Errors
    /// Beside the snapshot, why it does not follow the newest documents, for the log file.
    fn snapshot(&mut self) -> (Self::Snapshot, Result<(), String>);
}

impl PolicyLogKey {
    /// The key of a policy's documents. An id that is not a lower-case UUID is hashed: ids are free text, subjects
    /// are not.
    pub fn of_policy(id: &PolicyId) -> Self {
        let id = id.as_str();
        let token =
            if is_uuid(id) { id.to_owned() } else { Fingerprint::new("policy-subject").part(id).finish() };
        Self::Policy(SubjectToken(token))
    }

    /// Reads a key. `None` for a document of a kind that this version does not know.
    pub fn parse(key: &str) -> Option<Self> {
        if key == INSTALLATION {
            return Some(Self::Installation);
        }
        match key.strip_prefix(CATEGORY) {
            Some(token) => SubjectToken::parse(token).map(Self::Category),
            None => SubjectToken::parse(key).map(Self::Policy),
        }
    }

    /// Reads the key of a document from its whole subject, under whatever prefix. `None` as for
    /// [`PolicyLogKey::parse`], and for a subject of another stream.
    pub fn of_subject(subject: &str) -> Option<Self> {
        let (_prefix, rest) = subject.split_once('.')?;
        Self::parse(rest.strip_prefix(LOG)?.strip_prefix('.')?)
    }

    /// The subject of the documents, under a prefix.
    pub(crate) fn subject(&self, prefix: &str) -> String {
        format!("{prefix}.{LOG}.{self}")
    }
}

impl SubjectToken {
    /// Takes a text that is one token, of at most [`crate::token::LONGEST`] bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let forbidden = |c: char| matches!(c, '.' | '*' | '>') || c.is_whitespace() || c.is_control();
        (!text.is_empty() && text.len() <= crate::token::LONGEST && !text.contains(forbidden))
            .then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for PolicyLogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(SubjectToken(token)) => f.write_str(token),
            Self::Category(SubjectToken(token)) => write!(f, "{CATEGORY}{token}"),
            Self::Installation => f.write_str(INSTALLATION),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::topology::Topology;

    #[test]
    fn policies_and_categories_are_told_apart() {
        let uuid = "6a2b0a1e-0000-4000-8000-000000000001";
        let key = PolicyLogKey::of_policy(&PolicyId::new(uuid));
        assert_eq!(key.to_string(), uuid);
        assert_eq!(Topology::default().policy(&PolicyId::new(uuid)), format!("lictor.policies.{uuid}"));
        assert!(matches!(PolicyLogKey::parse("category.x"), Some(PolicyLogKey::Category(_))));
        assert_eq!(PolicyLogKey::parse("installation"), Some(PolicyLogKey::Installation));
        // A policy may have any id, and any of them is one token that is nothing else's.
        for id in ["category.x", "installation"] {
            let key = PolicyLogKey::of_policy(&PolicyId::new(id));
            assert!(matches!(&key, PolicyLogKey::Policy(_)));
            assert_eq!(PolicyLogKey::parse(&key.to_string()), Some(key));
        }
        for unknown in ["", "category.", "a.b", "category.a.b", "a b", "*", ">", "policies.a"] {
            assert_eq!(PolicyLogKey::parse(unknown), None, "{unknown}");
        }
        for elsewhere in ["lictor.events.process.c1", "lictor.policies", "lictor.policies.", "policies.a"] {
            assert_eq!(PolicyLogKey::of_subject(elsewhere), None, "{elsewhere}");
        }
    }

    proptest! {
        #[test]
        fn a_key_comes_back_from_its_text_and_its_subject(id in any::<String>(), token in any::<String>()) {
            let category = PolicyLogKey::Category(SubjectToken(crate::token::token(&token)));
            for key in [PolicyLogKey::of_policy(&PolicyId::new(id.as_str())), category, PolicyLogKey::Installation] {
                prop_assert_eq!(PolicyLogKey::parse(&key.to_string()), Some(key.clone()));
                let subject = Topology::default().policy_log(&key);
                prop_assert_eq!(PolicyLogKey::of_subject(&subject), Some(key));
            }
        }

        #[test]
        fn what_is_read_is_written_alike(text in "(category\\.)?[a-z.]{0,6}") {
            if let Some(key) = PolicyLogKey::parse(&text) {
                prop_assert_eq!(key.to_string(), text);
            }
        }
    }
}
