//! Wrought's own API: drivers are uploaded, listed and activated.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `PUT /wrought/v1/drivers/{name}` | the component's bytes; its `.minisig` file, in base64, as header `X-Wrought-Signature` | 201, the record of the version with the report of its admission |
//! | `GET /wrought/v1/drivers` | | 200, every driver with its versions |
//! | `GET /wrought/v1/drivers/{name}` | | 200, one driver with its versions and their reports, and the uploads that were refused |
//! | `DELETE /wrought/v1/drivers/{name}/versions/{digest}` | | 204; 409 while something refers to the version |
//! | `GET /wrought/v1/stats` | | 200, `driver_call_us` (CPU time of driver calls: `count`, `p50`, `p99`), `driver_compilations` and `driver_denials` (host calls that the host denied) and `commits` (transactions of the database) since the start, and `rss_mib` of the host |
//!
//! An error is `{"error": {"code": "...", "message":
//! "..."}}`, with code `invalid` (400), `unauthorized` (401), `forbidden` (403), `not-found` (404), `method-not-allowed`
//! (405), `conflict` (409), `too-large` (413), `too-many-requests` (429), `internal` (500) or `unavailable` (503). A component
//! that fails a check of its admission is `invalid`; one that asks for more than it is granted is a
//! `conflict` when it is activated, and the message names what is missing.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt, TryStreamExt};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use wrought_conductor::{BrokenOff, DriverUpload, Refusal};
use wrought_domain::{DriverName, Principal};

use crate::Api;
use crate::errors::Fault;
use crate::routes::Routes;

/// The header of a detached signature.
const SIGNATURE: &str = "x-wrought-signature";

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/wrought/v1/stats", stats)
        .get("/wrought/v1/drivers", list)
        .get("/wrought/v1/drivers/{name}", show)
        .put("/wrought/v1/drivers/{name}", upload)
        .delete("/wrought/v1/drivers/{name}/versions/{digest}", forget)
}

async fn stats(State(api): State<Api>) -> Json<Value> {
    Json(api.service.stats())
}

/// An error of Wrought's own API.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    message: String,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::new(fault.status(), fault.text())
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, refusal.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let code = match self.status {
            StatusCode::BAD_REQUEST => "invalid",
            StatusCode::UNAUTHORIZED => "unauthorized",
            StatusCode::FORBIDDEN => "forbidden",
            StatusCode::NOT_FOUND => "not-found",
            StatusCode::METHOD_NOT_ALLOWED => "method-not-allowed",
            StatusCode::CONFLICT => "conflict",
            StatusCode::PAYLOAD_TOO_LARGE => "too-large",
            StatusCode::TOO_MANY_REQUESTS => "too-many-requests",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            _ => "internal",
        };
        (self.status, Json(json!({"error": {"code": code, "message": self.message}}))).into_response()
    }
}

pub(crate) fn named(name: &str) -> Result<DriverName, Refused> {
    name.parse().map_err(|error: wrought_domain::id::InvalidId| Refused::new(StatusCode::BAD_REQUEST, error.to_string()))
}

/// 404 below `/wrought`.
pub(crate) fn not_found() -> Response {
    Refused::new(StatusCode::NOT_FOUND, "there is no such resource; see /wrought/v1/drivers").into_response()
}

/// 405 below `/wrought`.
pub(crate) fn method_not_allowed(method: &http::Method) -> Response {
    Refused::new(StatusCode::METHOD_NOT_ALLOWED, format!("the method {method} is not allowed here")).into_response()
}

async fn list(State(api): State<Api>, Extension(who): Extension<Principal>) -> Result<Json<Value>, Refused> {
    Ok(Json(api.service.list_drivers(&who).await?))
}

async fn show(State(api): State<Api>, Extension(who): Extension<Principal>, Path(name): Path<String>) -> Result<Json<Value>, Refused> {
    Ok(Json(api.service.show_driver(&who, named(&name)?).await?))
}

async fn upload(
    State(api): State<Api>,
    Extension(who): Extension<Principal>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let upload = DriverUpload {
        from: peer.map(|Extension(ConnectInfo(peer))| peer.ip()),
        length: headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok()),
        signature: signature(&headers)?,
        body: body.into_data_stream().map_err(|_| BrokenOff).boxed(),
    };
    let record = api.service.upload_driver(&who, named(&name)?, upload).await?;
    Ok((StatusCode::CREATED, Json(record)).into_response())
}

/// The text of the signature that came along.
fn signature(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    let Some(sent) = headers.get(SIGNATURE) else { return Ok(None) };
    let decoded = sent.to_str().ok().and_then(|sent| STANDARD.decode(sent.trim()).ok()).and_then(|text| String::from_utf8(text).ok());
    let wrong = || Refused::new(StatusCode::BAD_REQUEST, format!("{SIGNATURE}: send the content of the .minisig file in base64"));
    decoded.map(Some).ok_or_else(wrong)
}

async fn forget(
    State(api): State<Api>,
    Extension(who): Extension<Principal>,
    Path((name, digest)): Path<(String, String)>,
) -> Result<StatusCode, Refused> {
    api.service.delete_driver(&who, named(&name)?, digest).await?;
    Ok(StatusCode::NO_CONTENT)
}
