//! `lictor policy test`: cases in YAML, each a policy, what is known, what is judged, and what should come of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use lictor_detection::{Fact, Target};
use lictor_engine::{Findings, PolicySet, Problem};
use lictor_normalize::yaml::{self, Position};
use lictor_wire::policy::read::read_policy;
use lictor_wire::policy::{LifecycleStage, POLICY_VERSION, Policy, Severity};
use lictor_wire::{Fingerprint, SectionMatch};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::load;
use crate::cli::{Output, PolicyTest};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::offline::{Document, OfflineCluster, compile};
use crate::text;

/// The cluster of every case.
const CLUSTER: &str = "c1";

/// The present of a file that names none.
const NOW: &str = "2026-06-01T00:00:00Z";

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    /// Policies that the cases name.
    #[serde(default)]
    policies: BTreeMap<String, Value>,
    cases: Vec<Case>,
    #[serde(default)]
    now: Option<Timestamp>,
}

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// What it covers, for `--covered`.
    #[serde(default)]
    covers: Vec<String>,
    /// A policy of the file or of `--policies` by name or id, or one in place; absent: all of `--policies`.
    #[serde(default)]
    policy: Option<Value>,
    #[serde(default)]
    given: Vec<Value>,
    #[serde(default)]
    when: Option<Value>,
    expect: Expected,
    /// What is expected under `--parity`, where that is something else.
    #[serde(default)]
    parity: Option<Expected>,
    /// Texts that the evidence holds.
    #[serde(default)]
    why: Vec<String>,
    #[serde(default)]
    now: Option<Timestamp>,
}

/// What should come of a case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Violated,
    Clean,
    Undecided,
    Failed,
    /// The codes of everything that is wrong with the policy.
    Refused(BTreeSet<String>),
    /// The names of all policies that are violated.
    Violations(BTreeSet<String>),
}

/// As it is written in a file.
impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |texts: &BTreeSet<String>| texts.iter().cloned().collect::<Vec<_>>().join(", ");
        match self {
            Self::Violated => f.write_str("violated"),
            Self::Clean => f.write_str("clean"),
            Self::Undecided => f.write_str("undecided"),
            Self::Failed => f.write_str("failed"),
            Self::Refused(codes) => write!(f, "refused: [{}]", joined(codes)),
            Self::Violations(names) => write!(f, "violations: [{}]", joined(names)),
        }
    }
}

/// How a case went.
#[derive(Debug, Serialize)]
struct Ran<'a> {
    file: &'a Path,
    case: &'a str,
    passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    covers: &'a [String],
}

pub(super) fn run(options: &PolicyTest) -> Result<Exit, Failure> {
    let named = load(&options.policies)?;
    let named: Vec<Policy> = named.policies.into_iter().map(|file| file.policy).collect();
    let mut failed = 0_usize;
    let mut total = 0_usize;
    let mut covered: BTreeMap<String, usize> = BTreeMap::new();
    let files: Vec<Vec<PathBuf>> =
        options.files.iter().map(|path| files::below(path)).collect::<Result<_, _>>()?;
    for path in files.concat() {
        let file = read(&path)?;
        for case in &file.cases {
            let problem = run_case(case, &file, &named, options.parity).err();
            total += 1;
            failed += usize::from(problem.is_some());
            case.covers.iter().for_each(|note| *covered.entry(note.clone()).or_default() += 1);
            let passed = problem.is_none();
            match options.output {
                Output::Json => {
                    let ran = Ran { file: &path, case: &case.name, passed, problem, covers: &case.covers };
                    text::line(&serde_json::to_string(&ran).map_err(Failure::unreachable)?);
                }
                Output::Table => {
                    if let Some(problem) = problem {
                        text::line(&format!("FAILED {}: {}\n  {problem}", path.display(), case.name));
                    }
                }
            }
        }
    }
    if options.output == Output::Table {
        if options.covered {
            for (note, cases) in &covered {
                text::line(&format!("{cases:>4}  {}", text::plain(note)));
            }
        }
        let mode = if options.parity { "as StackRox judges" } else { "as lictor judges" };
        let cases = text::count(total, "case", "cases");
        let covered = text::count(covered.len(), "note", "notes");
        text::line(&format!("{cases}, {failed} failed, {covered} covered ({mode})"));
    }
    Ok(if failed == 0 { Exit::Fine } else { Exit::Violated })
}

