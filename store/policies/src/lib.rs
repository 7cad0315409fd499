//! Policies as files and as a set: those that ship, those that people write, everything that is wrong with them, and
//! the rules for changing several at once ([`ChangeSet`]).
//!
//! Three forms are read and recognised by their content: StackRox's JSON (an export `{"policies": […]}`, a list, or one
//! policy), the same in YAML, and `SecurityPolicy` custom resources, of which a file may hold several. [`read`] is the
//! only entry point: code that accepts policies from users (the command line, an import, a test) calls it and gets the
//! policies that compile and a [`Finding`] for everything else, each with its line.
//!
//! This crate does no I/O: whoever calls it has read the files. It does not know what is in force.
//!
//! ```
//! let text = r#"{"name": "No latest", "severity": "LOW_SEVERITY", "categories": ["DevOps Best Practices"],
//!   "lifecycleStages": ["DEPLOY"], "policySections": [{"policyGroups": [
//!     {"fieldName": "Image tag", "values": [{"value": "latest"}]}]}]}"#;
//! let read = lictor_policies::read("no-latest.json", text);
//! assert!(read.policies.is_empty());
//! assert_eq!(
//!     read.findings[0].to_string(),
//!     "no-latest.json:3:19: error unknown-criterion: there is no criterion `Image tag` \
//!      (did you mean `Image Tag`?)"
//! );
//! ```

mod change_set;
mod custom_resource;
mod document;
mod finding;
mod read;
mod shipped;

pub use change_set::{BadChange, ChangeSet, NameTaken, NamesTaken};
pub use custom_resource::to_custom_resource;
pub use finding::{Finding, Level};
pub use lictor_normalize::yaml::Position;
pub use read::{FilePolicy, Read, read, read_all};
pub use shipped::Set;
