//! Reading StackRox's policy JSON, leniently, and saying so.
//!
//! StackRox's gateway drops what it does not know: unknown fields, unknown enum names. So does this reader, with
//! the same effect, but every time it names the place. Both `lowerCamelCase` and `snake_case` names are taken, enums
//! by name or number. A value of the wrong JSON type is an error, as it is there.

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
    /// What was passed over.
    pub warnings: Vec<PolicyWarning>,
}

/// Something that was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWarning {
    /// Where, as `policies[2].scope[0].clusterr`.
    pub path: String,
    /// What was passed over.
    pub passed_over: PassedOver,
    /// The names that would have been understood there.
    pub known: Vec<&'static str>,
}

/// What can be passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassedOver {
    /// A field nobody knows, with whatever it holds.
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
    /// Where it is; empty when the text is no JSON.
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
        Value::Array(items) => reader.policies("", items)?,
        Value::Object(mut map) if map.contains_key("policies") => {
            let list = match map.remove("policies") {
                Some(Value::Array(items)) => items,
                Some(Value::Null) | None => Vec::new(),
                Some(other) => return Err(wrong_type("policies", "a list of policies", &other)),
            };
            // `metadata` is in the body of an import request.
            for name in map.keys().filter(|name| *name != "metadata") {
                reader.unknown(name.clone(), vec!["policies"])?;
            }
            reader.policies("policies", list)?
        }
        Value::Object(map) => vec![reader.policy(String::new(), map)?],
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
    let policies = vec![reader.policy(path.to_owned(), map)?];
    Ok(ReadPolicies { policies, warnings: reader.warnings })
}

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
        for name in fields.map.keys() {
            self.unknown(join(&fields.path, name), fields.known.clone())?;
        }
        Ok(())
    }

    fn policies(&mut self, path: &str, items: Vec<Value>) -> Result<Vec<Policy>, PolicyReadError> {
        let read = |(i, item)| {
            let path = format!("{path}[{i}]");
            match item {
                Value::Object(map) => self.policy(path, map),
                other => Err(wrong_type(&path, "a policy", &other)),
            }
        };
        items.into_iter().enumerate().map(read).collect()
    }

    fn policy(&mut self, path: String, map: Map<String, Value>) -> Result<Policy, PolicyReadError> {
        let mut fields = Fields::of(path, map);
        let policy = Policy {
            id: PolicyId::new(fields.text("id")?),
            name: fields.text("name")?,
            description: fields.text("description")?,
            rationale: fields.text("rationale")?,
            remediation: fields.text("remediation")?,
            disabled: fields.flag("disabled")?,
            categories: fields.texts("categories")?,
            lifecycle_stages: self.enums(&mut fields, "lifecycleStages")?,
            event_source: self.one_enum(&mut fields, "eventSource")?,
            exclusions: self.objects(&mut fields, "exclusions", Self::exclusion)?,
            scope: self.objects(&mut fields, "scope", Self::scope)?,
            severity: self.one_enum(&mut fields, "severity")?,
            enforcement_actions: self.enums(&mut fields, "enforcementActions")?,
            notifiers: fields.texts("notifiers")?,
            last_updated: fields.time("lastUpdated")?,
            policy_version: fields.text("policyVersion")?,
            policy_sections: self.objects(&mut fields, "policySections", Self::section)?,
            mitre_attack_vectors: self.objects(&mut fields, "mitreAttackVectors", Self::mitre)?,
            criteria_locked: fields.flag("criteriaLocked")?,
            mitre_vectors_locked: fields.flag("mitreVectorsLocked")?,
            is_default: fields.flag("isDefault")?,
            source: self.one_enum(&mut fields, "source")?,
            evaluation_filter: self.object(&mut fields, "evaluationFilter", Self::evaluation_filter)?,
            sort_name: String::new(),
            sort_lifecycle_stage: String::new(),
            sort_enforcement: false,
        };
        // Sort keys are recomputed by whoever sorts.
        for name in [
            "SORTName",
            "SORT_name",
            "SORTLifecycleStage",
            "SORT_lifecycleStage",
            "SORTEnforcement",
            "SORT_enforcement",
        ] {
            fields.map.remove(name);
        }
        self.rest(&fields)?;
        Ok(policy)
    }

    fn section(&mut self, fields: &mut Fields) -> Result<Section, PolicyReadError> {
        Ok(Section {
            section_name: fields.text("sectionName")?,
            policy_groups: self.objects(fields, "policyGroups", Self::group)?,
        })
    }

    fn group(&mut self, fields: &mut Fields) -> Result<Group, PolicyReadError> {
        Ok(Group {
            field_name: fields.text("fieldName")?,
            boolean_operator: self.one_enum(fields, "booleanOperator")?,
            negate: fields.flag("negate")?,
            values: self
                .objects(fields, "values", |_, fields| Ok(PolicyValue { value: fields.text("value")? }))?,
        })
    }

    fn scope(&mut self, fields: &mut Fields) -> Result<Scope, PolicyReadError> {
        Ok(Scope {
            cluster: fields.text("cluster")?,
            namespace: fields.text("namespace")?,
            label: self.object(fields, "label", Self::label)?,
            cluster_label: self.object(fields, "clusterLabel", Self::label)?,
            namespace_label: self.object(fields, "namespaceLabel", Self::label)?,
        })
    }

    fn label(&mut self, fields: &mut Fields) -> Result<ScopeLabel, PolicyReadError> {
        Ok(ScopeLabel { key: fields.text("key")?, value: fields.text("value")? })
    }

    fn exclusion(&mut self, fields: &mut Fields) -> Result<Exclusion, PolicyReadError> {
        Ok(Exclusion {
            name: fields.text("name")?,
            deployment: self.object(fields, "deployment", |reader, fields| {
                Ok(ExcludedDeployment {
                    name: fields.text("name")?,
                    scope: reader.object(fields, "scope", Self::scope)?,
                })
            })?,
            image: self
                .object(fields, "image", |_, fields| Ok(ExcludedImage { name: fields.text("name")? }))?,
            expiration: fields.time("expiration")?,
        })
    }

    fn mitre(&mut self, fields: &mut Fields) -> Result<MitreAttackVector, PolicyReadError> {
        Ok(MitreAttackVector { tactic: fields.text("tactic")?, techniques: fields.texts("techniques")? })
    }

    fn evaluation_filter(&mut self, fields: &mut Fields) -> Result<EvaluationFilter, PolicyReadError> {
        let skip_container_types = self.enums(fields, "skipContainerTypes")?;
        Ok(EvaluationFilter { skip_container_types })
    }

    // --- shapes --------------------------------------------------------------------------------------------------

    fn object<T>(
        &mut self,
        fields: &mut Fields,
        name: &'static str,
        read: impl FnOnce(&mut Self, &mut Fields) -> Result<T, PolicyReadError>,
    ) -> Result<Option<T>, PolicyReadError> {
        match fields.take(name) {
            None => Ok(None),
            Some((path, Value::Object(map))) => {
                let mut inner = Fields::of(path, map);
                let value = read(self, &mut inner)?;
                self.rest(&inner)?;
                Ok(Some(value))
            }
            Some((path, other)) => Err(wrong_type(&path, "an object", &other)),
        }
    }

    fn objects<T>(
        &mut self,
        fields: &mut Fields,
        name: &'static str,
        mut read: impl FnMut(&mut Self, &mut Fields) -> Result<T, PolicyReadError>,
    ) -> Result<Vec<T>, PolicyReadError> {
        let mut values = Vec::new();
        for (path, item) in fields.list(name)? {
            let Value::Object(map) = item else { return Err(wrong_type(&path, "an object", &item)) };
            let mut inner = Fields::of(path, map);
            values.push(read(self, &mut inner)?);
            self.rest(&inner)?;
        }
        Ok(values)
    }

    fn enums<T: Named>(
        &mut self,
        fields: &mut Fields,
        name: &'static str,
    ) -> Result<Vec<T>, PolicyReadError> {
        let mut values = Vec::new();
        for (path, item) in fields.list(name)? {
            values.extend(self.enum_value(path, &item)?);
        }
        Ok(values)
    }

    fn one_enum<T: Named + Default>(
        &mut self,
        fields: &mut Fields,
        name: &'static str,
    ) -> Result<T, PolicyReadError> {
        match fields.take(name) {
            None => Ok(T::default()),
            Some((path, value)) => Ok(self.enum_value(path, &value)?.unwrap_or_default()),
        }
    }

    fn enum_value<T: Named>(&mut self, path: String, value: &Value) -> Result<Option<T>, PolicyReadError> {
        let text = match value {
            Value::String(name) => EnumText::Name(name.clone()),
            Value::Number(number) if number.is_i64() => EnumText::Number(number.as_i64().unwrap_or_default()),
            other => return Err(wrong_type(&path, "a name", other)),
        };
        let known = T::named(&text);
        if known.is_none() {
            let (passed_over, known) = (PassedOver::Value(value.to_string()), T::names());
            self.warnings.push(PolicyWarning { path, passed_over, known });
        }
        Ok(known)
    }
}

