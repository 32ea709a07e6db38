//! Files on their way to a controller: to where its UpdateService takes them, in the form that DSP0266 has for that place.

use std::time::Instant;

use futures::stream::{self, StreamExt};
use reqwest::Body;
use serde_json::{Map, Value};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::path::Verb;
use super::{Answer, Guest, Question};
use crate::error::{HardwareError, Kind};
use crate::redfish::account::Content;
use crate::redfish::operation::Operation;

const UPDATE_SERVICE: &str = "/redfish/v1/UpdateService";

const WHAT: &str = "pushing a file";

/// Bytes of the file that are in memory at once.
const CHUNK: usize = 64 << 10;

/// How a place takes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `HttpPushUri`: the bytes and nothing else.
    Bytes,
    /// `MultipartHttpPushUri`: parameters and the file as parts of a form.
    Parts,
}

/// A place that takes a file from a driver, judged like a POST to it.
pub struct Push {
    guest: Guest,
    question: Question,
    form: Form,
}

impl Guest {
    /// Looks how a file is pushed to what `question` names, a POST whose body has the parameters of the update. Errors:
    /// `invalid-parameter` when the UpdateService takes no files there, or no parameters; the controller's own.
    pub async fn push(self, question: Question) -> Result<Push, HardwareError> {
        let service = self.operation("reading the update service", None).get(UPDATE_SERVICE).await?;
        let wanted = question.path.text();
        let is_named = |key: &str| {
            let uri = service.value.get(key).and_then(Value::as_str).and_then(|uri| self.bmc.account.own_path(uri));
            uri.is_some_and(|uri| uri.trim_end_matches('/') == wanted.trim_end_matches('/'))
        };
        let invalid = |code: &str, text: &str| HardwareError::new(Kind::InvalidParameter, code, format!("{WHAT}: {text}"));
        let has_parameters = question.body.as_ref().and_then(Value::as_object).is_some_and(|map| !map.is_empty());
        let form = if question.verb == Verb::Post && is_named("MultipartHttpPushUri") {
            Form::Parts
        } else if question.verb != Verb::Post || !is_named("HttpPushUri") {
            let text = "files go where the UpdateService says, in its MultipartHttpPushUri or HttpPushUri";
            return Err(invalid("redfish.NotPushUri", text));
        } else if has_parameters {
            return Err(invalid("redfish.NoParameters", "HttpPushUri takes a file without parameters"));
        } else {
            Form::Bytes
        };
        Ok(Push { guest: self, question, form })
    }
}

impl Push {
    /// Whether the operation must hold a lock that the node shares while the file is on its way.
    pub fn needs_lock(&self) -> bool {
        self.question.needs_lock()
    }

    /// Sends the file, `size` bytes named `name`, and gives what the controller answered. Waits for its turn first. `boundary` is what
    /// stands between the parts: letters and digits that the file does not hold, so made at random. Errors: as [`Guest::ask`].
    pub async fn send(&self, file: File, size: u64, name: &str, boundary: &str, deadline: Instant) -> Result<Answer, HardwareError> {
        let account = &self.guest.bmc.account;
        let operation = Operation { account, deadline, attempts: self.guest.bmc.attempts, what: WHAT, follow: None };
        let _turn = account.turn(deadline, WHAT).await?;
        // A session that has ended is renewed by a question, so that the file is not sent in vain.
        operation.get(UPDATE_SERVICE).await?;
        let nothing = Value::Object(Map::new());
        let parameters = self.question.body.as_ref().unwrap_or(&nothing);
        let (kind, head, tail) = match self.form {
            Form::Bytes => ("application/octet-stream".to_owned(), String::new(), String::new()),
            Form::Parts => {
                (format!("multipart/form-data; boundary={boundary}"), head(parameters, name, boundary), format!("\r\n--{boundary}--\r\n"))
            }
        };
        let around = u64::try_from(head.len().saturating_add(tail.len())).unwrap_or(u64::MAX);
        let content = Content { kind, length: size.saturating_add(around), body: body(head, file, size, tail) };
        let reply = account.upload(&self.question.path.text(), content, WHAT, deadline).await?;
        self.guest.answer(&operation, reply)
    }
}

/// What comes before the bytes of the file.
fn head(parameters: &Value, name: &str, boundary: &str) -> String {
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
    format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"UpdateParameters\"\r\nContent-Type: application/json\r\n\r\n{parameters}\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"UpdateFile\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
}

/// All of it, read as it is sent.
fn body(head: String, file: File, size: u64, tail: String) -> Body {
    let text = |text: String| stream::iter((!text.is_empty()).then(|| Ok(text.into_bytes())));
    let bytes = stream::try_unfold(file.take(size), |mut file| async move {
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = file.read_buf(&mut chunk).await?;
        Ok::<_, std::io::Error>((read > 0).then_some((chunk, file)))
    });
    Body::wrap_stream(text(head).chain(bytes).chain(text(tail)))
}
