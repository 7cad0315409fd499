//! `lictor policy criteria`: the reference of the language, from the table that policies are compiled with.

use lictor_engine::{CriterionReference, criteria};

use crate::cli::Output;
use crate::exit::{Exit, Failure};
use crate::text;

pub(super) fn run(name: Option<&str>, output: Output) -> Result<Exit, Failure> {
    let wanted = name.map(str::to_lowercase);
    let matches = |criterion: &CriterionReference| {
        wanted.as_ref().is_none_or(|wanted| criterion.name.to_lowercase().contains(wanted))
    };
    let exact = |criterion: &CriterionReference| {
        wanted.as_ref().is_some_and(|wanted| criterion.name.to_lowercase() == *wanted)
    };
    let mut found: Vec<CriterionReference> = criteria().filter(matches).collect();
    if found.iter().any(exact) {
        found.retain(exact);
    }
    if found.is_empty() {
        let failure = Failure::usage(format!("no criterion has `{}` in its name", name.unwrap_or_default()));
        return Err(failure.hint("`lictor policy criteria` lists all"));
    }
    match output {
        Output::Json => {
            text::line(&serde_json::to_value(&found).map_err(Failure::unreachable)?.to_string());
        }
        Output::Table if name.is_some() => found.iter().for_each(long),
        Output::Table => short(&found),
    }
    Ok(Exit::Fine)
}

fn short(criteria: &[CriterionReference]) {
    let mut group = "";
    for criterion in criteria {
        if criterion.group != group {
            group = criterion.group;
            text::heading(group);
        }
        text::line(&format!("  {:<46} {}", criterion.name, criterion.about));
    }
    text::line("\n`lictor policy criteria NAME` says what values look like and where it can be used.");
}

fn long(criterion: &CriterionReference) {
    text::heading(criterion.name);
    let operators = match criterion.operators {
        [] => "one value".to_owned(),
        operators => format!("several values, joined by {}", operators.join(" or ")),
    };
    let negation = if criterion.negation { "can be negated" } else { "cannot be negated" };
    let rows = [
        ("looks at", criterion.about.to_owned()),
        ("value", criterion.value.clone()),
        ("compared", criterion.comparison.to_owned()),
        ("takes", format!("{operators}; {negation}")),
        ("used at", criterion.stages.join(", ")),
        ("note", criterion.note.clone()),
    ];
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        text::line(&format!("  {name:<10} {value}"));
    }
}
