//! Reading StackRox's policy JSON, leniently, and saying so.
//!
//! StackRox's gateway drops what it does not know: unknown fields, unknown enum names. So does this reader, with the
//! same effect, but it reports the path every time. Both `lowerCamelCase` and `snake_case` names are accepted, enums by
//! name or number. A value of the wrong JSON type is an error, as it is there.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    BooleanOperator, EnforcementAction, EvaluationFilter, EventSource, ExcludedDeployment, ExcludedImage,
    Exclusion, FilteredContainerType, Group, LifecycleStage, MitreAttackVector, Policy, PolicySource,
    PolicyValue, Scope, ScopeLabel, Section, Severity,
};
use crate::PolicyId;

/// Policies that were read, and what was not understood.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReadPolicies {
    /// The policies, in the file's order.
    pub policies: Vec<Policy>,
    /// What was ignored.
    pub warnings: Vec<PolicyWarning>,
}

/// Something that was ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWarning {
    /// Where, as `policies[2].scope[0].clusterr`.
    pub path: String,
    /// What was ignored.
    pub passed_over: PassedOver,
    /// The names that would have been understood there.
    pub known: Vec<&'static str>,
}

/// What can be ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassedOver {
    /// An unknown field, with everything in it.
    Field,
    /// A value that its field does not know, as JSON.
    Value(String),
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum PolicyReadError {
    /// The text is not JSON.
    #[error("not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// A value has the wrong type.
    #[error("{path}: expected {expected}, found {found}")]
    WrongType {
        /// Where.
        path: String,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// A field of the form before policies had sections. Dropping it, as StackRox does, leaves another policy.
    #[error("{path}: {message}")]
    OldForm {
        /// Where.
        path: String,
        /// What to do about it.
        message: &'static str,
    },
    /// A time is not RFC 3339.
    #[error("{path}: `{text}` is not an RFC 3339 time, such as 2026-01-31T00:00:00Z")]
    BadTime {
        /// Where.
        path: String,
        /// The text.
        text: String,
    },
}

impl fmt::Display for PolicyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.passed_over {
            PassedOver::Field => write!(f, "{}: unknown field, ignored", self.path),
            PassedOver::Value(value) => {
                write!(f, "{}: unknown value {value}, ignored as StackRox does", self.path)
            }
        }
    }
}

impl PolicyReadError {
    /// Where it is; empty when the text is not JSON.
    pub fn path(&self) -> &str {
        match self {
            Self::NotJson(_) => "",
            Self::WrongType { path, .. } | Self::OldForm { path, .. } | Self::BadTime { path, .. } => path,
        }
    }
}

/// Reads a file: an export (`{"policies": […]}`), a list of policies, or one policy.
///
/// # Errors
/// When the text is not JSON or a value has the wrong type; see [`PolicyReadError`].
pub fn read_policies(text: &str) -> Result<ReadPolicies, PolicyReadError> {
    read_value(serde_json::from_str(text)?)
}

/// Reads a file that was parsed already; see [`read_policies`].
///
/// # Errors
/// When a value has the wrong type; see [`PolicyReadError`].
pub fn read_value(value: Value) -> Result<ReadPolicies, PolicyReadError> {
    let mut reader = Reader { warnings: Vec::new() };
    let policies = match value {
        Value::Array(items) => reader.policies("", Value::Array(items))?,
        Value::Object(mut map) if map.contains_key("policies") => {
            let list = map.remove("policies").filter(|list| !list.is_null());
            if let Some(other) = list.as_ref().filter(|list| !list.is_array()) {
                return Err(wrong_type("policies", "a list of policies", other));
            }
            // `metadata` is in the body of an import request.
            for name in map.keys().filter(|name| *name != "metadata") {
                reader.unknown(name.clone(), vec!["policies"])?;
            }
            reader.policies("policies", list.unwrap_or_else(|| Value::Array(Vec::new())))?
        }
        policy @ Value::Object(_) => Vec::from_iter(Policy::read(&mut reader, String::new(), policy)?),
        other => return Err(wrong_type("the file", "a policy or {\"policies\": […]}", &other)),
    };
    Ok(ReadPolicies { policies, warnings: reader.warnings })
}

/// Reads one policy that is at `path` in a larger document.
///
/// # Errors
/// When a value has the wrong type; see [`PolicyReadError`].
pub fn read_policy(path: &str, map: Map<String, Value>) -> Result<ReadPolicies, PolicyReadError> {
    let mut reader = Reader { warnings: Vec::new() };
    let policies = Vec::from_iter(Policy::read(&mut reader, path.to_owned(), Value::Object(map))?);
    Ok(ReadPolicies { policies, warnings: reader.warnings })
}

/// What a policy is sorted by, which is computed anew by whoever sorts.
const SORT_KEYS: [&str; 6] = [
    "SORTName",
    "SORT_name",
    "SORTLifecycleStage",
    "SORT_lifecycleStage",
    "SORTEnforcement",
    "SORT_enforcement",
];

