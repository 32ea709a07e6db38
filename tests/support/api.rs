//! A client of the API that asserts nothing by itself.

use reqwest::{Body, Method, RequestBuilder};
use serde_json::{Value, json};

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// As it came.
    pub text: String,
}

impl Answer {
    /// The body; null when it is empty.
    pub fn json(&self) -> Value {
        if self.text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
        }
    }

    /// The reason of an error, in whichever of Ironic's forms or in Wrought's own. Panics for another form.
    pub fn reason(&self) -> String {
        let body = self.json();
        let text = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        // Ironic's clients decode `error_message` once more.
        let inner = text(&body, "/error_message").map(|inner| serde_json::from_str::<Value>(&inner).expect("error_message holds JSON"));
        let found = match &inner {
            Some(inner) => text(inner, "/faultstring").or_else(|| text(inner, "/description")),
            None => text(&body, "/faultstring").or_else(|| text(&body, "/error/message")),
        };
        found.filter(|text| !text.is_empty()).unwrap_or_else(|| panic!("an error of no known form: {}", self.text))
    }

    /// The reason, if the status is the expected one.
    #[track_caller]
    pub fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        self.reason()
    }

    /// The body, if the status says success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.text);
        self.json()
    }
}

/// A host's API in the newest version.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    url: String,
}

impl Api {
    pub fn new(url: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(super::PATIENCE).build().unwrap();
        Self { http, url: url.to_owned() }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request that `fill` completes.
    pub async fn send(&self, method: Method, path: &str, fill: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Answer {
        self.try_send(method, path, fill).await.unwrap_or_else(|error| panic!("{path}: {error:?}"))
    }

    /// As `send`, for a host that may be gone.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> reqwest::Result<Answer> {
        let request = self.http.request(method, format!("{}{path}", self.url)).header("X-OpenStack-Ironic-API-Version", "latest");
        let response = fill(request).send().await?;
        Ok(Answer { status: response.status().as_u16(), text: response.text().await? })
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, |request| request).await
    }

    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.send(method, path, |request| request.json(body)).await
    }

    pub async fn raw(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        self.send(method, path, |request| request.header("Content-Type", "application/json").body(body)).await
    }

    /// Uploads a version of a driver.
    pub async fn push(&self, driver: &str, component: Vec<u8>) -> Answer {
        self.send(Method::PUT, &format!("/wrought/v1/drivers/{driver}"), |request| request.body(component)).await
    }

    /// Uploads a version and activates it with all that it asks for; its digest.
    pub async fn install(&self, driver: &str, component: Vec<u8>) -> String {
        let pushed = self.push(driver, component).await.ok();
        let digest = pushed["digest"].as_str().unwrap().to_owned();
        self.activate(driver, &json!({"digest": digest, "grant": pushed["requested"]})).await.ok();
        digest
    }

    pub async fn activate(&self, driver: &str, body: &Value) -> Answer {
        self.call(Method::POST, &format!("/wrought/v1/drivers/{driver}/activate"), body).await
    }

    /// The digest of the version in force.
    pub async fn active_digest(&self, driver: &str) -> String {
        let shown = self.get(&format!("/wrought/v1/drivers/{driver}")).await.ok();
        shown["active"]["digest"].as_str().unwrap_or_else(|| panic!("no version of {driver} is active: {shown}")).to_owned()
    }
}