/// How an enum value is written in the file.
enum EnumText {
    Name(String),
    Number(i64),
}

/// An enum of the form.
trait Named: Sized {
    /// What can be written.
    fn names() -> Vec<&'static str>;

    /// What is meant.
    fn named(text: &EnumText) -> Option<Self>;
}

macro_rules! named {
    ($($name:ident),*) => {$(
        impl Named for $name {
            fn names() -> Vec<&'static str> {
                Self::ALL.iter().map(|value| value.as_str()).collect()
            }

            fn named(text: &EnumText) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| match text {
                    EnumText::Name(name) => value.as_str() == name,
                    EnumText::Number(number) => value.number() == *number,
                })
            }
        }
    )*};
}

named!(
    LifecycleStage,
    EventSource,
    Severity,
    BooleanOperator,
    EnforcementAction,
    PolicySource,
    FilteredContainerType
);

impl Fields {
    fn of(path: String, map: Map<String, Value>) -> Self {
        Self { path, map, known: Vec::new() }
    }

    /// Takes a field by its `lowerCamelCase` name or its `snake_case` one; `null` is as good as absent.
    fn take(&mut self, name: &'static str) -> Option<(String, Value)> {
        self.known.push(name);
        let value = match self.map.remove(name) {
            Some(value) => value,
            None => self.map.remove(&snake_case(name))?,
        };
        (!value.is_null()).then(|| (join(&self.path, name), value))
    }

