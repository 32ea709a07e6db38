//! Requests to the hosts that the operator granted.
//!
//! ```no_run
//! # use wrought_sdk::prelude::*;
//! # use wrought_sdk::serde_json::json;
//! # fn ask() -> Result<String> {
//! let answer = http::post_json(
//!     "https://fw.example.com/v1/tickets",
//!     &[("authorization", "secret-ref:http-acme")],
//!     &json!({ "machine": task::node().uuid }),
//! )?;
//! if answer.status != 201 {
//!     return Err(Error::failed(format!("the firmware server answered {}", answer.status)));
//! }
//! answer.json()
//! # }
//! ```
//!
//! The account `acme` is one of the node's `driver_info/http_accounts`; the host fills it in for its own destination alone.

use serde::{Serialize, de::DeserializeOwned};

use crate::bindings::imports::baremetal::deploy::http as host;
use crate::bindings::imports::baremetal::deploy::types::Error;
use crate::error::Result;

pub use host::{Body, Header, Response};

fn headers(given: &[(&str, &str)]) -> Vec<Header> {
    given.iter().map(|(name, value)| Header { name: (*name).to_owned(), value: (*value).to_owned() }).collect()
}

/// Reads what is at `url`.
pub fn get(url: &str, with: &[(&str, &str)]) -> Result<Response> {
    host::get(url, &headers(with))
}

/// Asks for the headers of what is at `url`.
pub fn head(url: &str, with: &[(&str, &str)]) -> Result<Response> {
    host::head(url, &headers(with))
}

/// Sends a body, which has an effect of its own each time.
pub fn post(url: &str, with: &[(&str, &str)], body: Option<&Body>) -> Result<Response> {
    host::post(url, &headers(with), body)
}

/// The same with JSON.
pub fn post_json(url: &str, with: &[(&str, &str)], body: &impl Serialize) -> Result<Response> {
    let mut with = headers(with);
    with.push(Header { name: "content-type".into(), value: "application/json".into() });
    host::post(url, &with, Some(&Body::Text(serde_json::to_string(body)?)))
}

/// Puts a body at `url`. After a crash of the host it is sent again.
pub fn put(url: &str, with: &[(&str, &str)], body: Option<&Body>) -> Result<Response> {
    host::put(url, &headers(with), body)
}

/// Changes what is at `url`.
pub fn patch(url: &str, with: &[(&str, &str)], body: Option<&Body>) -> Result<Response> {
    host::patch(url, &headers(with), body)
}

/// Deletes what is at `url`. After a crash of the host it is sent again.
pub fn delete(url: &str, with: &[(&str, &str)]) -> Result<Response> {
    host::delete(url, &headers(with), None)
}

impl Response {
    /// The value of a header, whose name is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name == name).map(|header| header.value.as_str())
    }

    /// The body, if it is text.
    pub fn text(&self) -> Result<&str> {
        match &self.body {
            Body::Text(text) => Ok(text),
            Body::Bytes(_) => Err(Error::failed("the answer is not text")),
        }
    }

    /// The body as the driver's own type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_str(self.text()?)?)
    }
}
