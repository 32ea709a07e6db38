//! Wrought's own API: files that operators upload for drivers to hand on.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /wrought/v1/artifacts/{name}?digest=sha256:...` | the file's bytes; the digest may be left out | 201, the record of the artifact |
//! | `GET /wrought/v1/artifacts` | | 200, all artifacts |
//! | `GET /wrought/v1/artifacts/{name}` | | 200, one artifact, by name or digest |
//! | `DELETE /wrought/v1/artifacts/{name}` | | 204; 409 while a URL that a driver was given may be used |
//! | `GET /wrought/v1/artifacts/{digest}/content?expires=...&node=...&signature=...` | | 200 or 206 (`Range`), the bytes, for whoever has the URL; 403 when it has expired or was not made by this host |
//!
//! A record has `name`, `digest`, `size` in bytes, `uploaded_at`, `uploaded_by`, `uploaded_from` and `url_until`, until when the last
//! URL that a driver was given may be used. Errors are as in [`wrought_drivers`](crate::wrought_drivers).

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::{StreamExt, TryStreamExt};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;
use tower::ServiceExt;
use tower_http::services::ServeFile;
use wrought_conductor::{ArtifactTicket, ArtifactUpload, BrokenOff};
use wrought_domain::{ArtifactName, Digest, NodeId, Principal};

use crate::Api;
use crate::routes::Routes;
use crate::wrought_drivers::Refused;

/// The routes.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/wrought/v1/artifacts", list)
        .get("/wrought/v1/artifacts/{name}", show)
        .post("/wrought/v1/artifacts/{name}", upload)
        .delete("/wrought/v1/artifacts/{name}", forget)
        .merge(public_routes())
}

/// What machines fetch. The URL is the proof: no other is asked for.
pub(crate) fn public_routes() -> Routes {
    Routes::new().get("/wrought/v1/artifacts/{name}/content", content)
}

async fn list(State(api): State<Api>, Extension(who): Extension<Principal>) -> Result<Json<Value>, Refused> {
    Ok(Json(api.service.list_artifacts(&who).await?))
}

async fn show(State(api): State<Api>, Extension(who): Extension<Principal>, Path(which): Path<String>) -> Result<Json<Value>, Refused> {
    Ok(Json(api.service.show_artifact(&who, &which).await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Announced {
    digest: Option<Digest>,
}

async fn upload(
    State(api): State<Api>,
    Extension(who): Extension<Principal>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    Path(name): Path<String>,
    announced: Result<Query<Announced>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let wrong = |error: &dyn std::fmt::Display| Refused::new(StatusCode::BAD_REQUEST, error.to_string());
    let Query(Announced { digest }) =
        announced.map_err(|_| wrong(&"the query takes digest, sha256: and 64 hexadecimal digits, and nothing else"))?;
    let name: ArtifactName = name.parse().map_err(|error: wrought_domain::artifact::InvalidArtifactName| wrong(&error))?;
    let upload = ArtifactUpload {
        from: peer.map(|Extension(ConnectInfo(peer))| peer.ip()),
        length: headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok()),
        digest,
        body: body.into_data_stream().map_err(|_| BrokenOff).boxed(),
    };
    let record = api.service.upload_artifact(&who, name, upload).await?;
    Ok((StatusCode::CREATED, Json(record)).into_response())
}

async fn forget(State(api): State<Api>, Extension(who): Extension<Principal>, Path(which): Path<String>) -> Result<StatusCode, Refused> {
    api.service.delete_artifact(&who, &which).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
struct Ticket {
    expires: i64,
    node: NodeId,
    signature: String,
}

async fn content(State(api): State<Api>, Path(digest): Path<String>, request: Request) -> Result<Response, Refused> {
    let ticket = Query::<Ticket>::try_from_uri(request.uri()).ok();
    let ticket = ticket.map(|Query(Ticket { expires, node, signature })| ArtifactTicket { expires, node, signature });
    let file = api.service.artifact_content(&digest, ticket.as_ref())?;
    match ServeFile::new(file).oneshot(request).await {
        Ok(answer) => Ok(answer.map(Body::new)),
        Err(never) => match never {},
    }
}
