//! The answers that end.

use axum::Json;
use axum::extract::{Path, State};
use lictor_wire::AlertId;
use serde::Serialize;

use super::Api;
use super::error::ApiError;
use super::params::{AlertParams, PageParams, Params, ReceiptParams};
use crate::HealthReport;
use crate::alert::{Alert, AlertSummary};
use crate::query::{Page, Totals};
use crate::rows::{StoredCoverage, StoredDeadLetter, StoredReceipt};

/// A page under a name of its own, as `{"alerts": […], "total": …, "next": …}`.
macro_rules! listing {
    ($($name:ident { $field:ident: $item:ty })*) => {$(
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        pub(super) struct $name {
            $field: Vec<$item>,
            total: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            next: Option<String>,
        }

        impl From<Page<$item>> for $name {
            fn from(page: Page<$item>) -> Self {
                Self { $field: page.items, total: page.total, next: page.next }
            }
        }
    )*};
}

listing! {
    Alerts { alerts: AlertSummary }
    Receipts { receipts: StoredReceipt }
    DeadLetters { dead_letters: StoredDeadLetter }
    Coverage { notices: StoredCoverage }
}

pub(super) async fn alerts(
    State(api): State<Api>,
    Params(params): Params<AlertParams>,
) -> Result<Json<Alerts>, ApiError> {
    let (filter, window) = params.filter()?;
    let page = api.read(move |ledger| ledger.alerts(&filter, window.after.as_ref(), window.limit)).await?;
    Ok(Json(page.into()))
}

pub(super) async fn alert(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Alert>, ApiError> {
    let found = api.read(move |ledger| ledger.alert(&AlertId::new(id))).await?;
    found.map(Json).ok_or_else(|| ApiError::not_found("alert"))
}

pub(super) async fn receipts(
    State(api): State<Api>,
    Params(params): Params<ReceiptParams>,
) -> Result<Json<Receipts>, ApiError> {
    let (filter, window) = params.filter()?;
    let page = api.read(move |ledger| ledger.receipts(&filter, window.after.as_ref(), window.limit)).await?;
    Ok(Json(page.into()))
}

pub(super) async fn dead_letters(
    State(api): State<Api>,
    Params(params): Params<PageParams>,
) -> Result<Json<DeadLetters>, ApiError> {
    let window = params.window()?;
    let page = api.read(move |ledger| ledger.dead_letters(window.after.as_ref(), window.limit)).await?;
    Ok(Json(page.into()))
}

pub(super) async fn coverage(
    State(api): State<Api>,
    Params(params): Params<PageParams>,
) -> Result<Json<Coverage>, ApiError> {
    let window = params.window()?;
    let page = api.read(move |ledger| ledger.coverage(window.after.as_ref(), window.limit)).await?;
    Ok(Json(page.into()))
}

pub(super) async fn summary(State(api): State<Api>) -> Result<Json<Totals>, ApiError> {
    Ok(Json(api.read(crate::Ledger::totals).await?))
}

pub(super) async fn health(State(api): State<Api>) -> Json<HealthReport> {
    Json(api.health.report())
}
