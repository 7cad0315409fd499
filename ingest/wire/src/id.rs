//! Ids are newtypes: a pod's uid cannot be passed where a workload's is expected.
//!
//! The ids lictor makes are fingerprints of what they name, so repeating a step produces the same id.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use crate::json::TextVisitor;

/// Hashes the parts of an identity into 128 bits, written as 32 hexadecimal digits.
///
/// Every part is preceded by its length, so `("ab", "c")` and `("a", "bc")` differ. BLAKE3 truncated to 128 bits:
/// an attacker who chooses event contents must not be able to make two events collide, or one would hide the other.
pub struct Fingerprint(blake3::Hasher);

impl Fingerprint {
    /// Starts a fingerprint; `domain` keeps ids of different kinds apart even for equal parts.
    pub fn new(domain: &'static str) -> Self {
        Self(blake3::Hasher::new()).part(domain)
    }

    /// Adds a part.
    pub fn part(mut self, part: impl AsRef<[u8]>) -> Self {
        let part = part.as_ref();
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    /// Adds a number.
    pub fn number(self, number: u64) -> Self {
        self.part(number.to_le_bytes())
    }

    /// The 32 hexadecimal digits.
    pub fn finish(self) -> String {
        let mut bytes = [0_u8; 16];
        self.0.finalize_xof().fill(&mut bytes);
        bytes.iter().fold(String::with_capacity(32), |mut text, byte| {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
            text
        })
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(TextVisitor(|text| Self(Arc::from(text))))
            }
        }

        impl $name {
            /// Takes the text of an id as it is.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether the id is empty.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self(Arc::from(""))
            }
        }

        impl From<Fingerprint> for $name {
            fn from(fingerprint: Fingerprint) -> Self {
                Self::new(fingerprint.finish())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }
    )*};
}

ids! {
    /// An event's id, made from the source's own identity of what happened: a retry has the same id.
    EventId;
    /// A cluster's id: the UID of its namespace `kube-system`, or a name the installer gave.
    ClusterId;
    /// A top-level workload's id: its Kubernetes UID, or where a manifest has none a fingerprint of cluster,
    /// namespace, kind and name.
    DeploymentId;
    /// A pod's Kubernetes UID.
    PodId;
    /// A policy's id; a UUID by StackRox's convention.
    PolicyId;
    /// A verdict's id.
    VerdictId;
    /// A violation's id: fingerprint of the triggering event's id, the entity and the policy.
    ViolationId;
    /// An alert's id in the store.
    AlertId;
    /// What is done at most once: fingerprint of violation id and action.
    ActionKey;
    /// A receipt's id: fingerprint of the action key and the step.
    ReceiptId;
    /// A command's id, chosen by whoever sends it.
    CommandId;
    /// Id of a write to a log, by which its writer can recognise it after a timeout.
    TransactionId;
    /// An installation of lictor: everything that shares one policy log. Made up at random by the first store.
    InstallationId;
}

impl ViolationId {
    /// The id of the violation of `policy` by `entity` that `event` triggered. The policy's revision is not part of
    /// it: the same event judged again after an edit is the same violation, newer.
    pub fn of(event: &EventId, entity_key: &str, policy: &PolicyId) -> Self {
        Fingerprint::new("violation").part(event).part(entity_key).part(policy).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        let ab_c = Fingerprint::new("x").part("ab").part("c").finish();
        let a_bc = Fingerprint::new("x").part("a").part("bc").finish();
        assert_ne!(ab_c, a_bc);
        assert_eq!(ab_c.len(), 32);
        assert!(ab_c.bytes().all(|b| b.is_ascii_hexdigit()));
    }

    #[test]
    fn domains_are_apart() {
        assert_ne!(Fingerprint::new("a").finish(), Fingerprint::new("b").finish());
    }
}
