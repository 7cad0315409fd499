//! Which names the API answers to.
//!
//! It listens on loopback without tokens, so any page that a browser on this machine shows could read it: a name of the
//! page's own that resolves to 127.0.0.1 makes it the same origin (DNS rebinding). Such a request names that host.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;

/// Answers requests whose host is one of this machine's own names, and keeps browsers from guessing the content type of
/// a response.
pub(super) async fn check(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    let mut response = match host.or_else(|| request.uri().host()) {
        Some(host) if !is_loopback(host) => ApiError::host(host).into_response(),
        _ => next.run(request).await,
    };
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether a host, with or without a port, is this machine by its own names.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_pass() {
        for host in ["localhost", "LOCALHOST:8181", "127.0.0.1:8181", "127.0.0.2", "[::1]:8181", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8181",
            "localhost.evil.example",
            "10.0.0.1:8181",
            "127.0.0.1.evil:1",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
