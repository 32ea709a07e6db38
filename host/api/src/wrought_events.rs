//! Wrought's own API: what happened to nodes, why a node is where it is, and what is done about it.
//!
//! | request | answer |
//! |---|---|
//! | `GET /wrought/v1/events?kind=&after=&limit=&wait=` | 200, `events` of all nodes, `last` and `dropped`; for administrators |
//! | `GET /wrought/v1/nodes/{node}/events?kind=&after=&limit=&wait=` | the same of one node |
//! | `GET /wrought/v1/nodes/{node}/why` | 200, what the node waits for, or why it failed, and what to do |
//! | `POST /wrought/v1/nodes/{node}/retry`, `{"from_start": false}` | 202, the operation that failed last begins again |
//! | `POST /wrought/v1/nodes/{node}/cancel` | 200, the operation that waited for its turn and ended |
//! | `GET /wrought/v1/webhooks` | 200, `webhooks`: how far each is; for administrators |
//!
//! Without `after` the latest events come, with it those after that one, the oldest first; go on with `last`. With `wait`, seconds up
//! to 60, the answer waits for an event when there is none. `kind` may name several, joined by commas. `dropped` counts events after
//! `after` that are not kept any more. Errors are those of [`wrought_drivers`](crate::wrought_drivers).

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::{StatusCode, Uri};
use serde::Deserialize;
use serde_json::Value;
use wrought_conductor::{EventsAsked, LONGEST_WAIT};
use wrought_domain::{Map, Principal};
use wrought_storage::MAX_EVENTS;

use crate::Api;
use crate::call::{Unread, read};
use crate::routes::Routes;
use crate::wrought_drivers::Refused;
use crate::wrought_journal::query;

/// Events in an answer to a request that says no number.
const DEFAULT_LIMIT: u32 = 100;

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/wrought/v1/events", all)
        .get("/wrought/v1/webhooks", webhooks)
        .get("/wrought/v1/nodes/{node}/events", of_node)
        .get("/wrought/v1/nodes/{node}/why", why)
        .post("/wrought/v1/nodes/{node}/retry", retry)
        .post("/wrought/v1/nodes/{node}/cancel", cancel)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    kind: Option<String>,
    after: Option<u64>,
    limit: Option<u32>,
    wait: Option<u64>,
}

impl Asked {
    fn about(self, node: Option<String>) -> Result<EventsAsked, Refused> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if limit == 0 {
            return Err(Refused::new(StatusCode::BAD_REQUEST, "limit: give a number of 1 or more"));
        }
        let wait = Duration::from_secs(self.wait.unwrap_or(0));
        if wait > LONGEST_WAIT {
            return Err(Refused::new(StatusCode::BAD_REQUEST, format!("wait: give {} seconds at most", LONGEST_WAIT.as_secs())));
        }
        let kinds = self.kind.iter().flat_map(|kinds| kinds.split(',')).map(|kind| kind.trim().to_owned());
        Ok(EventsAsked {
            node,
            kinds: kinds.filter(|kind| !kind.is_empty()).collect(),
            after: self.after,
            limit: limit.min(MAX_EVENTS),
            wait,
        })
    }
}

async fn all(State(api): State<Api>, Extension(who): Extension<Principal>, uri: Uri) -> Result<Json<Value>, Refused> {
    let asked: Asked = query(&uri)?;
    Ok(Json(api.service.node_events(&who, asked.about(None)?).await?))
}

async fn of_node(
    State(api): State<Api>,
    Extension(who): Extension<Principal>,
    Path(node): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, Refused> {
    let asked: Asked = query(&uri)?;
    Ok(Json(api.service.node_events(&who, asked.about(Some(node))?).await?))
}

async fn why(State(api): State<Api>, Extension(who): Extension<Principal>, Path(node): Path<String>) -> Result<Json<Value>, Refused> {
    Ok(Json(api.service.why(&who, &node).await?))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Retry {
    from_start: bool,
}

async fn retry(
    State(api): State<Api>,
    Extension(who): Extension<Principal>,
    Path(node): Path<String>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let body = read(body, api.config.max_body_bytes).await.map_err(|unread| match unread {
        Unread::TooLong => Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        Unread::Broken => Refused::new(StatusCode::BAD_REQUEST, "the body ended early"),
    })?;
    let wrong = |error| Refused::new(StatusCode::BAD_REQUEST, format!("the body: {error}; give nothing or {{\"from_start\": true}}"));
    let Retry { from_start } = match body.is_empty() {
        true => Retry::default(),
        false => serde_json::from_slice(&body)
            .and_then(|body: Map| serde_json::from_value(Value::Object(body)))
            .map_err(|error: serde_json::Error| wrong(error))?,
    };
    Ok((StatusCode::ACCEPTED, Json(api.service.retry(&who, &node, from_start).await?)))
}

async fn cancel(State(api): State<Api>, Extension(who): Extension<Principal>, Path(node): Path<String>) -> Result<Json<Value>, Refused> {
    Ok(Json(api.service.cancel(&who, &node).await?))
}

async fn webhooks(State(api): State<Api>, Extension(who): Extension<Principal>) -> Result<Json<Value>, Refused> {
    Ok(Json(api.service.list_webhooks(&who).await?))
}
