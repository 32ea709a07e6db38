//! Who may ask: HTTP Basic, or a session's token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::error::{Body, Refusal};
use super::{collection, link};
use crate::fleet::Shared;

/// A session that nobody used for so long is gone.
const IDLE: Duration = Duration::from_secs(600);
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

/// The sessions of the one account.
#[derive(Debug)]
pub(crate) struct Sessions {
    most: usize,
    by_token: Mutex<HashMap<String, Session>>,
}

#[derive(Debug)]
struct Session {
    id: Uuid,
    used: Instant,
}

impl Sessions {
    /// `most`: sessions at a time.
    pub fn new(most: usize) -> Self {
        Self { most, by_token: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        let mut sessions = self.by_token.lock().unwrap_or_else(PoisonError::into_inner);
        // At most `most` entries: looking at all of them is cheap.
        sessions.retain(|_, session| session.used.elapsed() < IDLE);
        sessions
    }

    fn open(&self) -> Option<(Uuid, String)> {
        let mut sessions = self.lock();
        if sessions.len() >= self.most {
            return None;
        }
        let (id, token) = (Uuid::new_v4(), Uuid::new_v4().simple().to_string());
        sessions.insert(token.clone(), Session { id, used: Instant::now() });
        Some((id, token))
    }

    fn touch(&self, token: &str) -> bool {
        self.lock().get_mut(token).is_some_and(|session| {
            session.used = Instant::now();
            true
        })
    }

    fn ids(&self) -> Vec<Uuid> {
        self.lock().values().map(|session| session.id).collect()
    }

    fn close(&self, id: &str) -> bool {
        let mut sessions = self.lock();
        let before = sessions.len();
        sessions.retain(|_, session| session.id.to_string() != id);
        sessions.len() < before
    }
}

/// Whether the headers carry a live token or the right user name and password.
pub(super) fn check(fleet: &Shared, headers: &HeaderMap) -> Result<(), Refusal> {
    if let Some(token) = headers.get("x-auth-token") {
        let known = token.to_str().is_ok_and(|token| fleet.sessions.touch(token));
        return if known { Ok(()) } else { Err(Refusal::no_session()) };
    }
    let Some(basic) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Basic ")) else {
        return Err(Refusal::no_session());
    };
    let expected = STANDARD.encode(format!("{}:{}", fleet.options.username, fleet.options.password));
    if basic.trim() == expected { Ok(()) } else { Err(Refusal::wrong_credentials()) }
}

pub(super) async fn service() -> Json<Value> {
    Json(json!({
        "@odata.type": "#SessionService.v1_1_8.SessionService",
        "@odata.id": "/redfish/v1/SessionService",
        "Id": "SessionService",
        "Name": "Session Service",
        "ServiceEnabled": true,
        "SessionTimeout": IDLE.as_secs(),
        "Sessions": link(SESSIONS),
    }))
}

pub(super) async fn list(State(fleet): State<Arc<Shared>>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    check(&fleet, &headers)?;
    Ok(collection("Session", "Sessions", SESSIONS, fleet.sessions.ids().iter().map(|id| format!("{SESSIONS}/{id}"))))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Login {
    user_name: Option<String>,
    password: Option<String>,
}

pub(super) async fn log_in(State(fleet): State<Arc<Shared>>, Body(login): Body<Login>) -> Result<Response, Refusal> {
    let user = login.user_name.ok_or_else(|| Refusal::missing_property("UserName"))?;
    let password = login.password.ok_or_else(|| Refusal::missing_property("Password"))?;
    if user != fleet.options.username || password != fleet.options.password {
        return Err(Refusal::wrong_credentials());
    }
    let (id, token) = fleet.sessions.open().ok_or_else(Refusal::too_many_sessions)?;
    let path = format!("{SESSIONS}/{id}");
    let headers = [("x-auth-token", token), ("location", path)];
    Ok((StatusCode::CREATED, headers, Json(resource(&fleet, &id.to_string()))).into_response())
}

pub(super) async fn show(State(fleet): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    if fleet.sessions.ids().iter().any(|known| known.to_string() == id) {
        return Ok(Json(resource(&fleet, &id)));
    }
    Err(Refusal::missing(&format!("{SESSIONS}/{id}")))
}

pub(super) async fn log_out(State(fleet): State<Arc<Shared>>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    if fleet.sessions.close(&id) { Ok(StatusCode::NO_CONTENT) } else { Err(Refusal::missing(&format!("{SESSIONS}/{id}"))) }
}

fn resource(fleet: &Shared, id: &str) -> Value {
    json!({
        "@odata.type": "#Session.v1_7_0.Session",
        "@odata.id": format!("{SESSIONS}/{id}"),
        "Id": id,
        "Name": "User Session",
        "UserName": fleet.options.username,
    })
}
