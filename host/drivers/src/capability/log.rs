//! `log`: a guest's line is data. It is capped, escaped and counted.

use crate::contract::import::log::Host;
use crate::contract::log::Level;
use crate::state::CallState;
use crate::throttle::Throttle;

/// Bytes of a line.
pub(crate) const MAX_LINE: usize = 4 << 10;

/// The text with control characters escaped, at most [`MAX_LINE`] bytes of it.
pub(crate) fn escaped(text: &str) -> String {
    wrought_domain::node::cut(text, MAX_LINE)
        .chars()
        .flat_map(|c| if is_unfit(c) { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

/// What would begin a line, move a terminal's cursor, or turn the order of what is shown.
fn is_unfit(c: char) -> bool {
    c.is_control() || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl CallState {
    /// Whether one more line may be written, in this call and by this driver.
    pub(crate) fn may_write(&mut self) -> bool {
        let within = self.log_lines < self.limits.log_lines;
        if within {
            self.log_lines = self.log_lines.saturating_add(1);
        }
        let now = std::time::Instant::now();
        let admit = |throttle: &Throttle| throttle.admit(&self.header.driver, self.header.node, now);
        let written = within && self.throttle.as_deref().is_none_or(admit);
        if !written {
            self.log_dropped = self.log_dropped.saturating_add(1);
        }
        written
    }
}

impl Host for CallState {
    async fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.charge_free()?;
        if !self.may_write() {
            return Ok(());
        }
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
