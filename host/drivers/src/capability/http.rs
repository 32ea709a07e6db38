//! `http`: a request is recorded as the driver wrote it, with references in the places of secrets, and its answer as the driver
//! gets it.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use wrought_domain::DriverError;

use crate::contract::http::{Body, Header, Response};
use crate::contract::import::http::Host;
use crate::contract::types::Error;
use crate::journal::Class;
use crate::state::CallState;

/// A request of a driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// `GET`, `HEAD`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// Where it goes, or a reference to that.
    pub url: String,
    /// Names and values; a value may be a reference.
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<HttpBody>,
}

/// A body, which takes no more room in the record than its bytes in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpBody {
    /// Text.
    Text(String),
    /// Other bytes, in base64.
    Base64(String),
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpAnswer {
    /// For example 200.
    pub status: u32,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: HttpBody,
}

impl HttpBody {
    /// Text where the bytes are text.
    pub fn of(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(other) => Self::Base64(STANDARD.encode(other.as_bytes())),
        }
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            // What is recorded was encoded here.
            Self::Base64(text) => STANDARD.decode(text).unwrap_or_default(),
        }
    }
}

impl From<Body> for HttpBody {
    fn from(body: Body) -> Self {
        match body {
            Body::Text(text) => Self::Text(text),
            Body::Bytes(bytes) => Self::Base64(STANDARD.encode(bytes)),
        }
    }
}

impl From<HttpAnswer> for Response {
    fn from(answer: HttpAnswer) -> Self {
        let body = match answer.body {
            HttpBody::Text(text) => Body::Text(text),
            other @ HttpBody::Base64(_) => Body::Bytes(other.into_bytes()),
        };
        let headers = answer.headers.into_iter().map(|(name, value)| Header { name, value }).collect();
        Self { status: answer.status, headers, body }
    }
}

/// Requests to granted hosts.
#[async_trait]
pub trait Http: Send + Sync {
    /// Sends a request; what it must fulfil is in `wit/http.wit`.
    async fn http(&self, request: HttpRequest) -> Result<HttpAnswer, DriverError>;
}

impl CallState {
    async fn request(
        &mut self,
        name: &'static str,
        url: String,
        headers: Vec<Header>,
        body: Option<Body>,
    ) -> wasmtime::Result<Result<Response, Error>> {
        let class = if ["get", "head"].contains(&name) { Class::Observe } else { Class::Effect };
        let headers = headers.into_iter().map(|header| (header.name, header.value)).collect();
        let request = HttpRequest { method: name.to_ascii_uppercase(), url, headers, body: body.map(HttpBody::from) };
        let args = request.clone();
        let answer = self.pass(class, "http", name, args, |world| async move { world.http(request).await }).await?;
        Ok(answer.map(Response::from))
    }
}

impl Host for CallState {
    async fn get(&mut self, url: String, headers: Vec<Header>) -> wasmtime::Result<Result<Response, Error>> {
        self.request("get", url, headers, None).await
    }

    async fn head(&mut self, url: String, headers: Vec<Header>) -> wasmtime::Result<Result<Response, Error>> {
        self.request("head", url, headers, None).await
    }

    async fn post(&mut self, url: String, headers: Vec<Header>, body: Option<Body>) -> wasmtime::Result<Result<Response, Error>> {
        self.request("post", url, headers, body).await
    }

    async fn put(&mut self, url: String, headers: Vec<Header>, body: Option<Body>) -> wasmtime::Result<Result<Response, Error>> {
        self.request("put", url, headers, body).await
    }

    async fn patch(&mut self, url: String, headers: Vec<Header>, body: Option<Body>) -> wasmtime::Result<Result<Response, Error>> {
        self.request("patch", url, headers, body).await
    }

    async fn delete(&mut self, url: String, headers: Vec<Header>, body: Option<Body>) -> wasmtime::Result<Result<Response, Error>> {
        self.request("delete", url, headers, body).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bodies_come_back_as_they_were() {
        for bytes in [b"text".to_vec(), vec![0xff, 0, 1], Vec::new()] {
            let body = HttpBody::of(bytes.clone());
            let recorded: HttpBody = serde_json::from_value(serde_json::to_value(&body).unwrap()).unwrap();
            assert_eq!((&recorded, recorded.clone().into_bytes()), (&body, bytes));
        }
        assert_eq!(HttpBody::of(vec![0xff]), HttpBody::Base64("/w==".into()));
    }
}
