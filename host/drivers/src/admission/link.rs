//! Whether compiled code fits the contract, and says who it is.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use wrought_domain::Digest;

use super::report::{Dossier, Stage};
use super::{Compiled, Rejected, Rejection, Report, Signature};
use crate::call;
use crate::contract;
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
use crate::convert;
use crate::driver::{About, Bindings, Driver, Schemas};
use crate::grants::Grants;
use crate::runtime::Runtime;

/// Forms of its state that a driver may read.
const MAX_SCHEMAS: usize = 64;

/// Code whose imports the host has and whose exports it knows.
pub struct Linked {
    bindings: Bindings,
    requested: Grants,
    dossier: Dossier,
}

impl Compiled {
    /// Links it.
    ///
    /// # Errors
    /// A type is not the contract's.
    pub(crate) fn link(self, runtime: &Runtime) -> Result<Linked, Box<Rejected>> {
        let began = Instant::now();
        let Self { code, shape, dossier } = self;
        let has = |interface: &str| shape.exports.contains(interface);
        let linked = || -> wasmtime::Result<Bindings> {
            let pre = runtime.linker(shape.wasi).instantiate_pre(&code)?;
            Ok(Bindings {
                driver: IdentifiedIndices::new(&pre)?,
                deploy: has("deploy").then(|| DeploysIndices::new(&pre)).transpose()?,
                steps: has("deploy-steps").then(|| StepsDeploysIndices::new(&pre)).transpose()?,
                cleaning: has("cleaning").then(|| CleansIndices::new(&pre)).transpose()?,
                servicing: has("servicing").then(|| ServicesIndices::new(&pre)).transpose()?,
                verify: has("verify").then(|| VerifiesIndices::new(&pre)).transpose()?,
                rescue: has("rescue").then(|| RescuesIndices::new(&pre)).transpose()?,
                inspection: has("inspection").then(|| InspectsIndices::new(&pre)).transpose()?,
                passthru: has("vendor-passthru").then(|| PassesThroughIndices::new(&pre)).transpose()?,
                schema: has("state-schema").then(|| KeepsStateIndices::new(&pre)).transpose()?,
                weight: runtime.weight(&code),
                pre,
            })
        };
        let found = linked().map_err(|error| Rejection::Contract(format!("{error:#}"))).map(|bindings| {
            let weight = bindings.weight;
            (bindings, json!({ "weight": weight }).into())
        });
        let (bindings, dossier) = dossier.judge(Stage::Link, began, found)?;
        Ok(Linked { bindings, requested: shape.requested, dossier })
    }
}

/// A driver that may serve, and how it came here.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Admitted {
    /// The driver.
    pub driver: Arc<Driver>,
    /// What is known of its origin.
    pub signature: Signature,
    /// Bytes of the component.
    pub size: u64,
    /// What the stages found.
    pub report: Report,
}

impl Admitted {
    pub(super) fn of(driver: Arc<Driver>, dossier: Dossier) -> Self {
        let Dossier { size, signature, report, .. } = dossier;
        Self { driver, signature, size, report }
    }
}

impl Linked {
    /// Asks it who it is, under the limits of every call: `describe` and `get-properties`.
    ///
    /// # Errors
    /// It breaks, or its answer contradicts the contract.
    pub(crate) async fn smoke(self, runtime: &Runtime) -> Result<Admitted, Box<Rejected>> {
        let began = Instant::now();
        let Self { bindings, requested, dossier } = self;
        let found = about(runtime, &bindings, &dossier.digest).await.map(|about| {
            let details = json!({ "name": about.name, "version": about.version, "base": about.base, "steps": about.steps.len() });
            (about, details.into())
        });
        let (about, dossier) = dossier.judge(Stage::Smoke, began, found)?;
        let driver = Driver::new(dossier.digest.clone(), about, requested, bindings);
        Ok(Admitted::of(Arc::new(driver), dossier))
    }
}

async fn about(runtime: &Runtime, bindings: &Bindings, digest: &Digest) -> Result<About, Rejection> {
    let call::Described { description, properties, schemas, methods } = call::describe(runtime, bindings, digest).await?;
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
        schemas: schemas.map(known_schemas).transpose()?.unwrap_or_default(),
        methods: convert::methods(methods).map_err(Rejection::Contract)?,
    })
}

/// The forms of a driver's state; what it writes it can read.
fn known_schemas(found: contract::Schemas) -> Result<Schemas, Rejection> {
    if found.writes == 0 || found.reads.len() > MAX_SCHEMAS {
        return Err(Rejection::Contract(format!("get-schemas counts forms from 1 and reads at most {MAX_SCHEMAS}")));
    }
    let mut reads = found.reads;
    reads.push(found.writes);
    reads.sort_unstable();
    reads.dedup();
    Ok(Schemas { writes: found.writes, reads })
}
