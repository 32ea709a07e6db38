//! Asks the controller what `driver_info/hostile_redfish` lists, one after the other, in the deploy step; it never fails by itself.
//!
//! A request is `{"do": "get", "path": ..., "body": {...}}`. Beside the functions of `redfish` there are `lock` (takes the shared lock
//! `path`), `wait` (for the task that was named last, or for `path`) and `task` (reads the task that was named last). The answers, a
//! line each, are reported as `driver_internal_info/root_uuid_or_disk_id`: a status with the body, or an error's code.

use serde_json::{Map, Value, json};
use wrought_sdk::prelude::*;
use wrought_sdk::redfish::Response;
use wrought_sdk::state::Scope;

/// Keys of what was answered so far, and of the task that was named last.
const ANSWERS: &str = "redfish-answers";
const TASK: &str = "redfish-task";

/// What the node lists.
pub fn requests() -> Option<Vec<Value>> {
    let info: Map<String, Value> = task::node().driver_info().ok()?;
    info.get("hostile_redfish")?.as_array().cloned()
}

/// Goes on with the list from where the last call of this step came to.
pub fn play(requests: &[Value]) -> Result<Outcome> {
    let mut answers: Vec<String> = state::get(Scope::Operation, ANSWERS)?.unwrap_or_default();
    for request in requests.iter().skip(answers.len()) {
        let text = |key: &str| request.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (path, body) = (text("path"), request.get("body").cloned().unwrap_or_else(|| json!({})));
        let named = || state::get::<String>(Scope::Operation, TASK).ok().flatten().unwrap_or_default();
        let answer = match text("do").as_str() {
            "get" => redfish::get(&path),
            "patch" => redfish::patch(&path, &body),
            "post" => redfish::post(&path, &body),
            "delete" => redfish::delete(&path),
            "task" => redfish::get(&named()),
            "wait" => {
                answers.push("waited".into());
                state::set(Scope::Operation, ANSWERS, &answers)?;
                return wait::bmc_task(&if path.is_empty() { named() } else { path }, 30);
            }
            "lock" => locking::acquire(&path).map(|()| nothing()),
            other => Err(Error::invalid_parameter(format!("driver_info/hostile_redfish: there is no {other}"))),
        };
        if let Ok(Response { task: Some(task), .. }) = &answer {
            state::set(Scope::Operation, TASK, task)?;
        }
        answers.push(match answer {
            Ok(response) => format!("{} {}", response.status, response.body),
            Err(error) => error.code,
        });
    }
    report::put(report::Kind::Instance, &json!({ "root_uuid_or_disk_id": answers.join("\n") })).map(|()| Outcome::Done)
}

fn nothing() -> Response {
    Response { status: 200, body: "null".into(), etag: None, location: None, task: None }
}
