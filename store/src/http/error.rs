//! What the API says when it cannot answer.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::LedgerError;

/// An API error: a code for programs, a message for people, and what to do about it.
#[derive(Debug, Serialize)]
pub(super) struct ApiError {
    #[serde(skip)]
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: String,
}

impl ApiError {
    fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { status, code, message: message.into(), hint: hint.into() }
    }

    pub(super) fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalidArgument", message, hint)
    }

    pub(super) fn not_found(what: &str) -> Self {
        let hint = match what {
            "path" => {
                "see /v1/alerts, /v1/receipts, /v1/deadletters, /v1/coverage, /v1/summary, /v1/health, /v1/stream"
            }
            _ => "list /v1/alerts to see what there is",
        };
        Self::new(StatusCode::NOT_FOUND, "notFound", format!("no such {what}"), hint)
    }

    pub(super) fn method() -> Self {
        let hint = "this API only reads: use GET";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "methodNotAllowed", "this method is not served here", hint)
    }

    pub(super) fn host(host: &str) -> Self {
        let hint = "use the address that the store listens on, or localhost";
        let message = format!("this API does not answer to the host `{host}`");
        Self::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", message, hint)
    }

    pub(super) fn closing() -> Self {
        let message = "the store is stopping";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "closing", message, "ask again in a moment")
    }

    pub(super) fn too_many_streams() -> Self {
        let message = "too many live readers";
        let hint = "close one, or subscribe to the verdicts on NATS";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "tooManyStreams", message, hint)
    }

    pub(super) fn storage(error: &LedgerError) -> Self {
        tracing::error!(%error, "reading the ledger failed");
        let hint = "see the store's log";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "storage", error.to_string(), hint)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}
