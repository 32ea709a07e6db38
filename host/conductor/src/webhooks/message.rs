//! A message as the Standard Webhooks specification has it: three headers and a body of JSON.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::json;
use wrought_storage::NodeEvent;

use crate::events::shown;

/// What a key in base64 begins with.
const ENCODED: &str = "whsec_";

/// A message about one event.
pub(crate) struct Message {
    /// The same at each try, and of no other message.
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// About `event` of `host`, after `skipped` events that the receiver is not told of any more.
    pub(crate) fn about(event: NodeEvent, host: &str, skipped: u64) -> Self {
        let id = format!("evt_{}_{}", event.id, event.node);
        let (kind, at) = (format!("node.{}", event.kind), event.at.to_string());
        let mut data = shown(event);
        if let Some(data) = data.as_object_mut() {
            data.insert("host".into(), host.into());
        }
        let mut body = json!({ "type": kind, "timestamp": at, "data": data });
        if skipped > 0
            && let Some(body) = body.as_object_mut()
        {
            body.insert("skipped".into(), skipped.into());
        }
        Self { id, body: body.to_string().into_bytes() }
    }

    /// Its headers, when it is sent at `now`; `None` when the secret is no key.
    pub(crate) fn headers(&self, secret: &str, now: Timestamp) -> Option<Vec<(&'static str, String)>> {
        let key = match secret.trim().strip_prefix(ENCODED) {
            Some(encoded) => STANDARD.decode(encoded).ok().filter(|key| !key.is_empty())?,
            None => secret.as_bytes().to_vec(),
        };
        let time = now.as_second().to_string();
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
        for part in [self.id.as_bytes(), b".", time.as_bytes(), b".", &self.body] {
            context.update(part);
        }
        let signature = format!("v1,{}", STANDARD.encode(context.sign()));
        Some(vec![("webhook-id", self.id.clone()), ("webhook-timestamp", time), ("webhook-signature", signature)])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn a_message_is_signed_as_the_specification_says() {
        let message = Message { id: "msg_p5jXN8AQM9LWM0D4loKWxJek".into(), body: br#"{"test": 2432232314}"#.to_vec() };
        let now = Timestamp::from_second(1_614_265_330).unwrap();
        let headers = message.headers("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", now).unwrap();
        assert_eq!(headers[1], ("webhook-timestamp", "1614265330".into()));
        assert_eq!(headers[2], ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".into()));
        assert!(message.headers("whsec_", now).is_none() && message.headers("whsec_%%", now).is_none());
    }
}
