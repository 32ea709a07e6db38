//! Answers to callers who are not let in, in the forms that clients of Ironic know: its `http_basic` does not wrap errors, nor does
//! Keystone's middleware.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use wrought_storage::StoreError;

use crate::errors::Fault;
use crate::wrought_drivers::Refused;

/// Why a caller is not let in.
#[derive(Debug)]
pub(crate) enum Denied {
    /// No account was named.
    NoAccount,
    /// The account, or its password, is not one.
    WrongAccount,
    /// The header is not one of an account.
    Malformed(&'static str),
    /// No token was shown.
    NoToken,
    /// The token is not in force.
    WrongToken,
    /// Too many requests of this kind; how long to wait.
    TooOften(Duration),
    /// A web page of another origin sends it.
    Page,
    /// Too many passwords are being verified.
    Busy,
    /// The database failed.
    Store(StoreError),
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Denied {
    fn said(&self) -> (StatusCode, &'static str) {
        let required = "The request you have made requires authentication.";
        match self {
            Self::NoAccount => (StatusCode::UNAUTHORIZED, "Authorization required"),
            Self::WrongAccount => (StatusCode::UNAUTHORIZED, "Incorrect username or password"),
            Self::Malformed(text) => (StatusCode::BAD_REQUEST, text),
            Self::NoToken | Self::WrongToken => (StatusCode::UNAUTHORIZED, required),
            Self::TooOften(_) => (StatusCode::TOO_MANY_REQUESTS, "Too many requests; retry later."),
            Self::Page => (StatusCode::FORBIDDEN, "Changes are not taken from web pages of other origins."),
            Self::Busy | Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "The host is busy; retry later."),
        }
    }

    /// The answer, in the form of the API that was asked; `base` is its URL.
    pub(crate) fn answer(self, wrought: bool, base: &str) -> Response {
        let (status, text) = self.said();
        if let Self::Store(error) = &self {
            tracing::error!(%error, "a caller could not be looked up");
        }
        let code = status.as_u16();
        let mut response = match self {
            _ if wrought => Refused::new(status, text).into_response(),
            Self::NoAccount | Self::WrongAccount | Self::Malformed(_) => {
                (status, axum::Json(json!({"error": {"message": text, "code": code}}))).into_response()
            }
            Self::NoToken | Self::WrongToken => {
                (status, axum::Json(json!({"error": {"code": code, "title": "Unauthorized", "message": text}}))).into_response()
            }
            Self::TooOften(_) | Self::Page | Self::Busy | Self::Store(_) => Fault::routing(code, text).into_response(),
        };
        let header = match self {
            Self::NoAccount | Self::WrongAccount => Some((header::WWW_AUTHENTICATE, "Basic realm=\"Baremetal API\"".to_owned())),
            Self::NoToken | Self::WrongToken => Some((header::WWW_AUTHENTICATE, format!("Keystone uri=\"{base}\""))),
            Self::TooOften(wait) => Some((header::RETRY_AFTER, wait.as_secs().saturating_add(1).to_string())),
            Self::Busy => Some((header::RETRY_AFTER, "1".to_owned())),
            Self::Malformed(_) | Self::Page | Self::Store(_) => None,
        };
        if let Some((name, value)) = header
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
