//! `wrought config`.

use std::path::PathBuf;

use clap::Subcommand;

use super::{load, reference};
use crate::output;

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print a file to start from: every key with its documentation and default
    Default,
    /// Say what is wrong with a file
    Check {
        /// The file
        #[arg(env = "WROUGHT_CONFIG")]
        file: PathBuf,
    },
    /// Print the reference of all keys as Markdown
    Reference,
}

impl ConfigCommand {
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Default => output::say(&reference::sample()),
            Self::Reference => output::say(&reference::markdown()),
            Self::Check { file } => {
                load(Some(&file))?;
                output::say(&format!("{}: good", file.display()))
            }
        }
    }
}
