//! From a policy to what can be evaluated.
//!
//! Everything that is wrong is collected; a policy with any problem is not evaluated at all, since half a policy is
//! another policy.

mod fields;
mod group;
mod stages;

use std::sync::Arc;

use lictor_wire::PolicyRef;
use lictor_wire::policy::{EventSource, LifecycleStage, Policy};

use crate::criterion::Family;
use crate::policy::{CompiledPolicy, Target};
use crate::problem::{Problem, ProblemCode, Problems};
use crate::scope::Applicability;
use crate::section::{Group, Section};

/// Compiles a policy: for each of its targets, the sections that are evaluated.
pub(crate) fn compile(
    policy: &Policy,
    revision: u64,
    parity: bool,
) -> Result<Vec<CompiledPolicy>, Vec<Problem>> {
    let mut problems = Problems::default();
    let compiled = compile_into(policy, revision, parity, &mut problems);
    problems.into_result().map(|()| compiled)
}

/// As [`compile`], and checks what people must fill in, too.
pub(crate) fn validate(policy: &Policy, revision: u64) -> Result<Vec<CompiledPolicy>, Vec<Problem>> {
    let mut problems = Problems::default();
    fields::check(policy, &mut problems);
    let compiled = compile_into(policy, revision, false, &mut problems);
    problems.into_result().map(|()| compiled)
}

fn compile_into(
    policy: &Policy,
    revision: u64,
    parity: bool,
    problems: &mut Problems,
) -> Vec<CompiledPolicy> {
    stages::check(policy, problems);
    let sections = compile_sections(policy, parity, problems);
    let reference = PolicyRef {
        id: policy.id.clone(),
        name: policy.name.clone(),
        revision,
        severity: policy.severity,
        categories: policy.categories.clone(),
    };
    let applicability = Arc::new(compile_applicability(policy, problems));
    let skipped = policy.evaluation_filter.as_ref().map_or(&[][..], |filter| &filter.skip_container_types);
    let targets = targets(policy).into_iter();
    targets
        .map(|target| CompiledPolicy {
            reference: reference.clone(),
            target,
            sections: sections.iter().filter_map(|section| section.for_target(target)).collect(),
            applicability: Arc::clone(&applicability),
            skipped: if target.uses_filter() { skipped.to_vec() } else { Vec::new() },
            actions: policy.enforcement_actions.clone(),
            parity,
        })
        .collect()
}

fn compile_applicability(policy: &Policy, problems: &mut Problems) -> Applicability {
    let mut found = Vec::new();
    let applicability = Applicability::compile(policy, &mut found);
    for (path, message) in found {
        let code = if path.starts_with("scope") { ProblemCode::Scope } else { ProblemCode::Exclusion };
        problems.add(code, path, message, "namespaces and labels are regular expressions in RE2 syntax");
    }
    applicability
}

/// A section's groups, compiled once for all targets.
struct CompiledSection {
    index: usize,
    name: String,
    groups: Vec<Arc<Group>>,
}

fn compile_sections(policy: &Policy, parity: bool, problems: &mut Problems) -> Vec<CompiledSection> {
    let mut compiled = Vec::new();
    if policy.policy_sections.is_empty() {
        problems.add(
            ProblemCode::Section,
            "policySections",
            "a policy needs at least one section",
            "add a section with at least one criterion",
        );
    }
    for (index, section) in policy.policy_sections.iter().enumerate() {
        let path = format!("policySections[{index}]");
        if section.policy_groups.is_empty() {
            problems.add(
                ProblemCode::Section,
                &path,
                "a section needs at least one criterion",
                "add a criterion or remove the section",
            );
        }
        let mut groups = Vec::new();
        for (position, group) in section.policy_groups.iter().enumerate() {
            let path = format!("{path}.policyGroups[{position}]");
            let before = section.policy_groups.iter().take(position);
            if before.into_iter().any(|before| before.field_name == group.field_name) {
                problems.add(
                    ProblemCode::Group,
                    format!("{path}.fieldName"),
                    format!("`{}` appears twice in this section", group.field_name),
                    "put all its values into one group, or use two sections",
                );
            }
            groups.extend(
                group::compile(group, position, &path, policy.event_source, parity, problems).map(Arc::new),
            );
        }
        compiled.push(CompiledSection { index, name: section.section_name.clone(), groups });
    }
    compiled
}

/// The targets of a policy.
fn targets(policy: &Policy) -> Vec<Target> {
    let mut targets = Vec::new();
    for stage in LifecycleStage::ALL {
        if !policy.lifecycle_stages.contains(stage) {
            continue;
        }
        targets.extend(match (stage, policy.event_source) {
            (LifecycleStage::Build, _) => Some(Target::Build),
            (LifecycleStage::Deploy, _) => Some(Target::Deploy),
            (LifecycleStage::Runtime, EventSource::AuditLogEvent) => Some(Target::Audit),
            (LifecycleStage::Runtime, EventSource::NodeEvent) => Some(Target::NodeFile),
            (LifecycleStage::Runtime, EventSource::DeploymentEvent) => stages::runtime_target(policy),
            (LifecycleStage::Runtime, EventSource::NotApplicable) => None,
        });
    }
    targets
}

impl Target {
    /// Whether the evaluation filter of a policy applies.
    const fn uses_filter(self) -> bool {
        matches!(self, Self::Deploy | Self::Process | Self::Network | Self::PodCommand | Self::File)
    }

    /// Whether a section with criteria of these families is evaluated. A runtime policy's section without a runtime
    /// criterion is not.
    fn uses_section(self, mut families: impl Iterator<Item = Family>) -> bool {
        match self {
            Self::Build | Self::Deploy | Self::NodeFile => true,
            Self::Process => {
                families.any(|family| matches!(family, Family::Process | Family::ProcessBaseline))
            }
            Self::Network => families.any(|family| family == Family::NetworkBaseline),
            Self::PodCommand => families.any(|family| family == Family::KubeRequest),
            Self::File => families.any(|family| family == Family::File),
            Self::Audit => families.any(|family| matches!(family, Family::KubeRequest | Family::Audit)),
        }
    }
}

impl CompiledSection {
    fn for_target(&self, target: Target) -> Option<Section> {
        if !target.uses_section(self.groups.iter().map(|group| group.criterion.family)) {
            return None;
        }
        let about_files = self.groups.iter().any(|group| group.criterion.family == Family::File);
        Some(Section::new(self.index, self.name.clone(), self.groups.clone(), about_files))
    }
}
