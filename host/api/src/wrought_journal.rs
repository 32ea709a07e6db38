//! Wrought's own API: the journal of driver calls, and the lock of an operation broken. For administrators.
//!
//! | request | answer |
//! |---|---|
//! | `GET /wrought/v1/journal?node=&limit=&before=` | 200, `operations`, the latest first; `before` is a time |
//! | `GET /wrought/v1/journal/{which}?detail=true` | 200, `operation` and its `calls`, with `detail` each with its `record` |
//! | `GET /wrought/v1/journal/{which}/export?components=false` | 200, a file for `wrought replay` |
//! | `POST /wrought/v1/nodes/{node}/unlock`, `{"reason": "..."}` | 200, what was ended |
//!
//! `which` is an operation, a node (UUID or name) for its last operation, or the number of a call for that one alone.
//! Errors are those of [`wrought_drivers`](crate::wrought_drivers).

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{StatusCode, Uri, header};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wrought_domain::{Map, Principal};

use crate::Api;
use crate::call::{Unread, read};
use crate::routes::Routes;
use crate::wrought_drivers::Refused;

/// Operations in a list that says no number.
const DEFAULT_LIMIT: u32 = 100;

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/wrought/v1/journal", list)
        .get("/wrought/v1/journal/{which}", show)
        .get("/wrought/v1/journal/{which}/export", export)
        .post("/wrought/v1/nodes/{node}/unlock", unlock)
}

/// The query's arguments; an unknown one is refused.
pub(crate) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Refused> {
    let read = Query::<T>::try_from_uri(uri);
    read.map(|Query(read)| read).map_err(|error| Refused::new(StatusCode::BAD_REQUEST, format!("the query: {}", error.body_text())))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    node: Option<String>,
    before: Option<String>,
    limit: Option<u32>,
}

async fn list(State(api): State<Api>, Extension(who): Extension<Principal>, uri: Uri) -> Result<Json<Value>, Refused> {
    let Page { node, before, limit } = query(&uri)?;
    let before: Option<Timestamp> = before.map(|text| text.parse()).transpose().map_err(|_| {
        Refused::new(StatusCode::BAD_REQUEST, "before: give the time at which an operation began, such as 2026-01-31T12:00:00.123456Z")
    })?;
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if limit == 0 {
        return Err(Refused::new(StatusCode::BAD_REQUEST, "limit: give a number of 1 or more"));
    }
    let operations = api.service.journal(&who, node, before, limit.min(api.config.max_limit)).await?;
    Ok(Json(json!({ "operations": operations })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Detail {
    #[serde(default)]
    detail: bool,
}

async fn show(
    State(api): State<Api>,
    Extension(who): Extension<Principal>,
    Path(which): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, Refused> {
    let Detail { detail } = query(&uri)?;
    let (operation, calls) = api.service.journaled(&who, &which, detail).await?;
    Ok(Json(json!({ "operation": operation, "calls": calls })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Components {
    #[serde(default = "yes")]
    components: bool,
}

fn yes() -> bool {
    true
}

async fn export(
    State(api): State<Api>,
    Extension(who): Extension<Principal>,
    Path(which): Path<String>,
    uri: Uri,
) -> Result<Response, Refused> {
    let Components { components } = query(&uri)?;
    let (operation, file) = api.service.export_journal(&who, &which, components).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"wrought-journal-{operation}.json.zst\"")),
    ];
    Ok((headers, file).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    reason: String,
}

async fn unlock(
    State(api): State<Api>,
    Extension(who): Extension<Principal>,
    Path(node): Path<String>,
    body: Body,
) -> Result<Json<Value>, Refused> {
    let reason = reason(&api, body).await?;
    Ok(Json(api.service.unlock(&who, &node, reason).await?))
}

/// The reason that a body gives.
pub(crate) async fn reason(api: &Api, body: Body) -> Result<String, Refused> {
    let body = read(body, api.config.max_body_bytes).await.map_err(|unread| match unread {
        Unread::TooLong => Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        Unread::Broken => Refused::new(StatusCode::BAD_REQUEST, "the body ended early"),
    })?;
    // An object it must be: serde would take a list for the struct as well.
    let Reason { reason } = serde_json::from_slice(&body)
        .and_then(|body: Map| serde_json::from_value(Value::Object(body)))
        .map_err(|error| Refused::new(StatusCode::BAD_REQUEST, format!("the body: {error}; give {{\"reason\": \"...\"}}")))?;
    Ok(reason)
}
