//! A driver that is ready to serve: compiled, linked, and asked who it is.

use std::sync::Arc;

use wasmtime::component::{Component, InstancePre};
use wrought_domain::{Digest, DriverName, Function, Step};

use crate::admit::{Admitted, Rejection};
use crate::call;
use crate::contract::cleaning_export::CleansIndices;
use crate::contract::deploy_export::DeploysIndices;
use crate::contract::driver_export::IdentifiedIndices;
use crate::contract::steps_export::StepsDeploysIndices;
use crate::convert;
use crate::grants::Grants;
use crate::runtime::Runtime;
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
    pub(crate) linked: Linked,
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
}

pub(crate) struct Linked {
    pub(crate) pre: InstancePre<CallState>,
    pub(crate) weight: u32,
    pub(crate) driver: IdentifiedIndices,
    pub(crate) deploy: Option<DeploysIndices>,
    pub(crate) steps: Option<StepsDeploysIndices>,
    pub(crate) cleaning: Option<CleansIndices>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("about", &self.about).field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl Driver {
    /// Whether it exports the interface that holds a function.
    pub fn serves(&self, function: Function) -> bool {
        self.exports.contains(&function.interface())
    }

    /// Compiles and links an admitted component, and asks it who it is. CPU-heavy: compiling runs
    /// on a thread of its own.
    ///
    /// # Errors
    /// It does not compile, does not fit the contract, or breaks when it is asked.
    pub async fn load(runtime: &Runtime, admitted: Admitted) -> Result<Arc<Self>, Rejection> {
        let Admitted { bytes, digest, requested, exports: exported, wasi } = admitted;
        let engine = runtime.engine.clone();
        let host = |error: &dyn std::fmt::Display| Rejection::Host(error.to_string());
        let unfit = |error: wasmtime::Error| Rejection::Contract(format!("{error:#}"));
        let turn = runtime.compiling.clone().acquire_owned().await.map_err(|error| host(&error))?;
        // The turn goes with the work: who gives up waiting does not make room for a second compilation.
        let compiled = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            Component::new(&engine, &bytes)
        });
        let component = compiled.await.map_err(|error| host(&error))?.map_err(unfit)?;
        let pre = runtime.linker(wasi).instantiate_pre(&component).map_err(unfit)?;
        let linked = Linked {
            driver: IdentifiedIndices::new(&pre).map_err(unfit)?,
            deploy: exported.contains("deploy").then(|| DeploysIndices::new(&pre)).transpose().map_err(unfit)?,
            steps: exported.contains("deploy-steps").then(|| StepsDeploysIndices::new(&pre)).transpose().map_err(unfit)?,
            cleaning: exported.contains("cleaning").then(|| CleansIndices::new(&pre)).transpose().map_err(unfit)?,
            weight: runtime.weight(&component),
            pre,
        };
        let exports = [
            linked.deploy.as_ref().map(|_| "deploy"),
            linked.steps.as_ref().map(|_| "deploy-steps"),
            linked.cleaning.as_ref().map(|_| "cleaning"),
        ];
        let exports: Vec<&'static str> = exports.into_iter().flatten().collect();
        let about = about(runtime, &linked, &digest).await?;
        Ok(Arc::new(Self { digest, about, requested, exports, linked }))
    }
}

/// The smoke call of every upload: `describe` and `get-properties`.
async fn about(runtime: &Runtime, linked: &Linked, digest: &Digest) -> Result<About, Rejection> {
    let (description, properties) = call::describe(runtime, linked, digest).await?;
    let base = match description.base {
        None => None,
        Some(base) => Some(base.parse().map_err(|error: wrought_domain::id::InvalidId| Rejection::Contract(error.to_string()))?),
    };
    let text = |text: &str, max: usize| crate::capability::escaped(&wrought_domain::node::cut(text, max));
    if description.version.is_empty() || description.version.len() > 64 {
        return Err(Rejection::Contract("describe gives no version of 1 to 64 bytes".into()));
    }
    Ok(About {
        name: text(&description.name, 64),
        version: text(&description.version, 64),
        vendor: text(&description.vendor, 128),
        summary: text(&description.summary, 512),
        base,
        steps: convert::steps(description.steps).map_err(Rejection::Contract)?,
        properties: properties.iter().take(256).map(|p| (text(&p.name, 128), text(&p.description, 1024))).collect(),
    })
}
