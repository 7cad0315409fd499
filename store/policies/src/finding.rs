//! What is wrong with a policy file, for whoever wrote it.

use std::fmt;

use lictor_normalize::yaml::Position;
use serde::Serialize;

/// One thing that is wrong, or that was ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether the policy can be used all the same.
    pub level: Level,
    /// Which rule it is about: one word that stays the same over releases.
    pub code: &'static str,
    /// The file, as it was named.
    pub file: String,
    /// Where in the file.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Where in the document, as `policies[0].policySections[1].policyGroups[0].fieldName`; empty for the whole.
    pub path: String,
    /// The policy's name; empty when the file was not read so far.
    pub policy: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it; empty when the message says it.
    pub hint: String,
}

lictor_wire::named_enum! {
    /// How bad a finding is.
    #[derive(PartialOrd, Ord, Serialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Level {
        /// The policy is not taken.
        Error = "error",
        /// The policy is taken without this part, as StackRox takes it.
        Warning = "warning",
    }
}

/// `FILE:LINE:COLUMN: LEVEL CODE: MESSAGE (HINT)`, which editors and CI systems know how to jump to.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(position) = self.position {
            write!(f, ":{position}")?;
        }
        write!(f, ": {} {}: {}", self.level, self.code, self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, " ({})", self.hint) }
    }
}