struct Reader {
    warnings: Vec<PolicyWarning>,
}

/// The fields of one JSON object, each taken once; what nobody took is unknown.
struct Fields {
    path: String,
    map: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Reader {
    fn unknown(&mut self, path: String, known: Vec<&'static str>) -> Result<(), PolicyReadError> {
        let message = match path.rsplit('.').next().unwrap_or(&path) {
            "fields" => "criteria of policy version 1 are not read; export the policy from a newer release",
            "whitelists" => "the old name of `exclusions` is not read; rename it",
            _ => {
                self.warnings.push(PolicyWarning { path, passed_over: PassedOver::Field, known });
                return Ok(());
            }
        };
        Err(PolicyReadError::OldForm { path, message })
    }

    fn rest(&mut self, fields: &Fields) -> Result<(), PolicyReadError> {
        for name in fields.map.keys().filter(|name| !SORT_KEYS.contains(&name.as_str())) {
            self.unknown(join(&fields.path, name), fields.known.clone())?;
        }
        Ok(())
    }

    fn policies(&mut self, path: &str, list: Value) -> Result<Vec<Policy>, PolicyReadError> {
        Ok(Vec::read(self, path.to_owned(), list)?.unwrap_or_default())
    }
}

/// What a JSON value other than null is read as.
trait Readable: Sized {
    /// `None` for an unknown name of an enum, after a warning.
    fn read(reader: &mut Reader, path: String, value: Value) -> Result<Option<Self>, PolicyReadError>;
}

impl Readable for String {
    fn read(_: &mut Reader, path: String, value: Value) -> Result<Option<Self>, PolicyReadError> {
        match value {
            Value::String(text) => Ok(Some(text)),
            other => Err(wrong_type(&path, "text", &other)),
        }
    }
}

impl Readable for PolicyId {
    fn read(reader: &mut Reader, path: String, value: Value) -> Result<Option<Self>, PolicyReadError> {
        Ok(String::read(reader, path, value)?.map(Self::new))
    }
}

impl Readable for bool {
    fn read(_: &mut Reader, path: String, value: Value) -> Result<Option<Self>, PolicyReadError> {
        value.as_bool().map_or_else(|| Err(wrong_type(&path, "true or false", &value)), |flag| Ok(Some(flag)))
    }
}

impl Readable for Timestamp {
    fn read(_: &mut Reader, path: String, value: Value) -> Result<Option<Self>, PolicyReadError> {
        let Value::String(text) = value else { return Err(wrong_type(&path, "an RFC 3339 time", &value)) };
        text.parse().map(Some).map_err(|_| PolicyReadError::BadTime { path, text })
    }
}

impl<T: Readable> Readable for Option<T> {
    fn read(reader: &mut Reader, path: String, value: Value) -> Result<Option<Self>, PolicyReadError> {
        T::read(reader, path, value).map(Some)
    }
}

impl<T: Readable> Readable for Vec<T> {
    fn read(reader: &mut Reader, path: String, value: Value) -> Result<Option<Self>, PolicyReadError> {
        let Value::Array(items) = value else { return Err(wrong_type(&path, "a list", &value)) };
        let items = items.into_iter().enumerate();
        let read = items.map(|(i, item)| T::read(reader, format!("{path}[{i}]"), item));
        Ok(Some(read.filter_map(Result::transpose).collect::<Result<_, _>>()?))
    }
}

/// Enums, by name or number.
macro_rules! enums {
    ($($name:ident),*) => {$(
        impl Readable for $name {
            fn read(reader: &mut Reader, path: String, value: Value) -> Result<Option<Self>, PolicyReadError> {
                let mut all = Self::ALL.iter().copied();
                let found = match &value {
                    Value::String(name) => all.find(|known| known.as_str() == name),
                    Value::Number(number) if number.is_i64() => {
                        all.find(|known| number.as_i64() == Some(known.number()))
                    }
                    other => return Err(wrong_type(&path, "a name", other)),
                };
                if found.is_none() {
                    let passed_over = PassedOver::Value(value.to_string());
                    let known = Self::ALL.iter().map(|known| known.as_str()).collect();
                    reader.warnings.push(PolicyWarning { path, passed_over, known });
                }
                Ok(found)
            }
        }
    )*};
}

enums!(
    LifecycleStage,
    EventSource,
    Severity,
    BooleanOperator,
    EnforcementAction,
    PolicySource,
    FilteredContainerType
);

/// Objects: what they are called, and the JSON name of each field.
macro_rules! objects {
    ($($name:ident, $called:literal { $($field:ident: $json:literal),* $(, ..$rest:expr)? })*) => {$(
        impl Readable for $name {
            fn read(reader: &mut Reader, path: String, value: Value) -> Result<Option<Self>, PolicyReadError> {
                let Value::Object(map) = value else { return Err(wrong_type(&path, $called, &value)) };
                let mut fields = Fields { path, map, known: Vec::new() };
                let object = Self { $($field: fields.take(reader, $json)?,)* $(..$rest)? };
                reader.rest(&fields)?;
                Ok(Some(object))
            }
        }
    )*};
}

objects! {
    Policy, "a policy" {
        id: "id", name: "name", description: "description", rationale: "rationale", remediation: "remediation",
        disabled: "disabled", categories: "categories", lifecycle_stages: "lifecycleStages",
        event_source: "eventSource", exclusions: "exclusions", scope: "scope", severity: "severity",
        enforcement_actions: "enforcementActions", notifiers: "notifiers", last_updated: "lastUpdated",
        policy_version: "policyVersion", policy_sections: "policySections",
        mitre_attack_vectors: "mitreAttackVectors", criteria_locked: "criteriaLocked",
        mitre_vectors_locked: "mitreVectorsLocked", is_default: "isDefault", source: "source",
        evaluation_filter: "evaluationFilter", ..Self::default()
    }
    Section, "an object" { section_name: "sectionName", policy_groups: "policyGroups" }
    Group, "an object" {
        field_name: "fieldName", boolean_operator: "booleanOperator", negate: "negate", values: "values"
    }
    PolicyValue, "an object" { value: "value" }
    Scope, "an object" {
        cluster: "cluster", namespace: "namespace", label: "label", cluster_label: "clusterLabel",
        namespace_label: "namespaceLabel"
    }
    ScopeLabel, "an object" { key: "key", value: "value" }
    Exclusion, "an object" { name: "name", deployment: "deployment", image: "image", expiration: "expiration" }
    ExcludedDeployment, "an object" { name: "name", scope: "scope" }
    ExcludedImage, "an object" { name: "name" }
    MitreAttackVector, "an object" { tactic: "tactic", techniques: "techniques" }
    EvaluationFilter, "an object" { skip_container_types: "skipContainerTypes" }
}

impl Fields {
    /// Takes a field; where it is absent or null, or an enum's unknown name, it has its default.
    fn take<T: Readable + Default>(
        &mut self,
        reader: &mut Reader,
        name: &'static str,
    ) -> Result<T, PolicyReadError> {
        self.known.push(name);
        let value = self.map.remove(name).or_else(|| self.map.remove(&snake_case(name)));
        match value.filter(|value| !value.is_null()) {
            Some(value) => Ok(T::read(reader, join(&self.path, name), value)?.unwrap_or_default()),
            None => Ok(T::default()),
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn wrong_type(path: &str, expected: &'static str, found: &Value) -> PolicyReadError {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    PolicyReadError::WrongType { path: path.to_owned(), expected, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_it_passes_over() {
        let text = r#"{"policies": [{
            "name": "Shell in container", "lifecycle_stages": ["RUNTIME", "RUNTIM"], "severity": 3,
            "policySections": [{"policyGroups": [{"fieldName": "Process Name", "values": [{"value": "sh"}], "negat": true}]}]
        }]}"#;
        let read = read_policies(text).unwrap();
        let policy = &read.policies[0];
        assert_eq!(policy.lifecycle_stages, [LifecycleStage::Runtime]);
        assert_eq!(policy.severity, Severity::High);
        let warnings: Vec<String> = read.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "policies[0].lifecycleStages[1]: unknown value \"RUNTIM\", ignored as StackRox does",
                "policies[0].policySections[0].policyGroups[0].negat: unknown field, ignored",
            ]
        );
        assert_eq!(read.warnings[0].known, ["DEPLOY", "BUILD", "RUNTIME"]);
        assert_eq!(read.warnings[1].known, ["fieldName", "booleanOperator", "negate", "values"]);
    }

    #[test]
    fn wrong_types_name_their_place() {
        let wrong = [
            (r#"{"policies": {}}"#, "policies: expected a list of policies, found an object"),
            (r#"[{"scope": [{"namespace": 3}]}]"#, "[0].scope[0].namespace: expected text, found a number"),
            (r#"{"disabled": "yes"}"#, "disabled: expected true or false, found text"),
            (
                r#"{"lastUpdated": "yesterday"}"#,
                "lastUpdated: `yesterday` is not an RFC 3339 time, such as 2026-01-31T00:00:00Z",
            ),
            (
                r#"{"policies": [{"whitelists": []}]}"#,
                "policies[0].whitelists: the old name of `exclusions` is not read; rename it",
            ),
        ];
        for (text, message) in wrong {
            assert_eq!(read_policies(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn an_export_reads_back_without_a_warning() {
        let policy = Policy {
            name: "Everything".to_owned(),
            scope: vec![Scope { label: Some(ScopeLabel::default()), ..Scope::default() }],
            exclusions: vec![Exclusion {
                deployment: Some(ExcludedDeployment::default()),
                ..Exclusion::default()
            }],
            evaluation_filter: Some(EvaluationFilter::default()),
            ..Policy::default()
        };
        let text = policy.to_export().unwrap().to_string();
        let read = read_policies(&text).unwrap();
        assert_eq!(read.warnings, []);
        assert_eq!(read.policies, [policy]);
    }
}
