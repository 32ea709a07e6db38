//! `wrought recover`: what the next start would do with the operations that a stop or a crash cut off.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use comfy_table::Cell;
use wrought_conductor::{Clock, RecoveryPlan};
use wrought_storage::Store;

use crate::serve::default_data;
use crate::{UsageError, config, output};

#[derive(Debug, Args)]
pub struct Recover {
    /// Print the plan; no machine is asked and nothing is changed
    #[arg(long)]
    dry_run: bool,
    /// Folder of all that is kept, as `wrought serve` has it
    #[arg(long, visible_alias = "data-dir", env = "WROUGHT_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// File of the keys [default: secrets.key in the folder]
    #[arg(long, env = "WROUGHT_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Configuration file, as `wrought serve` has it
    #[arg(long, env = "WROUGHT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
}

impl Recover {
    pub async fn run(self) -> anyhow::Result<()> {
        if !self.dry_run {
            let text = "`wrought serve` carries the plan out when it starts; `wrought recover --dry-run` prints it";
            return Err(UsageError(text.into()).into());
        }
        let config = config::load(self.config.as_deref())?.config;
        let data = match self.data {
            Some(folder) => folder,
            None => default_data()?,
        };
        let key_file = self.key_file.or(config.database.key_file);
        let store = Store::open_to_read(&data, key_file.as_deref())
            .await
            .with_context(|| format!("looking at the data in {}; a host that runs there needs no recovery", data.display()))?;
        let plan = RecoveryPlan::of(&store, Clock::system().now()).await;
        store.close().await;
        let plan = plan?;
        if self.json {
            return output::say_json(&serde_json::to_value(&plan)?);
        }
        if plan.operations.is_empty() {
            return output::say("No operation is open: nothing is to be recovered.");
        }
        let mut table = output::table(&["Node", "Operation", "Phase", "Step", "Down", "At the start"]);
        for planned in &plan.operations {
            let phase = serde_json::to_value(planned.phase).ok().and_then(|phase| phase.as_str().map(str::to_owned)).unwrap_or_default();
            table.add_row([
                Cell::new(planned.node),
                Cell::new(planned.kind),
                Cell::new(phase),
                Cell::new(planned.step.as_deref().unwrap_or("-")),
                Cell::new(format!("{} s", planned.down_s)),
                Cell::new(&planned.action),
            ]);
        }
        output::say(&format!("{table}\n{} operations", plan.operations.len()))
    }
}
