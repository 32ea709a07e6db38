//! `wrought simulator`: a simulated fleet in a process of its own.

use clap::Args;

use crate::config::LogFormat;
use crate::{logging, shutdown};

#[derive(Debug, Args)]
pub struct Simulator {
    #[command(flatten)]
    options: wrought_simulator::Options,
    /// What to log, such as info or debug
    #[arg(long, env = "WROUGHT_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
    /// End when standard input does
    #[arg(long, hide = true)]
    follow_stdin: bool,
}

impl Simulator {
    pub async fn run(self, verbose: u8) -> anyhow::Result<()> {
        logging::start(&self.log, verbose, LogFormat::Text)?;
        let stop = shutdown::requested_or_orphaned(self.follow_stdin)?;
        wrought_simulator::run(self.options, stop).await
    }
}
