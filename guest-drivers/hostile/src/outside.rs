//! Asks of other hosts what `extra/hostile_outside` lists, one after the other, in the deploy step; it never fails by itself.
//!
//! A request is `{"do": "get", "url": ..., "headers": {...}, "body": ...}`, with the functions of `http`. Beside them there are `find`
//! and `url` (functions of `artifact`, for `name`, and `seconds`), `agent` and `redfish` (a command or a POST with the body), `commands` (the
//! agent's last one), `lock` (the shared lock `name`), `media` (inserts `url`); `{url}` in a later URL, header or body stands for what `url` gave, and
//! `wait` has the driver called again. `push` sends the artifact `name` to `url` with the body as parameters,
//! `wait-push` and `wait-task` wait for it and for the task that followed, `pushed` asks for its answer, `task` for that task, `unlock` releases `name`. The answers, a line each, are reported as `driver_internal_info/root_uuid_or_disk_id`: a status with the body, what
//! `artifact` gave, or an error's code.

use serde_json::{Map, Value, json};
use wrought_sdk::http::{Body, Response};
use wrought_sdk::prelude::*;
use wrought_sdk::state::Scope;

/// Keys of what was answered so far, and of the reference that was given last.
const ANSWERS: &str = "outside-answers";
const REFERENCE: &str = "outside-reference";
/// The same of the push, and the task that it led to.
const PUSH: &str = "outside-push";
const TASK: &str = "outside-task";

/// What the node lists.
pub fn requests() -> Option<Vec<Value>> {
    let extra: Map<String, Value> = serde_json::from_str(&task::node().extra).ok()?;
    extra.get("hostile_outside")?.as_array().cloned()
}

/// Goes on with the list from where the last call of this step came to.
pub fn play(requests: &[Value]) -> Result<Outcome> {
    let mut answers: Vec<String> = state::get(Scope::Operation, ANSWERS)?.unwrap_or_default();
    for request in requests.iter().skip(answers.len()) {
        if request.get("do") == Some(&json!("wait")) {
            answers.push("waited".into());
            state::set(Scope::Operation, ANSWERS, &answers)?;
            return wait::seconds(1);
        }
        if let Some(outcome) = wait_for(request)? {
            answers.push("waited".into());
            state::set(Scope::Operation, ANSWERS, &answers)?;
            return Ok(outcome);
        }
        answers.push(ask(request).unwrap_or_else(|error| error.code));
    }
    report::put(report::Kind::Instance, &json!({ "root_uuid_or_disk_id": answers.join("\n") })).map(|()| Outcome::Done)
}

fn known(key: &str) -> Result<String> {
    Ok(state::get(Scope::Operation, key)?.unwrap_or_default())
}

fn wait_for(request: &Value) -> Result<Option<Outcome>> {
    Ok(match request.get("do").and_then(Value::as_str) {
        Some("wait-push") => Some(wait::artifact_push(&known(PUSH)?, 60)?),
        Some("wait-task") => Some(wait::bmc_task(&known(TASK)?, 60)?),
        _ => None,
    })
}

fn ask(request: &Value) -> Result<String> {
    let reference: String = state::get(Scope::Operation, REFERENCE)?.unwrap_or_default();
    let filled = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned).replace("{url}", &reference);
    let text = |key: &str| request.get(key).map(filled).unwrap_or_default();
    let (url, name) = (text("url"), text("name"));
    let given = request.get("headers").and_then(Value::as_object).cloned().unwrap_or_default();
    let given: Vec<(String, String)> = given.into_iter().map(|(name, value)| (name, filled(&value))).collect();
    let headers: Vec<(&str, &str)> = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let body = request.get("body").map(|body| Body::Text(filled(body)));
    let answer = match text("do").as_str() {
        "get" => http::get(&url, &headers),
        "head" => http::head(&url, &headers),
        "post" => http::post(&url, &headers, body.as_ref()),
        "put" => http::put(&url, &headers, body.as_ref()),
        "patch" => http::patch(&url, &headers, body.as_ref()),
        "delete" => http::delete(&url, &headers),
        "find" => return artifact::find(&name).map(|found| format!("{} {} {}", found.digest, found.name, found.size_kib)),
        "url" => {
            let seconds = request.get("seconds").and_then(Value::as_u64).and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(300);
            let reference = artifact::url(&name, seconds)?;
            state::set(Scope::Operation, REFERENCE, &reference)?;
            return Ok(reference);
        }
        "agent" => return agent::run(&name, &parsed(&text("body"))?).map(|command| command.name),
        "commands" => {
            let last = agent::commands()?.pop();
            return Ok(
                last.map_or_else(String::new, |last| format!("{:?} {} {}", last.status, last.result, last.error.unwrap_or_default()))
            );
        }
        "media" => return boot::insert_media(&url).map(|()| "inserted".to_owned()),
        "push" => {
            let parameters = text("body");
            let parameters = if parameters.is_empty() { Value::Null } else { parsed(&parameters)? };
            let push = artifact::push(&name, &url, &parameters)?;
            state::set(Scope::Operation, PUSH, &push)?;
            return Ok("pushing".to_owned());
        }
        "pushed" => {
            let Some(answer) = artifact::pushed(&known(PUSH)?)? else { return Ok("running".to_owned()) };
            if let Some(task) = &answer.task {
                state::set(Scope::Operation, TASK, task)?;
            }
            return Ok(answer.status.to_string());
        }
        "task" => return redfish::get(&known(TASK)?).map(|response| response.status.to_string()),
        "unlock" => return locking::release(&name).map(|()| "unlocked".to_owned()),
        "lock" => return locking::acquire(&name).map(|()| "locked".to_owned()),
        "redfish" => return redfish::post(&url, &parsed(&text("body"))?).map(|response| response.status.to_string()),
        other => Err(Error::invalid_parameter(format!("extra/hostile_outside: there is no {other}"))),
    };
    answer.map(|response| format!("{} {}", response.status, shown(&response)))
}

fn parsed(json: &str) -> Result<Value> {
    Ok(wrought_sdk::serde_json::from_str(json)?)
}

/// A body of one line, and its length if it is long.
fn shown(response: &Response) -> String {
    match &response.body {
        Body::Text(text) if text.len() <= 1000 => text.replace('\n', " "),
        Body::Text(text) => format!("{} characters", text.len()),
        Body::Bytes(bytes) => format!("{bytes:?}"),
    }
}
