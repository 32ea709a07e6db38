//! What the machines behind the service share: its tasks, with their monitors, the simple update, and accounts.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::error::{Body, Refusal};
use super::{collection, link};
use crate::fleet::Shared;

const SERVICE: &str = "/redfish/v1/TaskService";
const UPDATE: &str = "/redfish/v1/UpdateService";
const ACCOUNTS: &str = "/redfish/v1/AccountService";
const SIMPLE_UPDATE: &str = "UpdateService.SimpleUpdate";
/// Tasks that are remembered; the oldest go first.
const MOST: usize = 256;
/// How long a task lasts.
const LASTS: Duration = Duration::from_millis(300);

/// The tasks of the service.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<(u64, VecDeque<Task>)>);

#[derive(Debug, Clone)]
struct Task {
    id: u64,
    name: String,
    /// What the request was sent to.
    target: String,
    began: Instant,
}

impl Task {
    fn is_running(&self) -> bool {
        self.began.elapsed() < LASTS
    }

    fn path(&self) -> String {
        format!("{SERVICE}/Tasks/{}", self.id)
    }

    fn monitor(&self) -> String {
        format!("{SERVICE}/TaskMonitors/{}", self.id)
    }

    fn resource(&self) -> Value {
        let running = self.is_running();
        json!({
            "@odata.type": "#Task.v1_7_0.Task",
            "@odata.id": self.path(),
            "Id": self.id.to_string(),
            "Name": self.name,
            "TaskState": if running { "Running" } else { "Completed" },
            "TaskStatus": "OK",
            "PercentComplete": if running { 50 } else { 100 },
            "TaskMonitor": self.monitor(),
            "Payload": { "TargetUri": self.target, "HttpOperation": "POST" },
            "Messages": [],
        })
    }
}

impl Tasks {
    fn add(&self, target: &str, name: &str) -> Task {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0 += 1;
        let task = Task { id: inner.0, name: name.into(), target: target.into(), began: Instant::now() };
        inner.1.push_back(task.clone());
        if inner.1.len() > MOST {
            inner.1.pop_front();
        }
        task
    }

    fn all(&self) -> Vec<Task> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.iter().cloned().collect()
    }

    fn find(&self, id: &str) -> Option<Task> {
        self.all().into_iter().find(|task| task.id.to_string() == id)
    }
}

/// Answers a request at `target` that takes a while.
pub(super) fn begin(fleet: &Shared, target: &str, name: &str) -> Response {
    let task = fleet.redfish_tasks.add(target, name);
    let headers = [(header::LOCATION, task.monitor()), (header::RETRY_AFTER, "1".into())];
    (StatusCode::ACCEPTED, headers, Json(task.resource())).into_response()
}

pub(super) async fn service() -> Json<Value> {
    Json(json!({
        "@odata.type": "#TaskService.v1_2_0.TaskService",
        "@odata.id": SERVICE,
        "Id": "TaskService",
        "Name": "Task Service",
        "ServiceEnabled": true,
        "Tasks": link(&format!("{SERVICE}/Tasks")),
    }))
}

pub(super) async fn list(State(fleet): State<Arc<Shared>>) -> Json<Value> {
    collection("Task", "Tasks", &format!("{SERVICE}/Tasks"), fleet.redfish_tasks.all().iter().map(Task::path))
}

pub(super) async fn show(State(fleet): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let task = fleet.redfish_tasks.find(&id).ok_or_else(|| Refusal::missing(&format!("{SERVICE}/Tasks/{id}")))?;
    Ok(Json(task.resource()))
}

/// 202 while the task runs, then what the request would have been answered.
pub(super) async fn monitor(State(fleet): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let task = fleet.redfish_tasks.find(&id).ok_or_else(|| Refusal::missing(&format!("{SERVICE}/TaskMonitors/{id}")))?;
    if task.is_running() {
        return Ok((StatusCode::ACCEPTED, [(header::LOCATION, task.monitor())], Json(task.resource())).into_response());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn simple_update(
    State(fleet): State<Arc<Shared>>,
    Body(parameters): Body<Map<String, Value>>,
) -> Result<Response, Refusal> {
    const KNOWN: [&str; 4] = ["ImageURI", "TransferProtocol", "Targets", "@Redfish.OperationApplyTime"];
    if let Some(unknown) = parameters.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(Refusal::unknown_parameter(SIMPLE_UPDATE, unknown));
    }
    let image = parameters.get("ImageURI").ok_or_else(|| Refusal::missing_parameter(SIMPLE_UPDATE, "ImageURI"))?;
    let Some(_) = image.as_str().filter(|uri| uri.contains("://")) else {
        return Err(Refusal::wrong_parameter(SIMPLE_UPDATE, "ImageURI", &image.to_string()));
    };
    Ok(begin(&fleet, &format!("{UPDATE}/Actions/{SIMPLE_UPDATE}"), "Update"))
}

pub(super) async fn account_service() -> Json<Value> {
    Json(json!({
        "@odata.type": "#AccountService.v1_13_0.AccountService",
        "@odata.id": ACCOUNTS,
        "Id": "AccountService",
        "Name": "Account Service",
        "ServiceEnabled": true,
        "Accounts": link(&format!("{ACCOUNTS}/Accounts")),
    }))
}

pub(super) async fn accounts() -> Json<Value> {
    collection("ManagerAccount", "Accounts", &format!("{ACCOUNTS}/Accounts"), [format!("{ACCOUNTS}/Accounts/1")].into_iter())
}

pub(super) async fn account(State(fleet): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({
        "@odata.type": "#ManagerAccount.v1_10_0.ManagerAccount",
        "@odata.id": format!("{ACCOUNTS}/Accounts/1"),
        "Id": "1",
        "Name": "Account",
        "UserName": fleet.options.username,
        "Password": null,
        "RoleId": "Administrator",
        "Enabled": true,
    }))
}
