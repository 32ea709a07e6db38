//! Wrought's own API: the limits of a driver's calls.
//!
//! | request | answer |
//! |---|---|
//! | `GET /wrought/v1/drivers/{name}/limits` | 200, `limits` in force, those `set` for this driver, `maxima` and `constants` |
//! | `PUT /wrought/v1/drivers/{name}/limits`, `{"memory_mib": 512}` | the same; sets these in place of those that were set; 400 for what the engine has no room for |
//!
//! Errors are those of [`wrought_drivers`](crate::wrought_drivers).

use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Extension, Json, Router};
use http::StatusCode;
use serde_json::Value;
use wrought_domain::{DriverName, Map, Principal};

use crate::Api;
use crate::call::{Unread, read};
use crate::wrought_drivers::Refused;

/// The routes.
pub(crate) fn routes() -> Router<Api> {
    Router::new().route("/wrought/v1/drivers/{name}/limits", get(show).put(set))
}

fn named(name: &str) -> Result<DriverName, Refused> {
    name.parse().map_err(|error: wrought_domain::id::InvalidId| Refused::new(StatusCode::BAD_REQUEST, error.to_string()))
}

async fn show(State(api): State<Api>, Extension(who): Extension<Principal>, Path(name): Path<String>) -> Result<Json<Value>, Refused> {
    Ok(Json(api.service.driver_limits(&who, named(&name)?).await?))
}

async fn set(
    State(api): State<Api>,
    Extension(who): Extension<Principal>,
    Path(name): Path<String>,
    body: Body,
) -> Result<Json<Value>, Refused> {
    let name = named(&name)?;
    let body = read(body, api.config.max_body_bytes).await.map_err(|unread| match unread {
        Unread::TooLong => Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        Unread::Broken => Refused::new(StatusCode::BAD_REQUEST, "the body ended early"),
    })?;
    let wanted: Map = serde_json::from_slice(&body)
        .map_err(|error| Refused::new(StatusCode::BAD_REQUEST, format!("the body: {error}; give {{\"memory_mib\": 512}}, for example")))?;
    Ok(Json(api.service.set_driver_limits(&who, name, wanted).await?))
}
