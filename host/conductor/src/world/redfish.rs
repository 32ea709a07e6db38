//! `redfish`: resources of the node's controller, as far as its driver may name them.

use async_trait::async_trait;
use serde_json::Value;
use wrought_domain::{DriverError, ErrorKind, Map, lock};
use wrought_drivers::capability::{Authority as _, Redfish};
use wrought_drivers::contract::redfish::Response;
use wrought_hardware::redfish::guest::path::Verb;
use wrought_hardware::redfish::guest::{Answer, Guest, Question};

use super::NodeWorld;
use crate::convert;

impl NodeWorld {
    /// What may be asked, its secrets filled in, and whom to ask.
    async fn question(&self, verb: Verb, path: &str, body: Option<Map>) -> Result<(Guest, Question), DriverError> {
        let granted: Vec<String> = self.grants().scopes("redfish").map(str::to_owned).collect();
        let guest = self.conductor.0.machines.guest(&self.node, &granted)?;
        let secrets = self.with_artifacts(&self.secrets, &body.clone().map_or(Value::Null, Value::Object)).await?;
        let mut question = guest.question(verb, path, body).await.map_err(|error| self.failed(error))?;
        let policy = self.conductor.0.images.policy();
        question.fill(&secrets, policy).await.map_err(|error| self.failed(error))?;
        Ok((guest, question))
    }

    async fn ask_controller(&self, verb: Verb, path: &str, body: Option<Map>) -> Result<Response, DriverError> {
        let (guest, question) = self.question(verb, path, body).await?;
        if question.needs_lock() && !self.holds_shared_lock().await? {
            let text = "this changes what machines share: take one of the node's shared locks first (locking.acquire)";
            return Err(DriverError::new(ErrorKind::Denied, "wrought.LockNeeded", text));
        }
        guest.ask(&question).await.map(|answer| self.answered(answer)).map_err(|error| self.failed(error))
    }

    /// The resource, when it shows what a PATCH asked for.
    pub(crate) async fn resource_shows(&self, path: &str, body: Map) -> Result<Option<Response>, DriverError> {
        let (guest, question) = self.question(Verb::Patch, path, Some(body)).await?;
        let shown = guest.shows(&question).await.map_err(|error| self.failed(error))?;
        Ok(shown.map(|answer| self.answered(answer)))
    }

    /// Whether the resource is gone that a DELETE was about.
    pub(crate) async fn resource_is_gone(&self, path: &str) -> Result<bool, DriverError> {
        match self.ask_controller(Verb::Get, path, None).await {
            Ok(_) => Ok(false),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Whether this operation holds one of the locks that the node's record names.
    async fn holds_shared_lock(&self) -> Result<bool, DriverError> {
        let operation = self.holder()?;
        let locks = self.conductor.0.store.locks().await.map_err(|error| convert::store_error(&error))?;
        Ok(locks.iter().any(|held| {
            held.holder.as_ref().is_some_and(|holder| holder.operation == operation) && lock::names(&self.node.properties, &held.name)
        }))
    }

    fn answered(&self, mut answer: Answer) -> Response {
        self.secrets.scrub(&mut answer.body);
        let Answer { status, body, etag, location, task } = answer;
        Response { status, body: body.to_string(), etag, location, task }
    }
}

#[async_trait]
impl Redfish for NodeWorld {
    async fn read_resource(&self, path: String) -> Result<Response, DriverError> {
        self.ask_controller(Verb::Get, &path, None).await
    }

    async fn patch_resource(&self, path: String, body: Map) -> Result<Response, DriverError> {
        self.ask_controller(Verb::Patch, &path, Some(body)).await
    }

    async fn post_to_resource(&self, path: String, body: Map) -> Result<Response, DriverError> {
        self.ask_controller(Verb::Post, &path, Some(body)).await
    }

    async fn delete_resource(&self, path: String) -> Result<Response, DriverError> {
        self.ask_controller(Verb::Delete, &path, None).await
    }
}
