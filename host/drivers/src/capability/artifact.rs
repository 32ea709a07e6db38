//! `artifact`.

use async_trait::async_trait;
use serde_json::json;
use wrought_domain::{DriverError, Map};

use super::redfish::body_of;
use crate::contract::artifact::Info;
use crate::contract::import::artifact::Host;
use crate::contract::redfish::Response;
use crate::contract::types::Error;
use crate::journal::Class;
use crate::state::CallState;

/// Files that the operator uploaded.
#[async_trait]
#[allow(missing_docs, reason = "documented in wit/artifact.wit")]
pub trait Artifact: Send + Sync {
    async fn find_artifact(&self, which: String) -> Result<Info, DriverError>;
    /// A reference, never the URL itself.
    async fn artifact_url(&self, digest: String, seconds: u32) -> Result<String, DriverError>;
    async fn push_artifact(&self, digest: String, path: String, parameters: Map) -> Result<String, DriverError>;
    async fn artifact_pushed(&self, push: String) -> Result<Option<Response>, DriverError>;
}

impl Host for CallState {
    async fn find(&mut self, name_or_digest: String) -> wasmtime::Result<Result<Info, Error>> {
        let args = name_or_digest.clone();
        self.pass(Class::Observe, "artifact", "find", args, |world| async move { world.find_artifact(name_or_digest).await }).await
    }

    async fn url(&mut self, digest: String, seconds: u32) -> wasmtime::Result<Result<String, Error>> {
        let args = (digest.clone(), seconds);
        self.pass(Class::Observe, "artifact", "url", args, move |world| async move { world.artifact_url(digest, seconds).await }).await
    }

    async fn push(&mut self, digest: String, path: String, parameters: String) -> wasmtime::Result<Result<String, Error>> {
        let parameters = match body_of(&parameters) {
            Ok(parameters) => parameters,
            Err(error) => return self.refuse(error),
        };
        let args = json!([digest, path, parameters]);
        self.pass(Class::Effect, "artifact", "push", args, |world| async move { world.push_artifact(digest, path, parameters).await }).await
    }

    async fn pushed(&mut self, push: String) -> wasmtime::Result<Result<Option<Response>, Error>> {
        let args = push.clone();
        self.pass(Class::Observe, "artifact", "pushed", args, |world| async move { world.artifact_pushed(push).await }).await
    }
}
