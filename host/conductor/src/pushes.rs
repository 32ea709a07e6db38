//! Files on their way to controllers, each for an operation, in a task of the host: a push lasts longer than a driver's call.
//!
//! Nothing of it is stored. A host that was started anew knows of no push, and says so to whoever asks.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::fs::File;
use uuid::Uuid;
use wrought_domain::{DriverError, ErrorKind, Map, Node, OperationId, lock};
use wrought_drivers::contract::redfish::Response;
use wrought_hardware::redfish::guest::{Answer, Push};
use wrought_hardware::secrets::Secrets;
use wrought_storage::StoreError;

use crate::conductor::Conductor;
use crate::convert;
use crate::secrets::scrubbed;

/// Pushes of all operations that are remembered; those that have ended longest ago go first.
const MOST: usize = 128;

/// Files that are on their way at once.
const MOST_RUNNING: usize = 32;

/// Pushes of one operation, ended ones as well.
const MOST_OF_ONE: usize = 4;

/// How often it is looked whether a push may go on.
const LOOK: Duration = Duration::from_secs(1);

/// The pushes of this process.
#[derive(Default)]
pub(crate) struct Pushes(Mutex<VecDeque<Job>>);

struct Job {
    id: String,
    operation: OperationId,
    /// Nothing while it runs.
    ended: Option<Result<Response, DriverError>>,
}

/// A file, and where it goes.
pub(crate) struct Errand {
    pub(crate) node: Node,
    pub(crate) operation: OperationId,
    pub(crate) push: Push,
    pub(crate) file: File,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) name: String,
    /// What is taken out of the answer.
    pub(crate) secrets: Secrets,
}

impl Pushes {
    fn jobs(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters one more. `limit-exceeded` when too many run.
    fn begin(&self, operation: OperationId) -> Result<String, DriverError> {
        let mut jobs = self.jobs();
        let full = |text: &str| Err(DriverError::new(ErrorKind::LimitExceeded, "artifact.TooManyPushes", text));
        if jobs.iter().filter(|job| job.operation == operation).count() >= MOST_OF_ONE {
            let Some(oldest) = jobs.iter().position(|job| job.operation == operation && job.ended.is_some()) else {
                return full("this operation pushes 4 files already; wait for one of them");
            };
            jobs.remove(oldest);
        }
        if jobs.iter().filter(|job| job.ended.is_none()).count() >= MOST_RUNNING {
            return full("the host pushes as many files as it can at once; try again later");
        }
        if jobs.len() >= MOST
            && let Some(oldest) = jobs.iter().position(|job| job.ended.is_some())
        {
            jobs.remove(oldest);
        }
        let id = Uuid::new_v4().simple().to_string();
        jobs.push_back(Job { id: id.clone(), operation, ended: None });
        Ok(id)
    }

    fn end(&self, id: &str, result: Result<Response, DriverError>) {
        if let Some(job) = self.jobs().iter_mut().find(|job| job.id == id) {
            job.ended = Some(result);
        }
    }

    /// Whether a push of this operation goes on.
    pub(crate) fn is_running(&self, id: &str, operation: OperationId) -> bool {
        self.jobs().iter().any(|job| job.id == id && job.operation == operation && job.ended.is_none())
    }

    /// What came of a push of this operation; nothing while it goes on.
    pub(crate) fn outcome(&self, id: &str, operation: OperationId) -> Result<Option<Response>, DriverError> {
        match self.jobs().iter().find(|job| job.id == id && job.operation == operation) {
            Some(job) => job.ended.clone().transpose(),
            None => {
                let text = "this host knows of no such push of this operation: it was started anew while the file was on its way, or \
                            later pushes took its place; look at the controller";
                Err(DriverError::new(ErrorKind::OutcomeUnknown, "artifact.PushUnknown", text))
            }
        }
    }
}

/// The answer of a controller, without secrets.
pub(crate) fn answered(secrets: &Secrets, mut answer: Answer) -> Response {
    secrets.scrub(&mut answer.body);
    let Answer { status, body, etag, location, task } = answer;
    let clean = |text: Option<String>| text.map(|text| secrets.scrub_text(&text));
    Response { status, body: body.to_string(), etag: clean(etag), location: clean(location), task: clean(task) }
}

impl Conductor {
    /// Sends a file to a controller, in a task of its own. The name of the push.
    ///
    /// # Errors
    /// `limit-exceeded`.
    pub(crate) fn push(&self, errand: Errand) -> Result<String, DriverError> {
        let id = self.0.artifacts.pushes.begin(errand.operation)?;
        let (this, push) = (self.clone(), id.clone());
        self.spawn(async move {
            let (node, name, size) = (errand.node.uuid, errand.name.clone(), errand.size);
            tracing::info!(%node, artifact = name, size, push, "pushing a file to the controller");
            let result = this.carry(errand, &push).await;
            match &result {
                Ok(response) => tracing::info!(%node, artifact = name, push, status = response.status, "the file is at the controller"),
                Err(error) => tracing::warn!(%node, artifact = name, push, code = error.code, "the file was not pushed: {}", error.message),
            }
            this.0.artifacts.pushes.end(&push, result);
        });
        Ok(id)
    }

