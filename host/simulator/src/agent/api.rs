//! The agent's REST API.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Agent;
use super::commands::Busy;
use super::work::{self, Command, Unknown};

/// A config drive may be large; anything larger is a mistake of the host.
const MAX_BODY: usize = 64 << 20;

pub(super) fn router(agent: Arc<Agent>) -> Router {
    Router::new()
        .route("/", get(versions))
        .route("/v1", get(version))
        .route("/v1/", get(version))
        .route("/v1/status", get(status))
        .route("/v1/commands", get(elsewhere).post(elsewhere))
        .route("/v1/commands/", get(list).post(run))
        .route("/v1/commands/{id}", get(show))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(agent)
}

/// A refused request.
#[derive(Debug)]
struct Fault {
    status: StatusCode,
    text: String,
}

impl Fault {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let code = if self.status.is_server_error() { "Server" } else { "Client" };
        (self.status, Json(json!({ "faultcode": code, "faultstring": self.text }))).into_response()
    }
}

impl From<Busy> for Fault {
    fn from(Busy(command): Busy) -> Self {
        Self::new(StatusCode::CONFLICT, format!("Agent is busy: executing command {command}"))
    }
}

impl From<Unknown> for Fault {
    fn from(unknown: Unknown) -> Self {
        let status = if matches!(unknown, Unknown::Extension(_)) { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
        Self::new(status, unknown.to_string())
    }
}

#[derive(Deserialize)]
struct Asked {
    agent_token: Option<String>,
    wait: Option<String>,
}

impl Asked {
    fn check(&self, agent: &Agent) -> Result<(), Fault> {
        match (&self.agent_token, &agent.token) {
            (Some(given), Some(token)) if given == token => Ok(()),
            _ => Err(Fault::new(StatusCode::UNAUTHORIZED, "Token invalid.")),
        }
    }

    fn waits(&self) -> bool {
        self.wait.as_deref().is_some_and(|wait| wait.eq_ignore_ascii_case("true"))
    }
}

async fn versions() -> Json<Value> {
    let version = json!({ "id": "v1", "links": [{ "href": "/v1/", "rel": "self" }] });
    Json(json!({ "name": "OpenStack Ironic Python Agent API", "versions": [version], "default_version": version }))
}

async fn version() -> Json<Value> {
    Json(
        json!({ "id": "v1", "commands": [{ "href": "/v1/commands/", "rel": "self" }], "status": [{ "href": "/v1/status", "rel": "self" }] }),
    )
}

async fn status(State(agent): State<Arc<Agent>>) -> Json<Value> {
    Json(json!({ "started_at": agent.started().as_duration().as_secs_f64(), "version": super::VERSION }))
}

async fn elsewhere() -> Redirect {
    Redirect::permanent("/v1/commands/")
}

async fn list(State(agent): State<Arc<Agent>>, Query(asked): Query<Asked>) -> Result<Response, Fault> {
    asked.check(&agent)?;
    Ok(Json(json!({ "commands": agent.commands.all() })).into_response())
}

async fn show(State(agent): State<Arc<Agent>>, Path(id): Path<String>, Query(asked): Query<Asked>) -> Result<Response, Fault> {
    asked.check(&agent)?;
    let missing = || Fault::new(StatusCode::NOT_FOUND, format!("Command result with id {id} not found."));
    let uuid = Uuid::parse_str(&id).map_err(|_| missing())?;
    answer(&agent, uuid, asked.waits()).await.ok_or_else(missing)
}

#[derive(Deserialize)]
struct Wanted {
    name: String,
    params: Map<String, Value>,
}

async fn run(State(agent): State<Arc<Agent>>, Query(asked): Query<Asked>, body: Bytes) -> Result<Response, Fault> {
    asked.check(&agent)?;
    let Wanted { name, params } =
        serde_json::from_slice(&body).map_err(|_| Fault::new(StatusCode::BAD_REQUEST, "Missing or invalid name or params"))?;
    // A busy agent says so before it looks at what is wanted.
    agent.commands.check_idle()?;
    let command = Command::parse(&name)?;
    command.check(&params).map_err(|why| Fault::new(StatusCode::BAD_REQUEST, format!("Invalid command parameters: {why}")))?;
    let id = agent.commands.begin(command.name())?;
    agent.node.count(|counts| counts.commands += 1);
    work::start(&agent, id, command, params);
    answer(&agent, id, asked.waits())
        .await
        .ok_or_else(|| Fault::new(StatusCode::NOT_FOUND, format!("Command result with id {id} not found.")))
}

async fn answer(agent: &Agent, id: Uuid, wait: bool) -> Option<Response> {
    let result = if wait { agent.commands.ended(id).await } else { agent.commands.get(id) };
    result.map(|result| Json(result).into_response())
}
