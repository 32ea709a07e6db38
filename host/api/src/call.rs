//! One request as the handlers see it: who asks, in which version, with which arguments.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, FromRequest, Query, Request};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Extensions, HeaderName, StatusCode, Uri, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;
use wrought_domain::json::{TooMuch, bounded};
use wrought_domain::{Map, Node, Principal};
use wrought_storage::{NodeRef, Stored};

use crate::Api;
use crate::access::Access;
use crate::args::{Args, brief};
use crate::auth::Origin;
use crate::bodies::whole;
use crate::config::ApiConfig;
use crate::errors::Fault;
use crate::json;
use crate::links::Base;
use crate::middleware::is_text;
use crate::versions::Version;

/// Values that a body may consist of: they take many times the memory of the few bytes that each may have.
const MAX_VALUES: usize = 200_000;

/// Until when `.json` at the end of a path means nothing.
const SUFFIXED: u16 = 90;
/// Since when nodes have names.
pub(crate) const NAMES: u16 = 5;
/// The longest query, in bytes.
const MAX_QUERY: usize = 16 * 1024;

/// A request to the v1 API.
pub(crate) struct Call {
    pub(crate) api: Api,
    pub(crate) version: Version,
    pub(crate) who: Principal,
    access: Access,
    pub(crate) base: Base,
    pub(crate) peer: IpAddr,
    query: Vec<(String, String)>,
    body: Bytes,
}

impl FromRequest<Api> for Call {
    type Rejection = Fault;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Fault> {
        let (parts, body) = request.into_parts();
        let version = *parts.extensions.get::<Version>().ok_or_else(Fault::no_such_resource)?;
        let caller = parts.extensions.get::<Principal>().zip(parts.extensions.get::<Access>());
        let (who, access) = caller.map(|(who, access)| (who.clone(), *access)).ok_or_else(|| Fault::forbidden("Forbidden"))?;
        let base = base(&api.config, &parts.headers, &parts.extensions);
        let peer = peer(&parts);
        let query = query(&parts.uri)?;
        let body = whole(body, &parts, api).await?;
        if !body.is_empty() {
            check_type(&parts.headers)?;
        }
        check_json(&body, api.config.max_json_depth)?;
        Ok(Self { api: api.clone(), version, who, access, base, peer, query, body })
    }
}

/// The query's arguments, decoded. What two readers might understand in two ways is refused.
fn query(uri: &Uri) -> Result<Vec<(String, String)>, Fault> {
    let text = uri.query().unwrap_or_default();
    if text.len() > MAX_QUERY {
        return Err(Fault::invalid(format!("The query is too long: at most {MAX_QUERY} bytes are accepted.")));
    }
    let undecodable = || Fault::invalid("The query cannot be decoded: expected UTF-8, percent-encoded.");
    if !is_text(text) {
        return Err(undecodable());
    }
    let Query(mut arguments) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| undecodable())?;
    if arguments.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
        return Err(Fault::invalid("The query contains a NUL character."));
    }
    arguments.sort_by(|(one, _), (other, _)| one.cmp(other));
    match arguments.windows(2).find_map(|pair| if let [(one, _), (other, _)] = pair { (one == other).then_some(one) } else { None }) {
        Some(twice) => Err(Fault::invalid(format!("The argument {} is given more than once.", brief(&Value::from(twice.as_str()))))),
        None => Ok(arguments),
    }
}

/// A body is JSON, whether its sender says so or says nothing.
fn check_type(headers: &http::HeaderMap) -> Result<(), Fault> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let kind = given.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")) {
        return Ok(());
    }
    Err(Fault::routing(415, "The request body must be JSON: send it with Content-Type: application/json."))
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    TooLong,
    Broken,
}

/// Reads a body, stopping as soon as it is longer than `limit`.
pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, Unread> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(Unread::TooLong),
        Err(_) => Err(Unread::Broken),
    }
}

/// Refuses JSON that is nested deeper than `levels`, or of too many values, before anything is built from it.
fn check_json(body: &[u8], levels: usize) -> Result<(), Fault> {
    bounded(body, levels, MAX_VALUES).map_err(|much| {
        let text = match much {
            TooMuch::Levels(levels) => format!("Request body is nested too deeply: at most {levels} levels are accepted."),
            TooMuch::Values(values) => format!("Request body has too many values: at most {values} are accepted."),
        };
        Fault::limit(StatusCode::BAD_REQUEST, text)
    })
}

/// Who sends the request.
pub(crate) fn peer(parts: &Parts) -> IpAddr {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip())
}

