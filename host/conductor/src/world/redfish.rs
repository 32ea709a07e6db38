//! `redfish`: resources of the node's controller, as far as its driver may name them.

use async_trait::async_trait;
use serde_json::Value;
use wrought_domain::{DriverError, ErrorKind, Map};
use wrought_drivers::capability::{Authority as _, Redfish};
use wrought_drivers::contract::redfish::Response;
use wrought_hardware::redfish::guest::path::Verb;
use wrought_hardware::redfish::guest::{Guest, Question};
use wrought_hardware::secrets::Secrets;

use super::NodeWorld;
use crate::convert;
use crate::pushes::answered;

impl NodeWorld {
    /// What may be asked, the URLs of artifacts filled in, and whom to ask. The node's secrets are none of its controller's business:
    /// what it keeps it would show to whoever asks later.
    pub(super) async fn question(&self, verb: Verb, path: &str, body: Option<Map>) -> Result<(Guest, Question), DriverError> {
        let granted: Vec<String> = self.grants().scopes("redfish").map(str::to_owned).collect();
        let guest = self.conductor.0.machines.guest(&self.node, &granted)?;
        let named = body.clone().map_or(Value::Null, Value::Object);
        let mut question = guest.question(verb, path, body).await.map_err(|error| self.failed(error))?;
        let none = Secrets::default();
        let secrets = self.with_artifacts(&none, [&named]).await?;
        let policy = self.conductor.0.images.policy();
        question.fill(&secrets, policy).await.map_err(|error| self.failed(error))?;
        Ok((guest, question))
    }

    async fn ask_controller(&self, verb: Verb, path: &str, body: Option<Map>) -> Result<Response, DriverError> {
        let (guest, question) = self.question(verb, path, body).await?;
        self.check_lock(&question).await?;
        guest.ask(&question).await.map(|answer| answered(&self.secrets, answer)).map_err(|error| self.failed(error))
    }

    /// The resource, when it shows what a PATCH asked for.
    pub(crate) async fn resource_shows(&self, path: &str, body: Map) -> Result<Option<Response>, DriverError> {
        let (guest, question) = self.question(Verb::Patch, path, Some(body)).await?;
        let shown = guest.shows(&question).await.map_err(|error| self.failed(error))?;
        Ok(shown.map(|answer| answered(&self.secrets, answer)))
    }

    /// Whether the resource is gone that a DELETE was about.
    pub(crate) async fn resource_is_gone(&self, path: &str) -> Result<bool, DriverError> {
        match self.ask_controller(Verb::Get, path, None).await {
            Ok(_) => Ok(false),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// `denied` unless this operation holds one of the locks that the node's record names, where the question takes that.
    pub(super) async fn check_lock(&self, question: &Question) -> Result<(), DriverError> {
        if !question.needs_lock() {
            return Ok(());
        }
        let holds = self.conductor.holds_shared_lock(&self.node.properties, self.holder()?).await;
        if holds.map_err(|error| convert::store_error(&error))? {
            return Ok(());
        }
        let text = "this changes what machines share: take one of the node's shared locks first (locking.acquire)";
        Err(DriverError::new(ErrorKind::Denied, "wrought.LockNeeded", text))
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
