//! Wrought's own API: what is decided about drivers. For administrators.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /wrought/v1/drivers/{name}/activate` | `version` or `digest`, `grant` (a list), all optional | 200, the record of the version, and `warnings` |
//! | `POST /wrought/v1/drivers/{name}/rollback` | `version` or `digest`, optional | the same |
//! | `POST /wrought/v1/drivers/{name}/canary` | `percent`, `selector` (`traits`, `owner`, `resource_class`, `conductor_group`) or both; `version` or `digest`, `grant`, `bounds` (`max_failure_percent`, `window`, `min_operations`) | the same |
//! | `DELETE /wrought/v1/drivers/{name}/canary` | | 200, the record of the driver |
//! | `POST /wrought/v1/drivers/{name}/pause` | | the same |
//! | `POST /wrought/v1/drivers/{name}/resume` | | the same |
//! | `POST /wrought/v1/drivers/{name}/grant`, `.../ungrant` | `grant`: such as `power`, `power.get` or `http=GET@https://files.example.com` | the same |
//! | `POST /wrought/v1/revocations` | `digest`, `reason`; `rollback`: whether the versions before it serve again | 200, `drivers`, `operations` (how many are ended), `warnings` |
//!
//! Every decision takes a `reason`, which the audit keeps. Errors are those of [`wrought_drivers`](crate::wrought_drivers).

use axum::body::Body;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;
use wrought_conductor::DriverDecision;
use wrought_domain::{Map, Principal};

use crate::Api;
use crate::call::{Unread, read};
use crate::routes::Routes;
use crate::wrought_drivers::{Refused, named};

/// What one request may grant.
const MAX_GRANTS: usize = 100;

/// The routes.
pub(crate) fn routes() -> Routes {
    let taking = |verb: &'static str| {
        move |api: State<Api>, who: Extension<Principal>, name: Path<String>, body: Body| decide(verb, api, who, name, body)
    };
    let mut routes = Routes::new();
    for verb in ["activate", "rollback", "pause", "resume", "grant", "ungrant"] {
        routes = routes.post(&format!("/wrought/v1/drivers/{{name}}/{verb}"), taking(verb));
    }
    routes
        .post("/wrought/v1/drivers/{name}/canary", taking("canary"))
        .delete("/wrought/v1/drivers/{name}/canary", taking("stop-canary"))
        .post("/wrought/v1/revocations", revoke)
}

async fn decide(
    verb: &str,
    State(api): State<Api>,
    Extension(who): Extension<Principal>,
    Path(name): Path<String>,
    body: Body,
) -> Result<Json<Value>, Refused> {
    let mut asked = object(&api, body).await?;
    if asked.get("grant").and_then(Value::as_array).is_some_and(|grants| grants.len() > MAX_GRANTS) {
        return Err(Refused::new(StatusCode::BAD_REQUEST, format!("at most {MAX_GRANTS} capabilities can be named at once")));
    }
    if asked.contains_key("version") && asked.contains_key("digest") {
        return Err(Refused::new(StatusCode::BAD_REQUEST, "give either version or digest"));
    }
    asked.insert("decision".into(), verb.into());
    let decision: DriverDecision = from(asked)?;
    Ok(Json(api.service.decide(&who, named(&name)?, decision).await?))
}

/// The body: nothing, or an object. serde would take a list for a struct as well.
pub(crate) async fn object(api: &Api, body: Body) -> Result<Map, Refused> {
    let body = read(body, api.config.max_body_bytes).await.map_err(|unread| match unread {
        Unread::TooLong => Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        Unread::Broken => Refused::new(StatusCode::BAD_REQUEST, "the body ended early"),
    })?;
    if body.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_slice(&body).map_err(|error| Refused::new(StatusCode::BAD_REQUEST, format!("the body: {error}")))
}

fn from<T: DeserializeOwned>(asked: Map) -> Result<T, Refused> {
    serde_json::from_value(Value::Object(asked)).map_err(|error| Refused::new(StatusCode::BAD_REQUEST, format!("the body: {error}")))
}

async fn revoke(State(api): State<Api>, Extension(who): Extension<Principal>, body: Body) -> Result<Json<Value>, Refused> {
    let asked = from(object(&api, body).await?)?;
    Ok(Json(api.service.revoke_driver(&who, asked).await?))
}