/// Under which URL the client reaches the API.
pub(crate) fn base(config: &ApiConfig, headers: &http::HeaderMap, extensions: &Extensions) -> Base {
    if let Some(endpoint) = &config.public_endpoint {
        return Base(endpoint.trim_end_matches('/').to_owned());
    }
    let origin = extensions.get::<Origin>();
    let said = origin.and_then(|origin| origin.host.as_deref()).or_else(|| headers.get(header::HOST)?.to_str().ok());
    let host = said.filter(|host| host.bytes().all(in_authority)).unwrap_or("localhost");
    let scheme = if origin.is_some_and(|origin| origin.secure) { "https" } else { "http" };
    Base(format!("{scheme}://{host}"))
}

/// The `Host` header is copied into answers, so only what a host and port are made of is taken.
fn in_authority(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte)
}

impl Call {
    /// The query's arguments; a body is refused where nobody expects one.
    pub(crate) fn query(&self) -> Args {
        Args::of_query(self.query.clone())
    }

    /// Query and body as one name space.
    pub(crate) fn args(&self) -> Result<Args, Fault> {
        Ok(self.query().with(self.object_or_empty()?))
    }

    /// The body as it came.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value, Fault> {
        json::parse(&self.body).map_err(|error| Fault::invalid(format!("The request body is not valid JSON: {error}.")))
    }

    /// The body as a JSON object.
    pub(crate) fn object(&self) -> Result<Map, Fault> {
        match self.json()? {
            Value::Object(map) => Ok(map),
            _ => Err(Fault::invalid("The request body must be a JSON object.")),
        }
    }

    fn object_or_empty(&self) -> Result<Map, Fault> {
        if self.body.is_empty() {
            return Ok(Map::new());
        }
        match self.json()? {
            Value::Object(map) => Ok(map),
            Value::Null => Ok(Map::new()),
            _ => Err(Fault::invalid("The request body must be a JSON object.")),
        }
    }

    /// 404 unless the resource exists in the requested version.
    pub(crate) fn since(&self, minor: u16) -> Result<(), Fault> {
        if self.version.0 >= minor { Ok(()) } else { Err(Fault::no_such_resource()) }
    }

    /// 406 unless the argument exists in the requested version.
    pub(crate) fn accept(&self, minor: u16) -> Result<(), Fault> {
        if self.version.0 >= minor { Ok(()) } else { Err(Fault::not_acceptable()) }
    }

    /// What a path calls a node by.
    ///
    /// # Errors
    /// 404 for a name in a version that does not know names.
    pub(crate) fn node_ref(&self, ident: &str) -> Result<NodeRef, Fault> {
        match NodeRef::parse(ident) {
            NodeRef::Name(_) if self.version.0 < NAMES => Err(Fault::no_node(brief(&Value::from(ident)))),
            known => Ok(known),
        }
    }

    /// What a path names, without the `.json` that older versions take off.
    pub(crate) fn plain<'i>(&self, ident: &'i str) -> &'i str {
        ident.strip_suffix(".json").filter(|_| self.version.0 <= SUFFIXED).unwrap_or(ident)
    }

    /// The node that a path names.
    ///
    /// # Errors
    /// 404 when there is none or the caller does not see it, 403 when it may not do this with it.
    pub(crate) async fn node(&self, ident: &str) -> Result<Stored<Node>, Fault> {
        let store = self.api.service.store();
        let mut found = store.node(&self.who, &self.node_ref(ident)?).await?;
        if found.is_none() && self.plain(ident) != ident {
            found = store.node(&self.who, &self.node_ref(self.plain(ident))?).await?;
        }
        let found = found.ok_or_else(|| Fault::no_node(brief(&Value::from(ident))))?;
        self.check(&found.value)?;
        Ok(found)
    }

    /// That the caller may do what the path says with what belongs to this node, which it sees.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn check(&self, node: &Node) -> Result<(), Fault> {
        self.check_as(self.access, node)
    }

    /// The same for a node that a body names, where the path says nothing about it.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn check_as(&self, access: Access, node: &Node) -> Result<(), Fault> {
        access.check_node(&self.who, node)
    }

    /// The same of a node of which only its owner and its lessee are known.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn check_parties(&self, owner: Option<&str>, lessee: Option<&str>) -> Result<(), Fault> {
        self.access.check_parties(&self.who, owner, lessee)
    }
}

/// 200 with a JSON body.
pub(crate) fn ok(body: Value) -> Response {
    axum::Json(body).into_response()
}

/// 201 with a JSON body and where it is from now on.
pub(crate) fn created(body: Value, location: String) -> Response {
    (StatusCode::CREATED, located(location), axum::Json(body)).into_response()
}

/// 202 without a body, and where to look how it goes on.
pub(crate) fn accepted(location: String) -> Response {
    (StatusCode::ACCEPTED, located(location)).into_response()
}

/// 204.
pub(crate) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

fn located(location: String) -> [(HeaderName, String); 1] {
    [(header::LOCATION, location)]
}