    fn text(&mut self, name: &'static str) -> Result<String, PolicyReadError> {
        match self.take(name) {
            None => Ok(String::new()),
            Some((_, Value::String(text))) => Ok(text),
            Some((path, other)) => Err(wrong_type(&path, "text", &other)),
        }
    }

    fn flag(&mut self, name: &'static str) -> Result<bool, PolicyReadError> {
        match self.take(name) {
            None => Ok(false),
            Some((_, Value::Bool(flag))) => Ok(flag),
            Some((path, other)) => Err(wrong_type(&path, "true or false", &other)),
        }
    }

    fn time(&mut self, name: &'static str) -> Result<Option<Timestamp>, PolicyReadError> {
        match self.take(name) {
            None => Ok(None),
            Some((path, Value::String(text))) => match text.parse() {
                Ok(time) => Ok(Some(time)),
                Err(_) => Err(PolicyReadError::BadTime { path, text }),
            },
            Some((path, other)) => Err(wrong_type(&path, "an RFC 3339 time", &other)),
        }
    }

    fn texts(&mut self, name: &'static str) -> Result<Vec<String>, PolicyReadError> {
        let items = self.list(name)?.into_iter().map(|(path, item)| match item {
            Value::String(text) => Ok(text),
            other => Err(wrong_type(&path, "text", &other)),
        });
        items.collect()
    }

    fn list(&mut self, name: &'static str) -> Result<Vec<(String, Value)>, PolicyReadError> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some((path, Value::Array(items))) => {
                Ok(items.into_iter().enumerate().map(|(i, item)| (format!("{path}[{i}]"), item)).collect())
            }
            Some((path, other)) => Err(wrong_type(&path, "a list", &other)),
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
