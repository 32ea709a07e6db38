//! `log`: a guest's line is data. It is capped, escaped and counted.

use crate::contract::import::log::Host;
use crate::contract::log::Level;
use crate::state::CallState;

/// Bytes of a line.
const MAX_LINE: usize = 4 << 10;

/// The text with control characters escaped, at most [`MAX_LINE`] bytes of it.
pub(crate) fn escaped(text: &str) -> String {
    wrought_domain::node::cut(text, MAX_LINE)
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

impl Host for CallState {
    async fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.charge_free()?;
        if self.log_lines >= self.limits.log_lines {
            self.log_dropped = self.log_dropped.saturating_add(1);
            return Ok(());
        }
        self.log_lines = self.log_lines.saturating_add(1);
        let (driver, node, function) = (self.header.driver.as_str(), self.header.node, self.header.function.name());
        let message = escaped(&message);
        match level {
            Level::Debug => tracing::debug!(target: "wrought::driver", driver, %node, function, "{message}"),
            Level::Info => tracing::info!(target: "wrought::driver", driver, %node, function, "{message}"),
            Level::Warn => tracing::warn!(target: "wrought::driver", driver, %node, function, "{message}"),
            Level::Error => tracing::error!(target: "wrought::driver", driver, %node, function, "{message}"),
        }
        Ok(())
    }
}
