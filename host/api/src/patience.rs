//! A node that an operation holds for a moment only, a change of power for example, is waited for instead of refusing the request,
//! as Ironic does (`[conductor] node_locked_retry_attempts` and `node_locked_retry_interval`).

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;
use tokio::time::{Instant, sleep};

use crate::Api;
use crate::access::Access;
use crate::call::whole;

/// The pause before the second try; each further one is twice as long, up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_millis(500);

/// Marks an answer that may be another one a moment later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passing;

/// Tries a change anew as long as the node is held and there is patience; nothing has been changed by a try that was refused so.
pub(crate) async fn wait_for_node(State(api): State<Api>, request: Request, next: Next) -> Response {
    let patience = Duration::from_millis(api.config.node_locked_patience_ms.into());
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let public = request.extensions().get::<Access>().is_none_or(|access| *access == Access::Public);
    if reads || public || patience.is_zero() || !request.uri().path().starts_with("/v1/") {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = match whole(body, parts.uri.path(), &api.config).await {
        Ok(body) => body,
        Err(refused) => return refused.into_response(),
    };
    let end = Instant::now() + patience;
    let mut pause = FIRST;
    loop {
        let response = next.clone().run(Request::from_parts(parts.clone(), Body::from(body.clone()))).await;
        if response.extensions().get::<Passing>().is_none() || Instant::now() + pause > end {
            return response;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}
