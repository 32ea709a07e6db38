//! Methods of the vendor's own, in the names of Ironic's fake vendor.

use serde_json::{Value, json};
use wrought_sdk::prelude::*;

use crate::Fake;

impl VendorPassthru for Fake {
    fn methods() -> Vec<Method> {
        vec![
            Method::new("first_method", &["POST"], "Notes `bar` with the node's driver, as an operation.").with_effects(),
            Method::new("second_method", &["POST"], "Says whether `bar` is `kazoo`, as an operation, in the log.").with_effects(),
            Method::new("third_method_sync", &["POST"], "Whether `bar` is `meow`, answered at once."),
            Method::new("fourth_method_shared_lock", &["POST"], "Whether `bar` is `woof`, answered at once."),
            Method::new("what_was_noted", &["GET"], "What `first_method` has noted."),
        ]
    }

    fn call(method: String, _http_method: String, body: String) -> Result<String> {
        let body: Value = serde_json::from_str(&body)?;
        let bar = || body.get("bar").ok_or_else(|| Error::missing_parameter(format!("{method} needs `bar`")));
        let answer = match method.as_str() {
            "first_method" => {
                state::set(state::Scope::Node, "bar", bar()?)?;
                Value::Null
            }
            "second_method" => {
                wrought_sdk::info!("second_method: {}", bar()? == "kazoo");
                Value::Null
            }
            "third_method_sync" => json!(bar()? == "meow"),
            "fourth_method_shared_lock" => json!(bar()? == "woof"),
            "what_was_noted" => json!({ "bar": state::get::<Value>(state::Scope::Node, "bar")? }),
            _ => return Err(Error::not_found(format!("this driver has no method {method}"))),
        };
        Ok(answer.to_string())
    }
}
