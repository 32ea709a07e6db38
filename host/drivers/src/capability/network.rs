//! `network`.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use wrought_domain::DriverError;

use crate::contract::import::network::Host;
use crate::contract::types::Error;
use crate::journal::Class;
use crate::state::CallState;

/// A change of the networks that the node's ports are connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "documented in wit/network.wit")]
pub enum NetworkChange {
    AddProvisioning,
    RemoveProvisioning,
    AddCleaning,
    RemoveCleaning,
    AddServicing,
    RemoveServicing,
    ConfigureTenant,
    UnconfigureTenant,
}

/// The networks of the node.
#[async_trait]
pub trait Network: Send + Sync {
    /// Whether the node's network information is complete.
    async fn validate_network(&self) -> Result<(), DriverError>;
    /// Changes them.
    async fn change_network(&self, change: NetworkChange) -> Result<(), DriverError>;
}

impl CallState {
    async fn connect(&mut self, name: &'static str, change: NetworkChange) -> wasmtime::Result<Result<(), Error>> {
        self.pass(Class::Effect, "network", name, (), move |world| async move { world.change_network(change).await }).await
    }
}

impl Host for CallState {
    async fn validate(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.pass(Class::Observe, "network", "validate", (), |world| async move { world.validate_network().await }).await
    }

    async fn add_provisioning(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.connect("add-provisioning", NetworkChange::AddProvisioning).await
    }

    async fn remove_provisioning(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.connect("remove-provisioning", NetworkChange::RemoveProvisioning).await
    }

    async fn add_cleaning(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.connect("add-cleaning", NetworkChange::AddCleaning).await
    }

    async fn remove_cleaning(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.connect("remove-cleaning", NetworkChange::RemoveCleaning).await
    }

    async fn add_servicing(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.connect("add-servicing", NetworkChange::AddServicing).await
    }

    async fn remove_servicing(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.connect("remove-servicing", NetworkChange::RemoveServicing).await
    }

    async fn configure_tenant(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.connect("configure-tenant", NetworkChange::ConfigureTenant).await
    }

    async fn unconfigure_tenant(&mut self) -> wasmtime::Result<Result<(), Error>> {
        self.connect("unconfigure-tenant", NetworkChange::UnconfigureTenant).await
    }
}
