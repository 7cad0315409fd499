//! What a client may ask of a server.

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

/// Bounds of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body as it is sent; more is answered with 413.
    pub body: usize,
    /// Time from the request's head to the answer's; more is answered with 408.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        // Enough for any document a person writes; less than any client's own patience.
        Self { body: 2 * 1024 * 1024, time: Duration::from_secs(30) }
    }
}

/// Puts bounds around a router's routes.
pub fn limited(router: Router, limits: Limits) -> Router {
    router
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyLimitLayer::new(limits.body))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, limits.time))
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, Bytes};
    use axum::http::Request;
    use axum::routing::post;
    use tower::ServiceExt;

    use super::*;

    fn router() -> Router {
        let routes = Router::new()
            .route("/take", post(async |body: Bytes| body.len().to_string()))
            .route("/wait", post(async || std::future::pending::<()>().await));
        limited(routes, Limits { body: 10, time: Duration::from_millis(50) })
    }

    async fn status(path: &str, body: Body) -> StatusCode {
        router().oneshot(Request::post(path).body(body).unwrap()).await.unwrap().status()
    }

    #[tokio::test]
    async fn too_much_and_too_long_are_refused() {
        assert_eq!(status("/take", Body::from("0123456789")).await, StatusCode::OK);
        assert_eq!(status("/take", Body::from("0123456789a")).await, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(status("/wait", Body::empty()).await, StatusCode::REQUEST_TIMEOUT);
    }
}
