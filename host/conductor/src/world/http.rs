//! `http`: what a driver asks of hosts that it was granted, with the secrets filled in that belong there.

use async_trait::async_trait;
use serde_json::Value;
use wrought_domain::{DriverError, ErrorKind};
use wrought_drivers::Destination;
use wrought_drivers::capability::{Authority as _, Http, HttpAnswer, HttpBody, HttpRequest};
use wrought_hardware::driver_http::{DriverAnswer, DriverRequest, destination, headers, method};
use wrought_hardware::secrets::Secrets;

use super::NodeWorld;
use crate::convert;
use crate::secrets::{belonging, image_url};

fn elsewhere() -> DriverError {
    let text = "a secret reference in the request names no secret that belongs at this destination";
    DriverError::new(ErrorKind::Denied, "secret.Elsewhere", text)
}

impl NodeWorld {
    /// The request as it is sent.
    async fn outgoing(&self, request: HttpRequest) -> Result<DriverRequest, DriverError> {
        let HttpRequest { method: verb, url, headers: given, body } = request;
        let mut secret = Secrets::name(&url).is_some();
        let url = match Secrets::name(&url) {
            Some(name) => image_url(&self.node, name).ok_or_else(elsewhere)?.to_owned(),
            None => url,
        };
        let url = destination(&url).map_err(|error| self.failed(error))?;
        let belonging = belonging(&self.conductor.0.machines.references, &self.node, &url);
        let mut filled = Vec::with_capacity(given.len());
        for (name, value) in given {
            let mut value = Value::String(value);
            secret |= self.fill(&belonging, &mut value).await?;
            filled.push((name, value.as_str().unwrap_or_default().to_owned()));
        }
        let headers = headers(filled.iter().map(|(name, value)| (name.as_str(), value.as_str()))).map_err(|error| self.failed(error))?;
        let body = match body {
            Some(HttpBody::Text(text)) if Secrets::within(&text) => {
                // A body that is JSON has its references in strings of it; another one is a reference as a whole.
                let (mut body, is_json) = serde_json::from_str(&text).map_or((Value::String(text), false), |json: Value| (json, true));
                secret |= self.fill(&belonging, &mut body).await?;
                let plain = body.as_str().map(str::to_owned).filter(|_| !is_json);
                Some(plain.unwrap_or_else(|| body.to_string()).into_bytes())
            }
            other => other.map(HttpBody::into_bytes),
        };
        let method = method(&verb).map_err(|error| self.failed(error))?;
        Ok(DriverRequest { method, url, headers, body, secret })
    }

    /// Fills in references; whether there were any.
    async fn fill(&self, belonging: &Secrets, value: &mut Value) -> Result<bool, DriverError> {
        let before = value.clone();
        let secrets = self.with_artifacts(belonging, value).await?;
        secrets.fill(value).map_err(|_| elsewhere())?;
        Ok(*value != before)
    }

    /// The answer without this node's secrets.
    fn clean_answer(&self, answer: DriverAnswer) -> Result<HttpAnswer, DriverError> {
        let clean = |text: &str| self.secrets.scrub_text(text);
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

#[async_trait]
impl Http for NodeWorld {
    async fn http(&self, request: HttpRequest) -> Result<HttpAnswer, DriverError> {
        let grants = self.grants();
        let granted: Vec<Destination> = grants.scopes("http").filter_map(|scope| scope.parse().ok()).collect();
        let request = self.outgoing(request).await?;
        let permits = |method: &str, url: &_| granted.iter().any(|destination| destination.permits(method, url));
        let answer = self.conductor.0.http.send(request, |method, url| permits(method.as_str(), url)).await;
        let answer = answer.map_err(|error| match convert::error(error) {
            error if error.code == "http.NotGranted" => DriverError { code: "wrought.NotGranted".into(), ..error },
            error => DriverError { message: self.secrets.scrub_text(&error.message), ..error },
        })?;
        self.clean_answer(answer)
    }
}
