//! `wrought driver check`: the host's own verdict on a component, without a host.

use std::convert::Infallible;
use std::path::PathBuf;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use serde_json::json;
use wrought_drivers::admission::Report;
use wrought_drivers::{Catalog, Compiler, Runtime};

use crate::{COMPILE_DRIVER, config, output};

#[derive(Debug, Args)]
pub struct Check {
    /// The component, or a core module that a binding generator put its world into
    file: PathBuf,
    /// Its detached signature, as `minisign -S` makes it [default: FILE.minisig, if it is there]
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// The host's configuration file, for its trusted keys and limits [default: the defaults]
    #[arg(long, env = "WROUGHT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub async fn run(self) -> anyhow::Result<()> {
        let (component, signature) = super::read(&self.file, self.signature.as_deref())?;
        // All that is made on the way goes with this folder.
        let folder = tempfile::tempdir().context("making a folder to work in")?;
        let config = config::load(self.config.as_deref())?.config.drivers;
        let catalog = Catalog::open(Runtime::new(config, Compiler::this_program(COMPILE_DRIVER))?, folder.path()).await?;
        let whole = futures::stream::iter([Ok::<_, Infallible>(Bytes::from(component))]);
        let judged = match catalog.receive(None, whole).await {
            Ok(uploaded) => catalog.judge(uploaded, signature.as_deref()).await,
            Err(rejected) => Err(rejected),
        };
        match judged {
            Ok(admitted) => {
                let driver = &admitted.driver;
                let words = format!("{} {} {}: a host would take it", driver.about.name, driver.about.version, driver.digest);
                let facts = json!({
                    "ok": true, "digest": driver.digest, "signature": admitted.signature, "requested": driver.requested.names(),
                    "exports": driver.exports, "about": driver.about,
                });
                self.say(&admitted.report, facts, &words)
            }
            Err(rejected) => {
                let facts = json!({ "ok": false, "digest": rejected.digest, "reason": rejected.why.to_string() });
                self.say(&rejected.report, facts, "")?;
                Err(anyhow::Error::new(*rejected).context("a host would reject it"))
            }
        }
    }

    fn say(&self, report: &Report, mut facts: serde_json::Value, words: &str) -> anyhow::Result<()> {
        let report = serde_json::to_value(report)?;
        if self.json {
            if let Some(facts) = facts.as_object_mut() {
                facts.insert("report".into(), report);
            }
            return output::say_json(&facts);
        }
        output::say(&super::stages(report.as_array().map(Vec::as_slice).unwrap_or_default()).trim_fmt())?;
        if words.is_empty() { Ok(()) } else { output::say(words) }
    }
}