fn read(path: &Path) -> Result<CaseFile, Failure> {
    let content = files::text(path)?;
    let at = |position: Option<Position>, error: &dyn std::fmt::Display| {
        let line = position.map(|at| format!(":{}:{}", at.line, at.column)).unwrap_or_default();
        let failure = Failure::invalid_input(format!("{}{line}: {error}", path.display()));
        failure.hint("a file holds `cases:`, each with `name`, `policy`, `given`, `when` and `expect`")
    };
    let documents = yaml::read(&content).map_err(|error| at(error.position, &error))?;
    match documents.as_slice() {
        [document] => CaseFile::deserialize(document.root()).map_err(|error| at(error.position, &error)),
        others => Err(at(None, &format!("expected one document, found {}", others.len()))),
    }
}

fn run_case(case: &Case, file: &CaseFile, named: &[Policy], parity: bool) -> Result<(), String> {
    let expected = if parity { case.parity.as_ref().unwrap_or(&case.expect) } else { &case.expect };
    let policies = match &case.policy {
        None => named.to_vec(),
        Some(Value::String(name)) => match file.policies.get(name) {
            Some(policy) => vec![policy_of(name, policy)?],
            None => {
                let known = |policy: &&Policy| policy.name == *name || policy.id.as_str() == name;
                let policy = named.iter().find(known);
                vec![policy.cloned().ok_or_else(|| format!("there is no policy `{name}`"))?]
            }
        },
        Some(policy) => vec![policy_of(&case.name, policy)?],
    };
    let problems: Vec<Problem> =
        policies.iter().filter_map(|policy| lictor_engine::validate(policy).err()).flatten().collect();
    let codes: BTreeSet<String> = problems.iter().map(|problem| problem.code.to_string()).collect();
    if let Expected::Refused(wanted) = expected {
        return if *wanted == codes {
            Ok(())
        } else {
            let got = Expected::Refused(codes);
            Err(format!("expected {expected}, but it is {got}: {}", list(&problems)))
        };
    }
    if !problems.is_empty() {
        return Err(format!("the policy does not compile: {}", list(&problems)));
    }
    let now = match case.now.or(file.now) {
        Some(now) => now,
        None => NOW.parse().map_err(|error: jiff::Error| error.to_string())?,
    };
    let set = compile(policies.into_iter().map(|policy| Policy { disabled: false, ..policy }), parity);
    let all = judge(case, &set, now)?;
    compare(case, expected, &all)
}

/// Judges what the case names; one answer for each input.
fn judge(case: &Case, set: &PolicySet, now: Timestamp) -> Result<Vec<Findings>, String> {
    let mut known = OfflineCluster::new(CLUSTER);
    let cluster = known.cluster().clone();
    let document = |value: &Value| Document::read(value, &cluster, now).map_err(|error| error.to_string());
    let given: Vec<Document> = case.given.iter().map(document).collect::<Result<_, _>>()?;
    let Some(when) = &case.when else { return Err("the case has no `when`".to_owned()) };
    let when = document(when)?;
    Document::know(&given, &mut known).map_err(|error| error.to_string())?;
    let mut all = Vec::new();
    if let Document::Image(facts) = &when {
        let target = Target::Image(facts);
        known.state().join(&cluster, target, &mut |input, _| all.push(set.evaluate(input, now)));
    }
    let events = when.events(&given, &cluster, now).map_err(|error| error.to_string())?;
    for event in &events {
        if let Document::Event(_, Some(deviates)) = when {
            let mut baseline = None;
            known.inputs(event, &mut |input, _| {
                baseline = input.deployment.and_then(|model| Document::baseline(event, deviates, model));
            });
            let baseline = baseline.ok_or("`deviates` needs the workload among what is given")?;
            known.know(Fact::baseline(baseline));
        }
        known.inputs(event, &mut |input, _| all.push(set.evaluate(input, now)));
    }
    if all.is_empty() {
        return Err("nothing in `when` can be judged".to_owned());
    }
    Ok(all)
}

