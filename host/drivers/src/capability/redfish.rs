//! `redfish`.

use async_trait::async_trait;
use serde_json::json;
use wrought_domain::{DriverError, Map};

use super::json_object;
use crate::contract::import::redfish::Host;
use crate::contract::redfish::Response;
use crate::contract::types::Error;
use crate::journal::Class;
use crate::state::CallState;

/// Resources of the node's controller, as far as a driver may name them.
#[async_trait]
#[allow(missing_docs, reason = "documented in wit/redfish.wit")]
pub trait Redfish: Send + Sync {
    async fn read_resource(&self, path: String) -> Result<Response, DriverError>;
    async fn patch_resource(&self, path: String, body: Map) -> Result<Response, DriverError>;
    async fn post_to_resource(&self, path: String, body: Map) -> Result<Response, DriverError>;
    async fn delete_resource(&self, path: String) -> Result<Response, DriverError>;
}

/// The body of a change; none is as good as an empty one.
pub(super) fn body_of(text: &str) -> Result<Map, DriverError> {
    if text.trim().is_empty() { Ok(Map::new()) } else { json_object(text, "body") }
}

impl Host for CallState {
    async fn get(&mut self, path: String) -> wasmtime::Result<Result<Response, Error>> {
        let args = path.clone();
        self.pass(Class::Observe, "redfish", "get", args, |world| async move { world.read_resource(path).await }).await
    }

    async fn patch(&mut self, path: String, body: String) -> wasmtime::Result<Result<Response, Error>> {
        let body = match body_of(&body) {
            Ok(body) => body,
            Err(error) => return self.refuse(error),
        };
        let args = json!([path, body]);
        self.pass(Class::Effect, "redfish", "patch", args, |world| async move { world.patch_resource(path, body).await }).await
    }

    async fn post(&mut self, path: String, body: String) -> wasmtime::Result<Result<Response, Error>> {
        let body = match body_of(&body) {
            Ok(body) => body,
            Err(error) => return self.refuse(error),
        };
        let args = json!([path, body]);
        self.pass(Class::Effect, "redfish", "post", args, |world| async move { world.post_to_resource(path, body).await }).await
    }

    async fn delete(&mut self, path: String) -> wasmtime::Result<Result<Response, Error>> {
        let args = path.clone();
        self.pass(Class::Effect, "redfish", "delete", args, |world| async move { world.delete_resource(path).await }).await
    }
}
