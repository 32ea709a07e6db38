//! Wrought's own API: tokens of callers. For administrators.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /wrought/v1/tokens` | | 200, `tokens`: `name`, `role`, `project`, `created_at`, `created_by`, `expires_at`, `last_used_at`, `revoked_at` of each |
//! | `POST /wrought/v1/tokens` | `name`, `role`, and perhaps `project` and `expires_at` | 201, the same with `token` itself, which is never shown again |
//! | `DELETE /wrought/v1/tokens/{name}` | | 200, the token that is revoked; 404 when none of this name is in force |
//!
//! Errors are those of [`wrought_drivers`](crate::wrought_drivers).

use axum::body::Body;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::StatusCode;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use wrought_domain::{Map, Principal, Role};
use wrought_storage::{NewToken, StoreError, Token};

use crate::Api;
use crate::call::{Unread, read};
use crate::errors::Fault;
use crate::routes::Routes;
use crate::wrought_drivers::Refused;

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new().get("/wrought/v1/tokens", list).post("/wrought/v1/tokens", create).delete("/wrought/v1/tokens/{name}", revoke)
}

/// A token as it is shown: without itself.
pub fn shown(token: &Token) -> Value {
    let moment = |at: Option<Timestamp>| at.map(|at| at.to_string());
    json!({
        "name": token.name,
        "role": token.role,
        "project": token.project,
        "created_at": token.created_at.to_string(),
        "created_by": token.created_by,
        "expires_at": moment(token.expires_at),
        "last_used_at": moment(token.last_used_at),
        "revoked_at": moment(token.revoked_at),
    })
}

/// A new token with itself, as it is shown once.
pub fn with_itself(token: &Token, secret: &SecretString) -> Value {
    let mut answer = shown(token);
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("token".into(), secret.expose_secret().into());
    }
    answer
}

fn refused(error: StoreError) -> Refused {
    match error {
        StoreError::Duplicate(_) | StoreError::TooMany { .. } => Refused::new(StatusCode::CONFLICT, error.to_string()),
        StoreError::NotFound { .. } => Refused::new(StatusCode::NOT_FOUND, error.to_string()),
        other => Fault::from(other).into(),
    }
}

async fn list(State(api): State<Api>) -> Result<Json<Value>, Refused> {
    let tokens = api.service.store().tokens().await.map_err(refused)?;
    Ok(Json(json!({ "tokens": tokens.iter().map(shown).collect::<Vec<_>>() })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    name: String,
    role: Role,
    #[serde(default)]
    project: Option<String>,
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

async fn create(State(api): State<Api>, Extension(who): Extension<Principal>, body: Body) -> Result<(StatusCode, Json<Value>), Refused> {
    let body = read(body, api.config.max_body_bytes).await.map_err(|unread| match unread {
        Unread::TooLong => Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        Unread::Broken => Refused::new(StatusCode::BAD_REQUEST, "the body ended early"),
    })?;
    // An object it must be: serde would take a list for the struct as well.
    let asked: Asked = serde_json::from_slice(&body)
        .and_then(|body: Map| serde_json::from_value(Value::Object(body)))
        .map_err(|error| Refused::new(StatusCode::BAD_REQUEST, format!("the body: {error}")))?;
    let new = NewToken::new(&asked.name, asked.role, asked.project, asked.expires_at);
    let new = new.map_err(|unfit| Refused::new(StatusCode::BAD_REQUEST, unfit.to_string()))?;
    let (secret, token) = api.service.store().create_token(&who, new).await.map_err(refused)?;
    tracing::info!(token = token.name, role = %token.role, by = who.user, "token created");
    Ok((StatusCode::CREATED, Json(with_itself(&token, &secret))))
}

async fn revoke(State(api): State<Api>, Extension(who): Extension<Principal>, Path(name): Path<String>) -> Result<Json<Value>, Refused> {
    let token = api.service.store().revoke_token(&who, &name).await.map_err(refused)?;
    tracing::info!(token = token.name, by = who.user, "token revoked");
    Ok(Json(shown(&token)))
}
