//! Which actions a verdict calls for. Pure.

use lictor_wire::policy::EnforcementAction;
use lictor_wire::{ActionKey, Verdict, Violation};

/// One action that a violation calls for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Intent<'a> {
    /// The verdict with the violation.
    pub(crate) verdict: &'a Verdict,
    /// The violation.
    pub(crate) violation: &'a Violation,
    /// The action.
    pub(crate) action: EnforcementAction,
}

/// The actions a verdict calls for: of each violation the first its policy names, as in StackRox, where one alert
/// carries one action.
pub(crate) fn plan(verdict: &Verdict) -> impl Iterator<Item = Intent<'_>> {
    verdict.violations.iter().filter_map(move |violation| {
        let action = violation.enforcement.iter().copied().find(|action| executable(*action))?;
        Some(Intent { verdict, violation, action })
    })
}

/// Whether an action is one of the enforcer's. The client of a check fails a build, and the admission webhook denies a
/// request; the rest is only written on alerts.
const fn executable(action: EnforcementAction) -> bool {
    use EnforcementAction::{KillPod, ScaleToZero, UnsatisfiableNodeConstraint};
    matches!(action, ScaleToZero | UnsatisfiableNodeConstraint | KillPod)
}

impl Intent<'_> {
    /// The key under which this is done at most once.
    pub(crate) fn key(&self) -> ActionKey {
        ActionKey::of(&self.violation.id, self.action)
    }
}
