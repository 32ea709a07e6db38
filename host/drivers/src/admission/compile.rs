//! To machine code: once per component, engine and settings.

use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use serde_json::json;
use wasmtime::component::Component;
use wrought_domain::Digest;

use super::artifacts::Artifacts;
use super::parse::Shape;
use super::report::{Dossier, Stage};
use super::{Checked, Rejected, Rejection};
use crate::runtime::Runtime;

/// A component as machine code.
pub struct Compiled {
    pub(super) code: Component,
    pub(super) shape: Shape,
    pub(super) dossier: Dossier,
}

impl Checked {
    /// Compiles it, or takes the code that was made of it before.
    ///
    /// # Errors
    /// It does not compile, or takes more time or memory than it may have.
    pub(crate) async fn compile(self, runtime: &Runtime, artifacts: &Artifacts) -> Result<Compiled, Box<Rejected>> {
        let began = Instant::now();
        let (component, shape, dossier) = self.parts();
        let found = match known(runtime, artifacts, &dossier.digest).await {
            Some(code) => Ok((code, json!({ "cached": true }).into())),
            None => fresh(runtime, artifacts, &dossier.digest, component).await.map(|code| {
                let bytes = code.image_range();
                let bytes = bytes.end.addr().saturating_sub(bytes.start.addr());
                (code, json!({ "cached": false, "compiled_bytes": bytes }).into())
            }),
        };
        let (code, dossier) = dossier.judge(Stage::Compile, began, found)?;
        Ok(Compiled { code, shape, dossier })
    }
}

async fn known(runtime: &Runtime, artifacts: &Artifacts, digest: &Digest) -> Option<Component> {
    match artifacts.load(&runtime.engine, digest).await {
        Ok(code) => code,
        Err(error) => {
            tracing::warn!(
                digest = digest.short(),
                error = format!("{error:#}"),
                "compiled code is not taken by the engine, the component is compiled again"
            );
            None
        }
    }
}

async fn fresh(runtime: &Runtime, artifacts: &Artifacts, digest: &Digest, component: Bytes) -> Result<Component, Rejection> {
    let host = |error: &dyn std::fmt::Display| Rejection::Host(error.to_string());
    let (this, artifacts, wanted) = (runtime.clone(), artifacts.clone(), digest.clone());
    // In a task of its own, with its turn: who gives up waiting does not make room for one compilation more.
    let compiling = tokio::spawn(async move {
        let _turn = this.compiling.clone().acquire_owned().await.map_err(|error| host(&error))?;
        let file = artifacts.begin()?;
        let code = file.reopen().map_err(|error| Rejection::storing("beginning a file", &error))?;
        this.compilations.fetch_add(1, Ordering::Relaxed);
        this.compiler.compile(&this.engine, this.config.compile, component, code).await?;
        artifacts.keep(file, &wanted).await?;
        let loaded = artifacts.load(&this.engine, &wanted).await;
        // The pool has its bounds, too, and looks at them now.
        let loaded = loaded.inspect_err(|_| artifacts.remove(&wanted)).map_err(|error| Rejection::Contract(format!("{error:#}")))?;
        loaded.ok_or_else(|| Rejection::Host("compiled code is gone or was changed at once".to_owned()))
    });
    compiling.await.map_err(|error| Rejection::Host(error.to_string()))?
}
