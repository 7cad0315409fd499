//! What is wrong with a policy, for whoever wrote it.

/// One thing that is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}{}", if hint.is_empty() { String::new() } else { format!(" ({hint})") })]
pub struct Problem {
    /// Which rule is broken.
    pub code: ProblemCode,
    /// Where, as `policySections[0].policyGroups[1].values[0]`; a field name alone for the policy's own fields.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it; empty when the message says it.
    pub hint: String,
}

lictor_wire::named_enum! {
    /// The rules a policy can break.
    #[derive(Hash, PartialOrd, Ord)]
    pub enum ProblemCode {
        /// The name has the wrong length or a forbidden character.
        Name = "name",
        /// The description is too long or has a forbidden character.
        Description = "description",
        /// No severity is set.
        Severity = "severity",
        /// There is no category, or one appears twice.
        Categories = "categories",
        /// There is no lifecycle stage, or one that does not go with the others.
        Stages = "stages",
        /// The event source does not go with the stages.
        EventSource = "event-source",
        /// The version is not supported.
        Version = "version",
        /// A scope entry is empty or contradicts itself.
        Scope = "scope",
        /// An exclusion is empty or has a part that the policy's stages do not use.
        Exclusion = "exclusion",
        /// There is no section, or an empty one.
        Section = "section",
        /// A group has no value, or a field appears twice in its section.
        Group = "group",
        /// No criterion has this name.
        UnknownCriterion = "unknown-criterion",
        /// The criterion does not go with the policy's stage, event source or other criteria.
        MisplacedCriterion = "misplaced-criterion",
        /// The criterion needs another one in its section.
        MissingCriterion = "missing-criterion",
        /// The criterion cannot be negated.
        Negation = "negation",
        /// The criterion takes one value only, or not this operator.
        Operator = "operator",
        /// The value is not of the criterion's form.
        Value = "value",
        /// The same capability is under both `Add Capabilities` and `Drop Capabilities`.
        Capabilities = "capabilities",
        /// An action that this policy can never lead to.
        Enforcement = "enforcement",
        /// An evaluation filter where no container is looked at.
        EvaluationFilter = "evaluation-filter",
    }
}

/// Collects problems: everything that is wrong with a policy is reported at once.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    /// Notes one.
    pub(crate) fn add(
        &mut self,
        code: ProblemCode,
        path: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let problem = Problem { code, path: path.into(), message: message.into(), hint: hint.into() };
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Everything noted; `Ok` when nothing was.
    pub(crate) fn into_result(self) -> Result<(), Vec<Problem>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

/// The known word that somebody may have meant, in whatever case; for hints.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    let likeness = |known: &str| strsim::jaro_winkler(&word, &known.to_lowercase());
    let likely = known.into_iter().map(|known| (likeness(known), known));
    let (likeness, nearest) = likely.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (likeness > ALIKE).then_some(nearest)
}

/// From this likeness on, between 0 and 1, a word may have been meant for another.
const ALIKE: f64 = 0.8;
