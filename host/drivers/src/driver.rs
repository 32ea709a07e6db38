//! A driver that is ready to serve: compiled, linked, and asked who it is.

use wasmtime::component::InstancePre;
use wrought_domain::{Digest, DriverName, Function, Step};

use crate::contract::cleaning_export::CleansIndices;
use crate::contract::deploy_export::DeploysIndices;
use crate::contract::driver_export::IdentifiedIndices;
use crate::contract::schema_export::KeepsStateIndices;
use crate::contract::steps_export::StepsDeploysIndices;
use crate::grants::Grants;
use crate::state::CallState;

/// A version of a driver, linked.
pub struct Driver {
    /// SHA-256 of the component.
    pub digest: Digest,
    /// What it says of itself.
    pub about: About,
    /// The capabilities that it imports.
    pub requested: Grants,
    /// The interfaces that it exports, of `deploy`, `deploy-steps` and `cleaning`.
    pub exports: Vec<&'static str>,
    pub(crate) bindings: Bindings,
}

/// What a driver says of itself.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct About {
    /// Its own name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Who made it.
    pub vendor: String,
    /// One sentence.
    pub summary: String,
    /// The driver that serves the interfaces which it does not export.
    pub base: Option<DriverName>,
    /// The steps that it may offer.
    pub steps: Vec<Step>,
    /// What it reads from a node: name and description.
    pub properties: Vec<(String, String)>,
    /// The forms of its state.
    #[serde(default)]
    pub schemas: Schemas,
}

/// The forms in which a driver keeps its state (`wit/state-schema.wit`).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Schemas {
    /// What it writes.
    pub writes: u32,
    /// What it can read, this one included.
    pub reads: Vec<u32>,
}

impl Default for Schemas {
    fn default() -> Self {
        Self { writes: 1, reads: vec![1] }
    }
}

/// A linked component's exports.
pub(crate) struct Bindings {
    pub(crate) pre: InstancePre<CallState>,
    pub(crate) weight: u32,
    pub(crate) driver: IdentifiedIndices,
    pub(crate) deploy: Option<DeploysIndices>,
    pub(crate) steps: Option<StepsDeploysIndices>,
    pub(crate) cleaning: Option<CleansIndices>,
    pub(crate) schema: Option<KeepsStateIndices>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("about", &self.about).field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl Driver {
    /// Of what was linked and asked who it is.
    pub(crate) fn new(digest: Digest, about: About, requested: Grants, bindings: Bindings) -> Self {
        let exports = [
            bindings.deploy.as_ref().map(|_| "deploy"),
            bindings.steps.as_ref().map(|_| "deploy-steps"),
            bindings.cleaning.as_ref().map(|_| "cleaning"),
        ];
        let exports = exports.into_iter().flatten().collect();
        Self { digest, about, requested, exports, bindings }
    }

    /// Whether it exports the interface that holds a function.
    pub fn serves(&self, function: Function) -> bool {
        self.exports.contains(&function.interface())
    }
}
