//! Errors in Ironic's three forms.
//!
//! | producer | body |
//! |---|---|
//! | a handler | `{"error_message": "<JSON: faultcode, faultstring, debuginfo>"}` |
//! | routing, versions | `{"error_message": "<JSON: code, title, description>"}` |
//! | the limits on JSON | `{"faultcode": ..., "faultstring": ...}` |
//!
//! The inner JSON is encoded twice on purpose: clients decode `error_message` as JSON.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use wrought_conductor::Refusal;
use wrought_domain::{NodeId, PartError};
use wrought_storage::StoreError;

use crate::patience::Passing;

/// An error answer.
#[derive(Debug)]
pub(crate) struct Fault {
    status: StatusCode,
    form: Form,
    text: String,
    /// Why it would be another answer a moment later, if it would.
    passing: Option<Passing>,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Controller,
    Routing,
    Limit,
}

impl Fault {
    fn controller(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, form: Form::Controller, text: text.into(), passing: None }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// For people.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// 400.
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::controller(StatusCode::BAD_REQUEST, text)
    }

    /// 403.
    pub(crate) fn forbidden(text: impl Into<String>) -> Self {
        Self::controller(StatusCode::FORBIDDEN, text)
    }

    /// 404.
    pub(crate) fn not_found(text: impl Into<String>) -> Self {
        Self::controller(StatusCode::NOT_FOUND, text)
    }

    /// 404 for a node, in Ironic's words.
    pub(crate) fn no_node(ident: impl std::fmt::Display) -> Self {
        Self::not_found(format!("Node {ident} could not be found."))
    }

    /// 406 for a field, filter or argument that is newer than the requested version.
    pub(crate) fn not_acceptable() -> Self {
        Self::controller(StatusCode::NOT_ACCEPTABLE, "Request not acceptable.")
    }

    /// 409.
    pub(crate) fn conflict(text: impl Into<String>) -> Self {
        Self::controller(StatusCode::CONFLICT, text)
    }

    /// 409: an operation holds the node.
    pub(crate) fn locked(node: NodeId, host: &str) -> Self {
        Self::from(Refusal::Locked { node, host: host.to_owned() })
    }

    /// An error of routing or of version negotiation.
    pub(crate) fn routing(status: u16, text: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        Self { status, form: Form::Routing, text: text.into(), passing: None }
    }

    /// 404 for a path that does not exist, or not yet in the requested version.
    pub(crate) fn no_such_resource() -> Self {
        Self::routing(404, "The resource could not be found.")
    }

    /// 400 or 413: the body breaks a limit.
    pub(crate) fn limit(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, form: Form::Limit, text: text.into(), passing: None }
    }

    /// 500; the details go to the log only.
    pub(crate) fn internal(context: &'static str, details: &dyn std::fmt::Display) -> Self {
        tracing::error!(%details, "{context}");
        Self::controller(StatusCode::INTERNAL_SERVER_ERROR, "Internal error of the host; its log has the details.")
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let passing = match refusal {
            Refusal::Locked { .. } => Some(Passing::Held),
            Refusal::Stale(_) => Some(Passing::Outrun),
            _ => None,
        };
        Self { passing, ..Self::controller(status, refusal.to_string()) }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::NotFound { .. } | StoreError::UnknownMarker(_) => StatusCode::NOT_FOUND,
            StoreError::UnknownSortKey(_) => StatusCode::BAD_REQUEST,
            StoreError::Duplicate(_) | StoreError::Stale { .. } | StoreError::Refused(_) => StatusCode::CONFLICT,
            StoreError::Part(PartError::Invalid(text)) => return Self::invalid(text),
            StoreError::Part(PartError::Conflict(text)) => return Self::conflict(text),
            StoreError::Reserved { node, host } => return Self::locked(*node, host),
            StoreError::Closed => StatusCode::SERVICE_UNAVAILABLE,
            other => return Self::internal("the store failed for the API", other),
        };
        let passing = matches!(error, StoreError::Stale { .. }).then_some(Passing::Outrun);
        Self { passing, ..Self::controller(status, sentence(&error.to_string())) }
    }
}

/// The text as Ironic writes errors: a capital first and a full stop last.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

#[derive(Serialize)]
struct Controller<'a> {
    faultcode: &'static str,
    faultstring: &'a str,
    debuginfo: Option<&'a str>,
}

#[derive(Serialize)]
struct Routing<'a> {
    code: u16,
    title: &'static str,
    description: &'a str,
}

#[derive(Serialize)]
struct Limit<'a> {
    faultcode: &'static str,
    faultstring: &'a str,
}

#[derive(Serialize)]
struct Wrapper {
    error_message: String,
}

fn encode(value: &impl Serialize) -> String {
    // Strings and numbers alone: there is nothing in them that JSON cannot hold.
    serde_json::to_string(value).unwrap_or_default()
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let faultcode = if self.status.is_client_error() { "Client" } else { "Server" };
        let wrap = |inner: String| encode(&Wrapper { error_message: inner });
        let body = match self.form {
            Form::Controller => wrap(encode(&Controller { faultcode, faultstring: &self.text, debuginfo: None })),
            Form::Routing => wrap(encode(&Routing {
                code: self.status.as_u16(),
                title: self.status.canonical_reason().unwrap_or_default(),
                description: &self.text,
            })),
            Form::Limit => encode(&Limit { faultcode, faultstring: &self.text }),
        };
        let mut response = (self.status, body).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some(passing) = self.passing {
            response.extensions_mut().insert(passing);
        }
        response
    }
}
