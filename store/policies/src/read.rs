//! Reading a policy file, with everything that is wrong with it at once.

use std::collections::HashSet;

use lictor_engine::{Problem, nearest};
use lictor_normalize::yaml::Position;
use lictor_wire::policy::read::{
    PassedOver, PolicyReadError, PolicyWarning, ReadPolicies, read_policy, read_value,
};
use lictor_wire::{Fingerprint, Policy};
use serde_json::Value;

use crate::custom_resource::{self, SPEC};
use crate::document::{self, Document};
use crate::finding::{Finding, Level};

/// What files hold.
#[derive(Debug, Default)]
pub struct Read {
    /// The policies that compile, in order.
    pub policies: Vec<FilePolicy>,
    /// Everything that is wrong, in order.
    pub findings: Vec<Finding>,
    /// How many policies the files hold, those with errors too.
    pub seen: usize,
}

/// A policy of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct FilePolicy {
    /// The policy. One that has no id was given one made of its name, the same at every reading.
    pub policy: Policy,
    /// The file.
    pub file: String,
    /// Where it begins.
    pub position: Option<Position>,
}

/// Reads a text; `name` is what findings call it.
pub fn read(name: &str, text: &str) -> Read {
    let mut read = Read::default();
    let documents = match document::read(text) {
        Ok(documents) => documents,
        Err(error) => {
            let hint = "a file holds an export {\"policies\": […]}, a list of policies, one policy, or \
                        SecurityPolicy resources";
            let finding =
                Finding { hint: hint.to_owned(), ..of_file(name, Level::Error, error.code, error.message) };
            read.findings.push(Finding { position: error.position, ..finding });
            return read;
        }
    };
    for mut document in documents {
        let value = std::mem::take(&mut document.value);
        if !value.is_null() {
            Reading { name, document: &document, read: &mut read }.document(value);
        }
    }
    refuse_repeated_ids(name, &mut read);
    if read.seen == 0 && read.findings.is_empty() {
        let message = "there is no policy in it".to_owned();
        read.findings.push(of_file(name, Level::Warning, "empty", message));
    }
    read
}

/// Of two policies that have one id only the last would be in force, and nobody would hear of the other.
fn refuse_repeated_ids(name: &str, read: &mut Read) {
    let mut ids = HashSet::new();
    let (kept, repeated): (Vec<_>, Vec<_>) =
        std::mem::take(&mut read.policies).into_iter().partition(|new| ids.insert(new.policy.id.clone()));
    read.policies = kept;
    for FilePolicy { policy, position, .. } in repeated {
        let message = format!("another policy of this file has the id `{}`, too", policy.id);
        read.findings.push(Finding {
            position,
            path: "id".to_owned(),
            policy: policy.name,
            hint: "give it an id of its own, or leave the id out".to_owned(),
            ..of_file(name, Level::Error, "duplicate-id", message)
        });
    }
}

/// A finding about the whole of a file.
fn of_file(name: &str, level: Level, code: &'static str, message: String) -> Finding {
    Finding {
        level,
        code,
        file: name.to_owned(),
        position: None,
        path: String::new(),
        policy: String::new(),
        message,
        hint: String::new(),
    }
}

/// Reads several texts, each with the name that findings call it. A policy that an earlier text holds (by id) is not
/// taken again.
pub fn read_all<N: AsRef<str>, T: AsRef<str>>(texts: impl IntoIterator<Item = (N, T)>) -> Read {
    let (mut all, mut known) = (Read::default(), HashSet::new());
    for (name, text) in texts {
        let one = read(name.as_ref(), text.as_ref());
        let before = all.policies.len();
        all.policies.extend(one.policies.into_iter().filter(|new| !known.contains(&new.policy.id)));
        known.extend(all.policies.iter().skip(before).map(|new| new.policy.id.clone()));
        all.findings.extend(one.findings);
        all.seen += one.seen;
    }
    all
}

/// One document on its way.
struct Reading<'a> {
    name: &'a str,
    document: &'a Document,
    read: &'a mut Read,
}

impl Reading<'_> {
    fn document(&mut self, value: Value) {
        // Where each policy is in the document.
        let is_list = value.is_array();
        let is_export = value.get("policies").is_some();
        let resource = custom_resource::is_one(&value);
        let outcome = match value {
            Value::Object(map) if resource => match custom_resource::policy_of(map) {
                Ok(policy) => read_policy(SPEC, policy),
                Err(error) => Err(error),
            },
            value => read_value(value),
        };
        let ReadPolicies { policies, warnings } = match outcome {
            Ok(read) => read,
            Err(error) => {
                self.read.seen += 1;
                return self.refused(&error);
            }
        };
        for warning in &warnings {
            self.warned(warning);
        }
        for (i, mut policy) in policies.into_iter().enumerate() {
            let base = match (resource, is_export, is_list) {
                (true, ..) => SPEC.to_owned(),
                (_, true, _) => format!("policies[{i}]"),
                (.., true) => format!("[{i}]"),
                _ => String::new(),
            };
            if resource {
                custom_resource::finish(&mut policy);
            }
            if policy.id.is_empty() {
                policy.id = Fingerprint::new("policy").part(&policy.name).into();
            }
            self.read.seen += 1;
            match lictor_engine::validate(&policy) {
                Ok(()) => self.read.policies.push(FilePolicy {
                    policy,
                    file: self.name.to_owned(),
                    position: self.document.place(&base),
                }),
                Err(problems) => {
                    problems.iter().for_each(|problem| self.wrong(&base, &policy.name, problem));
                }
            }
        }
    }

    fn finding(&mut self, level: Level, code: &'static str, path: String, message: String, hint: String) {
        let position = self.document.place(&path);
        self.read.findings.push(Finding { position, path, hint, ..of_file(self.name, level, code, message) });
    }

    fn refused(&mut self, error: &PolicyReadError) {
        let code = match error {
            PolicyReadError::NotJson(_) => "syntax",
            PolicyReadError::WrongType { .. } => "type",
            PolicyReadError::OldForm { .. } => "old-form",
            PolicyReadError::BadTime { .. } => "time",
        };
        let path = error.path().to_owned();
        let text = error.to_string();
        let message = text.strip_prefix(&format!("{path}: ")).unwrap_or(&text).to_owned();
        self.finding(Level::Error, code, path, message, String::new());
    }

    fn warned(&mut self, warning: &PolicyWarning) {
        let (code, word, message) = match &warning.passed_over {
            PassedOver::Field => {
                let name = warning.path.rsplit('.').next().unwrap_or(&warning.path).to_owned();
                ("unknown-field", name.clone(), format!("unknown field `{name}`, ignored"))
            }
            PassedOver::Value(value) => {
                let message = format!("unknown value {value}, ignored as StackRox does");
                ("unknown-value", value.trim_matches('"').to_owned(), message)
            }
        };
        let hint = match nearest(&word, warning.known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("one of {}", warning.known.join(", ")),
        };
        self.finding(Level::Warning, code, warning.path.clone(), message, hint);
    }

    fn wrong(&mut self, base: &str, policy: &str, problem: &Problem) {
        let path = match (base.is_empty(), problem.path.is_empty()) {
            (true, _) => problem.path.clone(),
            (_, true) => base.to_owned(),
            _ => format!("{base}.{}", problem.path),
        };
        let (message, hint) = (problem.message.clone(), problem.hint.clone());
        self.finding(Level::Error, problem.code.as_str(), path, message, hint);
        if let Some(finding) = self.read.findings.last_mut() {
            policy.clone_into(&mut finding.policy);
        }
    }
}
