//! Every criterion there is. One row holds everything that is known of it, and nothing else names a criterion.
//!
//! To add one, add a row to the group in which people look for it and, where none fits, an extractor beside the
//! others. Names are StackRox's, to the letter.

mod audit;
mod container;
mod file;
mod image;
mod runtime;
mod workload;

use super::CriterionGroup;

/// The groups, in the order in which people meet them.
pub(super) static GROUPS: [&CriterionGroup; 13] = [
    &image::REGISTRY,
    &image::CONTENTS,
    &image::SCANNING,
    &container::CONFIGURATION,
    &workload::METADATA,
    &workload::STORAGE,
    &workload::NETWORKING,
    &workload::ACCESS,
    &runtime::PROCESSES,
    &runtime::BASELINES,
    &audit::COMMANDS,
    &audit::AUDIT_LOG,
    &file::ACTIVITY,
];
