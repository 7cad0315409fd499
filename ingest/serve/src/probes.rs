//! `/healthz` and `/readyz`.
//!
//! Ready means that every part has dropped its handle: a part holds one until its first sync, and nobody counts by
//! hand. Once ready, a server stays ready until it stops, and is not ready then.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::sync::watch;

/// What is still waited for, and how many handles wait for it.
type Waiting = Arc<watch::Sender<BTreeMap<&'static str, usize>>>;

/// Reports whether all handles have been dropped.
#[derive(Debug, Clone)]
pub struct Ready(Waiting);

/// Gives out handles; itself one, so a server is not ready before all handles were given out.
#[derive(Debug)]
pub struct Handles(Handle);

/// Held by a part that is not ready; dropping it marks the part ready.
#[derive(Debug)]
pub struct Handle {
    waiting: Waiting,
    part: &'static str,
}

/// Starts with nothing ready.
pub fn readiness() -> (Ready, Handles) {
    let waiting = Waiting::default();
    let ready = Ready(Arc::clone(&waiting));
    (ready, Handles(Handle::new(waiting, "start")))
}

/// Answers `/healthz` (the process lives) and `/readyz` (it can do its work; else 503, naming the parts that
/// cannot).
pub fn probes(ready: Ready) -> Router {
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(async move || ready.answer()))
}

impl Ready {
    /// Whether every part has dropped its handle.
    pub fn is_ready(&self) -> bool {
        self.waiting_for().is_empty()
    }

    /// The parts that have not.
    pub fn waiting_for(&self) -> Vec<&'static str> {
        self.0.borrow().keys().copied().collect()
    }

    /// Waits until every part has dropped its handle.
    pub async fn wait(&self) {
        // The sender outlives the wait, so this cannot fail.
        let _ = self.0.subscribe().wait_for(BTreeMap::is_empty).await;
    }

    /// Marks the server not ready until the handle is dropped: a server that is to stop is not ready.
    pub fn mark_not_ready(&self, part: &'static str) -> Handle {
        Handle::new(Arc::clone(&self.0), part)
    }

    fn answer(&self) -> (StatusCode, String) {
        let parts = self.waiting_for();
        if parts.is_empty() {
            (StatusCode::OK, "ok\n".to_owned())
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {}\n", parts.join(", ")))
        }
    }
}

impl Handles {
    /// A handle for a part, under a name people read in `/readyz`.
    pub fn handle(&self, part: &'static str) -> Handle {
        Handle::new(Arc::clone(&self.0.waiting), part)
    }
}

impl Handle {
    fn new(waiting: Waiting, part: &'static str) -> Self {
        waiting.send_modify(|waiting| *waiting.entry(part).or_default() += 1);
        Self { waiting, part }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.waiting.send_modify(|waiting| match waiting.get_mut(self.part) {
            Some(held) if *held > 1 => *held -= 1,
            _ => {
                waiting.remove(self.part);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::Request;
    use tokio::time::timeout;
    use tower::ServiceExt;

    use super::*;

    async fn status(router: &Router, path: &str) -> StatusCode {
        let request = Request::get(path).body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn ready_when_every_handle_is_gone() {
        let (ready, handles) = readiness();
        let router = probes(ready.clone());
        let (first, second) = (handles.handle("watch"), handles.handle("watch"));
        assert_eq!(status(&router, "/healthz").await, StatusCode::OK);
        drop(handles);
        drop(first);
        assert_eq!(ready.waiting_for(), ["watch"]);
        assert_eq!(status(&router, "/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
        let mut waiting = tokio::spawn({
            let ready = ready.clone();
            async move { ready.wait().await }
        });
        assert!(timeout(Duration::from_millis(20), &mut waiting).await.is_err());
        drop(second);
        waiting.await.unwrap();
        assert_eq!(status(&router, "/readyz").await, StatusCode::OK);
        let stopping = ready.mark_not_ready("stop");
        assert_eq!(status(&router, "/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
        drop(stopping);
        assert!(ready.is_ready());
    }
}
