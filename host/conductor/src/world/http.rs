//! `http`: what a driver asks of hosts that it was granted, with the secrets filled in that belong there.

use async_trait::async_trait;
use serde_json::Value;
use wrought_domain::{DriverError, ErrorKind};
use wrought_drivers::Destination;
use wrought_drivers::capability::{Authority as _, Http, HttpAnswer, HttpBody, HttpRequest};
use wrought_hardware::Kind;
use wrought_hardware::driver_http::{DriverAnswer, DriverRequest, destination, headers, method};
use wrought_hardware::secrets::Secrets;

use super::NodeWorld;
use crate::convert;
use crate::secrets::{belonging, image_url};

fn elsewhere() -> DriverError {
    let text = "a secret reference in the request names no secret that belongs at this destination";
    DriverError::new(ErrorKind::Denied, "secret.Elsewhere", text)
}

/// A request as it is sent, and the secrets that belong where it goes: they are taken out of what comes back.
struct Outgoing {
    request: DriverRequest,
    belonging: Secrets,
}

impl NodeWorld {
    /// The request as it is sent. What is too large is refused before anything is filled in.
    async fn outgoing(&self, request: HttpRequest) -> Result<Outgoing, DriverError> {
        let HttpRequest { method: verb, url, headers: given, body } = request;
        let method = method(&verb).map_err(|error| self.failed(error))?;
        headers(given.iter().map(|(name, value)| (name.as_str(), value.as_str()))).map_err(|error| self.failed(error))?;
        let body = body.map(HttpBody::into_bytes);
        if let Some(body) = &body {
            self.conductor.0.http.check_body(body).map_err(|error| self.failed(error))?;
        }
        let mut secret = Secrets::name(&url).is_some();
        let url = match Secrets::name(&url) {
            Some(name) => image_url(&self.node, name).ok_or_else(elsewhere)?.to_owned(),
            None => url,
        };
        let url = destination(&url).map_err(|error| self.failed(error))?;
        // A body that is JSON has its references in strings of it; another one is a reference as a whole.
        let text = body.as_deref().and_then(|body| std::str::from_utf8(body).ok()).filter(|text| Secrets::within(text));
        let json = text.map(|text| serde_json::from_str(text).map_or((Value::from(text), false), |json: Value| (json, true)));
        let (mut filled_body, is_json) = json.map_or((None, false), |(json, is_json)| (Some(json), is_json));
        let (names, values): (Vec<String>, Vec<Value>) = given.into_iter().map(|(name, value)| (name, Value::from(value))).unzip();
        let mut values = Value::from(values);
        let belonging = belonging(&self.conductor.0.machines.references, &self.node, &url);
        let none = Secrets::default();
        let everywhere = self.with_artifacts(&none, [Some(&values), filled_body.as_ref()].into_iter().flatten()).await?;
        let in_headers = self.with_artifacts(&belonging, [&values]).await?;
        secret |= fill(&in_headers, &mut values)?;
        if let Some(body) = &mut filled_body {
            secret |= fill(&everywhere, body)?;
        }
        let values = values.as_array().map(Vec::as_slice).unwrap_or_default();
        let filled = names.iter().zip(values).map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()));
        let headers = headers(filled).map_err(|error| self.failed(error))?;
        let body = match filled_body {
            Some(Value::String(text)) if !is_json => Some(text.into_bytes()),
            Some(json) => Some(json.to_string().into_bytes()),
            None => body,
        };
        let belonging = in_headers.into_owned();
        Ok(Outgoing { request: DriverRequest { method, url, headers, body, secret }, belonging })
    }

    /// The answer without this node's secrets, among them those that were `sent`.
    fn clean_answer(&self, sent: &Secrets, answer: DriverAnswer) -> Result<HttpAnswer, DriverError> {
        let clean = |text: &str| sent.scrub_text(&self.secrets.scrub_text(text));
        let body = match HttpBody::of(answer.body) {
            HttpBody::Text(text) => HttpBody::Text(clean(&text)),
            HttpBody::Base64(encoded) => {
                let body = HttpBody::Base64(encoded);
                let bytes = body.clone().into_bytes();
                let shown = String::from_utf8_lossy(&bytes);
                if clean(&shown) != shown {
                    let text = "the answer is not text and has a secret of the node in it";
                    return Err(DriverError::new(ErrorKind::Failed, "http.SecretInAnswer", text));
                }
                body
            }
        };
        let headers = answer.headers.iter().map(|(name, value)| (name.clone(), clean(value))).collect();
        Ok(HttpAnswer { status: answer.status.into(), headers, body })
    }
}

/// Fills in references; whether there were any.
fn fill(secrets: &Secrets, value: &mut Value) -> Result<bool, DriverError> {
    let before = value.clone();
    secrets.fill(value).map_err(|error| if error.kind == Kind::NotFound { elsewhere() } else { convert::error(error) })?;
    Ok(*value != before)
}

#[async_trait]
impl Http for NodeWorld {
    async fn http(&self, request: HttpRequest) -> Result<HttpAnswer, DriverError> {
        let grants = self.grants();
        let granted: Vec<Destination> = grants.scopes("http").filter_map(|scope| scope.parse().ok()).collect();
        let Outgoing { request, belonging } = self.outgoing(request).await?;
        let permits = |method: &str, url: &_| granted.iter().any(|destination| destination.permits(method, url));
        let answer = self.conductor.0.http.send(request, |method, url| permits(method.as_str(), url)).await;
        let answer = answer.map_err(|error| match convert::error(error) {
            error if error.code == "http.NotGranted" => DriverError { code: "wrought.NotGranted".into(), ..error },
            error => DriverError { message: belonging.scrub_text(&self.secrets.scrub_text(&error.message)), ..error },
        })?;
        self.clean_answer(&belonging, answer)
    }
}
