//! Answers of a controller and what their errors mean.

use reqwest::StatusCode;
use serde_json::Value;

use crate::error::{HardwareError, Kind};
use crate::http::tame;

/// Of a controller's words, in characters; more than any secret has that it is given. Who shows them takes the secrets out first
/// and cuts them then: the beginning of a secret that was cut would not be found.
const WORDS_CAP: usize = 16 * 1024;

/// An answer, whatever its status.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) etag: Option<String>,
    /// `Location` as it came.
    pub(crate) location: Option<String>,
    pub(crate) token: Option<String>,
    /// Null when there is none, or when it is not JSON: controllers also answer with plain text.
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// The resource's ETag, from the header or the body.
    pub(crate) fn tag(&self) -> Option<String> {
        self.etag.clone().or_else(|| self.body.get("@odata.etag").and_then(Value::as_str).map(str::to_owned))
    }

    /// The last part of the most telling message id, for example `OemLicenseNotPassed`.
    pub(crate) fn message_id(&self) -> Option<String> {
        let error = self.body.get("error")?;
        let extended = error.get("@Message.ExtendedInfo").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let ids = extended.iter().filter_map(|info| info.get("MessageId")).chain(error.get("code"));
        let mut ids = ids.filter_map(Value::as_str).filter_map(last_part).peekable();
        let first = ids.peek().cloned();
        ids.find(|id| !matches!(id.as_str(), "GeneralError" | "Success" | "ExtendedInfo")).or(first)
    }

    fn message(&self) -> Option<String> {
        let error = self.body.get("error")?;
        let extended = error.get("@Message.ExtendedInfo").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let texts = extended.iter().filter_map(|info| info.get("Message")).chain(error.get("message"));
        texts.filter_map(Value::as_str).map(|text| tame(text, WORDS_CAP)).find(|text| !text.is_empty())
    }

    /// What this refusal of `what` means. The message still holds the controller's words as they came:
    /// the account takes out what may not leave.
    pub(crate) fn refusal(&self, what: &str) -> HardwareError {
        let mut error = self.refusal_without_words(what);
        if let Some(words) = self.message() {
            error.message = format!("{}: {words}", error.message);
        }
        error
    }

    /// The same with the controller's status and message id only.
    pub(crate) fn refusal_without_words(&self, what: &str) -> HardwareError {
        let status = self.status.as_u16();
        let kind = match status {
            404 | 410 => Kind::NotFound,
            405 | 501 => Kind::Unsupported,
            409 | 412 => Kind::Conflict,
            // Nothing was done: a controller that starts, is busy, or sits behind a relay.
            429 | 502 | 503 | 504 => Kind::Timeout,
            _ => Kind::Failed,
        };
        let code = self.message_id().unwrap_or_else(|| format!("Http{status}"));
        HardwareError::new(kind, format!("redfish.{code}"), format!("{what}: the controller answered {status} {code}"))
    }
}

fn last_part(id: &str) -> Option<String> {
    let part: String = id.rsplit('.').next()?.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    (!part.is_empty()).then_some(part)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn reply(status: u16, body: Value) -> Reply {
        Reply { status: StatusCode::from_u16(status).unwrap(), etag: None, location: None, token: None, body }
    }

    #[test]
    fn the_most_telling_message_id_becomes_the_code() {
        let licence = json!({"error": {"code": "Base.1.8.GeneralError", "message": "see", "@Message.ExtendedInfo": [
            {"MessageId": "Base.1.8.GeneralError"},
            {"MessageId": "SMC.1.0.OemLicenseNotPassed", "Message": "Not licensed\nto perform this"},
        ]}});
        let error = reply(403, licence).refusal("inserting media");
        assert_eq!((error.kind, error.code.as_str()), (Kind::Failed, "redfish.OemLicenseNotPassed"));
        assert!(error.message.ends_with("Not licensed to perform this"), "{error}");
    }

    #[test]
    fn odd_bodies_still_make_an_error() {
        assert_eq!(reply(500, Value::Null).refusal("x").code, "redfish.Http500");
        assert_eq!(reply(400, json!({"error": {"code": "Base.1.0.GeneralError"}})).refusal("x").code, "redfish.GeneralError");
        assert_eq!(reply(400, json!({"error": {"code": 3, "@Message.ExtendedInfo": "no"}})).refusal("x").code, "redfish.Http400");
        assert_eq!(reply(400, json!([1])).refusal("x").code, "redfish.Http400");
        let hostile = json!({"error": {"code": "A.<script>\u{7}", "message": "x".repeat(500_000)}});
        let error = reply(503, hostile).refusal("x");
        assert_eq!((error.kind, error.code.as_str()), (Kind::Timeout, "redfish.script"));
        assert!(error.message.len() < WORDS_CAP + 100);
    }
}
