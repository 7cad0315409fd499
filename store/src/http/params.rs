//! Query strings: what people type, read strictly.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use lictor_wire::policy::{EnforcementAction, LifecycleStage, Severity};
use lictor_wire::{ActionKey, PolicyId, ViolationId};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::AlertState;
use crate::query::{AlertFilter, Cursor, ReceiptFilter, Step};

/// Rows on a page by default.
const LIMIT: usize = 100;
/// Rows on a page at most: an answer stays below a megabyte or two.
const LIMIT_MOST: usize = 1_000;

/// A query string read into `T`, whose mistakes are answered in the API's own words.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => {
                let hint = "check the names and values after the `?`";
                Err(ApiError::invalid(rejection.body_text(), hint))
            }
        }
    }
}

/// Which page.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageParams {
    limit: Option<usize>,
    after: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AlertParams {
    state: Option<String>,
    severity: Option<String>,
    stage: Option<String>,
    policy: Option<String>,
    policy_id: Option<String>,
    namespace: Option<String>,
    cluster: Option<String>,
    entity: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReceiptParams {
    violation: Option<String>,
    action_key: Option<String>,
    action: Option<String>,
    policy_id: Option<String>,
    namespace: Option<String>,
    step: Option<Step>,
    limit: Option<usize>,
    after: Option<String>,
}

/// Where to begin and how much to give.
pub(super) struct Window {
    pub(super) after: Option<Cursor>,
    pub(super) limit: usize,
}

impl PageParams {
    pub(super) fn window(self) -> Result<Window, ApiError> {
        let limit = self.limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MOST).contains(&limit) {
            let message = format!("`limit` {limit} is out of range");
            return Err(ApiError::invalid(message, format!("use 1 to {LIMIT_MOST}")));
        }
        let after = match self.after {
            None => None,
            Some(text) => Some(text.parse().map_err(|error: crate::BadCursor| {
                ApiError::invalid(error.to_string(), "use `next` of the page before, as it is")
            })?),
        };
        Ok(Window { after, limit })
    }
}

impl AlertParams {
    /// The filter of a list. As in StackRox, resolved alerts are listed only when `state` names them.
    pub(super) fn filter(self) -> Result<(AlertFilter, Window), ApiError> {
        let window = PageParams { limit: self.limit, after: self.after }.window()?;
        let states = match self.state.as_deref() {
            None => vec![AlertState::Active, AlertState::Attempted],
            Some("ALL" | "all") => Vec::new(),
            state => several("state", state, &AlertState::ALL, |state| state.as_str(), "")?,
        };
        let severity = self.severity.as_deref();
        let stage = self.stage.as_deref();
        let filter = AlertFilter {
            states,
            severities: several("severity", severity, Severity::ALL, |s| s.as_str(), "_SEVERITY")?,
            stages: several("stage", stage, LifecycleStage::ALL, |s| s.as_str(), "")?,
            policy: self.policy,
            policy_id: self.policy_id.map(PolicyId::new),
            namespace: self.namespace,
            cluster: self.cluster,
            entity: self.entity,
        };
        Ok((filter, window))
    }
}

impl ReceiptParams {
    pub(super) fn filter(self) -> Result<(ReceiptFilter, Window), ApiError> {
        let window = PageParams { limit: self.limit, after: self.after }.window()?;
        let action = self.action.as_deref();
        let actions = several("action", action, EnforcementAction::ALL, |a| a.as_str(), "_ENFORCEMENT")?;
        let filter = ReceiptFilter {
            violation: self.violation.map(ViolationId::new),
            action_key: self.action_key.map(ActionKey::new),
            action: actions.first().copied(),
            policy_id: self.policy_id.map(PolicyId::new),
            namespace: self.namespace,
            step: self.step,
        };
        Ok((filter, window))
    }
}

/// Names separated by commas, in any case, with or without the ending StackRox gives them; none where nobody says.
fn several<T: Copy>(
    name: &str,
    text: Option<&str>,
    all: &[T],
    spelling: impl Fn(T) -> &'static str,
    ending: &str,
) -> Result<Vec<T>, ApiError> {
    let read = |word: &str| {
        let same = |value: &T| {
            let full = spelling(*value);
            full.eq_ignore_ascii_case(word)
                || full.strip_suffix(ending).is_some_and(|short| short.eq_ignore_ascii_case(word))
        };
        all.iter().copied().find(same).ok_or_else(|| {
            let known: Vec<&str> = all.iter().map(|value| spelling(*value)).collect();
            ApiError::invalid(
                format!("`{word}` is not a valid {name}"),
                format!("use one of {}", known.join(", ")),
            )
        })
    };
    text.into_iter().flat_map(|text| text.split(',')).map(str::trim).map(read).collect()
}
