//! Wrought's own API: locks that nodes share. For administrators.
//!
//! | request | answer |
//! |---|---|
//! | `GET /wrought/v1/locks` | 200, `locks`: `name`, `node`, `operation` and `since` of the holder, `waiters` in their order; and `max_lock_hold` |
//! | `DELETE /wrought/v1/locks/{name}`, `{"reason": "..."}` | 200, who held the lock that is broken; 404 when nobody holds it |
//!
//! Errors are those of [`wrought_drivers`](crate::wrought_drivers).

use axum::body::Body;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde_json::Value;
use wrought_domain::Principal;

use crate::Api;
use crate::routes::Routes;
use crate::wrought_drivers::Refused;
use crate::wrought_journal::reason;

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new().get("/wrought/v1/locks", list).delete("/wrought/v1/locks/{name}", broken)
}

async fn list(State(api): State<Api>, Extension(who): Extension<Principal>) -> Result<Json<Value>, Refused> {
    Ok(Json(api.service.list_locks(&who).await?))
}

async fn broken(
    State(api): State<Api>,
    Extension(who): Extension<Principal>,
    Path(name): Path<String>,
    body: Body,
) -> Result<Json<Value>, Refused> {
    let why = reason(&api, body).await?;
    Ok(Json(api.service.break_lock(&who, &name, &why).await?))
}
