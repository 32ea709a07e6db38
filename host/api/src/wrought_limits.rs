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
use axum::{Extension, Json};
use serde_json::Value;
use wrought_domain::Principal;

use crate::Api;
use crate::routes::Routes;
use crate::wrought_drivers::{Refused, named};
use crate::wrought_rollout::object;

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new().get("/wrought/v1/drivers/{name}/limits", show).put("/wrought/v1/drivers/{name}/limits", set)
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
    let wanted = object(&api, body).await?;
    Ok(Json(api.service.set_driver_limits(&who, name, wanted).await?))
}