fn compare(case: &Case, expected: &Expected, all: &[Findings]) -> Result<(), String> {
    let violations = || all.iter().flat_map(|findings| &findings.violations);
    let outcome = if violations().next().is_some() {
        Expected::Violated
    } else if all.iter().any(|findings| !findings.failures.is_empty()) {
        Expected::Failed
    } else if all.iter().any(|findings| !findings.undecided.is_empty()) {
        Expected::Undecided
    } else {
        Expected::Clean
    };
    let met = match expected {
        Expected::Violations(names) => {
            *names == violations().map(|violation| violation.policy.name.clone()).collect()
        }
        other => *other == outcome,
    };
    if !met {
        return Err(format!("expected {expected}, but it is {outcome}: {}", described(all)));
    }
    let evidence: Vec<String> = violations().flat_map(|violation| lines(&violation.sections)).collect();
    for wanted in &case.why {
        if outcome == Expected::Violated && !evidence.iter().any(|line| line.contains(wanted)) {
            return Err(format!("nothing in the evidence says `{wanted}`: {}", evidence.join("; ")));
        }
    }
    Ok(())
}

fn described(all: &[Findings]) -> String {
    let mut lines_of = Vec::new();
    for findings in all {
        for violation in &findings.violations {
            lines_of.push(format!("{}: {}", violation.policy.name, lines(&violation.sections).join("; ")));
        }
        for undecided in &findings.undecided {
            lines_of.push(format!("not known: {}", undecided.missing.join(", ")));
        }
        for failure in &findings.failures {
            lines_of.push(format!("failed: {}", failure.message));
        }
    }
    lines_of.join(" | ")
}

/// What a violation says: its evidence and its sentences.
fn lines(sections: &[SectionMatch]) -> Vec<String> {
    let evidence = sections.iter().flat_map(|section| &section.evidence).map(|e| {
        let at = if e.at.is_empty() { String::new() } else { format!(" ({})", e.at) };
        format!("{}: wanted {}, found {}{at}", e.criterion, e.wanted, e.found)
    });
    evidence.chain(sections.iter().flat_map(|section| section.messages.clone())).collect()
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{}: {problem}", problem.code)).collect::<Vec<_>>().join("; ")
}

/// A policy of a case file: StackRox's form, with what every policy needs filled in where it is left out.
fn policy_of(name: &str, value: &Value) -> Result<Policy, String> {
    let Value::Object(map) = value else { return Err("a policy is an object".to_owned()) };
    let has = |field: &str| map.contains_key(field);
    let read = read_policy("", Map::clone(map)).map_err(|error| error.to_string())?;
    let mut policy = read.policies.into_iter().next().unwrap_or_default();
    if let Some(warning) = read.warnings.first() {
        return Err(warning.to_string());
    }
    if !has("id") {
        policy.id = Fingerprint::new("case").part(name).into();
    }
    if !has("name") {
        policy.name =
            format!("case policy {}", name.chars().filter(|c| *c != '$').take(100).collect::<String>());
    }
    if !has("categories") {
        policy.categories = vec!["Security Best Practices".to_owned()];
    }
    if !has("severity") {
        policy.severity = Severity::Low;
    }
    if !has("policyVersion") {
        POLICY_VERSION.clone_into(&mut policy.policy_version);
    }
    if !has("lifecycleStages") {
        policy.lifecycle_stages = vec![LifecycleStage::Deploy];
    }
    Ok(policy)
}
