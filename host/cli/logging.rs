//! Log lines go to standard error, as text for people or as JSON for collectors.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::UsageError;
use crate::config::LogFormat;

/// Starts logging with `filter`, in the syntax of tracing's `EnvFilter`, such as `info,wrought_drivers=debug`. Each `-v` raises what
/// Wrought itself logs.
///
/// # Errors
/// [`UsageError`] for a filter that is none.
pub fn start(filter: &str, verbose: u8, format: LogFormat) -> anyhow::Result<()> {
    let raised = match verbose {
        0 => filter.to_owned(),
        1 => format!("{filter},wrought=debug"),
        _ => format!("{filter},wrought=trace"),
    };
    let filter = EnvFilter::try_new(&raised)
        .map_err(|error| UsageError(format!("log filter {filter:?}: {error}; use a level such as info, or info,wrought_drivers=debug")))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("starting to log: {error}"))
}
