//! The responses that are not streamed.

use axum::Json;
use axum::extract::{Path, State};
use lictor_wire::{AlertId, mask};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Api;
use super::error::ApiError;
use super::params::{AlertParams, PageParams, Params, ReceiptParams};
use crate::HealthReport;
use crate::alert::{Alert, AlertSummary};
use crate::query::{Page, Totals};
use crate::rows::{StoredCoverage, StoredDeadLetter, StoredReceipt};

type Answer<T> = Result<Json<T>, ApiError>;

/// A page under a name of its own, as `{"alerts": […], "total": …, "next": …}`.
pub(super) struct Listing<T>(&'static str, Page<T>);

impl<T: Serialize> Serialize for Listing<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(name, page) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(name, &page.items)?;
        map.serialize_entry("total", &page.total)?;
        if let Some(next) = &page.next {
            map.serialize_entry("next", next)?;
        }
        map.end()
    }
}

pub(super) async fn alerts(
    State(api): State<Api>,
    Params(params): Params<AlertParams>,
) -> Answer<Listing<AlertSummary>> {
    let (filter, window) = params.filter()?;
    let page = api.read(move |ledger| ledger.alerts(&filter, window.after.as_ref(), window.limit)).await?;
    Ok(Json(Listing("alerts", page)))
}

pub(super) async fn alert(State(api): State<Api>, Path(id): Path<String>) -> Answer<Alert> {
    let found = api.read(move |ledger| ledger.alert(&AlertId::new(id))).await?;
    found.map(Json).ok_or_else(|| ApiError::not_found("alert"))
}

pub(super) async fn receipts(
    State(api): State<Api>,
    Params(params): Params<ReceiptParams>,
) -> Answer<Listing<StoredReceipt>> {
    let (filter, window) = params.filter()?;
    let page = api.read(move |ledger| ledger.receipts(&filter, window.after.as_ref(), window.limit)).await?;
    Ok(Json(Listing("receipts", page)))
}

pub(super) async fn dead_letters(
    State(api): State<Api>,
    Params(params): Params<PageParams>,
) -> Answer<Listing<StoredDeadLetter>> {
    let window = params.window()?;
    let mut page = api.read(move |ledger| ledger.dead_letters(window.after.as_ref(), window.limit)).await?;
    // The stream keeps them as they came; people see them without the secrets.
    for StoredDeadLetter { letter, .. } in &mut page.items {
        mask(&mut letter.original);
        mask(&mut letter.reason);
    }
    Ok(Json(Listing("deadLetters", page)))
}

pub(super) async fn coverage(
    State(api): State<Api>,
    Params(params): Params<PageParams>,
) -> Answer<Listing<StoredCoverage>> {
    let window = params.window()?;
    let page = api.read(move |ledger| ledger.coverage(window.after.as_ref(), window.limit)).await?;
    Ok(Json(Listing("notices", page)))
}

pub(super) async fn summary(State(api): State<Api>) -> Answer<Totals> {
    Ok(Json(api.read(crate::Ledger::totals).await?))
}

pub(super) async fn health(State(api): State<Api>) -> Json<HealthReport> {
    Json(api.health.report())
}
