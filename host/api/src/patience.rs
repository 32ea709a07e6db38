//! A node that an operation holds for a moment only, a change of power for example, is waited for instead of refusing the request,
//! as Ironic does (`[conductor] node_locked_retry_attempts` and `node_locked_retry_interval`). So is one that somebody else changed
//! between this request's look at it and its write: the next try looks anew.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;
use tokio::time::{Instant, sleep};

use crate::Api;
use crate::access::Access;
use crate::bodies::{Whole, whole};

/// The pause before the second try while the node is held; each further one is twice as long, up to the second.
const HELD: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// The same where others were quicker. Each then waits for a part of it, so that they do not meet again.
const OUTRUN: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(64));

/// Marks an answer that may be another one a moment later.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Passing {
    /// An operation holds the node.
    Held,
    /// Somebody else wrote what this request was about to write.
    Outrun,
}

/// Tries a change anew as long as it is refused for what passes and there is patience; nothing has been changed by a try that was
/// refused so.
pub(crate) async fn wait_for_node(State(api): State<Api>, request: Request, next: Next) -> Response {
    let patience = Duration::from_millis(api.config.node_locked_patience_ms.into());
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let public = request.extensions().get::<Access>().is_none_or(|access| *access == Access::Public);
    if reads || public || patience.is_zero() || !request.uri().path().starts_with("/v1/") {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    match whole(body, &parts, &api).await {
        Ok(body) => parts.extensions.insert(Whole(body)),
        Err(refused) => return refused.into_response(),
    };
    let end = Instant::now() + patience;
    let (mut held, mut outrun) = (HELD.0, OUTRUN.0);
    loop {
        let response = next.clone().run(Request::from_parts(parts.clone(), Body::empty())).await;
        let pause = match response.extensions().get() {
            Some(Passing::Held) => doubled(&mut held, HELD.1),
            Some(Passing::Outrun) => doubled(&mut outrun, OUTRUN.1).mul_f32(rand::random()),
            None => return response,
        };
        if Instant::now() + pause > end {
            return response;
        }
        sleep(pause).await;
    }
}

/// The pause, which is twice as long the next time, up to `longest`.
fn doubled(pause: &mut Duration, longest: Duration) -> Duration {
    let now = *pause;
    *pause = (now * 2).min(longest);
    now
}
