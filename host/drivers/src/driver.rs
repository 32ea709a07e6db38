//! A driver that is ready to serve: compiled, linked, and asked who it is.

use wasmtime::component::InstancePre;
use wrought_domain::{Digest, DriverName, Function, Step, StepCall};

use crate::contract::cleaning_export::CleansIndices;
use crate::contract::deploy_export::DeploysIndices;
use crate::contract::driver_export::IdentifiedIndices;
use crate::contract::inspection_export::InspectsIndices;
use crate::contract::passthru_export::PassesThroughIndices;
use crate::contract::rescue_export::RescuesIndices;
use crate::contract::schema_export::KeepsStateIndices;
use crate::contract::servicing_export::ServicesIndices;
use crate::contract::steps_export::StepsDeploysIndices;
use crate::contract::verify_export::VerifiesIndices;
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
    /// The interfaces that it exports, of those that the lifecycle calls ([`Function::interface`]).
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
    /// The vendor's own methods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<Method>,
}

/// A method of the vendor's own (`wit/vendor-passthru.wit`).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Method {
    /// Its name in `/v1/nodes/{node}/vendor_passthru/methods`.
    pub name: String,
    /// For people.
    pub description: String,
    /// Upper case: `GET`, `POST`, ...
    pub http_methods: Vec<String>,
    /// Whether it changes the world: then its calls run as operations.
    pub effects: bool,
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
    pub(crate) servicing: Option<ServicesIndices>,
    pub(crate) verify: Option<VerifiesIndices>,
    pub(crate) rescue: Option<RescuesIndices>,
    pub(crate) inspection: Option<InspectsIndices>,
    pub(crate) passthru: Option<PassesThroughIndices>,
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
            bindings.servicing.as_ref().map(|_| "servicing"),
            bindings.verify.as_ref().map(|_| "verify"),
            bindings.rescue.as_ref().map(|_| "rescue"),
            bindings.inspection.as_ref().map(|_| "inspection"),
            bindings.passthru.as_ref().map(|_| "vendor-passthru"),
        ];
        let exports = exports.into_iter().flatten().collect();
        Self { digest, about, requested, exports, bindings }
    }

    /// Whether it exports the interface that holds a function.
    pub fn serves(&self, function: Function) -> bool {
        self.exports.contains(&function.interface())
    }

    /// A method of the vendor's own, by its name.
    pub fn method(&self, name: &str) -> Option<&Method> {
        self.about.methods.iter().find(|method| method.name == name)
    }

    /// Whether this call may use effects: a call of a method may where the method says so.
    pub(crate) fn may_use_effects(&self, function: Function, step: Option<&StepCall>) -> bool {
        match function {
            Function::VendorCall => step.and_then(|call| self.method(&call.step)).is_some_and(|method| method.effects),
            other => other.may_use_effects(),
        }
    }
}
