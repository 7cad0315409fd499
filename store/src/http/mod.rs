//! The read API: JSON over HTTP, camelCase, RFC 3339 times.
//!
//! Nothing here changes what is remembered. Each answer comes from one committed state of the file.

mod answers;
mod error;
mod host;
mod params;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use lictor_serve::Ready;
use tokio::sync::Semaphore;

use self::error::ApiError;
use crate::{Health, Ledger, LedgerError};

/// How many live readers there are at most: each holds a connection, and up to a few hundred changes in memory.
const STREAMS: usize = 64;

/// How many answers are read from the file at the same time. Reading is blocking work on the runtime's spare
/// threads; more of it at once only makes each slower.
const READS: usize = 16;

/// What every answer needs.
#[derive(Clone)]
struct Api {
    ledger: Ledger,
    health: Arc<Health>,
    reads: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

/// The routes of the read API, and `/healthz` and `/readyz`.
pub fn router(ledger: Ledger, health: Arc<Health>, ready: Ready) -> Router {
    let api = Api {
        ledger,
        health,
        reads: Arc::new(Semaphore::new(READS)),
        streams: Arc::new(Semaphore::new(STREAMS)),
    };
    Router::new()
        .route("/v1/alerts", get(answers::alerts))
        .route("/v1/alerts/{id}", get(answers::alert))
        .route("/v1/receipts", get(answers::receipts))
        .route("/v1/deadletters", get(answers::dead_letters))
        .route("/v1/coverage", get(answers::coverage))
        .route("/v1/summary", get(answers::summary))
        .route("/v1/health", get(answers::health))
        .route("/v1/stream", get(stream::stream))
        .fallback(async || ApiError::not_found("path"))
        .method_not_allowed_fallback(async || ApiError::method())
        .with_state(api)
        .layer(axum::middleware::from_fn(host::check))
        .merge(lictor_serve::probes(ready))
}

impl Api {
    /// Reads from the file, off the runtime's own threads.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Ledger) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let _turn = self.reads.acquire().await.map_err(|_| ApiError::closing())?;
        let ledger = self.ledger.clone();
        let answer = tokio::task::spawn_blocking(move || read(&ledger)).await;
        answer.map_err(|_| ApiError::closing())?.map_err(|error| ApiError::storage(&error))
    }
}
