//! What holds for every request: the tolerated spellings of paths, request ids, versions, and
//! who asks.

use std::net::SocketAddr;

use axum::RequestExt;
use axum::extract::{ConnectInfo, MatchedPath, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use uuid::Uuid;
use wrought_domain::Principal;
use wrought_storage::NodeRef;

use crate::Api;
use crate::access::{self, Access};
use crate::auth::{Denied, Origin, foreign};
use crate::call::base;
use crate::errors::Fault;
use crate::openapi;
use crate::versions::{self, MAX, MIN, Version};
use crate::wrought_drivers::{self, Refused};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");
const COMMON_REQUEST_ID: HeaderName = HeaderName::from_static("openstack-request-id");
const MIN_VERSION: HeaderName = HeaderName::from_static("x-openstack-ironic-api-minimum-version");
const MAX_VERSION: HeaderName = HeaderName::from_static("x-openstack-ironic-api-maximum-version");
const VERSION: HeaderName = HeaderName::from_static(versions::HEADER);

/// Rewrites the path to the one spelling that is routed: no trailing slash, and `/v1` first
/// where it is missing. `/` and what is not the v1 API stay as they are.
pub(crate) fn normalise(mut request: Request) -> Request {
    let path = request.uri().path();
    let trimmed = path.strip_suffix('/').unwrap_or(path);
    let nodes_first = node_first(trimmed);
    let trimmed = nodes_first.as_deref().unwrap_or(trimmed);
    let first = trimmed.trim_start_matches('/').split('/').next().unwrap_or_default();
    let is_version = first.strip_prefix('v').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let path = match trimmed {
        "" => "/".to_owned(),
        known if is_version || matches!(first, "wrought" | "metrics" | "openapi.json") => known.to_owned(),
        bare => format!("/v1{bare}"),
    };
    let path = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = request.uri().clone().into_parts();
    if let Ok(path) = path.parse::<PathAndQuery>() {
        parts.path_and_query = Some(path);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// What Ironic serves below `/v1/nodes/` with the node at the end as well.
const NODE_LAST: &[&str] = &["states/console", "states", "management/boot_device/supported", "management/boot_device", "maintenance"];

/// The path with the node before what is asked of it: `/v1/nodes/states/console/n1` is `/v1/nodes/n1/states/console`.
fn node_first(path: &str) -> Option<String> {
    let rest = path.strip_prefix("/v1").unwrap_or(path).strip_prefix("/nodes/")?;
    let of_node = |what: &str| rest.strip_prefix(what)?.strip_prefix('/').filter(|node| !node.is_empty() && !node.contains('/'));
    let what = NODE_LAST.iter().copied().find(|what| of_node(what).is_some())?;
    Some(format!("/v1/nodes/{}/{what}", of_node(what)?))
}

/// Gives the request an id, a principal and a version, and the answer Ironic's headers; those of versions only for callers who are let in.
pub(crate) async fn around(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let id = format!("req-{}", Uuid::new_v4());
    let wrought = request.uri().path().starts_with("/wrought");
    let mut response = match let_in(&api, &mut request).await {
        Ok(()) => versioned(&api, &id, wrought, request, next).await,
        Err(denied) => {
            let base = base(&api.config, request.headers(), request.extensions());
            let response = denied.answer(wrought, &base.0);
            tracing::debug!(request = id, method = %request.method(), path = request.uri().path(), status = response.status().as_u16(), "not let in");
            response
        }
    };
    let headers = response.headers_mut();
    put(headers, REQUEST_ID, &id);
    put(headers, COMMON_REQUEST_ID, &id);
    response
}

/// Finds out from where the request comes and who asks: the one place where a request gets its principal. Public are routes, and not
/// what looks like one: a method that is not served, or a path, is for those who are let in.
async fn let_in(api: &Api, request: &mut Request) -> Result<(), Denied> {
    if foreign(request.method(), request.headers(), api.config.public_endpoint.as_deref()) {
        return Err(Denied::Page);
    }
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let direct = request.extensions().get::<Origin>().cloned().unwrap_or_default();
        if let Some((client, origin)) = api.door.proxies().resolve(*peer, &direct, request.headers())? {
            request.extensions_mut().insert(ConnectInfo(client));
            request.extensions_mut().insert(origin);
        }
    }
    let source = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_canonical());
    let access = request.extensions().get::<MatchedPath>().and_then(|path| access::of(request.method(), path.as_str()));
    let who = match access {
        Some(Access::Public) => {
            if is_agents(request.uri().path()) {
                api.door.agent(source)?;
            }
            Principal { source, ..Principal::nobody() }
        }
        _ => api.door.caller(api.service.store(), request.headers(), source).await?,
    };
    request.extensions_mut().insert(who);
    if let Some(access) = access {
        request.extensions_mut().insert(access);
    }
    Ok(())
}

/// What agents ask for without being known yet.
fn is_agents(path: &str) -> bool {
    path == "/v1/lookup" || path.starts_with("/v1/heartbeat") || path.starts_with("/v1/continue_inspection")
}

async fn versioned(api: &Api, id: &str, wrought: bool, mut request: Request, next: Next) -> Response {
    let root = request.uri().path() == "/";
    let version = match Version::negotiate(request.headers()) {
        Err(_) if root || wrought => Ok(MIN),
        other => other,
    };
    let (version, mut response) = match version {
        Ok(version) => {
            request.extensions_mut().insert(version);
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let global = global_id(request.headers()).map(str::to_owned);
            let response = admit(api, request, next).await;
            let status = response.status().as_u16();
            tracing::debug!(request = id, global, %method, path, %version, status, "answered");
            (version, response)
        }
        Err(refused) => (MIN, refused.into_response()),
    };
    if !wrought {
        let headers = response.headers_mut();
        put(headers, MIN_VERSION, &MIN.to_string());
        put(headers, MAX_VERSION, &MAX.to_string());
        put(headers, VERSION, &version.to_string());
    }
    response
}

/// Lets the request pass if its caller may use the route. A path that is not routed is nobody's secret, but callers are known first.
async fn admit(api: &Api, mut request: Request, next: Next) -> Response {
    if !is_text(request.uri().path()) {
        return no_such_path(request.uri());
    }
    // Without a decision nothing that needs a caller is reached: mostly, the method is not served.
    let decided = request.extensions().get::<Access>().copied().zip(request.extensions().get::<Principal>().cloned());
    if let Some((access, who)) = decided
        && let Err(refused) = check(api, access, &who, &mut request).await
    {
        return refuse(&request, refused);
    }
    next.run(request).await
}

/// Ironic's handlers look at the node themselves when they have found it ([`crate::call::Call::node`]); Wrought's own do not.
async fn check(api: &Api, access: Access, who: &Principal, request: &mut Request) -> Result<(), Fault> {
    access.check(who)?;
    let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
    if matched.starts_with("/wrought") {
        openapi::check_query(request.method(), matched, request.uri())?;
    }
    if who.project.is_none() || !matches!(access, Access::Node(_)) || !request.uri().path().starts_with("/wrought") {
        return Ok(());
    }
    let params = request.extract_parts::<RawPathParams>().await.map_err(|_| Fault::no_such_resource())?;
    let ident = params.iter().find(|(name, _)| *name == "node").map(|(_, value)| value).unwrap_or_default();
    let found = api.service.store().node(who, &NodeRef::parse(ident)).await?.ok_or_else(|| Fault::no_node(ident))?;
    access.check_node(who, &found.value)
}

/// The refusal in the form of the API that was asked.
fn refuse(request: &Request, refused: Fault) -> Response {
    if request.uri().path().starts_with("/wrought") {
        return Refused::from(refused).into_response();
    }
    refused.into_response()
}

/// The id that a request has among all services that it passed: a UUID after `req-`.
fn global_id(headers: &HeaderMap) -> Option<&str> {
    let given = headers.get(REQUEST_ID)?.to_str().ok()?;
    given.strip_prefix("req-").filter(|id| id.len() == 36 && Uuid::parse_str(id).is_ok()).map(|_| given)
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// 404 for a path that is not routed.
pub(crate) async fn not_found(uri: Uri) -> Response {
    no_such_path(&uri)
}

fn no_such_path(uri: &Uri) -> Response {
    if uri.path().starts_with("/wrought") { wrought_drivers::not_found() } else { Fault::no_such_resource().into_response() }
}

/// Whether the percent-encoded path stands for text; nothing has another name.
pub(crate) fn is_text(path: &str) -> bool {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
        decoded.push(match byte {
            b'%' => match (hex(bytes.next()), hex(bytes.next())) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return false,
            },
            plain => plain,
        });
    }
    std::str::from_utf8(&decoded).is_ok()
}

/// 405; the router adds `Allow`.
pub(crate) async fn method_not_allowed(method: Method, uri: Uri, request: Request) -> Response {
    if uri.path().starts_with("/wrought") {
        return wrought_drivers::method_not_allowed(&method);
    }
    // A resource that is newer than the request is not there at all.
    let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let version = request.extensions().get::<Version>().copied().unwrap_or(MAX);
    if matched.and_then(openapi::since).is_some_and(|since| since > version.0) {
        return no_such_path(&uri);
    }
    Fault::routing(405, format!("The method {method} is not allowed for this resource.")).into_response()
}

/// 500 for a handler that panicked; the panic's text goes to the log only.
pub(crate) fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    Fault::internal("a handler of the API panicked", &text).into_response()
}
