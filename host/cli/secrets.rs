//! `wrought secrets`: the keys that a data folder is sealed with. Works on the folder itself, while no host runs on it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::serve::default_data;
use crate::{config, output};

#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Seal the database with a new key and drop the old one; goes on where an earlier rotation was cut off
    Rotate(Rotate),
}

#[derive(Debug, Args)]
pub struct Rotate {
    /// Folder of all that is kept, as `wrought serve` has it
    #[arg(long, visible_alias = "data-dir", env = "WROUGHT_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// File of the keys [default: secrets.key in the folder]
    #[arg(long, env = "WROUGHT_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Configuration file, as `wrought serve` has it
    #[arg(long, env = "WROUGHT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl SecretsCommand {
    pub async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Rotate(rotate) => rotate.run().await,
        }
    }
}

impl Rotate {
    async fn run(self) -> anyhow::Result<()> {
        let config = config::load(self.config.as_deref())?.config;
        let data = match self.data {
            Some(folder) => folder,
            None => default_data()?,
        };
        let key_file = self.key_file.or(config.database.key_file);
        let bar = ProgressBar::no_length().with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} documents, {eta} left")?);
        bar.enable_steady_tick(Duration::from_millis(200));
        let rotated = wrought_storage::rotate(&data, key_file.as_deref(), &mut |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        })
        .await;
        bar.finish_and_clear();
        let rotation = rotated.with_context(|| format!("changing the key of the data in {}", data.display()))?;
        if self.json {
            return output::say_json(&json!({
                "key": rotation.key, "dropped": rotation.dropped, "documents": rotation.documents, "key_file": rotation.key_file,
            }));
        }
        let (documents, key, file) = (rotation.documents, rotation.key, rotation.key_file.display());
        output::say(&format!(
            "{documents} documents are sealed with the new key {key}; keep a copy of {file}. Older copies of the database still need {}.",
            rotation.dropped.join(", ")
        ))
    }
}