    async fn carry(&self, errand: Errand, id: &str) -> Result<Response, DriverError> {
        let Errand { node, operation, push, file, size, name, secrets } = errand;
        let deadline = Instant::now() + Duration::from_secs(u64::from(self.0.artifacts.config.max_push_s));
        tokio::select! {
            why = self.stopped(&node, operation, push.needs_lock()) => {
                let text = format!("the push was ended, because {why}; whether the controller has the file cannot be told");
                Err(DriverError::new(ErrorKind::OutcomeUnknown, "artifact.PushEnded", text))
            }
            answer = push.send(file, size, &name, id, deadline) => answer.map(|answer| answered(&secrets, answer)).map_err(|error| {
                let error = convert::error(error);
                DriverError { message: scrubbed(&secrets, &error.message), ..error }
            }),
        }
    }

    /// Waits until a push may not go on, and tells why.
    async fn stopped(&self, node: &Node, operation: OperationId, needs_lock: bool) -> String {
        loop {
            tokio::select! {
                () = self.stopping().cancelled() => return "the host stops".to_owned(),
                () = tokio::time::sleep(LOOK) => {}
            }
            match self.0.store.operation(node.uuid).await {
                Ok(Some(held)) if held.id == operation => {
                    if let Some(why) = self.revoked_pin(&held) {
                        return why;
                    }
                }
                Ok(_) => return "its operation has ended".to_owned(),
                Err(error) => tracing::warn!(node = %node.uuid, %error, "looking whether a push may go on"),
            }
            if needs_lock && matches!(self.holds_shared_lock(&node.properties, operation).await, Ok(false)) {
                return "the lock that nodes share is not held any more".to_owned();
            }
        }
    }

    /// Whether an operation holds one of the locks that its node's `properties` name.
    pub(crate) async fn holds_shared_lock(&self, properties: &Map, operation: OperationId) -> Result<bool, StoreError> {
        let locks = self.0.store.locks().await?;
        Ok(locks
            .iter()
            .any(|held| held.holder.as_ref().is_some_and(|holder| holder.operation == operation) && lock::names(properties, &held.name)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn operation(number: u128) -> OperationId {
        OperationId(Uuid::from_u128(number))
    }

    fn response() -> Response {
        Response { status: 202, body: "null".into(), etag: None, location: None, task: Some("/redfish/v1/TaskService/Tasks/1".into()) }
    }

    #[test]
    fn nothing_of_an_answer_has_a_secret() {
        let mut secrets = Secrets::default();
        secrets.hide("canary-bmc");
        let text = || Some("/redfish/v1/canary-bmc".to_owned());
        let answer = Answer { status: 202, body: serde_json::json!({"a": "canary-bmc"}), etag: text(), location: text(), task: text() };
        assert!(!format!("{:?}", answered(&secrets, answer)).contains("canary"));
    }

    #[test]
    fn a_push_is_known_to_its_operation_alone() {
        let (pushes, ours, other) = (Pushes::default(), operation(1), operation(2));
        let id = pushes.begin(ours).unwrap();
        assert!(pushes.is_running(&id, ours) && !pushes.is_running(&id, other));
        assert_eq!(pushes.outcome(&id, ours), Ok(None));
        pushes.end(&id, Ok(response()));
        assert!(!pushes.is_running(&id, ours));
        assert_eq!(pushes.outcome(&id, ours), Ok(Some(response())));
        for (id, operation) in [(id.as_str(), other), ("another", ours)] {
            let error = pushes.outcome(id, operation).unwrap_err();
            assert_eq!((error.kind, error.code.as_str()), (ErrorKind::OutcomeUnknown, "artifact.PushUnknown"));
        }
    }

    #[test]
    fn pushes_are_bounded() {
        let pushes = Pushes::default();
        let ids: Vec<String> = (0..MOST_OF_ONE).map(|_| pushes.begin(operation(1)).unwrap()).collect();
        assert_eq!(pushes.begin(operation(1)).unwrap_err().kind, ErrorKind::LimitExceeded);
        pushes.end(ids.last().unwrap(), Ok(response()));
        pushes.begin(operation(1)).unwrap();
        assert!(pushes.outcome(ids.last().unwrap(), operation(1)).is_err(), "the one that had ended made room");
        assert!(pushes.is_running(ids.first().unwrap(), operation(1)));
        let mut number = 2;
        while pushes.begin(operation(number)).is_ok() {
            number += 1;
        }
        assert_eq!(pushes.jobs().len(), MOST_RUNNING);
        for number in 0..500 {
            let running = pushes.jobs().iter().find(|job| job.ended.is_none()).unwrap().id.clone();
            pushes.end(&running, Ok(response()));
            pushes.begin(operation(1000 + number)).unwrap();
        }
        assert_eq!(pushes.jobs().len(), MOST);
    }
}
