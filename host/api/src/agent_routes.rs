//! What agents call, without credentials: lookup, heartbeat, and what an inspection found.

use axum::body::Body;
use axum::extract::{FromRequest, Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;
use wrought_conductor::{Heartbeat, Lookup};
use wrought_domain::NodeId;
use wrought_domain::port::mac;
use wrought_inspection::Posted;
use wrought_storage::NodeRef;

use crate::Api;
use crate::args::{Args, brief};
use crate::call::{Call, ok, peer};
use crate::errors::Fault;
use crate::inspection_bodies::{arrive, reading};
use crate::routes::Routes;
use crate::versions;

/// MAC addresses that one lookup may name.
const MAX_ADDRESSES: usize = 64;
/// The longest URL, token and version that a heartbeat may carry, in bytes.
const MAX_TEXT: usize = 2048;
/// The longest certificate that a heartbeat may carry, in bytes.
const MAX_CERTIFICATE: usize = 64 * 1024;

/// The version documents and the agents' routes.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/", root)
        .get("/v1", v1)
        .get("/v1/lookup", lookup)
        .post("/v1/heartbeat/{node}", heartbeat)
        .post("/v1/heartbeat", heartbeat_of_body)
        .post("/v1/continue_inspection", continue_inspection)
        .post("/v1/continue_inspection.json", continue_inspection)
}

async fn root(call: Call) -> Response {
    ok(versions::root(&call.base))
}

async fn v1(call: Call) -> Response {
    ok(versions::v1(&call.base, call.version))
}

fn enabled(call: &Call) -> Result<(), Fault> {
    match call.api.config.enable_ramdisk_endpoints {
        true => call.since(22),
        false => Err(Fault::forbidden("The agents' routes are disabled on this host.")),
    }
}

/// `GET /v1/lookup`. Whether the node is unknown or may not be looked up now is not told apart.
async fn lookup(call: Call) -> Result<Response, Fault> {
    enabled(&call)?;
    let mut args = call.query();
    let given = args.list("addresses")?.unwrap_or_default();
    let node = args.text("node_uuid")?.and_then(|text| Uuid::parse_str(&text).ok()).map(NodeId);
    args.done()?;
    let mut addresses: Vec<String> = given.iter().take(MAX_ADDRESSES).filter_map(|address| mac(address)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() && node.is_none() {
        return Err(Fault::invalid("Incomplete lookup: give addresses, valid MAC addresses, or node_uuid."));
    }
    let found = call.api.service.lookup(&addresses, node, call.peer).await?;
    Ok(ok(shown(&call, found)))
}

fn shown(call: &Call, found: Lookup) -> Value {
    let mut node = found.node;
    let uuid = node.get("uuid").and_then(Value::as_str).unwrap_or_default().to_owned();
    node.insert("links".into(), call.base.links(&format!("nodes/{uuid}")));
    json!({"node": node, "config": found.config})
}

/// `POST /v1/heartbeat/{node}`.
async fn heartbeat(Path(ident): Path<String>, call: Call) -> Result<Response, Fault> {
    let args = call.args()?;
    beat(&call, &ident, args).await
}

/// `POST /v1/heartbeat` with `node_ident` among the arguments.
async fn heartbeat_of_body(call: Call) -> Result<Response, Fault> {
    let mut args = call.args()?;
    let ident = args.mandatory("node_ident")?;
    beat(&call, &ident, args).await
}

/// A heartbeat; the checks in Ironic's order. The token is the conductor's to check.
async fn beat(call: &Call, ident: &str, mut args: Args) -> Result<Response, Fault> {
    enabled(call)?;
    let callback_url = args.mandatory("callback_url")?;
    let agent_version = args.text("agent_version")?;
    let agent_token = args.text("agent_token")?;
    let agent_verify_ca = args.text("agent_verify_ca")?;
    let agent_status = args.text("agent_status")?;
    let agent_status_message = args.text("agent_status_message")?;
    args.done()?;
    let newer = (agent_version.is_some() && call.version.0 < 36)
        || (agent_verify_ca.is_some() && call.version.0 < 68)
        || ((agent_status.is_some() || agent_status_message.is_some()) && call.version.0 < 72);
    if newer {
        return Err(Fault::invalid("A field of this heartbeat is not known in the requested API version."));
    }
    let long = |text: &Option<String>, max: usize| text.as_ref().is_some_and(|text| text.len() > max);
    if callback_url.len() > MAX_TEXT
        || long(&agent_version, MAX_TEXT)
        || long(&agent_token, MAX_TEXT)
        || long(&agent_verify_ca, MAX_CERTIFICATE)
    {
        return Err(Fault::invalid("A field of this heartbeat is too long."));
    }
    let ident = call.plain(ident);
    // The session's URL is the conductor's to compare: it needs no more of the node.
    let found = call.api.service.store().node_id(&NodeRef::parse(ident)).await?;
    let node = found.ok_or_else(|| Fault::no_node(brief(&Value::from(ident))))?;
    let is_url = ["http://", "https://"].iter().any(|scheme| callback_url.starts_with(scheme));
    if !callback_url.is_empty() && !is_url {
        return Err(Fault::invalid("Invalid callback_url: expected an http or https URL."));
    }
    if agent_token.as_deref().is_none_or(str::is_empty) {
        return Err(Fault::invalid("Agent token is required for heartbeat processing."));
    }
    if let Some(status) = &agent_status {
        let known = matches!(status.as_str(), "start" | "end" | "error");
        let text = if known {
            "agent_status is for the anaconda deploy interface, which this host does not have."
        } else {
            "Invalid agent_status: expected start, end or error."
        };
        return Err(Fault::invalid(text));
    }
    if agent_version.is_none() {
        return Err(Fault::invalid("Missing mandatory parameter: agent_version"));
    }
    if callback_url.is_empty() {
        return Err(Fault::invalid("Missing mandatory parameter: callback_url"));
    }
    let beat = Heartbeat { callback_url, agent_token, agent_version, agent_verify_ca, peer: call.peer };
    call.api.service.heartbeat(node, beat).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// `POST /v1/continue_inspection`: an agent posts what it found, before it knows its node or has a token.
async fn continue_inspection(State(api): State<Api>, request: Request) -> Result<Response, Fault> {
    if !api.config.enable_ramdisk_endpoints {
        return Err(Fault::forbidden("The agents' routes are disabled on this host."));
    }
    let (parts, body) = request.into_parts();
    let arrived = arrive(body, api.config.max_inspection_body_bytes, peer(&parts)).await?;
    let turn = reading().await?;
    let call = Call::from_request(Request::from_parts(parts, Body::empty()), &api).await?;
    call.query().done()?;
    let bytes = arrived.bytes.clone();
    // The turn goes along: what is being read goes on being read when the agent goes away.
    let posted = tokio::task::spawn_blocking(move || (Posted::read(bytes), turn)).await;
    let (posted, _turn) = posted.map_err(|error| Fault::internal("reading inspection data", &error))?;
    let posted = posted.map_err(|unfit| Fault::invalid(format!("Invalid inspection data: {unfit}.")))?;
    let (node, looked_up) = call.api.service.continue_inspection(posted, call.version.0 >= 84, call.peer).await?;
    let body = match looked_up {
        Some(found) => shown(&call, found),
        None => json!({"uuid": node}),
    };
    Ok((StatusCode::ACCEPTED, axum::Json(body)).into_response())
}
